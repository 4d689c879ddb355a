// The dot product of two blocks of MXFP8 E4M3 plus a binary32 number, exactly, rounded once (MX 6.1). Needs
// mx_binary32.sv.
//
// Every product of two elements is a multiple of 2^-18 below 2^18, so their sum is an integer of 42 bits, exact. The
// scales only move its point. It meets C in one addition that keeps a sticky bit of whatever lies too far below.
module mx_dot_exact #(
    parameter K = 32,
    parameter BUG = 0
) (
    input  wire [7:0]     sa,
    input  wire [K*8-1:0] a,
    input  wire [7:0]     sb,
    input  wire [K*8-1:0] b,
    input  wire [31:0]    c,
    output wire [31:0]    result
);
    localparam LANE_LOST        = 40;
    localparam TINY_PRODUCT     = 41;
    localparam NAN_SCALE        = 42;
    localparam CANCEL_SIGN      = 43;
    localparam STICKY_LOST      = 44;
    localparam SCALE_SUM_WRAPS  = 45;

    localparam LANES = BUG == LANE_LOST ? K - 1 : K;

    // The products, in multiples of 2^-18.
    reg signed [43:0] sum, signed_product;
    reg         all_negative, nan_element;
    reg  [7:0]  x, y, significands;
    reg  [36:0] product;
    integer i;
    always @* begin
        sum = 0;
        all_negative = c[31];
        nan_element = 0;
        for (i = 0; i < LANES; i = i + 1) begin
            x = a[i*8 +: 8];
            y = b[i*8 +: 8];
            significands = {4'h0, x[6:3] != 0, x[2:0]} * {4'h0, y[6:3] != 0, y[2:0]};
            if (BUG == TINY_PRODUCT && x[6:3] == 0 && y[6:3] == 0) significands = 0;
            // A subnormal counts in the unit of the exponent field 1.
            product = {29'h0, significands}
                << ({1'b0, x[6:3]} - (x[6:3] != 0) + y[6:3] - (y[6:3] != 0));
            signed_product = x[7] ^ y[7] ? -$signed({7'h0, product}) : $signed({7'h0, product});
            sum = sum + signed_product;
            all_negative = all_negative && (x[7] ^ y[7]);
            nan_element = nan_element || x[6:0] == 7'h7f || y[6:0] == 7'h7f;
        end
    end

    // By halves: six decisions instead of 43, one after the other. Of zero it is 63.
    function automatic [5:0] leading_zeros(input [42:0] bits);
        reg [63:0] rest;
        integer    i;
        begin
            rest = {bits, 21'h0};
            for (i = 5; i >= 0; i = i - 1) begin
                leading_zeros[i] = rest >> (64 - (1 << i)) == 0;
                if (leading_zeros[i]) rest = rest << (1 << i);
            end
        end
    endfunction

    // Both addends with their leading bit at bit 42, and its exponent. Zero lies below everything.
    wire signed [11:0] scales = BUG == SCALE_SUM_WRAPS ? $signed({4'h0, sa + sb - 8'd127}) - 127
                              : $signed({4'h0, sa}) + $signed({4'h0, sb}) - 254;
    wire [42:0] s_size = sum < 0 ? -sum : sum;
    wire [5:0]  s_zeros = leading_zeros(s_size);
    wire [42:0] s_bits = s_size << s_zeros;
    wire signed [11:0] s_top = s_size == 0 ? -12'sd1024
                             : scales + 12'sd24 - $signed({6'h0, s_zeros});
    wire [42:0] c_size = {c[30:23] != 0, c[22:0], 19'h0};
    wire [5:0]  c_zeros = leading_zeros(c_size);
    wire [42:0] c_bits = c_size << c_zeros;
    wire signed [11:0] c_field = c[30:23] == 0 ? 12'sd1 : $signed({4'h0, c[30:23]});
    wire signed [11:0] c_top = c_size == 0 ? -12'sd1024
                             : c_field - 12'sd127 - $signed({6'h0, c_zeros});

    // The larger one stays; the smaller one moves down, and what falls off is kept as one sticky bit. Bits fall off
    // only when it is 28 places below, where the difference loses one leading bit at most.
    wire        swap = c_top > s_top || (c_top == s_top && c_bits > s_bits);
    wire        sign = swap ? c[31] : sum < 0;
    wire        other = swap ? sum < 0 : c[31];
    wire signed [11:0] top = swap ? c_top : s_top;
    wire [11:0] gap = swap ? c_top - s_top : s_top - c_top;
    wire [6:0]  down = gap > 12'd71 ? 7'd71 : gap[6:0];
    wire [141:0] moved = {swap ? s_bits : c_bits, 99'h0} >> down;
    wire        sticky = BUG != STICKY_LOST && moved[70:0] != 0;
    wire [71:0] larger = {1'b0, swap ? c_bits : s_bits, 28'h0};
    wire [71:0] little = {1'b0, moved[141:71]} | {71'h0, sticky};
    wire [71:0] total = sign == other ? larger + little : larger - little;

    wire        cancelled = total == 0 && s_size != 0;
    wire        zero_sign = all_negative || (BUG == CANCEL_SIGN && cancelled);
    wire [31:0] rounded;
    mx_binary32 #(.WIDTH(72)) round (
        .sign(total == 0 ? zero_sign : sign), .magnitude(total), .unit(top - 12'sd70),
        .result(rounded)
    );

    // A NaN anywhere is NaN; there is no Inf among the products.
    wire        nan_scale = BUG != NAN_SCALE && (sa == 8'hff || sb == 8'hff);
    wire        c_special = c[30:23] == 8'hff;
    assign result = nan_element || nan_scale || (c_special && c[22:0] != 0) ? 32'h7fc00000
                  : c_special ? c : rounded;
endmodule

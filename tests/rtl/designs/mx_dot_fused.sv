// The dot product of two blocks of MXFP8 E4M3 plus a binary32 number as matrix units compute it: everything is aligned
// to the largest exponent, cut to F fraction bits, added, and truncated to binary32. Needs mx_binary32.sv.
//
// The exponent of a product is the sum of its operands' exponents, although it may reach 2; a subnormal has the
// exponent of the smallest normal number. fused25.toml says the same as a record.
module mx_dot_fused #(
    parameter K = 32,
    parameter F = 25,
    parameter BUG = 0
) (
    input  wire [7:0]     sa,
    input  wire [K*8-1:0] a,
    input  wire [7:0]     sb,
    input  wire [K*8-1:0] b,
    input  wire [31:0]    c,
    output wire [31:0]    result
);
    localparam LANE_LOST     = 60;
    localparam TINY_PRODUCT  = 61;
    localparam NAN_SCALE     = 62;
    localparam TIES_TO_EVEN  = 63;
    localparam BITS_OFF      = 64;
    localparam C_OUT_OF_REACH = 65;

    localparam LANES = BUG == LANE_LOST ? K - 1 : K;
    localparam KEPT = BUG == BITS_OFF ? F - 1 : F;
    localparam signed [11:0] FLOOR = -133;

    // The exponent of a field, less 1: that of 0 is that of 1.
    function automatic [3:0] step(input [3:0] field);
        step = field == 0 ? 4'd0 : field - 4'd1;
    endfunction

    // An element's exponent is its step less 6.
    wire signed [11:0] scales = $signed({4'h0, sa}) + $signed({4'h0, sb}) - 12'sd254 - 12'sd12;
    wire signed [11:0] c_exponent = c[30:23] == 0 ? -12'sd126 : $signed({4'h0, c[30:23]}) - 12'sd127;
    wire        c_zero = c[30:0] == 0;

    // First the largest exponent of all that is not zero. A subnormal C has the exponent of the smallest normal number.
    reg signed [11:0] reference, exponent;
    reg  [7:0]  x, y;
    reg  [7:0]  significands;
    reg         nan_element;
    reg  [K*8-1:0] products;
    integer i;
    always @* begin
        reference = c_zero || BUG == C_OUT_OF_REACH || c_exponent < FLOOR ? FLOOR : c_exponent;
        nan_element = 0;
        products = 0;
        for (i = 0; i < LANES; i = i + 1) begin
            x = a[i*8 +: 8];
            y = b[i*8 +: 8];
            significands = {4'h0, x[6:3] != 0, x[2:0]} * {4'h0, y[6:3] != 0, y[2:0]};
            if (BUG == TINY_PRODUCT && x[6:3] == 0 && y[6:3] == 0) significands = 0;
            exponent = scales + $signed({8'h0, step(x[6:3])}) + $signed({8'h0, step(y[6:3])});
            if (significands != 0 && exponent > reference) reference = exponent;
            products[i*8 +: 8] = significands;
            nan_element = nan_element || x[6:0] == 7'h7f || y[6:0] == 7'h7f;
        end
    end

    // Then every magnitude in multiples of 2^(reference - KEPT), cut, and the sum of them.
    reg signed [KEPT+9:0] sum, signed_cut;
    reg  [KEPT+1:0] cut;
    reg  [11:0]     down;
    integer j;
    always @* begin
        down = reference - c_exponent;
        cut = c_zero ? 0 : {c[30:23] != 0, c[22:0]} << (KEPT - 23) >> down;
        sum = c[31] ? -$signed({8'h0, cut}) : $signed({8'h0, cut});
        for (j = 0; j < LANES; j = j + 1) begin
            down = reference - scales - $signed({8'h0, step(a[j*8+3 +: 4])})
                                      - $signed({8'h0, step(b[j*8+3 +: 4])});
            // Products have six bits of fraction.
            cut = {{KEPT{1'b0}}, products[j*8 +: 8]} << (KEPT - 6) >> down;
            signed_cut = a[j*8+7] ^ b[j*8+7] ? -$signed({8'h0, cut}) : $signed({8'h0, cut});
            sum = sum + signed_cut;
        end
    end

    wire [KEPT+9:0] size = sum < 0 ? -sum : sum;
    wire signed [11:0] unit = reference - KEPT;
    wire [31:0] rounded;
    mx_binary32 #(.WIDTH(KEPT + 10), .TRUNCATE(BUG == TIES_TO_EVEN ? 0 : 1)) round (
        .sign(sum < 0), .magnitude(size), .unit(unit), .result(rounded)
    );

    wire        nan_scale = BUG != NAN_SCALE && (sa == 8'hff || sb == 8'hff);
    wire        c_special = c[30:23] == 8'hff;
    assign result = nan_element || nan_scale || (c_special && c[22:0] != 0) ? 32'h7fffffff
                  : c_special ? c
                  // Every zero of this unit is positive, also what truncation leaves of a negative sum.
                  : rounded[30:0] == 0 ? 32'h0 : rounded;
endmodule

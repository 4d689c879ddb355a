// An exact magnitude times a power of two to binary32, rounded once: ties to even, or with TRUNCATE towards zero.
// Beyond the largest finite number there is Inf, also when truncating, as matrix units have it.
module mx_binary32 #(
    parameter WIDTH = 72,
    parameter TRUNCATE = 0
) (
    input  wire               sign,
    input  wire [WIDTH-1:0]   magnitude,
    input  wire signed [11:0] unit,       // exponent of the magnitude's last bit
    output wire [31:0]        result
);
    localparam signed [11:0] EMIN = -126;

    // By halves, as for 128 bits. Of zero it is 127.
    function automatic [6:0] leading_zeros(input [WIDTH-1:0] bits);
        reg [127:0] rest;
        integer     i;
        begin
            rest = bits;
            rest = rest << (128 - WIDTH);
            for (i = 6; i >= 0; i = i - 1) begin
                leading_zeros[i] = rest >> (128 - (1 << i)) == 0;
                if (leading_zeros[i]) rest = rest << (1 << i);
            end
        end
    endfunction

    wire [6:0]         zeros = leading_zeros(magnitude);
    wire [WIDTH-1:0]   normal = magnitude << zeros;
    wire signed [11:0] exponent = unit + WIDTH - 1 - $signed({5'h0, zeros});
    wire signed [11:0] below = EMIN - exponent;
    wire               low = below > 0;
    wire [4:0]         down = !low ? 5'd0 : below > 25 ? 5'd25 : below[4:0];
    wire [WIDTH+24:0]  aligned = {normal, 25'h0} >> down;

    wire [23:0] kept = aligned[WIDTH+24 -: 24];
    wire        guard = aligned[WIDTH];
    wire        sticky = |aligned[WIDTH-1:0];
    wire        up = TRUNCATE == 0 && guard && (sticky || kept[0]);

    // The hidden bit adds to the exponent field; 9 bits of it hold any exponent that comes.
    wire [8:0]  above = low ? 9'd0 : exponent - EMIN;
    wire [31:0] rounded = {above, 23'h0} + kept + up;

    assign result = magnitude == 0 ? {sign, 31'h0}
                  : {sign, rounded >= 32'h7f800000 ? 31'h7f800000 : rounded[30:0]};
endmodule

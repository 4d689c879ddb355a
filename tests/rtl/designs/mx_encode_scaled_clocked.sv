// One element under a given scale with registers behind each half of the work: a latency of two clocks in which
// `enable` is high, one element in each of them. Needs mx_encode_scaled.sv, whose parameters it has.
module mx_encode_scaled_clocked #(
    parameter EXP = 4,
    parameter MAN = 3,
    parameter SPECIAL = 1,
    parameter INPUT = 32,
    parameter OVERFLOW = 0,
    parameter BUG = 0
) (
    input  wire             clk,
    input  wire             enable,
    input  wire [7:0]       scale,
    input  wire [INPUT-1:0] value,
    output reg  [EXP+MAN:0] code
);
    wire        sign, is_nan, is_inf, scale_nan;
    wire [8:0]  above;
    wire [48:0] aligned;
    reg  [61:0] held;
    wire [EXP+MAN:0] rounded;

    mx_align #(.EXP(EXP), .MAN(MAN), .INPUT(INPUT), .BUG(BUG)) align (
        .scale(scale), .value(value), .sign(sign), .is_nan(is_nan), .is_inf(is_inf),
        .scale_nan(scale_nan), .above(above), .aligned(aligned)
    );
    mx_round #(
        .EXP(EXP), .MAN(MAN), .SPECIAL(SPECIAL), .OVERFLOW(OVERFLOW), .BUG(BUG)
    ) round (
        .sign(held[61]), .is_nan(held[60]), .is_inf(held[59]), .scale_nan(held[58]),
        .above(held[57:49]), .aligned(held[48:0]), .code(rounded)
    );
    always @(posedge clk)
        if (enable) begin
            held <= {sign, is_nan, is_inf, scale_nan, above, aligned};
            code <= rounded;
        end
endmodule

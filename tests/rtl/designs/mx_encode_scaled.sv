// One element under a given scale (MX 6.3): value / 2^(scale - 127), rounded once, ties to even, saturating.
//
// A format is three numbers, EXP, MAN and SPECIAL, as in mx_decode; integers have another encoder. Values are binary32,
// or with INPUT = 16 bfloat16, which is the upper half of one. NaN becomes the NaN of the format with the sign of the
// input, or the largest number where there is none. With OVERFLOW = 1 what lies beyond the largest number becomes Inf,
// or NaN, where the format has it. Under the scale 0xff, which is NaN, a code means nothing; it is 0.
//
// Two halves, so that registers can stand between them: mx_align brings the bits of the significand to where the
// element has its last bit, mx_round decides and assembles.

module mx_align #(
    parameter EXP = 4,
    parameter MAN = 3,
    parameter INPUT = 32,
    parameter BUG = 0
) (
    input  wire [7:0]       scale,
    input  wire [INPUT-1:0] value,
    output wire             sign,
    output wire             is_nan,
    output wire             is_inf,
    output wire             scale_nan,
    output wire [8:0]       above,    // exponent above the smallest normal element's
    output wire [48:0]      aligned   // in multiples of the element's ulp, 25 bits of fraction
);
    localparam INPUT_FLUSH = 7;
    localparam SCALE_ZERO  = 9;

    localparam BIAS = (1 << (EXP - 1)) - 1;
    localparam signed [10:0] EMIN = 1 - BIAS;

    function automatic [4:0] leading_zeros(input [22:0] bits);
        integer i;
        begin
            leading_zeros = 23;
            for (i = 0; i < 23; i = i + 1)
                if (bits[i]) leading_zeros = 22 - i;
        end
    endfunction

    wire [31:0] bits = {16'h0, value} << (32 - INPUT);
    wire [7:0]  field = bits[30:23];
    wire [22:0] mantissa = BUG == INPUT_FLUSH && field == 0 ? 0 : bits[22:0];
    assign sign = bits[31];
    assign is_nan = field == 8'hff && mantissa != 0;
    assign is_inf = field == 8'hff && mantissa == 0;
    assign scale_nan = scale == 8'hff;

    // A subnormal input is normalised: under a small scale it is an ordinary element.
    wire [4:0]  zeros = leading_zeros(mantissa);
    wire [23:0] significand = field == 0 ? {mantissa, 1'b0} << zeros : {1'b1, mantissa};
    wire signed [10:0] normalised = field == 0 ? -$signed({6'h0, zeros}) : $signed({3'h0, field});

    // 127 is the bias of the input and of the scale, so that of the quotient's exponent is gone.
    wire signed [10:0] exponent = BUG == SCALE_ZERO && scale == 0 ? 11'sd127
                                : normalised - $signed({3'h0, scale});
    wire signed [10:0] below = EMIN - exponent;
    wire               low = below > 0;
    // From 25 places on nothing but the sticky bit is left.
    wire [4:0]  down = !low ? 5'd0 : below > 25 - (23 - MAN) ? 25 - (23 - MAN) : below[4:0];
    assign above = low ? 9'd0 : exponent - EMIN;
    assign aligned = {significand, 25'h0} >> (23 - MAN + down);
endmodule

module mx_round #(
    parameter EXP = 4,
    parameter MAN = 3,
    parameter SPECIAL = 1,
    parameter OVERFLOW = 0,
    parameter BUG = 0
) (
    input  wire             sign,
    input  wire             is_nan,
    input  wire             is_inf,
    input  wire             scale_nan,
    input  wire [8:0]       above,
    input  wire [48:0]      aligned,
    output wire [EXP+MAN:0] code
);
    localparam TIES_AWAY       = 1;
    localparam STICKY_LOST     = 2;
    localparam CARRY_LOST      = 3;
    localparam CARRY_INTO_NAN  = 4;
    localparam SATURATE_EARLY  = 5;
    localparam SUBNORMAL_FLUSH = 6;
    localparam ZERO_SIGN_LOST  = 8;

    localparam ONES = (1 << (EXP + MAN)) - 1;
    localparam MAX = SPECIAL == 2 ? ONES - (1 << MAN) : SPECIAL == 1 ? ONES - 1 : ONES;
    // The code after the largest number is Inf or NaN, where there is one.
    localparam BEYOND = OVERFLOW != 0 && SPECIAL != 0 ? MAX + 1 : MAX;
    // The quiet NaN: of several the one with the topmost mantissa bit alone.
    localparam NAN = SPECIAL == 2 ? ONES - (1 << (MAN - 1)) + 1 : ONES;

    wire [MAN:0] kept = aligned[25 +: MAN + 1];
    wire         guard = aligned[24];
    wire         sticky = BUG == STICKY_LOST ? |aligned[23:16] : |aligned[23:0];
    wire         up = BUG == TIES_AWAY ? guard : guard && (sticky || kept[0]);

    // The hidden bit adds to the exponent field, so a carry out of the mantissa lands in the field by itself.
    wire [12:0]  cut = ({4'h0, above} << MAN) + kept;
    wire [12:0]  rounded = BUG == CARRY_LOST ? {cut[12:MAN], cut[MAN-1:0] + up} : cut + up;
    wire         beyond = BUG == CARRY_INTO_NAN ? cut > MAX
                        : BUG == SATURATE_EARLY ? rounded >> MAN >= (1 << EXP) - 1 : rounded > MAX;
    wire         tiny = rounded < (1 << MAN);
    wire [EXP+MAN-1:0] magnitude = is_inf || beyond ? BEYOND
                                 : BUG == SUBNORMAL_FLUSH && tiny ? 0 : rounded;
    wire         negative = sign && !(BUG == ZERO_SIGN_LOST && magnitude == 0);

    assign code = scale_nan ? 0
                : is_nan ? {sign && SPECIAL != 0, NAN[EXP+MAN-1:0]}
                : {negative, magnitude};
endmodule

// Both halves without a clock between them.
module mx_encode_scaled #(
    parameter EXP = 4,
    parameter MAN = 3,
    parameter SPECIAL = 1,
    parameter INPUT = 32,
    parameter OVERFLOW = 0,
    parameter BUG = 0
) (
    input  wire [7:0]       scale,
    input  wire [INPUT-1:0] value,
    output wire [EXP+MAN:0] code
);
    wire        sign, is_nan, is_inf, scale_nan;
    wire [8:0]  above;
    wire [48:0] aligned;

    mx_align #(.EXP(EXP), .MAN(MAN), .INPUT(INPUT), .BUG(BUG)) align (
        .scale(scale), .value(value), .sign(sign), .is_nan(is_nan), .is_inf(is_inf),
        .scale_nan(scale_nan), .above(above), .aligned(aligned)
    );
    mx_round #(
        .EXP(EXP), .MAN(MAN), .SPECIAL(SPECIAL), .OVERFLOW(OVERFLOW), .BUG(BUG)
    ) round (
        .sign(sign), .is_nan(is_nan), .is_inf(is_inf), .scale_nan(scale_nan),
        .above(above), .aligned(aligned), .code(code)
    );
endmodule

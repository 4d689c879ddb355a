// One element to binary32, exactly: every code of every MX element format is a binary32 number (MX 5.3).
//
// A format is three numbers:   EXP MAN SPECIAL
//   E4M3                        4   3   1        one NaN: all ones
//   E5M2                        5   2   2        Inf and NaNs as in IEEE 754
//   E3M2, E2M3, E2M1            3   2   0 ...    numbers only
//   INT8                        0   7   0        two's complement, counts 2^-6
module mx_decode #(
    parameter EXP = 4,
    parameter MAN = 3,
    parameter SPECIAL = 1,
    parameter BUG = 0
) (
    input  wire [EXP+MAN:0] code,
    output wire [31:0]      value
);
    // Seeded mistakes, one line each; 0 is the design as it should be.
    localparam SUBNORMAL_FLUSH = 1;
    localparam NAN_AS_NUMBER   = 2;
    localparam ZERO_SIGN_LOST  = 3;
    localparam MINUS_TWO_LOST  = 4;

    localparam BIAS = EXP == 0 ? 0 : (1 << (EXP - 1)) - 1;
    // Exponent of the significand's last bit where the exponent field is 1 or 0.
    localparam LSB = EXP == 0 ? 1 - MAN : 1 - BIAS - MAN;
    localparam FIELD_MASK = (1 << EXP) - 1;
    localparam MAN_MASK = (1 << MAN) - 1;

    function automatic [3:0] leading_zeros(input [MAN:0] bits);
        integer i;
        begin
            leading_zeros = MAN + 1;
            for (i = 0; i <= MAN; i = i + 1)
                if (bits[i]) leading_zeros = MAN - i;
        end
    endfunction

    wire           sign = code[EXP+MAN];
    wire [7:0]     field = (code >> MAN) & FIELD_MASK;
    wire [MAN:0]   mantissa = code & MAN_MASK;
    wire           subnormal = field == 0;
    // -128 has no positive counterpart in eight bits, but fits eight bits without a sign.
    wire [MAN:0]   counts = BUG == MINUS_TWO_LOST ? (sign ? -code : code) & MAN_MASK
                                                  : (sign ? -code : code);
    wire [MAN:0]   significand = EXP == 0 ? counts
                               : !subnormal ? mantissa | (1 << MAN)
                               : BUG == SUBNORMAL_FLUSH ? 0 : mantissa;

    wire [3:0]     zeros = leading_zeros(significand);
    wire [MAN:0]   normal = significand << zeros;
    wire [7:0]     exponent = LSB + (EXP == 0 || subnormal ? 0 : field - 1) + MAN - zeros + 127;
    wire [22:0]    fraction = (normal & MAN_MASK) << (23 - MAN);

    wire           top = EXP != 0 && field == FIELD_MASK;
    wire           is_nan = (SPECIAL == 1 && top && mantissa == MAN_MASK && BUG != NAN_AS_NUMBER)
                         || (SPECIAL == 2 && top && mantissa != 0);
    wire           is_inf = SPECIAL == 2 && top && mantissa == 0;
    // Two's complement has one zero; the floating formats keep the sign of theirs.
    wire           zero_sign = EXP != 0 && sign && BUG != ZERO_SIGN_LOST;

    assign value = is_nan ? 32'h7fc00000
                 : is_inf ? {sign, 31'h7f800000}
                 : significand == 0 ? {zero_sign, 31'h0}
                 : {sign, exponent, fraction};
endmodule

// The same with a register behind it: a latency of one clock.
module mx_decode_clocked #(
    parameter EXP = 4,
    parameter MAN = 3,
    parameter SPECIAL = 1,
    parameter BUG = 0
) (
    input  wire             clk,
    input  wire [EXP+MAN:0] code,
    output reg  [31:0]      value
);
    wire [31:0] decoded;
    mx_decode #(.EXP(EXP), .MAN(MAN), .SPECIAL(SPECIAL), .BUG(BUG)) decode (
        .code(code), .value(decoded)
    );
    always @(posedge clk) value <= decoded;
endmodule

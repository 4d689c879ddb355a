// One block of K values to a scale and K codes (MX 6.3): the scale is 2^(floor(log2 amax) - emax), then every element
// is divided by it and rounded once. Needs mx_encode_scaled_clocked.sv and mx_encode_scaled.sv.
//
// Formats and inputs are as in mx_encode_scaled. A block of zeros gets the smallest scale, one with a NaN or an Inf the
// NaN scale and codes that mean nothing. Latency is three clocks, one block a clock; a stall holds everything.
module mx_quantize #(
    parameter EXP = 4,
    parameter MAN = 3,
    parameter SPECIAL = 1,
    parameter INPUT = 32,
    parameter K = 32,
    parameter BUG = 0
) (
    input  wire                     clk,
    input  wire                     rst_n,
    input  wire                     in_valid,
    output wire                     in_ready,
    input  wire [K*INPUT-1:0]       values,
    output wire                     out_valid,
    input  wire                     out_ready,
    output wire [7:0]               scale,
    output wire [K*(EXP+MAN+1)-1:0] codes
);
    // Beside the mistakes of the encoder, which keep their numbers.
    localparam SCALE_OFFSET    = 20;
    localparam AMAX_LANE       = 21;
    localparam SPECIAL_IGNORED = 22;
    localparam SCALE_WRAPS     = 23;
    localparam AMAX_SIGN       = 24;

    localparam BIAS = (1 << (EXP - 1)) - 1;
    localparam EMAX = (1 << EXP) - 1 - BIAS - (SPECIAL == 2 ? 1 : 0);
    localparam OFFSET = BUG == SCALE_OFFSET ? EMAX + BIAS : EMAX;
    localparam LANES = BUG == AMAX_LANE ? K - 1 : K;

    // The floor of the logarithm is the exponent field, so mantissas take no part in the maximum. The field 0xff is NaN
    // or Inf; up to EMAX, zero and subnormals among them, the smallest scale is the closest there is.
    reg [7:0] largest;
    integer i;
    always @* begin
        largest = 0;
        for (i = 0; i < LANES; i = i + 1)
            if (values[i*INPUT + INPUT - 9 +: 8] > largest
                && !(BUG == AMAX_SIGN && values[i*INPUT + INPUT - 1]))
                largest = values[i*INPUT + INPUT - 9 +: 8];
    end
    wire [7:0] shared = largest == 8'hff && BUG != SPECIAL_IGNORED ? 8'hff
                      : largest < OFFSET && BUG != SCALE_WRAPS ? 8'h00 : largest - OFFSET;

    // Three stages that move together, whenever the last one is empty or taken.
    reg [2:0]         full;
    reg [7:0]         scale1, scale2, scale3;
    reg [K*INPUT-1:0] held;
    wire              move = out_ready || !full[2];

    assign in_ready = move;
    assign out_valid = full[2];
    assign scale = scale3;

    always @(posedge clk)
        if (!rst_n)
            full <= 3'b000;
        else if (move)
            full <= {full[1:0], in_valid};

    always @(posedge clk)
        if (move) begin
            held <= values;
            scale1 <= shared;
            scale2 <= scale1;
            scale3 <= scale2;
        end

    genvar lane;
    generate
        for (lane = 0; lane < K; lane = lane + 1) begin : lanes
            mx_encode_scaled_clocked #(
                .EXP(EXP), .MAN(MAN), .SPECIAL(SPECIAL), .INPUT(INPUT), .BUG(BUG)
            ) encode (
                .clk(clk), .enable(move), .scale(scale1),
                .value(held[lane*INPUT +: INPUT]),
                .code(codes[lane*(EXP+MAN+1) +: EXP+MAN+1])
            );
        end
    endgenerate
endmodule

// E2M1 codes to binary32, with every kind of interface that a port map knows. Small, so that tests are fast.

module e2m1_table (
    input  wire [3:0]  code,
    output reg  [31:0] value
);
    always @* begin
        case (code[2:0])
            3'd0: value = 32'h00000000;
            3'd1: value = 32'h3f000000;
            3'd2: value = 32'h3f800000;
            3'd3: value = 32'h3fc00000;
            3'd4: value = 32'h40000000;
            3'd5: value = 32'h40400000;
            3'd6: value = 32'h40800000;
            default: value = 32'h40c00000;
        endcase
        value[31] = code[3];
    end
endmodule

// Combinational. WRONG: 1 loses the sign, 2 gives X for the code 5.
module e2m1_comb #(
    parameter WRONG = 0
) (
    input  wire [3:0]  code,
    output wire [31:0] value,
    output wire        spare
);
    wire [31:0] right;
    e2m1_table lookup (.code(code), .value(right));
    assign value = WRONG == 1 ? {1'b0, right[30:0]} : WRONG == 2 && code == 4'd5 ? 32'hx : right;
    assign spare = 1'b0;
endmodule

// Ports that do not look like the fields: sign and magnitude apart, results in two halves, and a mode.
module e2m1_split (
    input  wire        sign,
    input  wire [7:0]  bus,
    input  wire [1:0]  mode,
    output wire [15:0] high,
    output wire [15:0] low
);
    wire [31:0] value;
    e2m1_table lookup (.code({sign, bus[6:4]}), .value(value));
    assign {high, low} = mode == 2'd2 ? value : 32'd0;
endmodule

// Two clocks of latency.
module e2m1_pipe (
    input  wire        clk,
    input  wire [3:0]  code,
    output reg  [31:0] value
);
    wire [31:0] right;
    reg  [3:0]  held;
    e2m1_table lookup (.code(held), .value(right));
    always @(posedge clk) begin
        held <= code;
        value <= right;
    end
endmodule

// Valid and ready on both sides. WRONG: 1 overwrites a result that nobody took, 2 gets stuck after three vectors.
module e2m1_stream #(
    parameter WRONG = 0
) (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        in_valid,
    output wire        in_ready,
    input  wire [3:0]  code,
    output reg         out_valid,
    input  wire        out_ready,
    output reg  [31:0] value
);
    wire [31:0] right;
    reg  [2:0]  taken;
    e2m1_table lookup (.code(code), .value(right));
    assign in_ready = (WRONG == 1 || !out_valid || out_ready) && !(WRONG == 2 && taken == 3'd3);
    always @(posedge clk)
        if (!rst_n) begin
            out_valid <= 1'b0;
            taken <= 3'd0;
        end else begin
            if (out_ready) out_valid <= 1'b0;
            if (in_valid && in_ready) begin
                out_valid <= 1'b1;
                value <= right;
                taken <= taken + 3'd1;
            end
        end
endmodule

// One byte in, four bytes out, most significant first: start, wait for done, read.
module e2m1_serial (
    input  wire       clk,
    input  wire       rst_n,
    input  wire [7:0] data_in,
    input  wire       start,
    input  wire       next,
    output reg        done,
    output wire [7:0] data_out
);
    reg  [3:0]  code;
    reg  [31:0] shift;
    reg  [1:0]  wait_for;
    wire [31:0] right;
    e2m1_table lookup (.code(code), .value(right));
    assign data_out = shift[31:24];
    always @(posedge clk)
        if (!rst_n) begin
            done <= 1'b0;
            wait_for <= 2'd0;
        end else if (start) begin
            code <= data_in[3:0];
            done <= 1'b0;
            wait_for <= 2'd3;
        end else if (wait_for != 2'd0) begin
            wait_for <= wait_for - 2'd1;
            shift <= right;
            done <= wait_for == 2'd1;
        end else if (next) shift <= shift << 8;
endmodule

// The encoder of the seeded subject: codes are the ties that a magnitude reaches.
module half_up (
    input  wire [31:0] value,
    output wire [3:0]  code
);
    // Half is added and the sum rounded down, so a negative tie goes towards zero.
    wire [31:0] m = {1'b0, value[30:0]};
    wire [31:0] up = {31'd0, value[31]};
    assign code[3] = value[31];
    assign code[2:0] = (m >= 32'h3e800000 + up) + (m >= 32'h3f400000 + up) + (m >= 32'h3fa00000 + up)
                     + (m >= 32'h3fe00000 + up) + (m >= 32'h40200000 + up) + (m >= 32'h40600000 + up)
                     + (m >= 32'h40a00000 + up);
endmodule

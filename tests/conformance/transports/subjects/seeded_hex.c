/* The seeded subject behind lines of hex. */
#include "kernel.h"
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    static char line[1 << 16];
    puts(RECORD);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        char operation[32];
        uint32_t in[32];
        int codes[32], used = 0;
        if (sscanf(line, "%31s %*s %*s %*s%n", operation, &used) != 1) {
            fflush(stdout); /* the empty line behind a batch */
            continue;
        }
        char *rest = line + used;
        int count = strcmp(operation, "quantize") ? 1 : 32;
        for (int i = 0; i < count; i++)
            in[i] = (uint32_t)strtoul(rest, &rest, 16);
        if (count == 32) {
            printf("%02x", quantize_one(in, 32, codes));
            for (int i = 0; i < 32; i++)
                printf(" %02x", codes[i]);
            putchar('\n');
        } else if (strcmp(operation, "encode") == 0) {
            printf("%x\n", encode_one(in[0]));
        } else {
            printf("%08x\n", decode_one((int)in[0]));
        }
    }
    return 0;
}

/* The seeded subject as a shared library. */
#include "kernel.h"
#include <mxemu_subject.h>

const char *mx_subject_describe(void) { return RECORD; }

int mx_encode(const mx_request *request, size_t n, const void *values, int32_t *codes) {
    const float *x = values;
    (void)request;
    for (size_t i = 0; i < n; i++)
        codes[i] = encode_one(pattern(x[i]));
    return MX_OK;
}

int mx_decode(const mx_request *request, size_t n, const int32_t *codes, void *values) {
    float *x = values;
    (void)request;
    for (size_t i = 0; i < n; i++)
        x[i] = number(decode_one(codes[i]));
    return MX_OK;
}

int mx_quantize(const mx_request *request, size_t n, const void *values, int32_t *scales, int32_t *codes) {
    const float *x = values;
    size_t k = request->k;
    if (k != 32)
        return MX_UNSUPPORTED;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits[32];
        int found[32];
        memcpy(bits, x + i * k, sizeof bits);
        scales[i] = quantize_one(bits, 32, found);
        for (size_t j = 0; j < k; j++)
            codes[i * k + j] = found[j];
    }
    return MX_OK;
}

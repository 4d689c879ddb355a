/* A library that does what its variant says, and mixes the operands of dot products so that each can be seen. */
#include <mxemu_subject.h>
#include <stdio.h>
#include <string.h>

static char message[64];

const char *mx_subject_describe(void) {
    return "{\"protocol\": 1, \"name\": \"odd\", \"version\": \"1\", \"capabilities\": {"
           "\"variants\": [\"segfault\", \"overrun\", \"unwritten\", \"unsupported\", \"error\", \"refuses\", \"wide\", "
           "\"says\"], \"operations\": {"
           "\"encode\": {\"formats\": [\"E2M1\"], \"carriers\": [\"binary32\"], "
           "\"roundings\": [\"TIES_TO_EVEN\", \"TOWARD_ZERO\"]}, "
           "\"encode-scaled\": {\"formats\": [\"MXFP4\"], \"carriers\": [\"bfloat16\"]}, "
           "\"dequantize\": {\"formats\": [\"MXFP4\"], \"carriers\": [\"binary64\"]}, "
           "\"fake_quantize\": {\"formats\": [\"MXFP4\"], \"carriers\": [\"binary16\"]}, "
           "\"dot\": {\"formats\": [\"MXFP4\"], \"c\": true}, "
           "\"dot-general\": {\"formats\": [\"MXFP4\"], \"c\": true}, "
           "\"matmul\": {\"formats\": [\"MXFP4\"], \"c\": true}}}}";
}

const char *mx_subject_message(void) { return message; }

int mx_encode(const mx_request *request, size_t n, const void *values, int32_t *codes) {
    const char *mode = request->variant;
    (void)values;
    snprintf(message, sizeof message, "%s %s %zu", request->rounding, request->overflow, request->k);
    if (!strcmp(mode, "unwritten"))
        return MX_OK;
    if (!strcmp(mode, "unsupported"))
        return MX_UNSUPPORTED;
    if (!strcmp(mode, "error"))
        return 7;
    if (!strcmp(mode, "segfault"))
        *(volatile int *)(n & 0) = 0;
    for (size_t i = 0; i < n + (strcmp(mode, "overrun") == 0); i++)
        codes[i] = !strcmp(mode, "refuses") ? -1 : !strcmp(mode, "wide") ? 300 : 0;
    return MX_OK;
}

int mx_encode_scaled(const mx_request *request, size_t n, const void *values, const int32_t *scales, int32_t *codes) {
    const uint16_t *bits = values;
    (void)request;
    for (size_t i = 0; i < n; i++)
        codes[i] = (bits[i] + scales[i]) & 15;
    return MX_OK;
}

int mx_dequantize(const mx_request *request, size_t n, const int32_t *scales, const int32_t *codes, void *values) {
    double *found = values;
    for (size_t i = 0; i < n * request->k; i++)
        found[i] = 1000.0 * scales[i / request->k] + codes[i];
    return MX_OK;
}

int mx_fake_quantize(const mx_request *request, size_t n, const void *values, void *results) {
    memcpy(results, values, 2 * n * request->k);
    return MX_OK;
}

static uint32_t mixed(size_t k, size_t blocks, const int32_t *sa, const int32_t *a, const int32_t *sb, const int32_t *b) {
    uint32_t found = 0;
    for (size_t i = 0; i < blocks; i++)
        found += 3u * (uint32_t)sa[i] + 5u * (uint32_t)sb[i];
    for (size_t i = 0; i < blocks * k; i++)
        found += 7u * (uint32_t)a[i] + 11u * (uint32_t)b[i];
    return found;
}

int mx_dot(const mx_request *request, size_t n, size_t blocks, const int32_t *sa, const int32_t *a, const int32_t *sb,
           const int32_t *b, const void *c, void *results) {
    size_t k = request->k, length = k * blocks;
    for (size_t i = 0; i < n; i++)
        ((uint32_t *)results)[i] = (c ? ((const uint32_t *)c)[i] : 0)
                                 + mixed(k, blocks, sa + i * blocks, a + i * length, sb + i * blocks, b + i * length);
    return MX_OK;
}

int mx_matmul(const mx_request *request, size_t rows, size_t columns, size_t blocks, const int32_t *sa, const int32_t *a,
              const int32_t *sb, const int32_t *b, const void *c, void *results) {
    size_t k = request->k, length = k * blocks;
    for (size_t i = 0; i < rows * columns; i++) {
        size_t row = i / columns, column = i % columns;
        ((uint32_t *)results)[i] = (c ? ((const uint32_t *)c)[i] : 0)
                                 + mixed(k, blocks, sa + row * blocks, a + row * length, sb + column * blocks,
                                         b + column * length);
    }
    return MX_OK;
}

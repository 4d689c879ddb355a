/* E2M1 with ties up, and MXFP4 scales that are one too small: the arithmetic of seeded.py. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define RECORD \
    "{\"protocol\": 1, \"encoding\": \"hex\", \"name\": \"seeded\", \"version\": \"1\", \"capabilities\": {\"operations\": {" \
    "\"encode\": {\"formats\": [\"E2M1\"], \"carriers\": [\"binary32\"]}, " \
    "\"decode\": {\"formats\": [\"E2M1\"], \"carriers\": [\"binary32\"]}, " \
    "\"quantize\": {\"formats\": [\"MXFP4_E2M1\"], \"carriers\": [\"binary32\"]}}, \"profile\": \"ocp\"}}"

static const double ties[7] = {0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0};
static const float decoded[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};

static float number(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t pattern(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static int encode_one(uint32_t bits) {
    int code = 0;
    for (int i = 0; i < 7; i++)
        code += (bits & 0x7fffffff) >= pattern((float)ties[i]) + (bits >> 31); /* negative ties go towards zero */
    return code + (int)(bits >> 31) * 8;
}

static uint32_t decode_one(int code) { return pattern(decoded[code & 7]) | (uint32_t)(code >> 3) << 31; }

static int quantize_one(const uint32_t *bits, int k, int *codes) {
    uint32_t amax = 0;
    for (int i = 0; i < k; i++)
        amax = (bits[i] & 0x7fffffff) > amax ? bits[i] & 0x7fffffff : amax;
    int scale = (int)(amax >> 23) < 3 ? 0 : (int)(amax >> 23) - 3;
    for (int i = 0; i < k; i++) {
        double value = ldexp((double)number(bits[i] & 0x7fffffff), 127 - scale);
        codes[i] = (int)(bits[i] >> 31) * 8;
        for (int t = 0; t < 7; t++)
            codes[i] += isnan(value) || (t % 2 ? value >= ties[t] : value > ties[t]);
    }
    return scale;
}

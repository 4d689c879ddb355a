// The conversions of CUDA's own headers, compiled for the host and called in loops.

#include <cstddef>
#include <cstdint>

#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

namespace {

using Limit = __nv_saturation_t;
using Mode = cudaRoundMode;
using Kind8 = __nv_fp8_interpretation_t;
using Kind6 = __nv_fp6_interpretation_t;

// Overloads on the carrier, so that one loop serves all; those on a pair of numbers return two codes.
struct Brain { __nv_bfloat16_raw raw; };
struct Half { __half_raw raw; };
struct Brains { __nv_bfloat162_raw raw; };
struct Halves { __half2_raw raw; };

double2 pair(double a, double b) { return {a, b}; }
float2 pair(float a, float b) { return {a, b}; }
Brains pair(Brain a, Brain b) { return {{a.raw.x, b.raw.x}}; }
Halves pair(Half a, Half b) { return {{a.raw.x, b.raw.x}}; }

unsigned fp8(double x, Limit s, Kind8 k) { return __nv_cvt_double_to_fp8(x, s, k); }
unsigned fp8(float x, Limit s, Kind8 k) { return __nv_cvt_float_to_fp8(x, s, k); }
unsigned fp8(Brain x, Limit s, Kind8 k) { return __nv_cvt_bfloat16raw_to_fp8(x.raw, s, k); }
unsigned fp8(Half x, Limit s, Kind8 k) { return __nv_cvt_halfraw_to_fp8(x.raw, s, k); }
unsigned fp8(double2 x, Limit s, Kind8 k) { return __nv_cvt_double2_to_fp8x2(x, s, k); }
unsigned fp8(float2 x, Limit s, Kind8 k) { return __nv_cvt_float2_to_fp8x2(x, s, k); }
unsigned fp8(Brains x, Limit s, Kind8 k) { return __nv_cvt_bfloat16raw2_to_fp8x2(x.raw, s, k); }
unsigned fp8(Halves x, Limit s, Kind8 k) { return __nv_cvt_halfraw2_to_fp8x2(x.raw, s, k); }

unsigned fp6(double x, Kind6 k, Mode r) { return __nv_cvt_double_to_fp6(x, k, r); }
unsigned fp6(float x, Kind6 k, Mode r) { return __nv_cvt_float_to_fp6(x, k, r); }
unsigned fp6(Brain x, Kind6 k, Mode r) { return __nv_cvt_bfloat16raw_to_fp6(x.raw, k, r); }
unsigned fp6(Half x, Kind6 k, Mode r) { return __nv_cvt_halfraw_to_fp6(x.raw, k, r); }
unsigned fp6(double2 x, Kind6 k, Mode r) { return __nv_cvt_double2_to_fp6x2(x, k, r); }
unsigned fp6(float2 x, Kind6 k, Mode r) { return __nv_cvt_float2_to_fp6x2(x, k, r); }
unsigned fp6(Brains x, Kind6 k, Mode r) { return __nv_cvt_bfloat16raw2_to_fp6x2(x.raw, k, r); }
unsigned fp6(Halves x, Kind6 k, Mode r) { return __nv_cvt_halfraw2_to_fp6x2(x.raw, k, r); }

// Two codes of FP4 share a byte; here they go apart, as those of the other formats are.
unsigned apart(__nv_fp4x2_storage_t both) { return (both & 0xF) | (both >> 4) << 8; }

unsigned fp4(double x, Mode r) { return __nv_cvt_double_to_fp4(x, __NV_E2M1, r); }
unsigned fp4(float x, Mode r) { return __nv_cvt_float_to_fp4(x, __NV_E2M1, r); }
unsigned fp4(Brain x, Mode r) { return __nv_cvt_bfloat16raw_to_fp4(x.raw, __NV_E2M1, r); }
unsigned fp4(Half x, Mode r) { return __nv_cvt_halfraw_to_fp4(x.raw, __NV_E2M1, r); }
unsigned fp4(double2 x, Mode r) { return apart(__nv_cvt_double2_to_fp4x2(x, __NV_E2M1, r)); }
unsigned fp4(float2 x, Mode r) { return apart(__nv_cvt_float2_to_fp4x2(x, __NV_E2M1, r)); }
unsigned fp4(Brains x, Mode r) { return apart(__nv_cvt_bfloat16raw2_to_fp4x2(x.raw, __NV_E2M1, r)); }
unsigned fp4(Halves x, Mode r) { return apart(__nv_cvt_halfraw2_to_fp4x2(x.raw, __NV_E2M1, r)); }

unsigned e8m0(double x, Limit s, Mode r) { return __nv_cvt_double_to_e8m0(x, s, r); }
unsigned e8m0(float x, Limit s, Mode r) { return __nv_cvt_float_to_e8m0(x, s, r); }
unsigned e8m0(Brain x, Limit s, Mode r) { return __nv_cvt_bfloat16raw_to_e8m0(x.raw, s, r); }
unsigned e8m0(double2 x, Limit s, Mode r) { return __nv_cvt_double2_to_e8m0x2(x, s, r); }
unsigned e8m0(float2 x, Limit s, Mode r) { return __nv_cvt_float2_to_e8m0x2(x, s, r); }
unsigned e8m0(Brains x, Limit s, Mode r) { return __nv_cvt_bfloat162raw_to_e8m0x2(x.raw, s, r); }
unsigned e8m0(Half, Limit, Mode) { return 0; }  // the headers have none, and the adapter offers none
unsigned e8m0(Halves, Limit, Mode) { return 0; }

// What is asked for: the format by its number, and the two choices.
struct Asked {
    int format;
    Mode rounding;
    Limit limit;
};

template <class Numbers>
unsigned convert(Numbers x, const Asked &asked) {
    switch (asked.format) {
    case 0: return fp8(x, asked.limit, __NV_E4M3);
    case 1: return fp8(x, asked.limit, __NV_E5M2);
    case 2: return fp6(x, __NV_E3M2, asked.rounding);
    case 3: return fp6(x, __NV_E2M3, asked.rounding);
    case 4: return fp4(x, asked.rounding);
    default: return e8m0(x, asked.limit, asked.rounding);
    }
}

template <class Carrier>
void singles(const void *values, size_t count, const Asked &asked, uint8_t *codes) {
    const auto given = static_cast<const Carrier *>(values);
    for (size_t i = 0; i < count; ++i) codes[i] = convert(given[i], asked);
}

// Neighbours go together, the first one low; an odd last one is its own partner.
template <class Carrier>
void pairs(const void *values, size_t count, const Asked &asked, uint8_t *codes) {
    const auto given = static_cast<const Carrier *>(values);
    for (size_t i = 0; i < count; i += 2) {
        const bool whole = i + 1 < count;
        const unsigned both = convert(pair(given[i], given[whole ? i + 1 : i]), asked);
        codes[i] = both & 0xFF;
        if (whole) codes[i + 1] = both >> 8;
    }
}

Asked asked(int format, int rounding, int saturate) {
    return {format, static_cast<Mode>(rounding), saturate ? __NV_SATFINITE : __NV_NOSAT};
}

}  // namespace

// carrier: 0 binary64, 1 binary32, 2 the bits of bfloat16, 3 those of binary16.
extern "C" void encode(const void *values, size_t count, int carrier, int format, int rounding, int saturate,
                       uint8_t *codes) {
    const Asked wanted = asked(format, rounding, saturate);
    switch (carrier) {
    case 0: return singles<double>(values, count, wanted, codes);
    case 1: return singles<float>(values, count, wanted, codes);
    case 2: return singles<Brain>(values, count, wanted, codes);
    default: return singles<Half>(values, count, wanted, codes);
    }
}

extern "C" void encode_pairs(const void *values, size_t count, int carrier, int format, int rounding, int saturate,
                             uint8_t *codes) {
    const Asked wanted = asked(format, rounding, saturate);
    switch (carrier) {
    case 0: return pairs<double>(values, count, wanted, codes);
    case 1: return pairs<float>(values, count, wanted, codes);
    case 2: return pairs<Brain>(values, count, wanted, codes);
    default: return pairs<Half>(values, count, wanted, codes);
    }
}

// The bits of bfloat16, which holds every value of these formats.
extern "C" void decode(const uint8_t *codes, size_t count, int format, uint16_t *bits) {
    for (size_t i = 0; i < count; ++i) {
        switch (format) {
        case 0: bits[i] = __nv_cvt_fp8_to_bf16raw(codes[i], __NV_E4M3).x; break;
        case 1: bits[i] = __nv_cvt_fp8_to_bf16raw(codes[i], __NV_E5M2).x; break;
        case 2: bits[i] = __nv_cvt_fp6_to_bf16raw(codes[i], __NV_E3M2).x; break;
        case 3: bits[i] = __nv_cvt_fp6_to_bf16raw(codes[i], __NV_E2M3).x; break;
        case 4: bits[i] = __nv_cvt_fp4_to_bf16raw(codes[i], __NV_E2M1).x; break;
        default: bits[i] = __nv_cvt_e8m0_to_bf16raw(codes[i]).x;
        }
    }
}

// The bits of binary16, which holds every value but those of E8M0.
extern "C" void decode_half(const uint8_t *codes, size_t count, int format, uint16_t *bits) {
    for (size_t i = 0; i < count; ++i) {
        switch (format) {
        case 0: bits[i] = __nv_cvt_fp8_to_halfraw(codes[i], __NV_E4M3).x; break;
        case 1: bits[i] = __nv_cvt_fp8_to_halfraw(codes[i], __NV_E5M2).x; break;
        case 2: bits[i] = __nv_cvt_fp6_to_halfraw(codes[i], __NV_E3M2).x; break;
        case 3: bits[i] = __nv_cvt_fp6_to_halfraw(codes[i], __NV_E2M3).x; break;
        default: bits[i] = __nv_cvt_fp4_to_halfraw(codes[i], __NV_E2M1).x;
        }
    }
}

namespace {

__nv_bfloat162_raw both(uint8_t low, uint8_t high, int format) {
    const auto wide = static_cast<uint16_t>(low | high << 8);
    switch (format) {
    case 0: return __nv_cvt_fp8x2_to_bf162raw(wide, __NV_E4M3);
    case 1: return __nv_cvt_fp8x2_to_bf162raw(wide, __NV_E5M2);
    case 2: return __nv_cvt_fp6x2_to_bf162raw(wide, __NV_E3M2);
    case 3: return __nv_cvt_fp6x2_to_bf162raw(wide, __NV_E2M3);
    case 4: return __nv_cvt_fp4x2_to_bf162raw(static_cast<uint8_t>(low | high << 4), __NV_E2M1);
    default: return __nv_cvt_e8m0x2_to_bf162raw(wide);
    }
}

}  // namespace

extern "C" void decode_pairs(const uint8_t *codes, size_t count, int format, uint16_t *bits) {
    for (size_t i = 0; i < count; i += 2) {
        const bool whole = i + 1 < count;
        const __nv_bfloat162_raw found = both(codes[i], codes[whole ? i + 1 : i], format);
        bits[i] = found.x;
        if (whole) bits[i + 1] = found.y;
    }
}

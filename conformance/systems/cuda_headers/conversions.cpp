// The conversions of CUDA's own headers, compiled for the host and called in loops.

#include <cstddef>
#include <cstdint>

#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

namespace {

// Overloads on the carrier, so that one loop serves all.
struct Brain { __nv_bfloat16_raw raw; };

uint8_t fp8(double x, __nv_saturation_t s, __nv_fp8_interpretation_t k) { return __nv_cvt_double_to_fp8(x, s, k); }
uint8_t fp8(float x, __nv_saturation_t s, __nv_fp8_interpretation_t k) { return __nv_cvt_float_to_fp8(x, s, k); }
uint8_t fp8(Brain x, __nv_saturation_t s, __nv_fp8_interpretation_t k) { return __nv_cvt_bfloat16raw_to_fp8(x.raw, s, k); }

uint8_t fp6(double x, __nv_fp6_interpretation_t k, cudaRoundMode r) { return __nv_cvt_double_to_fp6(x, k, r); }
uint8_t fp6(float x, __nv_fp6_interpretation_t k, cudaRoundMode r) { return __nv_cvt_float_to_fp6(x, k, r); }
uint8_t fp6(Brain x, __nv_fp6_interpretation_t k, cudaRoundMode r) { return __nv_cvt_bfloat16raw_to_fp6(x.raw, k, r); }

uint8_t fp4(double x, cudaRoundMode r) { return __nv_cvt_double_to_fp4(x, __NV_E2M1, r); }
uint8_t fp4(float x, cudaRoundMode r) { return __nv_cvt_float_to_fp4(x, __NV_E2M1, r); }
uint8_t fp4(Brain x, cudaRoundMode r) { return __nv_cvt_bfloat16raw_to_fp4(x.raw, __NV_E2M1, r); }

uint8_t e8m0(double x, __nv_saturation_t s, cudaRoundMode r) { return __nv_cvt_double_to_e8m0(x, s, r); }
uint8_t e8m0(float x, __nv_saturation_t s, cudaRoundMode r) { return __nv_cvt_float_to_e8m0(x, s, r); }
uint8_t e8m0(Brain x, __nv_saturation_t s, cudaRoundMode r) { return __nv_cvt_bfloat16raw_to_e8m0(x.raw, s, r); }

template <class Carrier>
void loop(const Carrier *values, size_t count, int format, int rounding, int saturate, uint8_t *codes) {
    const auto limit = saturate ? __NV_SATFINITE : __NV_NOSAT;
    const auto mode = static_cast<cudaRoundMode>(rounding);
    for (size_t i = 0; i < count; ++i) {
        switch (format) {
        case 0: codes[i] = fp8(values[i], limit, __NV_E4M3); break;
        case 1: codes[i] = fp8(values[i], limit, __NV_E5M2); break;
        case 2: codes[i] = fp6(values[i], __NV_E3M2, mode); break;
        case 3: codes[i] = fp6(values[i], __NV_E2M3, mode); break;
        case 4: codes[i] = fp4(values[i], mode); break;
        default: codes[i] = e8m0(values[i], limit, mode);
        }
    }
}

}  // namespace

// carrier: 0 binary64, 1 binary32, 2 the bits of bfloat16.
extern "C" void encode(const void *values, size_t count, int carrier, int format, int rounding, int saturate,
                       uint8_t *codes) {
    switch (carrier) {
    case 0: return loop(static_cast<const double *>(values), count, format, rounding, saturate, codes);
    case 1: return loop(static_cast<const float *>(values), count, format, rounding, saturate, codes);
    default: return loop(static_cast<const Brain *>(values), count, format, rounding, saturate, codes);
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

// Matrix instructions of a Hopper GPU on whole tiles, and CUDA's conversions over all 2^32 binary32 inputs.
//
// One instruction multiplies an m x k tile A by a k x n tile B and adds an m x n tile C. Every kernel here takes
// tiles in plain row-major memory (B transposed: one row for each column of the result), chains `steps` instructions
// through the accumulator, and stores the result word for word; no arithmetic of its own touches a number.
// A kind is named like its instruction: mma.m16n8k32.f32.e4m3.e5m2 (result, A, B).
//
// nvcc -O2 -std=c++17 -gencode=arch=compute_90a,code=sm_90a -shared -Xcompiler -fPIC -o kernels.so kernels.cu

#include <cstdint>
#include <cstdio>
#include <cstring>

#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

static char message[512] = "";

// Every CUDA call goes through here: the first one that fails leaves its place and reason in `message`.
static bool failed(cudaError_t code, const char *what, int line) {
    if (code == cudaSuccess) return false;
    snprintf(message, sizeof message, "kernels.cu:%d: %s: %s", line, what, cudaGetErrorString(code));
    return true;
}
#define FAILED(call) failed((call), #call, __LINE__)

enum Mode { REGISTERS = 0, SHARED = 1, FRESH = 2 };  // where wgmma finds A; FRESH: the first step ignores C

// A fragment: `A` and `B` words of 32 bits a thread, four words of a row apart, and the accumulator.

template <class Float> struct Accumulator;
template <> struct Accumulator<float> { float r[4]; };        // two neighbours in row g, two in row g + 8
template <> struct Accumulator<uint32_t> { uint32_t r[2]; };  // the same, two binary16 in a word

#define MMA_F32(ID, SHAPE, A, B)                                                                                  \
    struct ID {                                                                                                   \
        using Word = float;                                                                                       \
        static constexpr int words = 8;                                                                           \
        static constexpr const char *name = "mma." SHAPE ".f32." A "." B;                                         \
        __device__ static void step(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {              \
            asm volatile("mma.sync.aligned." SHAPE ".row.col.f32." A "." B                                        \
                         ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                             \
                         : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                         \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                     \
        }                                                                                                         \
    };
#define MMA_F16(ID, SHAPE, A, B)                                                                                  \
    struct ID {                                                                                                   \
        using Word = uint32_t;                                                                                    \
        static constexpr int words = 8;                                                                           \
        static constexpr const char *name = "mma." SHAPE ".f16." A "." B;                                         \
        __device__ static void step(uint32_t (&d)[2], const uint32_t (&a)[4], const uint32_t (&b)[2]) {           \
            asm volatile("mma.sync.aligned." SHAPE ".row.col.f16." A "." B                                        \
                         ".f16 {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%0,%1};"                                         \
                         : "+r"(d[0]), "+r"(d[1])                                                                 \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                     \
        }                                                                                                         \
    };
// Half as long: rows of four words.
#define MMA_SHORT_F32(ID, SHAPE, A, B)                                                                            \
    struct ID {                                                                                                   \
        using Word = float;                                                                                       \
        static constexpr int words = 4;                                                                           \
        static constexpr const char *name = "mma." SHAPE ".f32." A "." B;                                         \
        __device__ static void step(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {              \
            asm volatile("mma.sync.aligned." SHAPE ".row.col.f32." A "." B                                        \
                         ".f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"                                      \
                         : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                         \
                         : "r"(a[0]), "r"(a[1]), "r"(b[0]));                                                      \
        }                                                                                                         \
    };
#define MMA_SHORT_F16(ID, SHAPE, A, B)                                                                            \
    struct ID {                                                                                                   \
        using Word = uint32_t;                                                                                    \
        static constexpr int words = 4;                                                                           \
        static constexpr const char *name = "mma." SHAPE ".f16." A "." B;                                         \
        __device__ static void step(uint32_t (&d)[2], const uint32_t (&a)[4], const uint32_t (&b)[2]) {           \
            asm volatile("mma.sync.aligned." SHAPE ".row.col.f16." A "." B                                        \
                         ".f16 {%0,%1}, {%2,%3}, {%4}, {%0,%1};"                                                  \
                         : "+r"(d[0]), "+r"(d[1])                                                                 \
                         : "r"(a[0]), "r"(a[1]), "r"(b[0]));                                                      \
        }                                                                                                         \
    };

MMA_F32(MmaF16F32, "m16n8k16", "f16", "f16")
MMA_F16(MmaF16F16, "m16n8k16", "f16", "f16")
MMA_F32(MmaBf16F32, "m16n8k16", "bf16", "bf16")
MMA_F32(MmaTf32F32, "m16n8k8", "tf32", "tf32")
MMA_F32(MmaE4M3E4M3F32, "m16n8k32", "e4m3", "e4m3")
MMA_F32(MmaE4M3E5M2F32, "m16n8k32", "e4m3", "e5m2")
MMA_F32(MmaE5M2E4M3F32, "m16n8k32", "e5m2", "e4m3")
MMA_F32(MmaE5M2E5M2F32, "m16n8k32", "e5m2", "e5m2")
MMA_F16(MmaE4M3E4M3F16, "m16n8k32", "e4m3", "e4m3")
MMA_F16(MmaE4M3E5M2F16, "m16n8k32", "e4m3", "e5m2")
MMA_F16(MmaE5M2E4M3F16, "m16n8k32", "e5m2", "e4m3")
MMA_F16(MmaE5M2E5M2F16, "m16n8k32", "e5m2", "e5m2")
MMA_SHORT_F32(MmaShortE4M3E4M3F32, "m16n8k16", "e4m3", "e4m3")
MMA_SHORT_F32(MmaShortE4M3E5M2F32, "m16n8k16", "e4m3", "e5m2")
MMA_SHORT_F32(MmaShortE5M2E4M3F32, "m16n8k16", "e5m2", "e4m3")
MMA_SHORT_F32(MmaShortE5M2E5M2F32, "m16n8k16", "e5m2", "e5m2")
MMA_SHORT_F16(MmaShortE4M3E4M3F16, "m16n8k16", "e4m3", "e4m3")
MMA_SHORT_F16(MmaShortE4M3E5M2F16, "m16n8k16", "e4m3", "e5m2")
MMA_SHORT_F16(MmaShortE5M2E4M3F16, "m16n8k16", "e5m2", "e4m3")
MMA_SHORT_F16(MmaShortE5M2E5M2F16, "m16n8k16", "e5m2", "e5m2")

// wgmma: fence, one instruction, commit and wait in one piece of assembly, so that nothing moves in between.
#define WGMMA_BEGIN(N) "{ .reg .pred p; setp.ne.b32 p, " N ", 0; wgmma.fence.sync.aligned; wgmma.mma_async.sync.aligned."
#define WGMMA_END " wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; }"

// TRANS_A and TRANS_B: the words that two-byte operands have and others have not.
#define WGMMA_F32(ID, SHAPE, A, B, TRANS_A, TRANS_B)                                                              \
    struct ID {                                                                                                   \
        using Word = float;                                                                                       \
        static constexpr const char *name = "wgmma." SHAPE ".f32." A "." B;                                       \
        __device__ static void registers(float (&d)[4], const uint32_t (&a)[4], uint64_t b, int add) {            \
            asm volatile(WGMMA_BEGIN("%9") SHAPE ".f32." A "." B                                                  \
                         " {%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, p, 1, 1" TRANS_B ";" WGMMA_END                       \
                         : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                         \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add)                           \
                         : "memory");                                                                             \
        }                                                                                                         \
        __device__ static void shared(float (&d)[4], uint64_t a, uint64_t b, int add) {                           \
            asm volatile(WGMMA_BEGIN("%6") SHAPE ".f32." A "." B                                                  \
                         " {%0,%1,%2,%3}, %4, %5, p, 1, 1" TRANS_A TRANS_B ";" WGMMA_END                          \
                         : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                         \
                         : "l"(a), "l"(b), "r"(add)                                                               \
                         : "memory");                                                                             \
        }                                                                                                         \
    };
#define WGMMA_F16(ID, SHAPE, A, B, TRANS_A, TRANS_B)                                                              \
    struct ID {                                                                                                   \
        using Word = uint32_t;                                                                                    \
        static constexpr const char *name = "wgmma." SHAPE ".f16." A "." B;                                       \
        __device__ static void registers(uint32_t (&d)[2], const uint32_t (&a)[4], uint64_t b, int add) {         \
            asm volatile(WGMMA_BEGIN("%7") SHAPE ".f16." A "." B                                                  \
                         " {%0,%1}, {%2,%3,%4,%5}, %6, p, 1, 1" TRANS_B ";" WGMMA_END                             \
                         : "+r"(d[0]), "+r"(d[1])                                                                 \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add)                           \
                         : "memory");                                                                             \
        }                                                                                                         \
        __device__ static void shared(uint32_t (&d)[2], uint64_t a, uint64_t b, int add) {                        \
            asm volatile(WGMMA_BEGIN("%4") SHAPE ".f16." A "." B                                                  \
                         " {%0,%1}, %2, %3, p, 1, 1" TRANS_A TRANS_B ";" WGMMA_END                                \
                         : "+r"(d[0]), "+r"(d[1])                                                                 \
                         : "l"(a), "l"(b), "r"(add)                                                               \
                         : "memory");                                                                             \
        }                                                                                                         \
    };

WGMMA_F32(WgmmaF16F32, "m64n8k16", "f16", "f16", ", 0", ", 0")
WGMMA_F16(WgmmaF16F16, "m64n8k16", "f16", "f16", ", 0", ", 0")
WGMMA_F32(WgmmaBf16F32, "m64n8k16", "bf16", "bf16", ", 0", ", 0")
WGMMA_F32(WgmmaTf32F32, "m64n8k8", "tf32", "tf32", "", "")
WGMMA_F32(WgmmaE4M3E4M3F32, "m64n8k32", "e4m3", "e4m3", "", "")
WGMMA_F32(WgmmaE4M3E5M2F32, "m64n8k32", "e4m3", "e5m2", "", "")
WGMMA_F32(WgmmaE5M2E4M3F32, "m64n8k32", "e5m2", "e4m3", "", "")
WGMMA_F32(WgmmaE5M2E5M2F32, "m64n8k32", "e5m2", "e5m2", "", "")
WGMMA_F16(WgmmaE4M3E4M3F16, "m64n8k32", "e4m3", "e4m3", "", "")
WGMMA_F16(WgmmaE4M3E5M2F16, "m64n8k32", "e4m3", "e5m2", "", "")
WGMMA_F16(WgmmaE5M2E4M3F16, "m64n8k32", "e5m2", "e4m3", "", "")
WGMMA_F16(WgmmaE5M2E5M2F16, "m64n8k32", "e5m2", "e5m2", "", "")

// The accumulator of one thread: rows g and g + 8 of its warp's 16, columns 2t and 2t + 1 of 8.
__device__ void load(float (&d)[4], const uint32_t *tile, int g, int t) {
    for (int i = 0; i < 4; ++i) d[i] = __uint_as_float(tile[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2]);
}
__device__ void load(uint32_t (&d)[2], const uint32_t *tile, int g, int t) {
    for (int i = 0; i < 2; ++i) d[i] = tile[(g + 8 * i) * 4 + t];
}
__device__ void store(const float (&d)[4], uint32_t *tile, int g, int t) {
    for (int i = 0; i < 4; ++i) tile[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = __float_as_uint(d[i]);
}
__device__ void store(const uint32_t (&d)[2], uint32_t *tile, int g, int t) {
    for (int i = 0; i < 2; ++i) tile[(g + 8 * i) * 4 + t] = d[i];
}
template <class Word> __host__ __device__ constexpr int row_words() { return sizeof(Accumulator<Word>) / 4 * 2; }

constexpr int WARPS = 4;
constexpr int MOST_STEPS = 8;

// One warp a tile of 16 x 8.
template <class Op> __global__ void mma_tiles(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d,
                                              int64_t tiles, int steps, int) {
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int64_t tile = int64_t(blockIdx.x) * WARPS + threadIdx.x / 32;
    if (tile >= tiles) return;  // whole warps only
    const int row = Op::words * steps;
    const int64_t out = tile * 16 * row_words<typename Op::Word>();
    Accumulator<typename Op::Word> acc;
    load(acc.r, c + out, g, t);
    const uint32_t *top = a + (tile * 16 + g) * row, *low = top + 8 * row, *side = b + (tile * 8 + g) * row;
    for (int step = 0; step < steps; ++step) {
        const int at = step * Op::words + t;
        const bool wide = Op::words == 8;
        const uint32_t fa[4] = {top[at], low[at], wide ? top[at + 4] : 0, wide ? low[at + 4] : 0};
        const uint32_t fb[2] = {side[at], wide ? side[at + 4] : 0};
        Op::step(acc.r, fa, fb);
    }
    store(acc.r, d + out, g, t);
}

// A tile in shared memory, without swizzle, 32 bytes (two core matrices of 8 rows x 16 bytes) along k.
__device__ uint64_t descriptor(const void *start, uint32_t along_k, uint32_t along_rows) {
    const uint64_t address = __cvta_generic_to_shared(start);
    return (address & 0x3FFFF) >> 4 | uint64_t(along_k >> 4) << 16 | uint64_t(along_rows >> 4) << 32;
}

// Word w of row r of a tile goes to this word of shared memory.
__device__ int core_word(int r, int w) { return r / 8 * 64 + w / 4 * 32 + r % 8 * 4 + w % 4; }

// One warpgroup a tile of 64 x 8.
template <class Op> __global__ void wgmma_tiles(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d,
                                                int64_t, int steps, int mode) {
    __shared__ alignas(128) uint32_t shared_a[64 * 8], shared_b[MOST_STEPS][8 * 8];
    const int thread = threadIdx.x, lane = thread % 32, g = lane / 4, t = lane % 4, warp = thread / 32;
    const int64_t tile = blockIdx.x;
    const int row = 8 * steps;
    constexpr int width = row_words<typename Op::Word>();
    const int64_t out = (tile * 64 + warp * 16) * width;
    const uint32_t *tile_a = a + tile * 64 * row, *tile_b = b + tile * 8 * row;
    Accumulator<typename Op::Word> acc;
    load(acc.r, c + out, g, t);
    for (int i = thread; i < 8 * row; i += blockDim.x) shared_b[i % row / 8][core_word(i / row, i % 8)] = tile_b[i];
    const uint32_t *top = tile_a + (warp * 16 + g) * row, *low = top + 8 * row;
    for (int step = 0; step < steps; ++step) {
        if (mode == SHARED)
            for (int i = thread; i < 64 * 8; i += blockDim.x)
                shared_a[core_word(i / 8, i % 8)] = tile_a[i / 8 * row + step * 8 + i % 8];
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncthreads();
        const int at = step * 8 + t, add = mode != FRESH || step > 0;
        const uint64_t from_b = descriptor(shared_b[step], 128, 256);
        if (mode == SHARED) {
            Op::shared(acc.r, descriptor(shared_a, 128, 256), from_b, add);
        } else {
            const uint32_t fa[4] = {top[at], low[at], top[at + 4], low[at + 4]};
            Op::registers(acc.r, fa, from_b, add);
        }
        __syncthreads();  // all have read shared_a before the next step writes it
    }
    store(acc.r, d + out, g, t);
}

typedef void (*TilesKernel)(const uint32_t *, const uint32_t *, const uint32_t *, uint32_t *, int64_t, int, int);

struct Kind {
    const char *name;
    TilesKernel kernel;
    bool warpgroup;
    int words, out_words;  // of 32 bits: a row of A or B for one instruction, a row of C or D
};

#define MMA(ID) {ID::name, mma_tiles<ID>, false, ID::words, row_words<ID::Word>()}
#define WGMMA(ID) {ID::name, wgmma_tiles<ID>, true, 8, row_words<ID::Word>()}

static const Kind kinds[] = {
    MMA(MmaF16F32), MMA(MmaF16F16), MMA(MmaBf16F32), MMA(MmaTf32F32),
    MMA(MmaE4M3E4M3F32), MMA(MmaE4M3E5M2F32), MMA(MmaE5M2E4M3F32), MMA(MmaE5M2E5M2F32),
    MMA(MmaE4M3E4M3F16), MMA(MmaE4M3E5M2F16), MMA(MmaE5M2E4M3F16), MMA(MmaE5M2E5M2F16),
    MMA(MmaShortE4M3E4M3F32), MMA(MmaShortE4M3E5M2F32), MMA(MmaShortE5M2E4M3F32), MMA(MmaShortE5M2E5M2F32),
    MMA(MmaShortE4M3E4M3F16), MMA(MmaShortE4M3E5M2F16), MMA(MmaShortE5M2E4M3F16), MMA(MmaShortE5M2E5M2F16),
    WGMMA(WgmmaF16F32), WGMMA(WgmmaF16F16), WGMMA(WgmmaBf16F32), WGMMA(WgmmaTf32F32),
    WGMMA(WgmmaE4M3E4M3F32), WGMMA(WgmmaE4M3E5M2F32), WGMMA(WgmmaE5M2E4M3F32), WGMMA(WgmmaE5M2E5M2F32),
    WGMMA(WgmmaE4M3E4M3F16), WGMMA(WgmmaE4M3E5M2F16), WGMMA(WgmmaE5M2E4M3F16), WGMMA(WgmmaE5M2E5M2F16),
};
static const int kind_count = sizeof kinds / sizeof kinds[0];

// Device memory that is given back on every way out.
struct Buffer {
    void *at = nullptr;
    ~Buffer() { cudaFree(at); }
    bool fill(const void *from, size_t bytes) {
        return !FAILED(cudaMalloc(&at, bytes)) && !FAILED(cudaMemcpy(at, from, bytes, cudaMemcpyHostToDevice));
    }
    bool poison(int byte, size_t bytes) {
        return !FAILED(cudaMalloc(&at, bytes)) && !FAILED(cudaMemset(at, byte, bytes));
    }
};

extern "C" const char *silicon_message() { return message; }
extern "C" const char *silicon_kind(int index) { return index < kind_count ? kinds[index].name : nullptr; }

// D = A . B^T + C for each tile; 0, or 1 with a message. `poison` fills D first: two runs with two poisons agree only
// if every word was written.
extern "C" int silicon_tiles(const char *name, int mode, int poison, int64_t tiles, int steps, const void *a,
                             const void *b, const void *c, void *d) {
    const Kind *kind = nullptr;
    for (const Kind &one : kinds)
        if (!strcmp(one.name, name)) kind = &one;
    if (!kind || steps < 1 || steps > MOST_STEPS || tiles < 1 || mode < 0 || mode > 2 || (mode && !kind->warpgroup)) {
        snprintf(message, sizeof message, "%s: no such kind, mode or size", name);
        return 1;
    }
    const int rows = kind->warpgroup ? 64 : 16;
    const size_t row = size_t(kind->words) * steps * 4, out = size_t(tiles) * rows * kind->out_words * 4;
    Buffer in_a, in_b, in_c, out_d;
    if (!in_a.fill(a, tiles * rows * row) || !in_b.fill(b, tiles * 8 * row) || !in_c.fill(c, out) ||
        !out_d.poison(poison, out))
        return 1;
    const int64_t blocks = kind->warpgroup ? tiles : (tiles + WARPS - 1) / WARPS;
    kind->kernel<<<unsigned(blocks), 128>>>((uint32_t *)in_a.at, (uint32_t *)in_b.at, (uint32_t *)in_c.at,
                                            (uint32_t *)out_d.at, tiles, steps, mode);
    if (FAILED(cudaGetLastError()) || FAILED(cudaDeviceSynchronize())) return 1;
    return FAILED(cudaMemcpy(d, out_d.at, out, cudaMemcpyDeviceToHost));
}

// The conversions of cuda_fp8.h, cuda_fp6.h and cuda_fp4.h.

#define CONVERSION(ID, NAME, CALL)                                      \
    struct ID {                                                         \
        static constexpr const char *name = NAME;                       \
        __device__ static unsigned code(float x) { return CALL; }       \
    };

CONVERSION(E4M3Sat, "e4m3.satfinite", __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3))
CONVERSION(E4M3NoSat, "e4m3.nosat", __nv_cvt_float_to_fp8(x, __NV_NOSAT, __NV_E4M3))
CONVERSION(E5M2Sat, "e5m2.satfinite", __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E5M2))
CONVERSION(E5M2NoSat, "e5m2.nosat", __nv_cvt_float_to_fp8(x, __NV_NOSAT, __NV_E5M2))
CONVERSION(E2M3Even, "e2m3.rn", __nv_cvt_float_to_fp6(x, __NV_E2M3, cudaRoundNearest))
CONVERSION(E2M3Zero, "e2m3.rz", __nv_cvt_float_to_fp6(x, __NV_E2M3, cudaRoundZero))
CONVERSION(E3M2Even, "e3m2.rn", __nv_cvt_float_to_fp6(x, __NV_E3M2, cudaRoundNearest))
CONVERSION(E3M2Zero, "e3m2.rz", __nv_cvt_float_to_fp6(x, __NV_E3M2, cudaRoundZero))
CONVERSION(E2M1Even, "e2m1.rn", __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest))
CONVERSION(E2M1Zero, "e2m1.rz", __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundZero))
CONVERSION(E8M0SatZero, "e8m0.satfinite.rz", __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundZero))
CONVERSION(E8M0SatUp, "e8m0.satfinite.rp", __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundPosInf))
CONVERSION(E8M0NoSatZero, "e8m0.nosat.rz", __nv_cvt_float_to_e8m0(x, __NV_NOSAT, cudaRoundZero))
CONVERSION(E8M0NoSatUp, "e8m0.nosat.rp", __nv_cvt_float_to_e8m0(x, __NV_NOSAT, cudaRoundPosInf))

constexpr unsigned SPAN = 1u << 14;  // inputs of one thread

// A run starts at input 0 and wherever the code differs from that of the input before, so the list, sorted, covers all
// 2^32 inputs by construction: both signs, Inf and NaN. The histogram is counted apart from it.
template <class Op>
__global__ void conversion_runs(uint64_t *runs, unsigned *count, unsigned capacity, unsigned long long *histogram) {
    const unsigned first = (blockIdx.x * blockDim.x + threadIdx.x) * SPAN;
    unsigned before = first ? Op::code(__uint_as_float(first - 1)) : 256, same = 0;
    for (unsigned i = 0; i < SPAN; ++i) {
        const unsigned code = Op::code(__uint_as_float(first + i));
        if (code != before) {
            if (same) atomicAdd(&histogram[before], same);
            same = 0;
            const unsigned slot = atomicAdd(count, 1u);
            if (slot < capacity) runs[slot] = uint64_t(first + i) << 32 | code;
        }
        before = code;
        ++same;
    }
    atomicAdd(&histogram[before], same);
}

typedef void (*RunsKernel)(uint64_t *, unsigned *, unsigned, unsigned long long *);
struct Conversion {
    const char *name;
    RunsKernel kernel;
};
#define RUNS(ID) {ID::name, conversion_runs<ID>}
static const Conversion conversions[] = {
    RUNS(E4M3Sat), RUNS(E4M3NoSat), RUNS(E5M2Sat), RUNS(E5M2NoSat), RUNS(E2M3Even), RUNS(E2M3Zero), RUNS(E3M2Even),
    RUNS(E3M2Zero), RUNS(E2M1Even), RUNS(E2M1Zero), RUNS(E8M0SatZero), RUNS(E8M0SatUp), RUNS(E8M0NoSatZero),
    RUNS(E8M0NoSatUp),
};
static const int conversion_count = sizeof conversions / sizeof conversions[0];

extern "C" const char *silicon_conversion(int index) {
    return index < conversion_count ? conversions[index].name : nullptr;
}

// Runs (first input << 32 | code, in no order), how many, and how many inputs have each of 256 codes.
extern "C" int silicon_runs(int index, uint64_t *runs, unsigned capacity, unsigned *count, uint64_t *histogram) {
    if (index < 0 || index >= conversion_count) {
        snprintf(message, sizeof message, "%d: no such conversion", index);
        return 1;
    }
    Buffer device_runs, device_count, device_histogram;
    if (!device_runs.poison(0xFF, size_t(capacity) * 8) || !device_count.poison(0, 4) ||
        !device_histogram.poison(0, 256 * 8))
        return 1;
    conversions[index].kernel<<<(1u << 18) / 256, 256>>>((uint64_t *)device_runs.at, (unsigned *)device_count.at,
                                                        capacity, (unsigned long long *)device_histogram.at);
    if (FAILED(cudaGetLastError()) || FAILED(cudaDeviceSynchronize())) return 1;
    if (FAILED(cudaMemcpy(count, device_count.at, 4, cudaMemcpyDeviceToHost))) return 1;
    if (FAILED(cudaMemcpy(histogram, device_histogram.at, 256 * 8, cudaMemcpyDeviceToHost))) return 1;
    if (*count > capacity) {
        snprintf(message, sizeof message, "%s: %u runs", conversions[index].name, *count);
        return 1;
    }
    return FAILED(cudaMemcpy(runs, device_runs.at, size_t(*count) * 8, cudaMemcpyDeviceToHost));
}

/* What a shared library offers to `mxemu check lib:./subject.so`. Version 1.
 *
 * A library exports mx_subject_describe() and a function for each operation that it lists there. All functions are
 * batch functions on plain arrays, which belong to the caller and are not kept after the return.
 *
 * Codes and scales are one int32_t each, whatever their width; as a result, -1 means that this input is refused.
 * Numbers come as arrays of the carrier: double (binary64), float (binary32), or uint16_t with the bits (binary16,
 * bfloat16). Results must be written completely.
 *
 * Documentation: docs/guides/transports.md of mxemu. This file may be copied into any program.
 */
#ifndef MXEMU_SUBJECT_H
#define MXEMU_SUBJECT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define MX_EXPORT __declspec(dllexport)
#else
#define MX_EXPORT __attribute__((visibility("default")))
#endif

/* What the functions return. */
enum mx_status {
    MX_OK = 0,
    MX_UNSUPPORTED = 1, /* this format, carrier or choice is not offered */
    MX_ERROR = 2        /* anything else that went wrong; mx_subject_message() may say what */
};

/* What is asked for. Later versions add fields at the end only. */
typedef struct mx_request {
    const char *operation;    /* "encode", "quantize", ... */
    const char *format;       /* "E2M1", "MXFP4_E2M1"; of products "MXFP8_E4M3", or "A,B" if a and b differ */
    const char *carrier;      /* "binary64", "binary32", "binary16", "bfloat16" */
    const char *rounding;     /* "ties-to-even", "toward-zero", ...; "" where nothing is converted */
    const char *overflow;     /* "saturate", "overflow"; "" where nothing is converted */
    const char *profile;      /* all choices of the profile as JSON; "" where nothing is converted */
    const char *accumulation; /* of products: the name of a preset, or JSON; else "" */
    const char *variant;      /* the variant that was asked for, or "" */
    size_t k;                 /* elements in a block; 1 for encode, decode and encode_scaled */
} mx_request;

/* The record of the library as JSON, in memory that stays:
 * {"protocol": 1, "name": "mine", "version": "1", "capabilities": {"operations": {...}}} */
MX_EXPORT const char *mx_subject_describe(void);

/* Optional: one line about the last status that was not MX_OK. */
MX_EXPORT const char *mx_subject_message(void);

/* n numbers to n codes. */
MX_EXPORT int mx_encode(const mx_request *request, size_t n, const void *values, int32_t *codes);

/* n codes to n numbers of the carrier. */
MX_EXPORT int mx_decode(const mx_request *request, size_t n, const int32_t *codes, void *values);

/* n numbers, each divided by its own scale, to n codes. */
MX_EXPORT int mx_encode_scaled(const mx_request *request, size_t n, const void *values, const int32_t *scales,
                               int32_t *codes);

/* n blocks of k numbers to n scales and n * k codes. */
MX_EXPORT int mx_quantize(const mx_request *request, size_t n, const void *values, int32_t *scales, int32_t *codes);

/* n scales and n * k codes to n blocks of k numbers of the carrier. */
MX_EXPORT int mx_dequantize(const mx_request *request, size_t n, const int32_t *scales, const int32_t *codes,
                            void *values);

/* n blocks of k numbers to the n * k numbers that their blocks stand for. */
MX_EXPORT int mx_fake_quantize(const mx_request *request, size_t n, const void *values, void *results);

/* n dot products of operands with `blocks` blocks of k elements each (MX 6.1 if blocks is 1, else 6.2).
 * sa, sb: n * blocks scales, or NULL where the format has none. a, b: n * blocks * k codes. c: n bit patterns of the
 * carrier to add, or NULL. results: n bit patterns of the carrier, the one that the library lists as "out". */
MX_EXPORT int mx_dot(const mx_request *request, size_t n, size_t blocks, const int32_t *sa, const int32_t *a,
                     const int32_t *sb, const int32_t *b, const void *c, void *results);

/* Each of rows rows of a with each of columns rows of b; results and c have shape (rows, columns). */
MX_EXPORT int mx_matmul(const mx_request *request, size_t rows, size_t columns, size_t blocks, const int32_t *sa,
                        const int32_t *a, const int32_t *sb, const int32_t *b, const void *c, void *results);

#ifdef __cplusplus
}
#endif

#endif

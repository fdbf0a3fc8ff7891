/*
 * The ways a tensor's numbers lie in a model file, as GGUF has them: plain f32, f16,
 * bf16, and blocks of 32 neighbours of one row that share a scale (Q4_0 ...). Conversions
 * here are the plain, portable ones, for importing and checking; the kernels have their
 * own.
 */
#ifndef LC_EMBED_TENSOR_TYPE_H
#define LC_EMBED_TENSOR_TYPE_H

#include <stddef.h>
#include <stdint.h>

/* Values are GGUF's. Other numbers exist there; a reader refuses them. */
typedef enum lc_tensor_type {
    LC_TENSOR_F32 = 0,
    LC_TENSOR_F16 = 1,
    LC_TENSOR_Q4_0 = 2, /* f16 d, 16 bytes of nibbles; value = (nibble - 8) * d */
    LC_TENSOR_Q4_1 = 3, /* f16 d, f16 m, 16 bytes; nibble * d + m */
    LC_TENSOR_Q5_0 = 6, /* f16 d, 32 high bits, 16 bytes; (five bits - 16) * d */
    LC_TENSOR_Q5_1 = 7, /* f16 d, f16 m, 32 high bits, 16 bytes; five bits * d + m */
    LC_TENSOR_Q8_0 = 8, /* f16 d, 32 int8; value = int8 * d */
    LC_TENSOR_BF16 = 30
} lc_tensor_type;

/* How one type is laid out: `count` elements take `bytes` bytes. */
typedef struct lc_tensor_layout {
    const char *name; /* "Q4_0" */
    unsigned count;
    unsigned bytes;
} lc_tensor_layout;

/* NULL for a type this library does not read. */
const lc_tensor_layout *lc_tensor_layout_of(uint32_t type);

/* Bytes of `count` elements of one row; `count` must be a multiple of the layout's. */
size_t lc_tensor_row_bytes(lc_tensor_type type, size_t count);

float lc_half_to_float(uint16_t half);
uint16_t lc_float_to_half(float value); /* to nearest, ties to even */

/* One row of `count` elements to f32. `row` may be unaligned. */
void lc_tensor_to_float(lc_tensor_type type, const void *row, size_t count, float *out);

/* One row of f32 into F32, F16 or Q8_0 (the types that models are written in). */
void lc_tensor_from_float(lc_tensor_type type, const float *row, size_t count, void *out);

#endif

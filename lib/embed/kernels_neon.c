/*
 * Kernels for AArch64 with the dot product instructions (Armv8.2). sdot multiplies signed
 * bytes only, so codes are stored less 128, and each sum starts at 128 times the sum of
 * its weights. A tile of 6 activation rows by 16 outputs takes 24 of the 32 registers.
 */
#include "embed/kernels.h"

#if LC_HAVE_NEON_DOT
#include <arm_neon.h>

#define LC_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define PRIMITIVE static inline __attribute__((always_inline)) LC_TARGET
#define LANES     4
#define TILE_ROWS 6
#define TILE_VECS 4

typedef float32x4_t vec;

PRIMITIVE vec v_load(const float *x)
{
    return vld1q_f32(x);
}

PRIMITIVE void v_store(float *x, vec value)
{
    vst1q_f32(x, value);
}

PRIMITIVE vec v_set(float value)
{
    return vdupq_n_f32(value);
}

PRIMITIVE vec v_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}

PRIMITIVE vec v_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}

PRIMITIVE vec v_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}

PRIMITIVE vec v_fma(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}

PRIMITIVE vec v_min(vec a, vec b)
{
    return vminq_f32(a, b);
}

PRIMITIVE vec v_max(vec a, vec b)
{
    return vmaxq_f32(a, b);
}

PRIMITIVE vec v_abs(vec a)
{
    return vabsq_f32(a);
}

PRIMITIVE float v_sum(vec a)
{
    return vaddvq_f32(a);
}

PRIMITIVE float v_most(vec a)
{
    return vmaxvq_f32(a);
}

PRIMITIVE vec v_from_ints(const int32_t *x)
{
    return vcvtq_f32_s32(vld1q_s32(x));
}

PRIMITIVE vec v_scale_power(vec p, vec rounded)
{
    uint32x4_t power = vshlq_n_u32(vreinterpretq_u32_f32(rounded), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), power));
}

PRIMITIVE void v_store_codes(void *codes, size_t at, vec value)
{
    int32x4_t wide = vsubq_s32(vcvtnq_s32_f32(value), vdupq_n_s32(128));
    int16x4_t words = vqmovn_s32(wide);
    int8x8_t bytes = vqmovn_s16(vcombine_s16(words, words));
    uint32_t four = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
    __builtin_memcpy((int8_t *)codes + at, &four, sizeof four);
}

#include "embed/kernels_float.h"

#define CODE_ROWS  6
#define PANEL_VECS 4 /* 16 outputs */

/* tile += four inputs (number `lane` of the 16 in `codes`) of 4 outputs */
#define DOT(lane)                                                       \
    for (size_t j = 0; j < PANEL_VECS; j++)                             \
        columns[j] = vld1q_s8(panel + (lane)*PANEL_VECS * 16 + j * 16); \
    for (size_t i = 0; i < rows; i++)                                   \
        for (size_t j = 0; j < PANEL_VECS; j++)                         \
            tile[i][j] = vdotq_laneq_s32(tile[i][j], columns[j], sixteen[i], lane);

INLINE void code_tile(const lc_packed *weights, const int8_t *panel,
                      const int32_t *code_sums, const int8_t *codes, int32_t *sums,
                      size_t rows)
{
    int32x4_t tile[CODE_ROWS][PANEL_VECS];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < PANEL_VECS; j++)
            tile[i][j] = vshlq_n_s32(vld1q_s32(code_sums + j * 4), 7);
    for (size_t k = 0; k < weights->inputs; k += 16, panel += PANEL_VECS * 64) {
        int8x16_t columns[PANEL_VECS], sixteen[CODE_ROWS];
        for (size_t i = 0; i < rows; i++)
            sixteen[i] = vld1q_s8(codes + i * weights->inputs + k);
        DOT(0)
        DOT(1)
        DOT(2)
        DOT(3)
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < PANEL_VECS; j++)
            vst1q_s32(sums + i * weights->outputs + j * 4, tile[i][j]);
}

LC_TARGET static void multiply(const lc_packed *weights, const void *codes, size_t rows,
                               int32_t *sums)
{
    for (size_t output = 0; output < weights->outputs; output += PANEL_VECS * 4) {
        const int8_t *panel = weights->codes + output * weights->inputs;
        const int32_t *code_sums = weights->code_sums + output;
        for (size_t row = 0, count; row < rows; row += count) {
            const int8_t *from = (const int8_t *)codes + row * weights->inputs;
            int32_t *to = sums + row * weights->outputs + output;
            count = next_tile(rows - row, CODE_ROWS);
            switch (count) {
#define TILE_CASE(n)                                                            \
    case n:                                                                     \
        code_tile(weights, panel, code_sums, from, to, n <= CODE_ROWS ? n : 1); \
        break;
                EACH_TILE(TILE_CASE)
#undef TILE_CASE
            }
        }
    }
}

const lc_kernels lc_kernels_neon = {
    .name = "neon",
    .panel = PANEL_VECS * 4,
    .group = 4,
    .code_size = 1,
    .code_offset = 128,
    .multiply = multiply,
    FLOAT_KERNELS,
};

#else
typedef int lc_kernels_neon_unused; /* ISO C wants a declaration in every file */
#endif

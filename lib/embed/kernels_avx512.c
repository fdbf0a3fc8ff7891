/*
 * Kernels for x86-64 with AVX-512 VNNI: vpdpbusd multiplies 64 unsigned by 64 signed
 * bytes and adds them up by fours into 16 int32, without saturation. A tile of 8
 * activation rows by 48 outputs takes 24 of the 32 registers, enough to keep both
 * multipliers busy through their latency.
 */
#include "embed/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LC_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define PRIMITIVE static inline __attribute__((always_inline)) LC_TARGET
#define LANES     16
#define TILE_ROWS 8
#define TILE_VECS 2

typedef __m512 vec;

PRIMITIVE vec v_load(const float *x)
{
    return _mm512_loadu_ps(x);
}

PRIMITIVE void v_store(float *x, vec value)
{
    _mm512_storeu_ps(x, value);
}

PRIMITIVE vec v_set(float value)
{
    return _mm512_set1_ps(value);
}

PRIMITIVE vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

PRIMITIVE vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

PRIMITIVE vec v_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

PRIMITIVE vec v_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

PRIMITIVE vec v_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

PRIMITIVE vec v_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

PRIMITIVE vec v_abs(vec a)
{
    return _mm512_abs_ps(a);
}

PRIMITIVE float v_sum(vec a)
{
    return _mm512_reduce_add_ps(a);
}

PRIMITIVE float v_most(vec a)
{
    return _mm512_reduce_max_ps(a);
}

PRIMITIVE vec v_from_ints(const int32_t *x)
{
    return _mm512_cvtepi32_ps(_mm512_loadu_si512(x));
}

PRIMITIVE vec v_scale_power(vec p, vec rounded)
{
    __m512i power = _mm512_slli_epi32(_mm512_castps_si512(rounded), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), power));
}

PRIMITIVE void v_store_codes(void *codes, size_t at, vec value)
{
    __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(value));
    _mm_storeu_si128((__m128i *)((uint8_t *)codes + at), bytes);
}

#include "embed/kernels_float.h"

#define PANEL_VECS 3 /* 48 outputs */

/*
 * How far ahead of its use a weight is fetched, in bytes. Weights stream from the
 * third-level cache once a text; without this, 8 tokens take a quarter longer. The last
 * panel of a matrix reaches into the one that follows it in memory, which the encoder
 * keeps in the order of use.
 */
#define AHEAD 16384

/* Four neighbouring codes of one row, in every lane. */
PRIMITIVE __m512i four_codes(const uint8_t *codes)
{
    int32_t four;
    memcpy(&four, codes, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE void code_tile(const lc_packed *weights, const int8_t *panel, const uint8_t *codes,
                      int32_t *sums, size_t rows)
{
    __m512i tile[TILE_ROWS][PANEL_VECS];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < PANEL_VECS; j++)
            tile[i][j] = _mm512_setzero_si512();
    for (size_t k = 0; k < weights->inputs; k += 4, panel += PANEL_VECS * 64) {
        __m512i columns[PANEL_VECS];
        for (size_t j = 0; j < PANEL_VECS; j++) {
            columns[j] = _mm512_loadu_si512(panel + j * 64);
            _mm_prefetch((const char *)panel + j * 64 + AHEAD, _MM_HINT_T0);
        }
        for (size_t i = 0; i < rows; i++) {
            __m512i four = four_codes(codes + i * weights->inputs + k);
            for (size_t j = 0; j < PANEL_VECS; j++)
                tile[i][j] = _mm512_dpbusd_epi32(tile[i][j], four, columns[j]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < PANEL_VECS; j++)
            _mm512_storeu_si512(sums + i * weights->outputs + j * 16, tile[i][j]);
}

LC_TARGET static void multiply(const lc_packed *weights, const void *codes, size_t rows,
                               int32_t *sums)
{
    for (size_t output = 0; output < weights->outputs; output += PANEL_VECS * 16) {
        const int8_t *panel = weights->codes + output * weights->inputs;
        for (size_t row = 0, count; row < rows; row += count) {
            const uint8_t *from = (const uint8_t *)codes + row * weights->inputs;
            int32_t *to = sums + row * weights->outputs + output;
            count = next_tile(rows - row, TILE_ROWS);
            switch (count) {
#define TILE_CASE(n)                            \
    case n:                                     \
        code_tile(weights, panel, from, to, n); \
        break;
                EACH_TILE(TILE_CASE)
#undef TILE_CASE
            }
        }
    }
}

const lc_kernels lc_kernels_avx512 = {
    .name = "avx512vnni",
    .panel = PANEL_VECS * 16,
    .group = 4,
    .code_size = 1,
    .code_offset = 0,
    .multiply = multiply,
    FLOAT_KERNELS,
};

#else
typedef int lc_kernels_avx512_unused; /* ISO C wants a declaration in every file */
#endif

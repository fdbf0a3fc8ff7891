/*
 * Kernels for x86-64 with AVX-VNNI: vpdpbusd on 32 bytes, as client processors without
 * AVX-512 have it. A tile of 6 activation rows by 16 outputs takes 12 of the 16
 * registers.
 */
#include "embed/kernels.h"

#if defined(__x86_64__)
#define LC_TARGET __attribute__((target("avx2,fma,avxvnni")))
#define PRIMITIVE static inline __attribute__((always_inline)) LC_TARGET

#include "embed/kernels_vec256.h"

PRIMITIVE void v_store_codes(void *codes, size_t at, vec value)
{
    __m256i wide = _mm256_cvtps_epi32(value);
    __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    _mm_storel_epi64((__m128i *)((uint8_t *)codes + at), _mm_packus_epi16(words, words));
}

#include "embed/kernels_float.h"

#define CODE_ROWS  6
#define PANEL_VECS 2    /* 16 outputs */
#define AHEAD      8192 /* bytes: how early a weight is fetched (see kernels_avx512.c) */

/* Four neighbouring codes of one row, in every lane. */
PRIMITIVE __m256i four_codes(const uint8_t *codes)
{
    int32_t four;
    memcpy(&four, codes, sizeof four);
    return _mm256_set1_epi32(four);
}

INLINE void code_tile(const lc_packed *weights, const int8_t *panel, const uint8_t *codes,
                      int32_t *sums, size_t rows)
{
    __m256i tile[CODE_ROWS][PANEL_VECS];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < PANEL_VECS; j++)
            tile[i][j] = _mm256_setzero_si256();
    for (size_t k = 0; k < weights->inputs; k += 4, panel += PANEL_VECS * 32) {
        __m256i columns[PANEL_VECS];
        for (size_t j = 0; j < PANEL_VECS; j++)
            columns[j] = _mm256_loadu_si256((const __m256i *)(panel + j * 32));
        _mm_prefetch((const char *)panel + AHEAD, _MM_HINT_T0);
        for (size_t i = 0; i < rows; i++) {
            __m256i four = four_codes(codes + i * weights->inputs + k);
            for (size_t j = 0; j < PANEL_VECS; j++)
                tile[i][j] = _mm256_dpbusd_avx_epi32(tile[i][j], four, columns[j]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < PANEL_VECS; j++)
            _mm256_storeu_si256((__m256i *)(sums + i * weights->outputs + j * 8),
                                tile[i][j]);
}

LC_TARGET static void multiply(const lc_packed *weights, const void *codes, size_t rows,
                               int32_t *sums)
{
    for (size_t output = 0; output < weights->outputs; output += PANEL_VECS * 8) {
        const int8_t *panel = weights->codes + output * weights->inputs;
        for (size_t row = 0, count; row < rows; row += count) {
            const uint8_t *from = (const uint8_t *)codes + row * weights->inputs;
            int32_t *to = sums + row * weights->outputs + output;
            count = next_tile(rows - row, CODE_ROWS);
            switch (count) {
#define TILE_CASE(n)                                                 \
    case n:                                                          \
        code_tile(weights, panel, from, to, n <= CODE_ROWS ? n : 1); \
        break;
                EACH_TILE(TILE_CASE)
#undef TILE_CASE
            }
        }
    }
}

const lc_kernels lc_kernels_avxvnni = {
    .name = "avxvnni",
    .panel = PANEL_VECS * 8,
    .group = 4,
    .code_size = 1,
    .code_offset = 0,
    .multiply = multiply,
    FLOAT_KERNELS,
};

#else
typedef int lc_kernels_avxvnni_unused; /* ISO C wants a declaration in every file */
#endif

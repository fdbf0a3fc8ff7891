/*
 * The scan for x86-64 with AVX2: vpmaddubsw multiplies unsigned by signed bytes and adds pairs with
 * saturation, which |query| <= 127 times |code| <= 127 cannot reach: 2 * 127 * 127 < 2^15. So the query's
 * signs are moved to the rows.
 */
#include "index/scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LC_TARGET __attribute__((target("avx2,fma")))
#include "index/scan_body.h"

#define INLINE static inline __attribute__((always_inline)) LC_TARGET

INLINE __m256i load(const void *bytes)
{
    return _mm256_loadu_si256((const __m256i *)bytes);
}

INLINE __m256i products(const uint8_t *row, __m256i query)
{
    __m256i codes = _mm256_xor_si256(load(row), _mm256_set1_epi8(-128));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(query), _mm256_sign_epi8(codes, query));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

INLINE int32_t total(__m256i sum)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

LC_TARGET static void sums(const int8_t *query, const uint8_t *rows, size_t stride, size_t count,
                           int32_t *out)
{
    size_t at = 0;
    for (; at + 2 <= count; at += 2) {
        const uint8_t *row = rows + at * stride;
        __m256i a = _mm256_setzero_si256(), b = a;
        for (size_t i = 0; i < stride; i += 32) {
            __m256i part = load(query + i);
            a = _mm256_add_epi32(a, products(row + i, part));
            b = _mm256_add_epi32(b, products(row + stride + i, part));
        }
        out[at] = total(a);
        out[at + 1] = total(b);
    }
    if (at < count) {
        __m256i a = _mm256_setzero_si256();
        for (size_t i = 0; i < stride; i += 32)
            a = _mm256_add_epi32(a, products(rows + at * stride + i, load(query + i)));
        out[at] = total(a);
    }
}

INLINE float total_float(__m256 sum)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

LC_TARGET static float exact(const float *query, const uint8_t *high, const int8_t *low, size_t stride)
{
    __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    __m256i offset = _mm256_set1_epi32(128 * 256);
    for (size_t i = 0; i < stride; i += 16) {
        for (size_t k = 0; k < 2; k++) {
            size_t at = i + 8 * k;
            __m256i h = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(high + at)));
            __m256i l = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(low + at)));
            __m256i v = _mm256_sub_epi32(_mm256_add_epi32(_mm256_slli_epi32(h, 8), l), offset);
            sum[k] = _mm256_fmadd_ps(_mm256_loadu_ps(query + at), _mm256_cvtepi32_ps(v), sum[k]);
        }
    }
    return total_float(_mm256_add_ps(sum[0], sum[1]));
}

const lc_scan lc_scan_avx2 = {"avx2", sums, above, exact};
#endif

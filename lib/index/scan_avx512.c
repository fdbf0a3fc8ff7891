/*
 * The scan for x86-64 with AVX-512 VNNI: vpdpbusd multiplies 64 unsigned by 64 signed bytes and adds them up
 * by fours into 16 int32, without saturation. The rows are the unsigned side; what their offset of 128 adds
 * is the same for all rows and taken off at the end. Four rows share the work of
 * adding up lanes.
 */
#include "index/scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LC_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#include "index/scan_body.h"

#define INLINE static inline __attribute__((always_inline)) LC_TARGET

INLINE __m128i add_up(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Row after row, from its first byte to its last: memory is read in order, as its prefetching likes best. */
INLINE __m512i one_row(const int8_t *query, const uint8_t *row, size_t stride)
{
    __m512i even = _mm512_setzero_si512(), odd = even;
    size_t i = 0;
    for (; i + 128 <= stride; i += 128) {
        even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(row + i), _mm512_loadu_si512(query + i));
        odd = _mm512_dpbusd_epi32(odd, _mm512_loadu_si512(row + i + 64), _mm512_loadu_si512(query + i + 64));
    }
    if (i < stride)
        even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(row + i), _mm512_loadu_si512(query + i));
    return _mm512_add_epi32(even, odd);
}

INLINE __m128i four_rows(const int8_t *query, const uint8_t *row, size_t stride, size_t step)
{
    __m512i a = one_row(query, row, stride), b = one_row(query, row + step, stride);
    __m512i c = one_row(query, row + 2 * step, stride), d = one_row(query, row + 3 * step, stride);
    return add_up(a, b, c, d);
}

LC_TARGET static int32_t offset_of(const int8_t *query, size_t stride)
{
    __m512i sum = _mm512_setzero_si512(), ones = _mm512_set1_epi8(1);
    for (size_t i = 0; i < stride; i += 64)
        sum = _mm512_dpbusd_epi32(sum, ones, _mm512_loadu_si512(query + i));
    return 128 * _mm512_reduce_add_epi32(sum);
}

LC_TARGET static void sums(const int8_t *query, const uint8_t *rows, size_t stride, size_t count,
                           int32_t *out)
{
    __m128i offset = _mm_set1_epi32(offset_of(query, stride));
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
        __m128i four = four_rows(query, rows + at * stride, stride, stride);
        _mm_storeu_si128((__m128i *)(out + at), _mm_sub_epi32(four, offset));
    }
    for (; at < count; at++) {
        __m128i one = four_rows(query, rows + at * stride, stride, 0);
        out[at] = _mm_cvtsi128_si32(_mm_sub_epi32(one, offset));
    }
}

LC_TARGET static float exact(const float *query, const uint8_t *high, const int8_t *low, size_t stride)
{
    __m512 even = _mm512_setzero_ps(), odd = even;
    __m512i offset = _mm512_set1_epi32(128 * 256);
    for (size_t i = 0; i < stride; i += 32) {
        for (size_t k = 0; k < 32; k += 16) {
            __m512i h = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(high + i + k)));
            __m512i l = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(low + i + k)));
            __m512i v = _mm512_sub_epi32(_mm512_add_epi32(_mm512_slli_epi32(h, 8), l), offset);
            __m512 *sum = k ? &odd : &even;
            *sum = _mm512_fmadd_ps(_mm512_loadu_ps(query + i + k), _mm512_cvtepi32_ps(v), *sum);
        }
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

const lc_scan lc_scan_avx512 = {"avx512vnni", sums, above, exact};
#endif

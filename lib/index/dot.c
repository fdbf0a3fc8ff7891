/*
 * The forms of the dot product. Four rows at a time share the loads of the query and keep eight sums
 * going, which covers the latency of the multiply-adds; rows stand one after the other in memory, so
 * the prefetcher sees four even streams. Sums are taken in float: for unit vectors the error is some
 * 1e-7, far below what tells two answers apart.
 */
#include "index/dot.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static float one_avx512(const float *query, const float *row,
                                                           size_t stride)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < stride; i += 16)
        sum = _mm512_fmadd_ps(_mm512_load_ps(query + i), _mm512_load_ps(row + i), sum);
    return _mm512_reduce_add_ps(sum);
}

__attribute__((target("avx512f"))) static void rows_avx512(const float *query, const float *rows,
                                                           size_t stride, size_t count, float *out)
{
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
        const float *row = rows + at * stride;
        __m512 sum[4], more[4];
        for (int k = 0; k < 4; k++)
            sum[k] = more[k] = _mm512_setzero_ps();
        size_t i = 0;
        for (; i + 32 <= stride; i += 32) {
            __m512 low = _mm512_load_ps(query + i), high = _mm512_load_ps(query + i + 16);
            for (size_t k = 0; k < 4; k++) {
                sum[k] = _mm512_fmadd_ps(low, _mm512_load_ps(row + k * stride + i), sum[k]);
                more[k] = _mm512_fmadd_ps(high, _mm512_load_ps(row + k * stride + i + 16), more[k]);
            }
        }
        if (i < stride)
            for (size_t k = 0; k < 4; k++)
                sum[k] = _mm512_fmadd_ps(_mm512_load_ps(query + i),
                                         _mm512_load_ps(row + k * stride + i), sum[k]);
        for (size_t k = 0; k < 4; k++)
            out[at + k] = _mm512_reduce_add_ps(_mm512_add_ps(sum[k], more[k]));
    }
    for (; at < count; at++)
        out[at] = one_avx512(query, rows + at * stride, stride);
}

__attribute__((target("avx2,fma"))) static float total_avx2(__m256 sum)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    half = _mm_add_ss(half, _mm_movehdup_ps(half));
    return _mm_cvtss_f32(half);
}

__attribute__((target("avx2,fma"))) static float one_avx2(const float *query, const float *row,
                                                          size_t stride)
{
    __m256 sum = _mm256_setzero_ps(), more = _mm256_setzero_ps();
    for (size_t i = 0; i < stride; i += 16) {
        sum = _mm256_fmadd_ps(_mm256_load_ps(query + i), _mm256_load_ps(row + i), sum);
        more = _mm256_fmadd_ps(_mm256_load_ps(query + i + 8), _mm256_load_ps(row + i + 8), more);
    }
    return total_avx2(_mm256_add_ps(sum, more));
}

__attribute__((target("avx2,fma"))) static void rows_avx2(const float *query, const float *rows,
                                                          size_t stride, size_t count, float *out)
{
    size_t at = 0;
    for (; at + 4 <= count; at += 4) {
        const float *row = rows + at * stride;
        __m256 sum[4], more[4];
        for (int k = 0; k < 4; k++)
            sum[k] = more[k] = _mm256_setzero_ps();
        for (size_t i = 0; i < stride; i += 16) {
            __m256 low = _mm256_load_ps(query + i), high = _mm256_load_ps(query + i + 8);
            for (size_t k = 0; k < 4; k++) {
                sum[k] = _mm256_fmadd_ps(low, _mm256_load_ps(row + k * stride + i), sum[k]);
                more[k] = _mm256_fmadd_ps(high, _mm256_load_ps(row + k * stride + i + 8), more[k]);
            }
        }
        for (size_t k = 0; k < 4; k++)
            out[at + k] = total_avx2(_mm256_add_ps(sum[k], more[k]));
    }
    for (; at < count; at++)
        out[at] = one_avx2(query, rows + at * stride, stride);
}
#endif

#if defined(__aarch64__)
#include <arm_neon.h>

static void rows_neon(const float *query, const float *rows, size_t stride, size_t count, float *out)
{
    for (size_t at = 0; at < count; at++) {
        const float *row = rows + at * stride;
        float32x4_t sum[4];
        for (int k = 0; k < 4; k++)
            sum[k] = vdupq_n_f32(0);
        for (size_t i = 0; i < stride; i += 16)
            for (size_t k = 0; k < 4; k++)
                sum[k] = vfmaq_f32(sum[k], vld1q_f32(query + i + 4 * k), vld1q_f32(row + i + 4 * k));
        out[at] = vaddvq_f32(vaddq_f32(vaddq_f32(sum[0], sum[1]), vaddq_f32(sum[2], sum[3])));
    }
}
#endif

/* Eight sums side by side, which every compiler turns into what vector registers there are. */
static void rows_plain(const float *query, const float *rows, size_t stride, size_t count, float *out)
{
    for (size_t at = 0; at < count; at++) {
        const float *row = rows + at * stride;
        float sum[8] = {0};
        for (size_t i = 0; i < stride; i += 8)
            for (size_t k = 0; k < 8; k++)
                sum[k] += query[i + k] * row[i + k];
        out[at] = ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
    }
}

size_t lc_dot_forms(lc_dot *forms, size_t room)
{
    lc_dot all[4];
    size_t count = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        all[count++] = (lc_dot){"avx512", rows_avx512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        all[count++] = (lc_dot){"avx2", rows_avx2};
#endif
#if defined(__aarch64__)
    all[count++] = (lc_dot){"neon", rows_neon};
#endif
    all[count++] = (lc_dot){"plain", rows_plain};
    for (size_t i = 0; i < count && i < room; i++)
        forms[i] = all[i];
    return count < room ? count : room;
}

lc_dot lc_dot_best(void)
{
    lc_dot best;
    lc_dot_forms(&best, 1);
    return best;
}

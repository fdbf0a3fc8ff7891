/*
 * The vector operations that kernels_float.h asks for, on 8 floats: what the AVX2
 * variants share. The including file defines LC_TARGET and PRIMITIVE before, and
 * v_store_codes after.
 */
#ifndef LC_EMBED_KERNELS_VEC256_H
#define LC_EMBED_KERNELS_VEC256_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES     8
#define TILE_ROWS 6
#define TILE_VECS 2

typedef __m256 vec;

PRIMITIVE vec v_load(const float *x)
{
    return _mm256_loadu_ps(x);
}

PRIMITIVE void v_store(float *x, vec value)
{
    _mm256_storeu_ps(x, value);
}

PRIMITIVE vec v_set(float value)
{
    return _mm256_set1_ps(value);
}

PRIMITIVE vec v_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

PRIMITIVE vec v_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

PRIMITIVE vec v_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

PRIMITIVE vec v_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

PRIMITIVE vec v_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

PRIMITIVE vec v_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

PRIMITIVE vec v_abs(vec a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

PRIMITIVE float v_sum(vec a)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

PRIMITIVE float v_most(vec a)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

PRIMITIVE vec v_from_ints(const int32_t *x)
{
    return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)x));
}

PRIMITIVE vec v_scale_power(vec p, vec rounded)
{
    __m256i power = _mm256_slli_epi32(_mm256_castps_si256(rounded), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
}

#endif

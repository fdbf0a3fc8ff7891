/*
 * The float half of the kernels, written once over the few vector operations that each
 * variant defines before it includes this file:
 *
 *   LC_TARGET            attribute that lets a function use the variant's instructions
 *   vec, LANES           a vector of LANES floats (LANES divides LC_LANE_PAD)
 *   TILE_ROWS, TILE_VECS shape of the block of results that multiply_float keeps in
 * registers (at most 8 rows) v_load v_store v_set v_add v_sub v_mul v_fma v_min v_max
 * v_abs v_from_ints          LANES int32 as floats v_scale_power        p * 2^n, with n
 * in the low bits of a float that ROUNDER was added to v_store_codes        LANES codes
 * from floats within 0..255, rounded to nearest, ties to even
 *
 * With LANES 1 it is plain C. Rows whose length is no multiple of LANES end in one
 * partial vector.
 */
#ifndef LC_EMBED_KERNELS_FLOAT_H
#define LC_EMBED_KERNELS_FLOAT_H

#include "embed/kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline)) LC_TARGET

/* Added to a float below 2^22, it leaves the nearest integer in the low bits. */
#define ROUNDER 12582912.0f /* 1.5 * 2^23 */

/* ---- Partial vectors and sums ----------------------------------------------------- */

INLINE vec load_part(const float *x, size_t count, float fill)
{
    float lanes[LANES];
    for (size_t i = 0; i < LANES; i++)
        lanes[i] = i < count ? x[i] : fill;
    return v_load(lanes);
}

INLINE void store_part(float *x, vec value, size_t count)
{
    float lanes[LANES];
    v_store(lanes, value);
    memcpy(x, lanes, count * sizeof *x);
}

/* ---- Quantisation ----------------------------------------------------------------- */

INLINE void find_range(const float *x, size_t count, float *low, float *high)
{
    vec least = v_set(x[0]), most = least, value;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        value = v_load(x + i);
        least = v_min(least, value);
        most = v_max(most, value);
    }
    if (i < count) {
        value = load_part(x + i, count - i, x[0]);
        least = v_min(least, value);
        most = v_max(most, value);
    }
    *low = -v_most(v_sub(v_set(0), least));
    *high = v_most(most);
}

LC_TARGET static void quantise(const float *x, size_t count, size_t padded, void *codes,
                               lc_code_range *range)
{
    float low, high;
    find_range(x, count, &low, &high);
    float spread = high - low;
    if (!(spread > FLT_MIN * 256)) /* all the same */
        spread = 0;
    range->low = low;
    range->scale = spread / 255;
    /* Subtract, then multiply: no compiler can fuse that, so that all variants round
     * alike. */
    vec lows = v_set(low), steps = v_set(spread > 0 ? 255 / spread : 0);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store_codes(codes, i, v_mul(v_sub(v_load(x + i), lows), steps));
    if (i < count) {
        vec last = load_part(x + i, count - i, low);
        v_store_codes(codes, i, v_mul(v_sub(last, lows), steps));
        i += LANES;
    }
    for (; i < padded; i += LANES)
        v_store_codes(codes, i, v_set(0));
}

LC_TARGET static void restore(const lc_packed *weights, const int32_t *sums,
                              lc_code_range range, float *y)
{
    vec scale = v_set(range.scale), low = v_set(range.low);
    for (size_t i = 0; i < weights->outputs; i += LANES) {
        vec sum = v_from_ints(sums + i);
        vec shift = v_fma(low, v_load(weights->lift + i), v_load(weights->bias + i));
        v_store(y + i, v_fma(sum, v_mul(scale, v_load(weights->scale + i)), shift));
    }
}

/* ---- Element-wise ------------------------------------------------------------------ */

LC_TARGET static void add(float *x, const float *y, size_t count)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(x + i, v_add(v_load(x + i), v_load(y + i)));
    for (; i < count; i++)
        x[i] += y[i];
}

/*
 * gelu(x) = x/2 + |x| h(u), u = min(|x|, 5), h(u) = erf(u / sqrt 2) / 2 = u P(t), t = 2
 * (u/5)^2 - 1. P is the polynomial of degree 11 with the least largest error of u * h(u),
 * under the constraint h(5) = 1/2, by linear programming over Chebyshev nodes; in t, not
 * in u^2, it is well conditioned.
 */
INLINE vec gelu_of(vec x)
{
    static const float terms[] = {-1.047135906e-03f, 3.177270628e-03f,  -4.003912168e-03f,
                                  5.148736633e-03f,  -1.006567154e-02f, 1.688496549e-02f,
                                  -2.366147112e-02f, 3.136389617e-02f,  -4.038669302e-02f,
                                  5.152468375e-02f,  -7.029842739e-02f, 1.413637585e-01f};
    vec size = v_abs(x), u = v_min(size, v_set(5));
    vec t = v_fma(v_mul(u, u), v_set(2.0f / 25), v_set(-1));
    vec p = v_set(terms[0]);
    for (size_t k = 1; k < sizeof terms / sizeof *terms; k++)
        p = v_fma(p, t, v_set(terms[k]));
    return v_fma(size, v_mul(p, u), v_mul(v_set(0.5f), x));
}

LC_TARGET static void gelu(float *x, size_t count)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(x + i, gelu_of(v_load(x + i)));
    if (i < count)
        store_part(x + i, gelu_of(load_part(x + i, count - i, 0)), count - i);
}

/* exp for x <= 0: 2^n * exp(r), |r| <= ln 2 / 2; relative error below 3e-7; what is below
 * -87 counts as -87, next to nothing. */
INLINE vec exp_of(vec x)
{
    vec clamped = v_max(x, v_set(-87));
    vec rounded = v_fma(clamped, v_set(1.44269504f), v_set(ROUNDER));
    vec n = v_sub(rounded, v_set(ROUNDER));
    vec r =
        v_fma(n, v_set(-0.693145752f), clamped); /* ln 2 in two parts, the first exact */
    r = v_fma(n, v_set(-1.42860677e-06f), r);
    vec p = v_set(1.381458704e-03f);
    p = v_fma(p, r, v_set(8.368716892e-03f));
    p = v_fma(p, r, v_set(4.166838824e-02f));
    p = v_fma(p, r, v_set(1.666652063e-01f));
    p = v_fma(p, r, v_set(4.999999345e-01f));
    p = v_fma(v_mul(r, r), p, v_add(r, v_set(1)));
    return v_scale_power(p, rounded);
}

LC_TARGET static void softmax(float *x, size_t count)
{
    size_t padded = (count + LANES - 1) / LANES * LANES;
    for (size_t i = count; i < padded; i++)
        x[i] = -FLT_MAX;
    vec most = v_load(x), sum = v_set(0);
    for (size_t i = LANES; i < padded; i += LANES)
        most = v_max(most, v_load(x + i));
    most = v_set(v_most(most));
    for (size_t i = 0; i < padded; i += LANES) {
        vec value = exp_of(v_sub(v_load(x + i), most));
        v_store(x + i, value);
        sum = v_add(sum, value);
    }
    vec part = v_set(1 / v_sum(sum));
    for (size_t i = 0; i < padded; i += LANES)
        v_store(x + i, v_mul(v_load(x + i), part));
}

/* ---- Rows ------------------------------------------------------------------------- */

/* Four sums in flight hide the addition's latency; their order is fixed by the count
 * alone. */
LC_TARGET static float dot(const float *x, const float *y, size_t count)
{
    vec sums[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
    size_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (size_t k = 0; k < 4; k++)
            sums[k] =
                v_fma(v_load(x + i + k * LANES), v_load(y + i + k * LANES), sums[k]);
    for (; i + LANES <= count; i += LANES)
        sums[0] = v_fma(v_load(x + i), v_load(y + i), sums[0]);
    float sum = v_sum(v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3])));
    for (; i < count; i++)
        sum += x[i] * y[i];
    return sum;
}

/* x += y, and the sum of the result. */
INLINE float add_and_sum(float *x, const float *y, size_t count)
{
    vec sums[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
    float sum = 0;
    size_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (size_t k = 0; k < 4; k++) {
            float *at = x + i + k * LANES;
            vec value = v_add(v_load(at), v_load(y + i + k * LANES));
            v_store(at, value);
            sums[k] = v_add(sums[k], value);
        }
    for (; i < count; i++)
        sum += x[i] += y[i];
    return sum + v_sum(v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3])));
}

INLINE float sum_of_squares(const float *x, float mean, size_t count)
{
    vec sums[4] = {v_set(0), v_set(0), v_set(0), v_set(0)}, means = v_set(mean);
    float sum = 0;
    size_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (size_t k = 0; k < 4; k++) {
            vec off = v_sub(v_load(x + i + k * LANES), means);
            sums[k] = v_fma(off, off, sums[k]);
        }
    for (; i < count; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum + v_sum(v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3])));
}

LC_TARGET static void add_norm(float *x, const float *y, size_t count, const float *gain,
                               const float *bias, float epsilon)
{
    float mean = add_and_sum(x, y, count) / (float)count;
    float factor = 1 / sqrtf(sum_of_squares(x, mean, count) / (float)count + epsilon);
    vec means = v_set(mean), factors = v_set(factor);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec value = v_mul(v_sub(v_load(x + i), means), factors);
        v_store(x + i, v_fma(value, v_load(gain + i), v_load(bias + i)));
    }
    for (; i < count; i++)
        x[i] = (x[i] - mean) * factor * gain[i] + bias[i];
}

/* ---- Products --------------------------------------------------------------------- */

/* Tiles have at most eight rows; their count is a constant to the compiler in each case.
 */
#define EACH_TILE(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)

/* How many of `left` rows the next tile takes, so that the tiles come out even. */
INLINE size_t next_tile(size_t left, size_t most)
{
    size_t tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

/* rows x vecs results in registers; both are constants where this is inlined. */
INLINE void float_tile(lc_rows a, lc_rows b, lc_rows c, size_t inner, size_t rows,
                       size_t vecs)
{
    vec sums[TILE_ROWS][TILE_VECS];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < vecs; j++)
            sums[i][j] = v_set(0);
    for (size_t k = 0; k < inner; k++) {
        vec columns[TILE_VECS];
        for (size_t j = 0; j < vecs; j++)
            columns[j] = v_load(b.data + k * b.stride + j * LANES);
        for (size_t i = 0; i < rows; i++) {
            vec value = v_set(a.data[i * a.stride + k]);
            for (size_t j = 0; j < vecs; j++)
                sums[i][j] = v_fma(value, columns[j], sums[i][j]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < vecs; j++)
            v_store(c.data + i * c.stride + j * LANES, sums[i][j]);
}

/* One tile's worth of columns, all rows. */
INLINE void float_columns(lc_rows a, lc_rows b, lc_rows c, size_t rows, size_t inner,
                          size_t vecs)
{
    for (size_t row = 0, count; row < rows; row += count) {
        lc_rows from = {a.data + row * a.stride, a.stride};
        lc_rows to = {c.data + row * c.stride, c.stride};
        count = next_tile(rows - row, TILE_ROWS);
        switch (count) {
#define TILE_CASE(n)                                                  \
    case n:                                                           \
        float_tile(from, b, to, inner, n <= TILE_ROWS ? n : 1, vecs); \
        break;
            EACH_TILE(TILE_CASE)
#undef TILE_CASE
        }
    }
}

LC_TARGET static void multiply_float(lc_rows a, lc_rows b, lc_rows c, size_t rows,
                                     size_t inner, size_t columns)
{
    size_t j = 0;
    for (; j + TILE_VECS * LANES <= columns; j += TILE_VECS * LANES)
        float_columns(a, (lc_rows){b.data + j, b.stride}, (lc_rows){c.data + j, c.stride},
                      rows, inner, TILE_VECS);
    for (; j < columns; j += LANES)
        float_columns(a, (lc_rows){b.data + j, b.stride}, (lc_rows){c.data + j, c.stride},
                      rows, inner, 1);
}

/* Four by four at a time: vectors of four floats are the compiler's own on every CPU. */
typedef float four_floats __attribute__((vector_size(16), aligned(4), may_alias));

INLINE void transpose_four(const float *from, size_t from_stride, float *to,
                           size_t to_stride)
{
    four_floats a = *(const four_floats *)from;
    four_floats b = *(const four_floats *)(from + from_stride);
    four_floats c = *(const four_floats *)(from + 2 * from_stride);
    four_floats d = *(const four_floats *)(from + 3 * from_stride);
    four_floats ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    four_floats cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    *(four_floats *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four_floats *)(to + to_stride) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four_floats *)(to + 2 * to_stride) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(four_floats *)(to + 3 * to_stride) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

LC_TARGET static void transpose(lc_rows from, lc_rows to, size_t rows, size_t columns)
{
    size_t whole_rows = rows - rows % 4, whole_columns = columns - columns % 4;
    for (size_t i = 0; i < whole_rows; i += 4)
        for (size_t j = 0; j < whole_columns; j += 4)
            transpose_four(from.data + i * from.stride + j, from.stride,
                           to.data + j * to.stride + i, to.stride);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            to.data[j * to.stride + i] = from.data[i * from.stride + j];
}

#define FLOAT_PANEL (TILE_VECS * LANES > LC_LANE_PAD ? TILE_VECS * LANES : LC_LANE_PAD)

/* The table's float half, the same for every variant. */
#define FLOAT_KERNELS                                                                 \
    .float_panel = FLOAT_PANEL, .quantise = quantise, .restore = restore,             \
    .multiply_float = multiply_float, .add = add, .add_norm = add_norm, .gelu = gelu, \
    .softmax = softmax, .dot = dot, .transpose = transpose

#endif

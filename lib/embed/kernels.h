/*
 * The arithmetic of the encoder, once per kind of CPU: int8 matrix products, and the
 * float work between them. The variant is picked at run time by a table of functions, so
 * that one build runs everywhere and a test can run every variant that this CPU has.
 *
 * Int8: an activation row x becomes codes 0..255 with x ~ code * scale + low, scale and
 * low being the row's own (a row's result never depends on its neighbours); a weight row
 * becomes codes -127..127 times one scale. Then x.w = scale * wscale * sum(code * wcode)
 * + low * wscale * sum(wcode), and only sum(code * wcode) is the matrix product. Codes
 * and these sums are the same integers in every variant. Float results are not: variants
 * differ in rounding (fused or separate, order of additions), each by itself is
 * deterministic.
 *
 * Nothing here allocates or checks; no state is kept. Float rows need no alignment.
 */
#ifndef LC_EMBED_KERNELS_H
#define LC_EMBED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Whether the compiler can build the NEON variant: clang before 16 knows no such target
 * attribute. */
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16)
#define LC_HAVE_NEON_DOT 1
#else
#define LC_HAVE_NEON_DOT 0
#endif

/* Inputs of packed matrices are padded to a multiple of this; so are rows of attention
 * scores. */
#define LC_LANE_PAD 16

/* The codes' meaning in one activation row: x ~ code * scale + low. */
typedef struct lc_code_range {
    float scale;
    float low;
} lc_code_range;

/* Rows of floats, `stride` floats from one to the next. */
typedef struct lc_rows {
    float *data;
    size_t stride;
} lc_rows;

/*
 * An int8 matrix as a variant wants it. Outputs are cut into panels of kernels->panel;
 * within a panel, for each `group` neighbouring inputs: the group's weights of the first
 * output, of the second, ... Padding is zero. lc_matrix (matrix.h) owns such memory and
 * fills it.
 */
typedef struct lc_packed {
    size_t inputs;  /* padded */
    size_t outputs; /* padded to whole panels */
    int8_t *codes;
    int32_t *code_sums; /* of each output's weights */
    float *scale;       /* of each output's weights */
    float *lift;        /* scale * code_sum */
    float *bias;
} lc_packed;

typedef struct lc_kernels {
    const char *name;     /* "avx512vnni", "avxvnni", "avx2", "neon", "plain" */
    unsigned panel;       /* outputs side by side in a packed int8 matrix */
    unsigned group;       /* neighbouring inputs of one output that lie together */
    unsigned code_size;   /* bytes an activation's code takes */
    unsigned code_offset; /* what was taken off each code before it was stored */
    unsigned float_panel; /* columns that multiply_float likes at once, a multiple of
                             LC_LANE_PAD */

    /* Quantises a row. Codes from `count` up to `padded` are of no meaning, but
     * initialised. */
    void (*quantise)(const float *x, size_t count, size_t padded, void *codes,
                     lc_code_range *range);

    /* sums[row * outputs + o] = sum over the inputs of code * weight code; rows of codes
     * lie weights->inputs codes apart. */
    void (*multiply)(const lc_packed *weights, const void *codes, size_t rows,
                     int32_t *sums);

    /* y = what the sums of one row mean, bias added, `outputs` of them. y may be the same
     * memory. */
    void (*restore)(const lc_packed *weights, const int32_t *sums, lc_code_range range,
                    float *y);

    /*
     * c = a * b in float: c[i][j] = sum over k < inner of a[i][k] * b[k][j]. `columns` is
     * a multiple of LC_LANE_PAD. Each element is summed in the order of k, whatever the
     * shape.
     */
    void (*multiply_float)(lc_rows a, lc_rows b, lc_rows c, size_t rows, size_t inner,
                           size_t columns);

    void (*add)(float *x, const float *y, size_t count); /* x += y */

    /* x = layer_norm(x + y) * gain + bias, variance over `count` (Ba et al. 2016, arXiv
     * 1607.06450) */
    void (*add_norm)(float *x, const float *y, size_t count, const float *gain,
                     const float *bias, float epsilon);

    /*
     * x = x * Phi(x), the exact GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415), by a
     * polynomial: within 4e-6 where |x| <= 6, within 4e-7 * |x| beyond.
     */
    void (*gelu)(float *x, size_t count);

    /* x = exp(x - max) / sum; the row has room for `count` rounded up to LC_LANE_PAD and
     * the rest is overwritten. */
    void (*softmax)(float *x, size_t count);

    float (*dot)(const float *x, const float *y, size_t count);

    /* to[j][i] = from[i][j] */
    void (*transpose)(lc_rows from, lc_rows to, size_t rows, size_t columns);
} lc_kernels;

/* The fastest variant this CPU has; never NULL. */
const lc_kernels *lc_kernels_best(void);

/* A variant by name, NULL when it does not exist or this CPU lacks it. NULL or "" is the
 * best. */
const lc_kernels *lc_kernels_named(const char *name);

/* The variants this CPU has, best first; NULL past the end. The last is "plain". */
const lc_kernels *lc_kernels_at(size_t position);

/* The variants, for kernels.c only: each is defined where the target has it. */
extern const lc_kernels lc_kernels_avx512;
extern const lc_kernels lc_kernels_avxvnni;
extern const lc_kernels lc_kernels_avx2;
extern const lc_kernels lc_kernels_neon;
extern const lc_kernels lc_kernels_plain;

#endif

/*
 * The inside of a search, in the widest form the machine has: integer dot products of one query with many
 * rows, which of them may matter, and one row's dot product in full. Chosen at run time by a table, so that
 * one build runs everywhere and a test can hold every form that this machine has against the plain one.
 *
 * What codes mean is in codes.h. Nothing here allocates, checks or keeps state. Rows need no alignment.
 */
#ifndef LC_INDEX_SCAN_H
#define LC_INDEX_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* Whether the compiler can build the NEON form: clang before 16 knows no such target attribute. */
#if defined(__aarch64__) && (!defined(__clang__) || __clang_major__ >= 16)
#define LC_SCAN_NEON 1
#else
#define LC_SCAN_NEON 0
#endif

/* A row's codes are padded to a multiple of this: one cache line, one AVX-512 register. */
#define LC_SCAN_PAD 64u

/* A row may matter when sum * step * factor + error * weight + slack >= floor. */
typedef struct lc_scan_test {
    float factor, weight, slack, floor;
} lc_scan_test;

typedef struct lc_scan {
    const char *name; /* "avx512vnni", "avx2", "neon", "plain" */

    /* out[r] = sum over i < stride of query[i] * (rows[r * stride + i] - 128), query within +-127, the
     * difference too. The same integers in every form. */
    void (*sums)(const int8_t *query, const uint8_t *rows, size_t stride, size_t count, int32_t *out);

    /* The numbers of those of `count` (at most 65536) rows that pass the test, in order; how many. */
    size_t (*above)(const lc_scan_test *test, const int32_t *sums, const float *steps,
                    const float *errors, size_t count, uint16_t *found);

    /* sum of query[i] * ((high[i] - 128) * 256 + low[i]), in float; forms differ in rounding. */
    float (*exact)(const float *query, const uint8_t *high, const int8_t *low, size_t stride);
} lc_scan;

/* The best form this machine has; never NULL. */
const lc_scan *lc_scan_best(void);
/* The forms this machine has, best first; NULL past the end. The last is "plain". */
const lc_scan *lc_scan_at(size_t position);

/* The forms, for scan.c only: each is defined where the target has it. */
extern const lc_scan lc_scan_avx512, lc_scan_avx2, lc_scan_neon, lc_scan_plain;

#endif

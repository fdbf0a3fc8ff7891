/*
 * Dot products of one query with many rows: the inside of the index's scan, in the widest form the
 * machine has. Chosen at run time, so one build runs everywhere.
 */
#ifndef LC_INDEX_DOT_H
#define LC_INDEX_DOT_H

#include <stddef.h>

/* Floats a row is padded to, with zeros: one cache line, one AVX-512 register. */
#define LC_DOT_PAD 16u

static inline size_t lc_dot_stride(size_t dimension)
{
    return (dimension + LC_DOT_PAD - 1) / LC_DOT_PAD * LC_DOT_PAD;
}

/* out[i] = query · rows[i], for `count` rows of `stride` floats. query and rows are aligned to 64 bytes,
 * stride is a multiple of LC_DOT_PAD. */
typedef void (*lc_dot_fn)(const float *query, const float *rows, size_t stride, size_t count,
                          float *out);

typedef struct lc_dot {
    const char *name; /* "avx512", "avx2", "neon", "plain" */
    lc_dot_fn rows;
} lc_dot;

/* The forms this machine can run, best first; up to `room` are written, returns how many. There is
 * always the plain one, last. */
size_t lc_dot_forms(lc_dot *forms, size_t room);
lc_dot lc_dot_best(void);

#endif

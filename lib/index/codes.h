/*
 * How vectors are kept: 16 bits a component in two planes of bytes. The high bytes alone are a vector of
 * eight bits, read by every search; the low bytes are read for the few rows that matter.
 *
 *   x[i] ~ unit * (256 * (high[i] - 128) + low[i]),  unit = largest |x[i]| / 32639
 *
 * Each component is within unit / 2, so a dot product with a unit vector is within
 * unit / 2 * sqrt(dimension) of that of the floats: at most 1e-3 up to 4096 dimensions, whatever the vector;
 * some 1e-6 for what embedders make, as errors of components do not add up.
 *
 * With the high bytes only, x^ = step * (high - 128), step = 256 * unit, and `error` is the length of
 * x - x^. The query likewise: q ~ q^ = step_q * code. Then, by Cauchy and Schwarz,
 *
 *   |q.x - q^.x^| <= |q| * error + error_q * |x^|
 *
 * so a row whose bound is below the k-th best found so far cannot be among the k best: nothing is lost.
 */
#ifndef LC_INDEX_CODES_H
#define LC_INDEX_CODES_H

#include "index/scan.h"

static inline size_t lc_codes_stride(size_t dimension)
{
    return (dimension + LC_SCAN_PAD - 1) / LC_SCAN_PAD * LC_SCAN_PAD;
}

/* Where one row's parts stand. */
typedef struct lc_codes {
    uint8_t *high;
    int8_t *low;
    float *step, *error;
} lc_codes;

float lc_vector_length(const float *vector, size_t dimension);

/* Codes of a vector of unit length, padded to its stride. */
void lc_codes_write(const float *vector, size_t dimension, const lc_codes *to);
/* The vector that the codes mean. */
void lc_codes_read(const lc_codes *from, size_t dimension, float *vector);

/* A query, made once a search. */
typedef struct lc_coded_query {
    float *vector; /* padded, aligned to 64 bytes; the codes lie behind it */
    int8_t *codes;
    size_t stride;
    lc_scan_test test; /* its floor is the search's to set */
} lc_coded_query;

/* LLMCACHE_MEMORY or 0. */
int lc_query_code(const float *vector, size_t dimension, lc_coded_query *query);
void lc_query_done(lc_coded_query *query);

/* The similarity of query and row in full; never above 1. */
double lc_codes_product(const lc_scan *scan, const lc_coded_query *query, const lc_codes *row);

#endif

/*
 * The flat index: every vector of a partition is looked at, which is exact, needs no training and forgets at
 * once. An lc_index by itself, and what other kinds of index stand on: those find candidates faster in
 * large partitions, and have them judged here.
 */
#ifndef LC_INDEX_FLAT_INDEX_H
#define LC_INDEX_FLAT_INDEX_H

#include "index/index.h"

typedef struct lc_flat lc_flat;

int lc_flat_new(lc_flat **flat, llmcache_error *err);
void lc_flat_free(lc_flat *flat);

extern const lc_index_ops lc_flat_ops; /* self is a lc_flat */

/* ---- For an index that stands on this one (flat_access.c) ------------------------------------------ */

/* Records of the partition and their dimension; 0 when there is none. */
size_t lc_flat_count(lc_flat *flat, const unsigned char *partition, size_t *dimension);

/* Calls `fn` for each partition of at least `least` records, with no lock held. It stops when `fn` returns not
 * 0. 0, LLMCACHE_MEMORY, or what `fn` returned. */
typedef int (*lc_flat_partition_fn)(void *user, const unsigned char *partition, size_t count);
int lc_flat_each_large(lc_flat *flat, size_t least, lc_flat_partition_fn fn, void *user);

/*
 * Reads the last up to `most` rows before the row `end`: fingerprints (32 bytes each) and vectors of
 * `dimension`; how many. Called from the last row to the first, with an `end` smaller by what was read, it
 * gives every record that is there all the time at least once, whatever is changed meanwhile.
 */
size_t lc_flat_read(lc_flat *flat, const unsigned char *partition, size_t end, size_t most,
                    size_t dimension, unsigned char *fingerprints, float *vectors);

/* The k nearest of the named candidates: those that are in the query's partition and have not expired. */
int lc_flat_judge(lc_flat *flat, const lc_query *query, const unsigned char *fingerprints, size_t candidates,
                  lc_neighbour *out, size_t k, size_t *count, llmcache_error *err);

#endif

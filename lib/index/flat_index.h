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

#endif

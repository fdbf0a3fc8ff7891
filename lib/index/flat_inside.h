/* The inside of the flat index, shared by its files: flat_index.c changes it, flat_search.c reads it. */
#ifndef LC_INDEX_FLAT_INSIDE_H
#define LC_INDEX_FLAT_INSIDE_H

#include "index/flat_index.h"
#include "index/names.h"

#include <pthread.h>
#include <stdatomic.h>

#define LC_FLAT_SHARDS 64u

typedef struct lc_flat_shard {
    pthread_rwlock_t lock; /* guards all below and the partitions in it */
    lc_partition **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
} __attribute__((aligned(64))) lc_flat_shard;

struct lc_flat {
    const lc_scan *scan;
    pthread_mutex_t changing; /* one change at a time; guards names */
    lc_names names;
    atomic_size_t dimension; /* 0 while empty */
    atomic_uint_least64_t records, partitions, bytes, names_bytes;
    lc_flat_shard shards[LC_FLAT_SHARDS];
};

lc_flat_shard *lc_flat_shard_of(lc_flat *flat, const unsigned char *digest);
/* Under the shard's lock, or `changing`. */
lc_partition *lc_flat_find(const lc_flat_shard *shard, const unsigned char *digest);
/* May a vector stand among ours? */
int lc_flat_check(lc_flat *flat, const float *vector, size_t dimension, llmcache_error *err);

/* ---- Searching (flat_search.c) ------------------------------------------------------------------------- */

typedef struct lc_flat_scan {
    const lc_scan *form;
    const lc_query *asked;
    lc_coded_query query;
    lc_neighbour *out; /* the best so far */
    size_t k, count;
} lc_flat_scan;

int lc_flat_search(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                   llmcache_error *err);
int lc_flat_scan_begin(lc_flat *flat, const lc_query *query, lc_neighbour *out, size_t k, lc_flat_scan *scan,
                       llmcache_error *err);
/* Multiplies a row in full, and keeps it if it is among the best. */
void lc_flat_scan_judge(lc_flat_scan *scan, const lc_partition *partition, size_t row);
void lc_flat_scan_end(lc_flat_scan *scan);

#endif

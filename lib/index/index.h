/*
 * The index: nearest vectors within one partition, by exact cosine. Vectors of one embedding space only.
 * Thread-safe. Vectors are unit length, so cosine is the dot product.
 */
#ifndef LC_INDEX_INDEX_H
#define LC_INDEX_INDEX_H

#include <llmcache/llmcache.h>

typedef struct lc_index lc_index;

typedef struct lc_neighbour {
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE];
    double similarity;
} lc_neighbour;

typedef struct lc_index_stats {
    uint64_t records, partitions, bytes;
} lc_index_stats;

int lc_index_new(lc_index **index, llmcache_error *err);
void lc_index_free(lc_index *index);

/*
 * Adds or replaces the vector of (space, fingerprint). LLMCACHE_INVALID for a vector that is not of unit
 * length, of another dimension than those already here, or of a partition that belongs to another
 * namespace. expires_ms 0: never.
 */
int lc_index_add(lc_index *index, const char *space, const unsigned char fingerprint[32],
                 const unsigned char partition[32], const float *vector, size_t dimension,
                 int64_t expires_ms, llmcache_error *err);

/* Removes by the id (head of the fingerprint); 1 if it was there. */
int lc_index_remove(lc_index *index, const char *space, const char *id);
/* Removes all; the next vector may have another dimension. */
void lc_index_clear(lc_index *index);

/* Gives back the memory of what expired before now_ms; how many. */
uint64_t lc_index_sweep(lc_index *index, int64_t now_ms);

/* Up to k nearest of the partition that have not expired, best first; *count of them. */
int lc_index_search(lc_index *index, const unsigned char partition[32], const float *vector,
                    size_t dimension, int64_t now_ms, lc_neighbour *out, size_t k, size_t *count,
                    llmcache_error *err);

void lc_index_stats_read(lc_index *index, lc_index_stats *stats);

#endif

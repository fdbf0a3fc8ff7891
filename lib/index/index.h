/*
 * The index: nearest vectors within one partition, by cosine similarity. Vectors of one embedding space only.
 * Vectors are unit length, so cosine is the dot product. Thread-safe.
 *
 * Each kind of index is a table of operations over its own self, as stores are. Some do their work here and
 * at once (flat:); one that asks a server keeps to the deadlines it is given, and fails with
 * LLMCACHE_TIMEOUT. Whoever searches goes on without candidates when a search fails.
 *
 * A similarity agrees with that of the float vectors to 1e-3 at worst, up to 4096 dimensions, and to some
 * 1e-6 for what embedders make: see codes.h.
 */
#ifndef LC_INDEX_INDEX_H
#define LC_INDEX_INDEX_H

#include <llmcache/llmcache.h>

typedef struct lc_neighbour {
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE];
    double similarity;
} lc_neighbour;

/* What is added. Everything is copied. */
typedef struct lc_record {
    const char *space;
    const unsigned char *fingerprint, *partition; /* 32 bytes each */
    const float *vector;
    size_t dimension;
    int64_t expires_ms; /* 0: never */
} lc_record;

typedef struct lc_query {
    const char *space;
    const unsigned char *partition;
    const float *vector;
    size_t dimension;
    int64_t now_ms;      /* what has expired by then is not found */
    int64_t deadline_ms; /* from the call */
} lc_query;

typedef struct lc_index_stats {
    uint64_t records, partitions, bytes;
    uint64_t unsettled; /* partitions that wait to be put in order; searches are right meanwhile */
} lc_index_stats;

typedef struct lc_index_ops {
    const char *name; /* "flat" */

    /*
     * Adds or replaces the vector of (space, fingerprint). LLMCACHE_INVALID for a vector that is not of unit
     * length, of another dimension than those already here, or of a partition that belongs to another
     * namespace.
     */
    int (*add)(void *self, const lc_record *record, int64_t deadline_ms, llmcache_error *err);

    /* Removes by the id (head of the fingerprint); *removed (may be NULL): 1 if it was there. */
    int (*remove)(void *self, const char *space, const char *id, int64_t deadline_ms, int *removed,
                  llmcache_error *err);

    /* Removes all; the next vector may have another dimension. */
    int (*clear)(void *self, int64_t deadline_ms, llmcache_error *err);

    /* Gives back the memory of what expired before now_ms; how many. */
    uint64_t (*sweep)(void *self, int64_t now_ms);

    /* Up to k nearest of the partition that have not expired, best first; *count of them. */
    int (*search)(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                  llmcache_error *err);

    /* From what is known; never waits. */
    void (*stats)(void *self, lc_index_stats *stats);

    void (*close)(void *self);
} lc_index_ops;

typedef struct lc_index {
    lc_index_ops ops;
    void *self;
} lc_index;

/* Opens by URI: flat:, or faiss:<factory> (faiss_index.h). LLMCACHE_SETTING for another. */
int lc_index_open(const char *uri, lc_index *index, llmcache_error *err);
void lc_index_close(lc_index *index); /* accepts a zeroed one */

#endif

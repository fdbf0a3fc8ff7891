/*
 * The index: nearest vectors within one partition, by cosine similarity. Vectors of one embedding space only.
 * Vectors are unit length, so cosine is the dot product. Thread-safe.
 *
 * Each kind of index is a table of operations over its own self, as stores are. Some do their work here and
 * at once (flat:); one that asks a server keeps to the deadlines it is given, and fails with
 * LLMCACHE_TIMEOUT. Whoever searches goes on without candidates when a search fails.
 *
 * A shared index lives in a server and is one for all caches of a store: whoever writes a record adds it, for all.
 * It is filled from the store once and marked; a cache that opens and sees the mark reads no vector. Adding what is
 * there already changes nothing, so caches that fill it at the same time are in nobody's way.
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
    int shared;    /* in a server; the numbers are what this process has last seen of it */
    int lost;      /* the server does not answer, or never has: searches fail */
    int fell_back; /* the server cannot do it: vectors are kept and searched here */
    char detail[LLMCACHE_MESSAGE_SIZE]; /* why, or where; "" for nothing to say */
} lc_index_stats;

/* Who has to put the store's vectors into the index. */
typedef enum lc_index_fill {
    LC_FILL_OWN,    /* it is this cache's own: read the store whenever changes went unseen */
    LC_FILL_WANTED, /* shared, and empty or not wholly filled, or it may have lost some */
    LC_FILL_DONE,   /* shared, and filled since it was last emptied */
    LC_FILL_ELSEWHERE /* shared, and another cache is filling it just now: look again later */
} lc_index_fill;

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

    /* Gives back the memory of what expired before now_ms, as much as there is time for; how many. */
    uint64_t (*sweep)(void *self, int64_t now_ms);

    /* Up to k nearest of the partition that have not expired, best first; *count of them. */
    int (*search)(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                  llmcache_error *err);

    /* From what is known; never waits. */
    void (*stats)(void *self, lc_index_stats *stats);

    void (*close)(void *self);

    /* ---- Of an index that may be shared; both NULL where every cache has its own ------------------- */

    /* What is to be done about its contents now. It may change at any time: a server is emptied, or turns out to lack what
     * is needed, and then the index is the cache's own. Fails while the server cannot be asked. */
    int (*fill_state)(void *self, int64_t deadline_ms, lc_index_fill *state, llmcache_error *err);
    /* The whole store was read into it since fill_state said LC_FILL_WANTED: marks it as filled, unless it was emptied
     * meanwhile. Nothing where it is the cache's own. */
    int (*set_filled)(void *self, int64_t deadline_ms, llmcache_error *err);
} lc_index_ops;

typedef struct lc_index {
    lc_index_ops ops;
    void *self;
} lc_index;

/* What a shared index needs to know. All of it is borrowed for the call. */
typedef struct lc_index_options {
    const char *store;        /* the store's URI; NULL for a store of the program's own */
    const char *vector_space; /* name of what the vectors are: a server may have those of several */
    int64_t connect_ms;       /* deadline for connecting */
    const char *ca_file;      /* NULL or "": the system's */
    size_t dimension;         /* 0: not known yet */
} lc_index_options;

/*
 * Opens by URI: flat:, faiss:<factory> (faiss_index.h) or redis:<uri> (redis_index.h). LLMCACHE_SETTING for another. `options` may be NULL for an
 * index that is not shared. A server that cannot be reached does not keep an index from opening.
 */
int lc_index_open(const char *uri, const lc_index_options *options, lc_index *index, llmcache_error *err);
void lc_index_close(lc_index *index); /* accepts a zeroed one */

#endif

/*
 * The inside of the Redis index: redis_index.c has its life and the table, redis_vectors.c the changes,
 * redis_search.c the search.
 */
#ifndef LC_INDEX_REDIS_VECTORS_H
#define LC_INDEX_REDIS_VECTORS_H

#include "index/flat_index.h"
#include "index/redis_index.h"
#include "net/redis_pool.h"

#include <pthread.h>
#include <stdatomic.h>

#define LC_SIZES 4096u

typedef enum lc_vectors_mode {
    LC_VECTORS_UNKNOWN, /* the server has not answered yet, or not as it should */
    LC_VECTORS_SETS,
    LC_VECTORS_FLAT
} lc_vectors_mode;

typedef struct lc_redis_index {
    lc_redis_uri uri;
    char *ca_file, *head, *space; /* head: of all keys; space: the vector space's name */
    lc_redis_pool *pool;
    lc_flat *flat;   /* empty unless it is what there is */
    atomic_int mode; /* lc_vectors_mode */
    atomic_uint_least64_t records, partitions; /* as the server last said */
    atomic_size_t dimension;                   /* likewise; 0: nothing is in it */
    /* How large partitions were when last seen: digest's head and size, 32 bits each. Whoever comes last stays. */
    atomic_uint_least64_t sizes[LC_SIZES];
    char claim[33];       /* our name as who fills it */
    pthread_mutex_t lock; /* guards the two below */
    char problem[LLMCACHE_MESSAGE_SIZE]; /* why the mode is unknown though the server answers; "" */
    char generation[160]; /* that was to be filled when fill_state said so, and where; "" */
} lc_redis_index;

/* What it is to be done with: 0 and *mode, never LC_VECTORS_UNKNOWN; asks the server where that is not known. */
int lc_redis_index_mode(lc_redis_index *index, int64_t until_ms, lc_vectors_mode *mode, llmcache_error *err);
/* Asks anew. */
int lc_redis_index_probe(lc_redis_index *index, int64_t until_ms, lc_vectors_mode *mode, llmcache_error *err);
/* A word that nobody else makes. */
void lc_redis_index_word(const lc_redis_index *index, char word[33]);
/* lc_redis_check; a command that the server does not know any more also makes the mode unknown. */
int lc_redis_index_check(lc_redis_index *index, const redisReply *reply, llmcache_error *err);

/* Appends the name of the partition's vector set. */
void lc_vector_set_name(const lc_redis_index *index, const char *space, const unsigned char *partition,
                        lc_buffer *name);

/* The operations of lc_index_ops where the mode is LC_VECTORS_SETS. */
int lc_vector_set_add(lc_redis_index *index, const lc_record *record, int64_t until_ms, llmcache_error *err);
int lc_vector_set_remove(lc_redis_index *index, const char *space, const char *id, int64_t until_ms, int *removed,
                         llmcache_error *err);
int lc_vector_set_clear(lc_redis_index *index, int64_t until_ms, llmcache_error *err);
uint64_t lc_vector_set_sweep(lc_redis_index *index, int64_t now_ms);
int lc_vector_set_fill_state(lc_redis_index *index, int64_t until_ms, lc_index_fill *state, llmcache_error *err);
int lc_vector_set_mark(lc_redis_index *index, int64_t until_ms, llmcache_error *err);
int lc_vector_set_search(lc_redis_index *index, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                         llmcache_error *err);

#endif

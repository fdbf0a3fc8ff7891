/* The Redis store's inside, shared by its files: redis_store.c, redis_write.c, redis_walk.c,
 * redis_lease.c. */
#ifndef LC_STORE_REDIS_INSIDE_H
#define LC_STORE_REDIS_INSIDE_H

#include "store/redis_echo.h"
#include "store/redis_ears.h"
#include "store/redis_route.h"
#include "store/redis_watch.h"

#include <stdatomic.h>

typedef struct lc_redis_store {
    lc_redis_uri uri;     /* of one Redis */
    lc_redis_seeds seeds; /* of a cluster */
    const char *name;     /* of either, for people */
    char *ca_file;
    lc_redis_route route;
    lc_redis_echoes *echoes;
    lc_redis_watch *watch; /* of one Redis */
    lc_redis_ears *ears;   /* of a cluster */
    llmcache_watch listener;
    atomic_int listening;  /* the listener is set */
    atomic_uint_least64_t entries, records, observations; /* as counted by the last each, and since */
    atomic_uint_least64_t damaged;          /* set aside */
} lc_redis_store;

static inline atomic_uint_least64_t *lc_redis_count_of(lc_redis_store *store, int part)
{
    return part == LLMCACHE_PART_EMBED         ? &store->records
           : part == LLMCACHE_PART_OBSERVATION ? &store->observations
                                               : &store->entries;
}

static inline int lc_redis_is_expired(const llmcache_entry *entry, int64_t now_ms)
{
    return entry->expires_ms && entry->expires_ms <= now_ms;
}

/* The operations of llmcache_store_ops that are not in redis_store.c. */
int lc_redis_put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
                 llmcache_error *err);
int lc_redis_remove(void *self, int parts, const llmcache_key *keys, size_t count,
                    int64_t deadline_ms, uint64_t *removed, llmcache_error *err);
int lc_redis_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                  void *user, uint64_t *damaged, llmcache_error *err);

int lc_redis_lease(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                   int64_t *others_ms, llmcache_error *err);
int lc_redis_release(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                     int64_t deadline_ms, llmcache_error *err);

int lc_redis_each_vector(void *self, int64_t now_ms, llmcache_entry_fn fn, void *user,
                         uint64_t *damaged, llmcache_error *err);

/* The name of a part; "" when only the head of the fingerprint is known and no key has it. */
int lc_redis_find_name(lc_redis_store *store, int part, const llmcache_key *key, int64_t until_ms,
                       lc_buffer *name, llmcache_error *err);

/* Moves a damaged value under another name, where nobody reads it and people can look at it for a while. Best
 * effort. */
void lc_redis_set_aside(lc_redis_store *store, lc_redis_word name, int64_t until_ms);

#endif

/* What observations.c and observations_kept.c share. */
#ifndef LC_ASK_OBSERVATIONS_INSIDE_H
#define LC_ASK_OBSERVATIONS_INSIDE_H

#include "ask/observations.h"
#include "ask/verdict_table.h"

/* One that waits to be written. */
typedef struct lc_waiting {
    struct lc_waiting *next;
    lc_entry *entry;
    int is_hit;
} lc_waiting;

/* One whose word counts here already, and is on its way to the store or to those that wait. On its writer's stack. */
typedef struct lc_in_hand {
    struct lc_in_hand *next;
    lc_entry *entry;
} lc_in_hand;

#define LC_RECENT_HITS 1024

/* A hit that was noted: not again for a while. */
typedef struct lc_recent_hit {
    uint64_t head; /* of its fingerprint */
    int64_t time_ms;
} lc_recent_hit;

struct lc_observations {
    lc_verdict_table *table;
    lc_observed_fn fn; /* set before any thread */
    void *user;
    lc_store substitute; /* where the cache's store keeps no observations */
    atomic_int substituted;
    atomic_int_least64_t due_ms; /* monotonic; INT64_MAX: nothing waits */

    pthread_mutex_t lock; /* guards all below; never held over I/O or a callback */
    lc_waiting *first, **last;
    size_t waiting, hits; /* of all, and of hits */
    lc_in_hand *in_hand;
    int64_t pause_ms;     /* after a write that failed */
    lc_recent_hit recent[LC_RECENT_HITS];
};

/* The store that has the observations. */
const lc_store *lc_observation_store(llmcache *cache);
/* Goes over to the substitute when this store's code says so; 1 when the operation is to be tried again. */
int lc_observation_substitute(llmcache *cache, const lc_store *store, int code);

/* Lets it count in memory, and tells the listener. */
void lc_observation_learn(llmcache *cache, const lc_observation *observation);

int lc_observation_put(llmcache *cache, const lc_entry *entry, llmcache_error *err);
/* Takes the reference over. LLMCACHE_BUSY when too many wait. */
int lc_observation_queue(llmcache *cache, lc_entry *take_entry, int is_hit, llmcache_error *err);

#endif

/*
 * Reading from the replicas of a cluster, for who asks for it: a replica is read while it is known to lag by less than the
 * time below, and only keys that nobody changed lately, as far as was heard. So what it gives is no older than that, and
 * whoever keeps it hears of every change that it does not have. Whatever a replica does not give is for the primary.
 */
#ifndef LC_STORE_REDIS_REPLICAS_H
#define LC_STORE_REDIS_REPLICAS_H

#include "store/redis_cluster.h"

typedef struct lc_redis_replicas lc_redis_replicas;

enum { LC_REDIS_FRESH_MS = 700 };

/* The cluster is borrowed. Finds its replicas from a thread of its own. */
int lc_redis_replicas_new(lc_redis_cluster *cluster, int64_t probe_ms, lc_redis_replicas **replicas,
                          llmcache_error *err);
/* All accept NULL. */
void lc_redis_replicas_cancel(lc_redis_replicas *replicas);
void lc_redis_replicas_free(lc_redis_replicas *replicas); /* waits for a reply under way, a moment at most */

/* The key is being changed, was changed or was reported as changed; NULL: any may have been. */
void lc_redis_replicas_note(lc_redis_replicas *replicas, const lc_redis_word *name);

/* Reads one key by a batch of one command. 1 when a replica has answered with a value, 0: ask the primary. */
int lc_redis_replicas_read(lc_redis_replicas *replicas, lc_redis_word name, const lc_redis_batch *batch,
                           int64_t until_ms, redisReply **reply);

#endif

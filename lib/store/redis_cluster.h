/*
 * A Redis Cluster as one server: commands go to the node that serves their key's slot and follow where a node sends
 * them on. Each node has a pool and a switch of its own (redis_pool.h), so a dead one costs only its slots; a
 * thread asks who serves what twice a second, and at once when a command went astray.
 */
#ifndef LC_STORE_REDIS_CLUSTER_H
#define LC_STORE_REDIS_CLUSTER_H

#include "net/redis_pool.h"
#include "store/redis_seeds.h"
#include "store/redis_slots.h"

typedef struct lc_redis_cluster lc_redis_cluster;

/* `seeds` is borrowed for the cluster's life. Starts asking at once, from its own thread. */
int lc_redis_cluster_new(const lc_redis_seeds *seeds, int64_t probe_ms, lc_redis_cluster **cluster,
                         llmcache_error *err);
/* Ends the thread; does not wait for the network. */
void lc_redis_cluster_cancel(lc_redis_cluster *cluster);
/* No exchange may be under way. Accepts NULL. */
void lc_redis_cluster_free(lc_redis_cluster *cluster);

/*
 * As lc_redis_pool_exchange. Commands on one key stay in order; several nodes are asked at once, and when one
 * fails the others have had theirs all the same.
 */
int lc_redis_cluster_exchange(lc_redis_cluster *cluster, const lc_redis_batch *batch,
                              int64_t until_ms, redisReply **replies, llmcache_error *err);

/* Asks who serves what and PINGs all of them. */
int lc_redis_cluster_ping(lc_redis_cluster *cluster, int64_t until_ms, llmcache_error *err);

/* lost: at least one slot cannot be had, for that reason. */
void lc_redis_cluster_look(lc_redis_cluster *cluster, lc_conn_pool_state *state);

/*
 * Calls fn with each node's pool; 0 to go on, anything else is handed back. Keys that were there all
 * along are met, also when slots move meanwhile: then some nodes are visited again. until_ms as for lc_redis_scan.
 */
typedef int (*lc_redis_visit_fn)(void *user, lc_redis_pool *pool, llmcache_error *err);
int lc_redis_cluster_visit(lc_redis_cluster *cluster, int64_t until_ms, lc_redis_visit_fn fn,
                           void *user, llmcache_error *err);

/* The nodes whose changes are to be heard, up to `most`; returns how many, 0 while nothing is known. */
size_t lc_redis_cluster_nodes(lc_redis_cluster *cluster, lc_redis_address *addresses, size_t most);
/* Called whenever they may be others, by any thread; at most one, kept for the cluster's life. */
void lc_redis_cluster_on_change(lc_redis_cluster *cluster, void (*changed)(void *user), void *user);

/* Where the primary of the key's slot is; 0 while nobody serves it, or nothing is known. */
int lc_redis_cluster_owner(lc_redis_cluster *cluster, lc_redis_word name, lc_redis_address *address);

typedef struct lc_redis_replica_address {
    lc_redis_address replica, primary;
} lc_redis_replica_address;

/* The replicas there are, up to `most`; returns how many. */
size_t lc_redis_cluster_replicas(lc_redis_cluster *cluster, lc_redis_replica_address *replicas, size_t most);

/* A node's URI: with the login and the certificates of the cluster's. Free with lc_redis_uri_at_done. */
int lc_redis_cluster_uri(const lc_redis_cluster *cluster, const lc_redis_address *address,
                         lc_redis_uri *uri);

#endif

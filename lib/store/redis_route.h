/* Where a store's commands go: one Redis or a cluster of them. Exactly one of the two is set. */
#ifndef LC_STORE_REDIS_ROUTE_H
#define LC_STORE_REDIS_ROUTE_H

#include "store/redis_cluster.h"
#include "store/redis_replicas.h"

typedef struct lc_redis_route {
    lc_redis_pool *pool;
    lc_redis_cluster *cluster;
    lc_redis_replicas *replicas; /* of the cluster; NULL: they are not read */
} lc_redis_route;

/* As lc_redis_pool_exchange and lc_redis_cluster_exchange. */
int lc_redis_route_exchange(const lc_redis_route *route, const lc_redis_batch *batch,
                            int64_t until_ms, redisReply **replies, llmcache_error *err);
int lc_redis_route_ping(const lc_redis_route *route, int64_t until_ms, llmcache_error *err);
void lc_redis_route_look(const lc_redis_route *route, lc_conn_pool_state *state);

/* Both accept a route that leads nowhere. */
void lc_redis_route_cancel(const lc_redis_route *route);
void lc_redis_route_free(lc_redis_route *route);

#endif

/* One Redis or a cluster: which of the two does it. */
#include "store/redis_route.h"

int lc_redis_route_exchange(const lc_redis_route *route, const lc_redis_batch *batch,
                            int64_t until_ms, redisReply **replies, llmcache_error *err)
{
    if (route->cluster)
        return lc_redis_cluster_exchange(route->cluster, batch, until_ms, replies, err);
    return lc_redis_pool_exchange(route->pool, batch, until_ms, replies, err);
}

int lc_redis_route_ping(const lc_redis_route *route, int64_t until_ms, llmcache_error *err)
{
    if (route->cluster)
        return lc_redis_cluster_ping(route->cluster, until_ms, err);
    return lc_redis_pool_ping(route->pool, until_ms, err);
}

void lc_redis_route_look(const lc_redis_route *route, lc_conn_pool_state *state)
{
    if (route->cluster)
        lc_redis_cluster_look(route->cluster, state);
    else
        lc_redis_pool_look(route->pool, state);
}

void lc_redis_route_cancel(const lc_redis_route *route)
{
    lc_redis_replicas_cancel(route->replicas);
    if (route->cluster)
        lc_redis_cluster_cancel(route->cluster);
    else if (route->pool)
        lc_redis_pool_cancel(route->pool);
}

void lc_redis_route_free(lc_redis_route *route)
{
    lc_redis_replicas_free(route->replicas);
    lc_redis_cluster_free(route->cluster);
    lc_redis_pool_free(route->pool);
    *route = (lc_redis_route){0};
}

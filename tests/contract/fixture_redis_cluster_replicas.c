/* The suite over a Redis Cluster whose replicas are read. */
#include "redis_cluster_fixture.h"

static const char *start(lc_store_options *options)
{
    const char *uri = redis_cluster_start(NULL);
    return uri ? test_format("%s?read=replica", uri) : NULL;
}

const store_fixture fixture = {.name = "redis cluster with reads from replicas", .persistent = 1, .start = start,
                               .damage = redis_cluster_damage, .wipe = redis_cluster_wipe,
                               .left = redis_cluster_left};

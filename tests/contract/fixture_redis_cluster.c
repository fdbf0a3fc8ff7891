/* The suite over a Redis Cluster of six nodes. */
#include "redis_cluster_fixture.h"

static const char *start(lc_store_options *options)
{
    return redis_cluster_start(NULL);
}

const store_fixture fixture = {.name = "redis cluster", .persistent = 1, .start = start, .damage = redis_cluster_damage,
                               .wipe = redis_cluster_wipe, .left = redis_cluster_left};

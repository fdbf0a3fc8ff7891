/* The suite over a Redis Cluster that speaks TLS only and wants a user and a password. */
#include "redis_cluster_fixture.h"

static const char *start(lc_store_options *options)
{
    const test_redis_cluster_options secure = {.tls = 1, .user = "me", .password = "secret"};
    const char *uri = redis_cluster_start(&secure);
    options->ca_file = redis_cluster_ca_file();
    return uri;
}

const store_fixture fixture = {.name = "redis cluster over TLS", .persistent = 1, .start = start, .damage = redis_cluster_damage,
                               .wipe = redis_cluster_wipe, .left = redis_cluster_left};

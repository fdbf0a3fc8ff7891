/* Servers that share a Redis Cluster. */
#include "lease_fixture.h"
#include "redis_cluster_server.h"

static test_redis_cluster cluster;

static const char *start(void)
{
    if (test_redis_lacks_cluster())
        return NULL;
    test_redis_cluster_start(&cluster, NULL);
    return cluster.uri;
}

static void kill_it(void)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        test_redis_kill(&cluster.nodes[i]);
}

static void pause_it(void)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        test_redis_pause(&cluster.nodes[i]);
}

const lease_fixture fixture = {.name = "redis-server", .start = start, .kill = kill_it, .pause = pause_it};

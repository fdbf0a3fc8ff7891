/* A real Redis Cluster for one test: three primaries, a replica of each, gone with the test. */
#ifndef TEST_REDIS_CLUSTER_SERVER_H
#define TEST_REDIS_CLUSTER_SERVER_H

#include "redis_server.h"

enum { TEST_CLUSTER_PRIMARIES = 3, TEST_CLUSTER_NODES = 6 };

typedef struct test_redis_cluster {
    test_redis nodes[TEST_CLUSTER_NODES]; /* 0 to 2 begin as primaries, i + 3 as replica of i */
    const char *ids[TEST_CLUSTER_NODES];
    const char *uri; /* redis+cluster:// of all, or rediss+cluster:// */
    const char *ca_file; /* with tls: what to trust */
} test_redis_cluster;

typedef struct test_redis_cluster_options {
    const char *user, *password;
    int tls;
    int node_timeout_ms; /* 0: 15000 */
} test_redis_cluster_options;

/* Returns once all agree that the cluster works and the replicas follow. */
void test_redis_cluster_start(test_redis_cluster *cluster, const test_redis_cluster_options *options);

/* Where a slot or a key belongs at the start. */
int test_redis_cluster_first_home(const test_redis_cluster *cluster, int slot);

int test_redis_is_primary(const test_redis *node);

/* As test_redis_command, on each primary until one does not send it on. */
const char *test_redis_cluster_command(const test_redis_cluster *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

/* The nodes find a nodes.conf that says they have been a cluster all along: nothing has to be joined. */
#include "redis_cluster_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int shares[TEST_CLUSTER_PRIMARIES + 1] = {0, 5461, 10923, 16384};

int test_redis_cluster_first_home(const test_redis_cluster *cluster, int slot)
{
    int home = 0;
    while (slot >= shares[home + 1])
        home++;
    return home;
}

static const char *nodes_as_seen_by(const test_redis_cluster *cluster, int me)
{
    const char *text = "";
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        int home = i % TEST_CLUSTER_PRIMARIES, primary = i < TEST_CLUSTER_PRIMARIES;
        const char *slots =
            primary ? test_format(" %d-%d", shares[home], shares[home + 1] - 1) : "";
        text = test_format("%s%s 127.0.0.1:%d@%d %s%s %s 0 0 %d connected%s\n", text,
                           cluster->ids[i], cluster->nodes[i].port, cluster->nodes[i].port + 10000,
                           i == me ? "myself," : "", primary ? "master" : "slave",
                           primary ? "-" : cluster->ids[home], home + 1, slots);
    }
    return test_format("%svars currentEpoch 6 lastVoteEpoch 0\n", text);
}

static int works(const test_redis_cluster *cluster)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        const test_redis *node = &cluster->nodes[i];
        if (!strstr(test_redis_command(node, "CLUSTER INFO"), "cluster_state:ok"))
            return 0;
        if (i >= TEST_CLUSTER_PRIMARIES &&
            !strstr(test_redis_command(node, "INFO replication"), "master_link_status:up"))
            return 0;
    }
    return 1;
}

static const char *configuration(const test_redis_cluster_options *options)
{
    const char *login =
        options->password ? test_format("masterauth %s\n", options->password) : "";
    if (options->user)
        login = test_format("%smasteruser %s\n", login, options->user);
    return test_format("cluster-enabled yes\ncluster-config-file nodes.conf\n"
                       "cluster-node-timeout %d\ncluster-require-full-coverage no\n"
                       "cluster-replica-validity-factor 0\nrepl-diskless-sync-delay 0\n%s%s",
                       options->node_timeout_ms ? options->node_timeout_ms : 15000, login,
                       options->tls ? "tls-cluster yes\ntls-replication yes\n" : "");
}

void test_redis_cluster_start(test_redis_cluster *cluster, const test_redis_cluster_options *options)
{
    static const test_redis_cluster_options plain;
    options = options ? options : &plain;
    const test_redis_options node = {.cluster = 1,
                                     .user = options->user,
                                     .password = options->password,
                                     .tls = options->tls,
                                     .config = configuration(options)};
    const char *hosts = "";
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        test_redis_options one = node;
        one.tls_like = i ? &cluster->nodes[0] : NULL;
        test_redis_prepare(&cluster->nodes[i], &one);
        cluster->ids[i] = test_format("%040d", i + 1);
        hosts = test_format("%s%s127.0.0.1:%d", hosts, i ? "," : "", cluster->nodes[i].port);
    }
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        test_write_text(test_format("%s/nodes.conf", cluster->nodes[i].folder),
                        nodes_as_seen_by(cluster, i));
        test_redis_launch(&cluster->nodes[i]);
    }
    cluster->uri =
        test_format("%s+cluster://%s%s%s%s%s", options->tls ? "rediss" : "redis",
                    options->user ? options->user : "", options->password ? ":" : "", options->password ? options->password : "",
                    options->password ? "@" : "", hosts);
    cluster->ca_file = cluster->nodes[0].ca_file;
    if (!test_wait_until(works(cluster), 40000))
        test_give_up("the redis cluster does not come up");
}

int test_redis_is_primary(const test_redis *node)
{
    return strncmp(test_redis_command(node, "ROLE"), "master", 6) == 0;
}

const char *test_redis_cluster_command(const test_redis_cluster *cluster, const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const char *said = NULL;
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        if (!test_redis_is_primary(&cluster->nodes[i]))
            continue;
        said = test_redis_command(&cluster->nodes[i], "%s", line);
        if (!said || strncmp(said, "MOVED ", 6) != 0)
            return said;
    }
    return said;
}

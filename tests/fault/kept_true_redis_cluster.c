/* A Redis Cluster of three primaries and their replicas, which take over. */
#include "kept_true_book.h"
#include "kept_true_engine.h"
#include "kept_true_redis_hand.h"
#include "redis_cluster_server.h"

#include <stdlib.h>
#include <string.h>

enum { TAKE_OVER_MS = 60000 };

static test_redis_cluster cluster;
static int lost; /* the node that was killed or paused last */

static const char *missing(void)
{
    return test_redis_installed() ? NULL : "redis-server is not installed";
}

static void start(void)
{
    const test_redis_cluster_options options = {.node_timeout_ms = 1500};
    test_redis_cluster_start(&cluster, &options);
    hand_open(cluster.nodes, TEST_CLUSTER_NODES);
}

static const char *uri(int server)
{
    (void)server;
    return cluster.uri;
}

static int some_primary(uint64_t random)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        int node = (int)((random + (uint64_t)i) % TEST_CLUSTER_NODES);
        if (test_redis_is_primary(&cluster.nodes[node]))
            return node;
    }
    test_give_up("no primary is left");
}

static void lose_ears(uint64_t random)
{
    test_redis_command(&cluster.nodes[some_primary(random)], "CLIENT KILL TYPE pubsub");
}

static void lose_clients(uint64_t random)
{
    test_redis_command(&cluster.nodes[some_primary(random)], "CLIENT KILL TYPE normal");
}

static void pause_one(uint64_t random)
{
    lost = some_primary(random);
    test_redis_pause(&cluster.nodes[lost]);
}

static int is_whole(void)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        if (!strstr(test_redis_command(&cluster.nodes[i], "CLUSTER INFO"), "cluster_state:ok"))
            return 0;
        if (!test_redis_is_primary(&cluster.nodes[i]) &&
            !strstr(test_redis_command(&cluster.nodes[i], "INFO replication"), "master_link_status:up"))
            return 0;
    }
    return 1;
}

static void expect_whole(void)
{
    if (!test_wait_until(is_whole(), TAKE_OVER_MS))
        test_give_up("the cluster does not become whole again");
}

/* It wakes up as the primary that it was, and what it takes until it hears of the other one is lost. */
static void resume_one(void)
{
    book_unsure_from(test_now_us());
    test_redis_resume(&cluster.nodes[lost]);
    expect_whole();
    book_unsure_until(test_now_us());
}

/* How many replicas have what this primary was told; a write of this connection's own is what WAIT looks at. */
static int is_copied(const test_redis *node)
{
    redisContext *link = test_redis_connect(node);
    freeReplyObject(redisCommand(link, "PUBLISH kept-true-%d x", 1));
    redisReply *reply = redisCommand(link, "WAIT 1 1000");
    int copies = reply && reply->type == REDIS_REPLY_INTEGER ? (int)reply->integer : 0;
    freeReplyObject(reply);
    redisFree(link);
    return copies >= 1;
}

static int offset_of(const test_redis *node, const char *name)
{
    const char *text = test_redis_command(node, "INFO replication"), *at = strstr(text, name);
    return at ? atoi(at + strlen(name)) : -1;
}

/* The replica has all that its primary was told. Nobody writes now. */
static int is_level(int node)
{
    const test_redis *primary = &cluster.nodes[node];
    int at = offset_of(primary, "master_repl_offset:");
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        if (i != node && !test_redis_is_primary(&cluster.nodes[i]) &&
            offset_of(&cluster.nodes[i], "master_port:") == primary->port &&
            offset_of(&cluster.nodes[i], "slave_repl_offset:") >= at)
            return 1;
    return 0;
}

/* Replicas follow after the answer: what was removed in the last moments of a primary may be undone by its death. */
static void kill_primary(uint64_t random)
{
    lost = some_primary(random);
    if (!test_wait_until(is_copied(&cluster.nodes[lost]) && is_level(lost), TAKE_OVER_MS))
        test_give_up("the replica does not follow");
    test_redis_kill(&cluster.nodes[lost]);
}

static int has_heir(void)
{
    int count = 0;
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        count += i != lost && test_redis_is_primary(&cluster.nodes[i]);
    return count == TEST_CLUSTER_NODES / 2;
}

/* It has nothing of what it held: were it a primary again, all would be gone. */
static void bring_back(void)
{
    if (!test_wait_until(has_heir(), TAKE_OVER_MS))
        test_give_up("no replica takes over");
    test_redis_restart(&cluster.nodes[lost]);
    expect_whole();
}

/* A replica asks to take over, in good order. */
static void hand_over(uint64_t random)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++) {
        int node = (int)((random + (uint64_t)i) % TEST_CLUSTER_NODES);
        if (test_redis_is_primary(&cluster.nodes[node]))
            continue;
        test_redis_command(&cluster.nodes[node], "CLUSTER FAILOVER");
        return;
    }
}

static const kept_trouble troubles[] = {
    {"report links lost", lose_ears, NULL, 0},
    {"other links lost", lose_clients, NULL, 0},
    {"a primary paused", pause_one, resume_one, 1},
    {"a primary killed", kill_primary, bring_back, 1},
    {"a replica takes over", hand_over, expect_whole, 0},
    {0},
};

const kept_engine kept_engine_here = {
    .name = "redis-cluster", .missing = missing, .start = start, .uri = uri, .remove = hand_remove,
    .remove_all = hand_remove_all, .takes_pairs = 1, .overwrite = hand_overwrite, .troubles = troubles};

/*
 * A Redis with two replicas and three sentinels, one of which takes over.
 *
 * Replicas follow after the answer, so what was acknowledged in the last moments of a primary may be undone by the next one.
 * Before each failover all replicas are waited for; from then until the old primary follows the new one
 * nothing that is removed counts, and all that was removed before does, while everything goes on. A failover
 * that nobody asked for, on a machine that stood still, is known by its epoch.
 */
#include "kept_true_sentinels.h"

#include "kept_true_book.h"
#include "kept_true_redis_hand.h"
#include "redis_sentinel_server.h"

#include <stdlib.h>
#include <string.h>

enum { TAKE_OVER_MS = 60000, DOWN_AFTER_MS = 1500 };

static test_redis_sentinel all;
static int lost;       /* the node, or the sentinel, that something was done to */
static int patient;    /* the primary that wakes up is told late */
static int epoch;      /* of the failover known last */
static double sure_us; /* what was acknowledged before is on all replicas since then */

/* ---- Who is what ------------------------------------------------------------------------------------ */

/* What the command replies with as `at` of an array; -1 where it cannot be had. From any thread. */
static int ask_number(const test_redis *whom, const char *command, size_t at)
{
    const struct timeval limit = {.tv_sec = 1};
    redisContext *link = redisConnectWithTimeout("127.0.0.1", whom->port, limit);
    redisReply *reply = link && !link->err && redisSetTimeout(link, limit) == REDIS_OK ? redisCommand(link, command) : NULL;
    int number = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > at ? atoi(reply->element[at]->str) : -1;
    freeReplyObject(reply);
    if (link)
        redisFree(link);
    return number;
}

static int primary_by(int sentinel)
{
    int port = ask_number(&all.sentinels[sentinel], "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", 1);
    for (int i = 0; i < TEST_SENTINEL_NODES; i++)
        if (all.nodes[i].port == port)
            return i;
    return -1;
}

static int primary_now(void)
{
    for (int i = 0; i < TEST_SENTINELS; i++) {
        int node = primary_by(i);
        if (node >= 0)
            return node;
    }
    return -1;
}

/* All sentinels are of one mind and see nothing amiss, and all nodes follow who they name. */
static int is_whole(void)
{
    int primary = primary_by(0);
    for (int i = 0; i < TEST_SENTINELS; i++)
        if (primary_by(i) != primary ||
            !test_redis_says(&all.sentinels[i], "SENTINEL MASTER mymaster", "\nflags\nmaster\n") ||
            !test_redis_says(&all.sentinels[i], "SENTINEL MASTER mymaster", "\nnum-slaves\n2\n") ||
            !test_redis_says(&all.sentinels[i], "SENTINEL CKQUORUM mymaster", "OK 3 usable"))
            return 0;
    for (int i = 0; i < TEST_SENTINEL_NODES && primary >= 0; i++)
        if (i == primary ? !test_redis_says(&all.nodes[i], "ROLE", "master\n")
                         : !test_redis_says(&all.nodes[i], "INFO replication", "master_link_status:up") ||
                               !test_redis_says(&all.nodes[i], "INFO replication",
                                                test_format("master_port:%d", all.nodes[primary].port)))
            return 0;
    return primary >= 0;
}

static void expect_whole(void)
{
    if (!test_wait_until(is_whole(), TAKE_OVER_MS))
        test_give_up("the sentinels and their Redis do not become whole again");
}

static int epoch_now(void)
{
    const char *text = test_redis_command(&all.sentinels[0], "SENTINEL MASTER mymaster");
    const char *at = text ? strstr(text, "\nconfig-epoch\n") : NULL;
    return at ? atoi(at + strlen("\nconfig-epoch\n")) : -1;
}

/* ---- What is sure ----------------------------------------------------------------------------------- */

static int is_copied(const test_redis *node)
{
    redisContext *link = test_redis_connect(node);
    freeReplyObject(redisCommand(link, "PUBLISH kept-true x"));
    redisReply *reply = redisCommand(link, "WAIT 2 1000");
    int copies = reply && reply->type == REDIS_REPLY_INTEGER ? (int)reply->integer : 0;
    freeReplyObject(reply);
    redisFree(link);
    return copies >= 2;
}

void sentinels_look(void)
{
    expect_whole();
    if (epoch_now() != epoch) {
        book_unsure_from(sure_us);
        book_unsure_until(test_now_us());
        epoch = epoch_now();
    }
    sure_us = test_now_us();
    if (!test_wait_until(is_copied(&all.nodes[primary_now()]), TAKE_OVER_MS))
        test_give_up("the replicas do not follow");
}

static void begin_failover(void)
{
    sentinels_look();
    lost = primary_now();
    book_unsure_from(sure_us);
}

static int is_followed(void)
{
    return primary_by(0) != lost && is_whole();
}

static void end_failover(void)
{
    if (!test_wait_until(is_followed(), TAKE_OVER_MS))
        test_give_up("no other Redis takes over");
    epoch = epoch_now();
    book_unsure_until(test_now_us());
    sentinels_look();
}

void sentinels_start(const char *program)
{
    const test_redis_sentinel_options options = {.durable = 1, .down_after_ms = DOWN_AFTER_MS, .program = program};
    test_redis_sentinel_start(&all, &options);
    hand_open(all.nodes, TEST_SENTINEL_NODES);
    hand_ask_first(primary_now);
    epoch = epoch_now();
    sentinels_look();
}

const char *sentinels_uri(int server)
{
    (void)server;
    return all.uri;
}

/* ---- What goes wrong -------------------------------------------------------------------------------- */

static void lose_ears(uint64_t random)
{
    (void)random;
    test_redis_command(&all.nodes[primary_now()], "CLIENT KILL TYPE pubsub");
}

static void lose_clients(uint64_t random)
{
    (void)random;
    test_redis_command(&all.nodes[primary_now()], "CLIENT KILL TYPE normal");
}

static void hand_over(uint64_t random)
{
    begin_failover();
    if (!test_wait_until(test_redis_says(&all.sentinels[random % TEST_SENTINELS], "SENTINEL FAILOVER mymaster", "OK"),
                         TAKE_OVER_MS))
        test_give_up("the sentinels refuse a failover");
}

static void kill_primary(uint64_t random)
{
    (void)random;
    begin_failover();
    test_redis_kill(&all.nodes[lost]);
}

/* It begins as a primary that does not know better. */
static void bring_back(void)
{
    if (!test_wait_until(primary_by(0) != lost && primary_by(1) != lost && primary_by(2) != lost, TAKE_OVER_MS))
        test_give_up("no other Redis takes over");
    test_redis_restart(&all.nodes[lost]);
    end_failover();
}

static void pause_primary(uint64_t random)
{
    patient = random % 2 == 0;
    begin_failover();
    test_redis_pause(&all.nodes[lost]);
}

/* It wakes up as the primary that it was, and may stay so for eight seconds. */
static void resume_primary(void)
{
    if (!test_wait_until(primary_by(0) >= 0 && primary_by(0) != lost, TAKE_OVER_MS))
        test_give_up("no other Redis takes over");
    if (patient)
        test_redis_sentinel_hurry(&all, 0);
    test_redis_resume(&all.nodes[lost]);
    end_failover();
    test_redis_sentinel_hurry(&all, 1);
}

static void kill_replica(uint64_t random)
{
    lost = (primary_now() + 1 + (int)(random % 2)) % TEST_SENTINEL_NODES;
    test_redis_kill(&all.nodes[lost]);
}

static void restart_replica(void)
{
    test_redis_restart(&all.nodes[lost]);
    sentinels_look();
}

static void pause_sentinel(uint64_t random)
{
    lost = (int)(random % TEST_SENTINELS);
    test_redis_pause(&all.sentinels[lost]);
}

static void resume_sentinel(void)
{
    test_redis_resume(&all.sentinels[lost]);
    sentinels_look();
}

/* One sentinel sleeps through a failover. */
static int asleep;

static void hand_over_asleep(uint64_t random)
{
    asleep = (int)(random % TEST_SENTINELS);
    begin_failover();
    test_redis_pause(&all.sentinels[asleep]);
    if (!test_wait_until(test_redis_says(&all.sentinels[(asleep + 1) % TEST_SENTINELS], "SENTINEL FAILOVER mymaster", "OK"),
                         TAKE_OVER_MS))
        test_give_up("the sentinels refuse a failover");
}

static void wake_sentinel(void)
{
    int other = (asleep + 1) % TEST_SENTINELS;
    if (!test_wait_until(primary_by(other) >= 0 && primary_by(other) != lost, TAKE_OVER_MS))
        test_give_up("no other Redis takes over");
    test_redis_resume(&all.sentinels[asleep]);
    end_failover();
}

const kept_trouble sentinels_troubles[] = {
    {"report links lost", lose_ears, NULL, 0},
    {"other links lost", lose_clients, NULL, 0},
    {"a replica takes over", hand_over, end_failover, 0},
    {"the primary killed", kill_primary, bring_back, 0},
    {"the primary paused", pause_primary, resume_primary, 0},
    {"a replica killed", kill_replica, restart_replica, 0},
    {"a sentinel paused", pause_sentinel, resume_sentinel, 0},
    {"a replica takes over while a sentinel sleeps", hand_over_asleep, wake_sentinel, 0},
    {0},
};

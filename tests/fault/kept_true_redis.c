/* One Redis; each server has a relay of its own before it. */
#include "kept_true_book.h"
#include "kept_true_engine.h"
#include "kept_true_redis_hand.h"
#include "redis_server.h"
#include "tcp_relay.h"

static test_redis redis;
static test_relay *relays[KEPT_SERVERS];

static const char *missing(void)
{
    return test_redis_installed() ? NULL : "redis-server is not installed";
}

static void start(void)
{
    const test_redis_options options = {.durable = 1};
    test_redis_start(&redis, &options);
    for (int i = 0; i < KEPT_SERVERS; i++)
        relays[i] = test_relay_new(redis.port);
    hand_open(&redis, 1);
}

static const char *uri(int server)
{
    return test_format("redis://127.0.0.1:%d", kept_is_calm() ? redis.port : test_relay_port(relays[server]));
}

static void hold(int server)
{
    test_relay_hold(relays[server]);
}

static void release(int server)
{
    test_relay_release(relays[server]);
}

static void cut(int server)
{
    test_relay_cut(relays[server]);
}

static void lose_ears(uint64_t random)
{
    (void)random;
    test_redis_command(&redis, "CLIENT KILL TYPE pubsub");
}

static void lose_clients(uint64_t random)
{
    (void)random;
    test_redis_command(&redis, "CLIENT KILL TYPE normal");
}

static void die(uint64_t random)
{
    (void)random;
    test_redis_kill(&redis);
}

static void come_back(void)
{
    test_redis_restart(&redis);
}

static void pause_it(uint64_t random)
{
    (void)random;
    test_redis_pause(&redis);
}

static void resume_it(void)
{
    test_redis_resume(&redis);
}

static const kept_trouble troubles[] = {
    {"all report links lost", lose_ears, NULL, 0},
    {"all other links lost", lose_clients, NULL, 0},
    {"redis killed", die, come_back, 0},
    {"redis paused", pause_it, resume_it, 0},
    {0},
};

const kept_engine kept_engine_here = {
    .name = "redis", .missing = missing, .start = start, .uri = uri, .remove = hand_remove,
    .remove_all = hand_remove_all, .takes_pairs = 1, .overwrite = hand_overwrite, .hold = hold, .release = release, .cut = cut,
    .troubles = troubles};

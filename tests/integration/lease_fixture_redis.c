/* Servers that share a Redis. */
#include "lease_fixture.h"
#include "redis_server.h"

static test_redis redis;

static const char *start(void)
{
    if (!test_redis_installed())
        return NULL;
    test_redis_start(&redis, NULL);
    return redis.uri;
}

static void kill_it(void)
{
    test_redis_kill(&redis);
}

static void pause_it(void)
{
    test_redis_pause(&redis);
}

const lease_fixture fixture = {.name = "redis-server", .start = start, .kill = kill_it, .pause = pause_it};

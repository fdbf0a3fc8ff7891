/* The suite over redis on a Redis 8, whatever the system's own redis-server is. */
#include "redis_fixture.h"

static const char *start(lc_store_options *options)
{
    const test_redis_options redis = {.program = test_redis8()};
    if (!redis.program)
        return NULL;
    test_redis_start(&fixture_redis, &redis);
    return fixture_redis.uri;
}

const store_fixture fixture = {.name = "redis", .persistent = 1, .start = start,
                               .damage = redis_damage, .wipe = redis_wipe, .left = redis_left};

/* The suite over redis. */
#include "redis_fixture.h"

static const char *start(lc_store_options *options)
{
    if (!test_redis_installed())
        return NULL;
    test_redis_start(&fixture_redis, NULL);
    return fixture_redis.uri;
}

const store_fixture fixture = {.name = "redis", .persistent = 1, .start = start,
                               .damage = redis_damage, .wipe = redis_wipe, .left = redis_left};

/* The suite over redis over its Unix socket. */
#include "redis_fixture.h"

static const char *start(lc_store_options *options)
{
    if (!test_redis_installed())
        return NULL;
    const test_redis_options only_socket = {.no_tcp = 1};
    test_redis_start(&fixture_redis, &only_socket);
    return fixture_redis.unix_uri;
}

const store_fixture fixture = {.name = "redis over its Unix socket", .persistent = 1, .start = start,
                               .damage = redis_damage, .wipe = redis_wipe, .left = redis_left};

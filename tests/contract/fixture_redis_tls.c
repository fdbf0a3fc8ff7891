/* The suite over redis over TLS. */
#include "redis_fixture.h"

static const char *start(lc_store_options *options)
{
    if (!test_redis_installed())
        return NULL;
    const test_redis_options secure = {.tls = 1, .user = "me", .password = "secret"};
    test_redis_start(&fixture_redis, &secure);
    options->ca_file = fixture_redis.ca_file;
    return fixture_redis.uri;
}

const store_fixture fixture = {.name = "redis over TLS", .persistent = 1, .start = start,
                               .damage = redis_damage, .wipe = redis_wipe, .left = redis_left};

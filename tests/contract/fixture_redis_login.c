/* Opening a redis with a user, a password and a database, and nothing but opening. */
#include "redis_fixture.h"

static const char *start(lc_store_options *options)
{
    if (!test_redis_installed())
        return NULL;
    test_redis_start(&fixture_redis, &(test_redis_options){.user = "cache", .password = "secret"});
    return test_format("%s/3", fixture_redis.uri);
}

const store_fixture fixture = {.name = "redis with a login", .persistent = 1, .start = start};

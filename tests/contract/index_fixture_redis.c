/* The suite over vector sets in a Redis 8, one for each test, emptied for each index that is opened: */
#include "index_fixture.h"
#include "redis_server.h"

static const char *fresh(void)
{
    static test_redis redis;
    const test_redis_options options = {.program = test_redis8()};
    if (!options.program)
        return NULL;
    if (redis.uri)
        test_redis_command(&redis, "FLUSHALL");
    else
        test_redis_start(&redis, &options);
    return test_format("redis:%s", redis.uri);
}

const index_fixture index_fixture_used = {.fresh = fresh, .recall = 0.99};

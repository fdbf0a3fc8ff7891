/* The suite over vector sets in a Redis 8 with replicas and sentinels. */
#include "index_fixture.h"
#include "redis_sentinel_server.h"

static const char *fresh(void)
{
    static test_redis_sentinel all;
    const test_redis_sentinel_options options = {.program = test_redis8()};
    if (!options.program || test_redis_lacks_sentinel())
        return NULL;
    if (all.uri)
        test_redis_command(&all.nodes[0], "FLUSHALL");
    else
        test_redis_sentinel_start(&all, &options);
    return all.uri;
}

const index_fixture index_fixture_used = {.fresh = fresh, .recall = 0.99, .shorter = 4};

/* The suite over a Redis with sentinels. What is done behind the store's back is done on the first primary. */
#include "redis_fixture.h"
#include "redis_sentinel_server.h"

static const char *start(lc_store_options *options)
{
    static test_redis_sentinel all;
    if (test_redis_lacks_sentinel())
        return NULL;
    test_redis_sentinel_start(&all, NULL);
    fixture_redis = all.nodes[0];
    return all.uri;
}

const store_fixture fixture = {.name = "redis with sentinels", .persistent = 1, .start = start,
                               .damage = redis_damage, .wipe = redis_wipe, .left = redis_left};

/* A Redis 8 with sentinels, which has the vectors for all servers, too. */
#include "kept_true_redis_hand.h"
#include "kept_true_sentinels.h"

static const char *missing(void)
{
    const char *lacking = test_redis_lacks_sentinel();
    return lacking ? lacking : test_redis8() ? NULL : TEST_NO_REDIS8;
}

static void start(void)
{
    sentinels_start(test_redis8());
}

const kept_engine kept_engine_here = {
    .name = "redis-vectors", .missing = missing, .start = start, .uri = sentinels_uri, .index = "redis:",
    .remove = hand_remove, .remove_all = hand_remove_all, .takes_pairs = 1, .overwrite = hand_overwrite,
    .troubles = sentinels_troubles, .look = sentinels_look};

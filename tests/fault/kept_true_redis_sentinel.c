/* A Redis with sentinels. */
#include "kept_true_redis_hand.h"
#include "kept_true_sentinels.h"

static const char *missing(void)
{
    return test_redis_lacks_sentinel();
}

static void start(void)
{
    sentinels_start(NULL);
}

const kept_engine kept_engine_here = {
    .name = "redis-sentinel", .missing = missing, .start = start, .uri = sentinels_uri, .remove = hand_remove,
    .remove_all = hand_remove_all, .takes_pairs = 1, .overwrite = hand_overwrite, .troubles = sentinels_troubles,
    .look = sentinels_look};

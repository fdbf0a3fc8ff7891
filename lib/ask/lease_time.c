/*
 * Waiting for another server's call and a call of one's own share the time that one answer may take. The last part of
 * it is the call's, however long the wait was: the other may have met a service that hangs.
 */
#include "ask/lease.h"

enum { OWN_PART = 10 }; /* one part in ten */

static int64_t own_part_ms(const llmcache *cache)
{
    int64_t part_ms = cache->settings.upstream_timeout_ms / OWN_PART;
    return part_ms ? part_ms : 1;
}

int64_t lc_lease_patience_ms(const llmcache *cache, int64_t waited_ms)
{
    return cache->settings.upstream_timeout_ms - own_part_ms(cache) - waited_ms;
}

int64_t lc_lease_leaves_ms(const llmcache *cache, int64_t waited_ms)
{
    int64_t left_ms = cache->settings.upstream_timeout_ms - waited_ms, least_ms = own_part_ms(cache);
    return left_ms > least_ms ? left_ms : least_ms;
}

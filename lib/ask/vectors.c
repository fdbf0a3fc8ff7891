/*
 * What this cache asks of its index, with the deadlines that go with it. An index that fails is counted and
 * costs a question its candidates, nothing more.
 */
#include "ask/cache.h"

#include "base/error.h"

/* 0 where it is that vector that is wrong, not the index. */
static int count_failure(llmcache *cache, int code)
{
    if (code == LLMCACHE_INVALID)
        return 0;
    if (code)
        lc_count_add(&cache->counts.store_errors, 1);
    return code;
}

int lc_vectors_add(llmcache *cache, const llmcache_entry *entry)
{
    llmcache_error err;
    lc_record record = {.space = entry->space, .fingerprint = entry->fingerprint,
                        .partition = entry->partition, .vector = entry->vector,
                        .dimension = entry->dimension, .expires_ms = entry->expires_ms};
    return count_failure(cache, cache->index.ops.add(cache->index.self, &record,
                                                     cache->settings.store_write_timeout_ms, &err));
}

void lc_vectors_remove(llmcache *cache, const char *space, const char *id)
{
    llmcache_error err;
    count_failure(cache, cache->index.ops.remove(cache->index.self, space, id,
                                                 cache->settings.store_write_timeout_ms, NULL, &err));
}

int lc_vectors_clear(llmcache *cache, llmcache_error *err)
{
    llmcache_error room; /* an index says why its server is lost, whoever hears it */
    return count_failure(cache, cache->index.ops.clear(cache->index.self,
                                                       10 * cache->settings.store_write_timeout_ms,
                                                       lc_error_or(err, &room)));
}

int lc_vectors_fill_state(llmcache *cache, lc_index_fill *state)
{
    llmcache_error err;
    *state = LC_FILL_OWN;
    return cache->index.ops.fill_state
               ? count_failure(cache, cache->index.ops.fill_state(cache->index.self,
                                                                  cache->settings.store_write_timeout_ms,
                                                                  state, &err))
               : 0;
}

int lc_vectors_set_filled(llmcache *cache)
{
    llmcache_error err;
    return cache->index.ops.set_filled
               ? count_failure(cache, cache->index.ops.set_filled(cache->index.self,
                                                                  cache->settings.store_write_timeout_ms, &err))
               : 0;
}

int lc_vectors_search(lc_job *job, lc_neighbour *near, size_t k, size_t *count, llmcache_error *err)
{
    llmcache *cache = job->cache;
    lc_query query = {.space = job->space, .partition = job->partition, .vector = job->vector,
                      .dimension = job->dimension, .now_ms = job->now_ms,
                      .deadline_ms = cache->settings.store_timeout_ms};
    int code = cache->index.ops.search(cache->index.self, &query, near, k, count, err);
    count_failure(cache, code);
    return code;
}

/*
 * What this cache asks of its index, with the deadlines that go with it. An index that fails is counted and
 * costs a question its candidates, nothing more.
 */
#include "ask/cache.h"

static void count_failure(llmcache *cache, int code)
{
    if (code && code != LLMCACHE_INVALID) /* that vector is wrong, not the index */
        lc_count_add(&cache->counts.store_errors, 1);
}

void lc_vectors_add(llmcache *cache, const llmcache_entry *entry)
{
    llmcache_error err;
    lc_record record = {.space = entry->space, .fingerprint = entry->fingerprint,
                        .partition = entry->partition, .vector = entry->vector,
                        .dimension = entry->dimension, .expires_ms = entry->expires_ms};
    count_failure(cache, cache->index.ops.add(cache->index.self, &record,
                                              cache->settings.store_write_timeout_ms, &err));
}

void lc_vectors_remove(llmcache *cache, const char *space, const char *id)
{
    llmcache_error err;
    count_failure(cache, cache->index.ops.remove(cache->index.self, space, id,
                                                 cache->settings.store_write_timeout_ms, NULL, &err));
}

void lc_vectors_clear(llmcache *cache)
{
    llmcache_error err;
    count_failure(cache, cache->index.ops.clear(cache->index.self,
                                                10 * cache->settings.store_write_timeout_ms, &err));
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

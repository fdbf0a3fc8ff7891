/*
 * Keeping an answer: the store first, then memory and index. A store that fails costs the answer its
 * permanence, never the caller the answer. Where others share the store, memory holds nothing that is not in it: nobody
 * could remove that.
 */
#include "ask/cache.h"

#include "base/clock.h"
#include "base/error.h"

int64_t lc_now_ms(const llmcache *cache)
{
    return cache->clock ? cache->clock(cache->clock_user) : lc_wall_ms();
}

/* When it cannot be told for want of memory, the shorter life is the safe one. */
int lc_is_about_now(const lc_job *job)
{
    return job->question.text && lc_volatile(job->question.text, job->question.text_size, NULL) != 0;
}

static int64_t configured_ttl_ms(const lc_job *job)
{
    const lc_settings *settings = &job->cache->settings;
    int shorter = settings->volatile_ttl_ms &&
                  (!settings->ttl_ms || settings->volatile_ttl_ms < settings->ttl_ms);
    return shorter && lc_is_about_now(job) ? settings->volatile_ttl_ms : settings->ttl_ms;
}

/* The program itself may lengthen what is configured, a request may only shorten it. */
int64_t lc_ttl_ms(const lc_job *job)
{
    int64_t asked = job->controls.ttl_ms;
    if (asked && job->trusted_space)
        return asked < 0 ? 0 : asked;
    int64_t most = configured_ttl_ms(job);
    return asked > 0 && (!most || asked < most) ? asked : most;
}

int lc_remember(llmcache *cache, lc_entry *entry, const char *shape, const float *vector,
                size_t dimension, llmcache_error *err)
{
    llmcache_entry facts = entry->facts;
    facts.shape = shape;
    llmcache_error room;
    int parts = LLMCACHE_PART_PROMPT;
    if (vector) {
        facts.vector = vector;
        facts.dimension = dimension;
        facts.embedder = cache->vector_space;
        parts = LLMCACHE_PART_BOTH;
    }
    uint64_t generation = lc_memory_cache_generation(cache->memory, facts.space, facts.fingerprint);
    int64_t start_us = lc_mono_us();
    int code = cache->store.ops.put(cache->store.self, parts, &facts,
                                    cache->settings.store_write_timeout_ms, lc_error_or(err, &room));
    lc_count_step(&cache->counts, LC_STEP_STORE_PUT, lc_mono_us() - start_us);
    if (code)
        lc_count_add(&cache->counts.store_errors, 1);
    if (code && cache->store.ops.watch) {
        lc_memory_cache_remove(cache->memory, facts.space, facts.id);
        return code;
    }
    lc_memory_cache_put_new(cache->memory, entry, generation);
    if (vector && lc_vectors_add(cache, &facts) && !code)
        lc_background_missed(cache, facts.space, facts.id);
    return code;
}

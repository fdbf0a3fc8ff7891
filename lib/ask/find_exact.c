/* The exact cache: memory by the raw digest, memory by the fingerprint, then the store. */
#include "ask/cache.h"

#include "base/clock.h"

#include <string.h>

int lc_copy_entry(void *user, const llmcache_entry *facts)
{
    lc_entry **slot = user;
    llmcache_entry answer = *facts;
    answer.shape = ""; /* explains, and does not answer: memory need not hold it */
    *slot = lc_entry_new(&answer);
    return 0;
}

static int needs_usage(const lc_question *question)
{
    return !question->stream || question->include_usage;
}

int lc_entry_is_fresh(const lc_entry *entry, int64_t now_ms)
{
    const llmcache_entry *facts = &entry->facts;
    return !facts->expires_ms || now_ms < facts->expires_ms - facts->stale_ms;
}

int lc_entry_serves(const lc_job *job, const lc_entry *entry)
{
    const lc_controls *controls = &job->controls;
    int64_t age_ms = job->now_ms - entry->facts.created_ms;
    if (controls->max_age_ms >= 0 && age_ms > controls->max_age_ms)
        return 0;
    if (!lc_entry_is_fresh(entry, job->now_ms + controls->min_fresh_ms))
        return 0;
    return !((entry->facts.flags & LLMCACHE_ENTRY_NO_USAGE) && needs_usage(&job->question));
}

static int take(lc_job *job, const lc_memory_hit *hit)
{
    job->entry = hit->entry;
    job->similarity = hit->similarity;
    job->ended = hit->semantic ? LLMCACHE_SOURCE_SEMANTIC : LLMCACHE_SOURCE_EXACT;
    return 1;
}

int lc_job_form(const lc_job *job)
{
    return (job->question.stream ? LC_FORM_STREAM : 0) |
           (job->question.include_usage ? LC_FORM_USAGE : 0);
}

/* The bytes were seen before, so what they want was read then and is remembered with them. */
int lc_find_known(lc_job *job)
{
    lc_memory_hit hit;
    if (!job->has_raw || !lc_memory_cache_find(job->cache->memory, job->raw, job->now_ms, &hit))
        return 0;
    if (!lc_entry_is_fresh(hit.entry, job->now_ms) ||
        (hit.semantic && !lc_background_is_current(job->cache))) {
        lc_entry_unref(hit.entry);
        return 0;
    }
    job->question.stream = (hit.form & LC_FORM_STREAM) != 0;
    job->question.include_usage = (hit.form & LC_FORM_USAGE) != 0;
    memcpy(job->id, hit.entry->facts.id, sizeof job->id);
    return take(job, &hit);
}

static void remember_raw(lc_job *job)
{
    if (job->has_raw)
        lc_memory_cache_alias(job->cache->memory, job->raw, job->entry,
                              job->ended == LLMCACHE_SOURCE_SEMANTIC, lc_job_form(job),
                              job->similarity);
}

static lc_entry *in_store(const lc_job *job, const unsigned char fingerprint[32])
{
    llmcache *cache = job->cache;
    llmcache_error err;
    llmcache_key key = {.space = job->space};
    lc_entry *entry = NULL;
    memcpy(key.fingerprint, fingerprint, sizeof key.fingerprint);
    uint64_t generation = lc_memory_cache_generation(cache->memory, job->space, fingerprint);
    int64_t start_us = lc_mono_us();
    int code = cache->store.ops.get(cache->store.self, LLMCACHE_PART_PROMPT, &key, job->now_ms,
                                    cache->settings.store_timeout_ms, lc_copy_entry, &entry, &err);
    lc_count_step(&cache->counts, LC_STEP_STORE_GET, lc_mono_us() - start_us);
    if (code && code != LLMCACHE_NOT_FOUND)
        lc_count_add(&cache->counts.store_errors, 1);
    if (code || !entry) {
        lc_entry_unref(entry);
        return NULL;
    }
    lc_memory_cache_put(cache->memory, entry, generation);
    return entry;
}

lc_entry *lc_find_entry(const lc_job *job, const unsigned char fingerprint[32])
{
    lc_memory_hit hit;
    lc_entry *entry =
        lc_memory_cache_find(job->cache->memory, fingerprint, job->now_ms, &hit) ? hit.entry
                                                                                 : in_store(job, fingerprint);
    if (entry && !lc_entry_serves(job, entry)) {
        lc_entry_unref(entry);
        return NULL;
    }
    return entry;
}

/* Serves what was found, if it serves. */
static int serve(lc_job *job, const lc_memory_hit *hit)
{
    int found = hit->entry && take(job, hit);
    if (found && !lc_entry_serves(job, job->entry)) {
        lc_entry_unref(job->stale);
        job->stale = lc_entry_is_fresh(job->entry, job->now_ms) ? NULL : lc_entry_ref(job->entry);
        lc_entry_unref(job->entry);
        job->entry = NULL;
        found = 0;
    }
    if (found && !lc_take_echo(job))
        remember_raw(job);
    return found;
}

int lc_find_exact(lc_job *job)
{
    lc_memory_hit hit = {.similarity = 1};
    if (!lc_memory_cache_find(job->cache->memory, job->fingerprint, job->now_ms, &hit))
        hit.entry = in_store(job, job->fingerprint);
    return serve(job, &hit);
}

int lc_serve_found(lc_job *job, lc_entry *entry, uint64_t generation)
{
    const lc_memory_hit hit = {.entry = entry, .similarity = 1};
    lc_memory_cache_put(job->cache->memory, entry, generation);
    return serve(job, &hit);
}

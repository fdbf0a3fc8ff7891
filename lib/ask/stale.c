/*
 * Answers past their time (RFC 5861): kept a while longer where the settings say so, served while a new one
 * is fetched or when none can be had, and always marked as what they are.
 */
#include "ask/cache.h"

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void lc_set_life(const llmcache *cache, int64_t ttl_ms, llmcache_entry *facts)
{
    const lc_settings *settings = &cache->settings;
    facts->expires_ms = facts->stale_ms = 0;
    if (!ttl_ms)
        return;
    facts->stale_ms = longer(settings->stale_while_revalidate_ms, settings->stale_if_error_ms);
    facts->expires_ms = facts->created_ms + ttl_ms + facts->stale_ms;
}

/* A request may shorten what is configured, never lengthen it. */
int lc_use_stale(lc_job *job, int64_t configured_ms, int64_t asked_ms)
{
    if (!job->stale)
        return 0;
    int64_t allowed_ms = asked_ms >= 0 && asked_ms < configured_ms ? asked_ms : configured_ms;
    int64_t over_ms = job->now_ms - (job->stale->facts.expires_ms - job->stale->facts.stale_ms);
    if (over_ms >= allowed_ms)
        return 0;
    lc_entry_unref(job->entry);
    job->entry = job->stale;
    job->stale = NULL;
    job->similarity = 1;
    job->ended = LLMCACHE_SOURCE_STALE;
    lc_take_echo(job);
    return 1;
}

/* What counts as the service's failure, not the request's: no reply, overload, 5xx. */
int lc_upstream_failed(int code, int status)
{
    return code == LLMCACHE_NETWORK || code == LLMCACHE_TIMEOUT || code == LLMCACHE_TOO_LARGE ||
           code == LLMCACHE_BUSY || status == 429 || status >= 500;
}

void lc_revalidate(lc_job *job)
{
    lc_flight *flight;
    lc_landing landing = {.why = ""};
    int leads;
    if (lc_job_join(job, &flight, &leads, NULL))
        return;
    if (leads) {
        job->yields = 1;
        landing.code = lc_call_llm(job, flight, &landing.error);
        if (landing.code)
            lc_flight_finish(flight, &landing);
    }
    lc_flight_leave_unread(flight);
}

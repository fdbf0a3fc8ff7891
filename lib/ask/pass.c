/*
 * Requests that are none of the cache's business go to the upstream and come back as they are, in the
 * caller's own thread, stream or not.
 */
#include "ask/cache.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>
#include <strings.h>

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    lc_job *job = user;
    char room[LC_REPLY_ROOM];
    llmcache_header *all = lc_alloc_array(count + LC_REPLY_HEADERS, sizeof *all);
    if (!all)
        return 1;
    memcpy(all, headers, count * sizeof *all);
    count += lc_reply_headers(job, all + count, room);
    job->status = status;
    job->begun = 1;
    int stopped = job->sink->begin(job->sink->user, status, all, count, body_size);
    lc_free(all);
    return stopped;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    lc_job *job = user;
    return job->sink->write(job->sink->user, bytes, size);
}

int lc_ask_provider(lc_job *job, const llmcache_request *request, size_t max_bytes,
                    const llmcache_sink *sink, const int *status, llmcache_error *err)
{
    llmcache *cache = job->cache;
    const lc_provider *provider = job->anthropic ? &cache->anthropic : &cache->openai;
    const lc_settings *settings = &cache->settings;
    llmcache_limits limits = {.connect_ms = settings->connect_timeout_ms,
                              .total_ms = settings->upstream_timeout_ms,
                              .stall_ms = settings->stall_timeout_ms,
                              .max_bytes = max_bytes};
    int64_t start_us = lc_mono_us();
    llmcache_error room;
    int code = provider->ops.call(provider->self, request, &limits, sink, lc_error_or(err, &room));
    int hundreds = *status / 100;
    lc_count_add(&cache->counts.upstream_calls, 1);
    lc_count_add(&cache->counts.upstream_status[hundreds > 0 && hundreds < 6 ? hundreds : 0], 1);
    lc_count_step(&cache->counts, LC_STEP_MODEL, lc_mono_us() - start_us);
    return code;
}

int lc_pass_through(lc_job *job, llmcache_error *err)
{
    llmcache_request request = *job->request;
    job->ended = LC_END_BYPASS;
    llmcache_header *headers = lc_alloc_array(request.header_count, sizeof *headers);
    if (!headers)
        return lc_fail_memory(err);
    request.header_count = lc_headers_up(job->request, job->cache->keeps_credential, headers);
    request.headers = headers;
    if (job->question.forward) {
        request.body = job->question.forward;
        request.body_size = job->question.forward_size;
    }
    llmcache_sink sink = {job, on_begin, on_write};
    int code = lc_ask_provider(job, &request, 0, &sink, &job->status, &job->error);
    lc_free(headers);
    job->code = code;
    if (code && !job->begun)
        return lc_reply_failure(job, code, &job->error);
    if (code && err)
        *err = job->error;
    return code;
}

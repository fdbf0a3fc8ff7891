/*
 * One question's way: identify, read, fingerprint, find exact, find similar, share a flight, ask the model,
 * remember, count. Each verb is a file of its own; this one is their order and nothing else.
 */
#include "ask/learning.h"
#include "ask/lease.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/probes.h"
#include "base/sha256.h"

#include <string.h>

void lc_job_init(lc_job *job, llmcache *cache, const llmcache_request *request,
                 const llmcache_sink *sink)
{
    memset(job, 0, sizeof *job);
    job->cache = cache;
    job->request = request;
    job->sink = sink;
    job->controls.max_age_ms = -1;
    job->controls.stale_while_revalidate_ms = job->controls.stale_if_error_ms = -1;
    job->now_ms = lc_now_ms(cache);
    job->start_us = lc_mono_us();
    job->why = "";
}

void lc_job_done(lc_job *job)
{
    if (job->has_question)
        lc_question_done(&job->question);
    lc_free(job->vector);
    lc_check_free(job->check);
    lc_lease_end(job->lease, 0);
    lc_entry_unref(job->entry);
    lc_entry_unref(job->stale);
}

lc_wants lc_job_wants(const lc_job *job)
{
    if (!job->question.stream)
        return LC_WANTS_WHOLE;
    int always = job->protocol == LC_PROTOCOL_MESSAGES || job->protocol == LC_PROTOCOL_RESPONSES;
    return always || job->question.include_usage ? LC_WANTS_STREAM_USAGE : LC_WANTS_STREAM;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* Controls in the body count like those in headers. */
static void take_body_controls(lc_job *job)
{
    const lc_body_controls *body = &job->question.controls;
    lc_controls *controls = &job->controls;
    controls->no_read |= body->no_cache;
    controls->no_store |= body->no_store;
    if (body->ttl_ms >= 0)
        controls->ttl_ms = body->ttl_ms;
    if (body->ttl_ms == 0)
        controls->no_store = 1;
    if (body->max_age_ms >= 0)
        controls->max_age_ms = body->max_age_ms;
    if (body->space)
        controls->space = body->space;
    if (body->no_cache || body->no_store || body->ttl_ms >= 0 || body->max_age_ms >= 0 || body->space)
        job->has_raw = 0;
}

int lc_job_read(lc_job *job, llmcache_error *err)
{
    int code = lc_question_read(job->protocol, job->request->body, job->request->body_size,
                                job->cache->key_fields, &job->question, err);
    if (code)
        return code;
    job->has_question = 1;
    take_body_controls(job);
    if (!job->question.cacheable)
        job->why = job->question.why_uncacheable ? job->question.why_uncacheable : "uncacheable";
    return 0;
}

/* 1 when the question can be looked up; 0 when it is to be passed on, with job->why. */
static int read_question(lc_job *job)
{
    if (job->protocol == LC_PROTOCOL_NONE)
        return 0;
    int64_t start_us = lc_mono_us();
    int code = lc_job_read(job, NULL);
    lc_count_step(&job->cache->counts, LC_STEP_READ, lc_mono_us() - start_us);
    if (code)
        job->why = code == LLMCACHE_MEMORY ? "memory" : "unreadable";
    return !code && job->question.cacheable;
}

/* ---- Sharing a flight ------------------------------------------------------------------------ */

/* Only those who ask under the same conditions share. */
static void flight_key(const lc_job *job, unsigned char key[32])
{
    const lc_controls *controls = &job->controls;
    int64_t terms[] = {controls->no_read, controls->no_store, controls->exact_only,
                       controls->max_age_ms, controls->min_fresh_ms,
                       (int64_t)(controls->threshold * 1e6)};
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_add(&hash, job->fingerprint, sizeof job->fingerprint);
    lc_sha256_add(&hash, job->question.echo, sizeof job->question.echo);
    lc_sha256_add(&hash, terms, sizeof terms);
    lc_sha256_end(&hash, key);
}

/*
 * The flight ended well and has nothing for this job: a stream that broke off has no whole. All who are left so
 * share the next call; whoever is left so twice goes alone.
 */
static int without_answer(lc_job *job, llmcache_error *err)
{
    if (job->ended != LLMCACHE_SOURCE_SHARED || job->shared_twice ||
        job->protocol == LC_PROTOCOL_EMBEDDINGS)
        return lc_pass_through(job, err);
    job->share_again = job->shared_twice = 1;
    return 0;
}

/* The reply that arrived whole: as an entry where there is one, else as it came. */
static int reply_landed(lc_job *job, lc_flight *flight, lc_landing *landing, int same_wish,
                        llmcache_error *err)
{
    lc_raw_reply raw;
    lc_flight_raw(flight, &raw);
    job->entry = landing->entry;
    job->similarity = landing->similarity;
    if (landing->source == LLMCACHE_SOURCE_SEMANTIC || landing->source == LLMCACHE_SOURCE_EXACT)
        job->ended = landing->source;
    job->why = landing->why ? landing->why : "";
    if (lc_upstream_failed(landing->code, raw.began ? raw.status : 0) &&
        lc_use_stale(job, job->cache->settings.stale_if_error_ms, job->controls.stale_if_error_ms))
        return lc_reply_entry(job, err);
    if (landing->code)
        return lc_reply_failure(job, landing->code, &landing->error);
    if (job->entry && (!same_wish || !raw.began))
        return lc_reply_entry(job, err);
    if (raw.streamed || !raw.began)
        return without_answer(job, err);
    llmcache_header extra[LC_REPLY_HEADERS];
    char room[LC_REPLY_ROOM];
    size_t count = lc_reply_headers(job, extra, room);
    job->status = raw.status;
    job->begun = 1;
    int code = lc_flight_pass_head(flight, job->sink, extra, count, (int64_t)raw.body_size);
    if (!code && raw.body_size && job->sink->write(job->sink->user, raw.body, raw.body_size))
        code = LLMCACHE_ABORTED;
    return code ? lc_fail(err, code, "the reply could not be passed on") : 0;
}

static int tail_stream(lc_job *job, lc_flight *flight, lc_reader *reader, llmcache_error *err)
{
    llmcache_header extra[LC_REPLY_HEADERS];
    char room[LC_REPLY_ROOM];
    lc_landing landing = {0};
    size_t count = lc_reply_headers(job, extra, room);
    int code = lc_flight_pass_head(flight, job->sink, extra, count, -1);
    job->begun = code != LLMCACHE_MEMORY;
    job->status = 200;
    if (!code)
        code = lc_flight_tail(flight, reader, job->sink);
    lc_flight_unwatch(flight, reader);
    if (code)
        return code == LLMCACHE_MEMORY ? lc_fail_memory(err) : lc_fail(err, code, "the receiver stopped");
    lc_flight_landing(flight, &landing);
    job->entry = landing.entry;
    job->stored = landing.stored && job->ended == LLMCACHE_SOURCE_MODEL;
    job->why = landing.why ? landing.why : "";
    if (landing.code && err)
        *err = landing.error;
    if (landing.code) {
        job->code = landing.code;
        job->error = landing.error;
    }
    return landing.code;
}

int lc_job_follow(lc_job *job, lc_flight *flight, llmcache_error *err)
{
    int same_wish = lc_flight_wants(flight) == lc_job_wants(job);
    lc_landing landing;
    lc_reader reader;
    if (!same_wish) {
        lc_flight_wait(flight, &landing);
    } else {
        if (lc_flight_watch(flight, &reader))
            return tail_stream(job, flight, &reader, err);
        lc_flight_unwatch(flight, &reader);
        lc_flight_landing(flight, &landing);
    }
    job->stored = landing.stored && job->ended == LLMCACHE_SOURCE_MODEL;
    return reply_landed(job, flight, &landing, same_wish, err);
}

/* The leader found an answer, or another server's call brought it: all who joined get it too. */
static void land_found(lc_job *job, lc_flight *flight)
{
    lc_landing landing = {.entry = lc_entry_ref(job->entry),
                          .source = (llmcache_source)job->ended,
                          .similarity = job->similarity,
                          .why = ""};
    lc_flight_finish(flight, &landing);
}

static int lead(lc_job *job, lc_flight *flight, llmcache_error *err)
{
    lc_landing landing = {.why = ""};
    if ((!job->controls.no_read && lc_find_exact(job)) || lc_find_similar(job) || lc_lease_find(job)) {
        land_found(job, flight);
        return lc_reply_entry(job, err);
    }
    job->ended = LLMCACHE_SOURCE_MODEL;
    landing.code = lc_call_llm(job, flight, &landing.error);
    if (landing.code)
        lc_flight_finish(flight, &landing);
    return lc_job_follow(job, flight, err);
}

size_t lc_job_max_log(const lc_job *job)
{
    return 4 * (size_t)job->cache->settings.max_answer_bytes + 1024 * 1024;
}

static int join(lc_job *job, unsigned char key[32], lc_flight **flight, int *leads, llmcache_error *err)
{
    return lc_flight_join(job->cache->flights, key, lc_job_wants(job), lc_job_max_log(job), flight, leads, err);
}

int lc_job_join(lc_job *job, lc_flight **flight, int *leads, llmcache_error *err)
{
    unsigned char key[32];
    flight_key(job, key);
    return join(job, key, flight, leads, err);
}

int lc_job_join_aside(lc_job *job, lc_flight **flight, int *leads, llmcache_error *err)
{
    unsigned char key[32];
    flight_key(job, key);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)~key[i];
    return join(job, key, flight, leads, err);
}

static int share(lc_job *job, llmcache_error *err)
{
    lc_flight *flight;
    int leads, code = lc_job_join(job, &flight, &leads, err);
    if (code)
        return code;
    if (leads) {
        code = lead(job, flight, err);
    } else {
        job->ended = LLMCACHE_SOURCE_SHARED;
        code = lc_job_follow(job, flight, err);
    }
    lc_flight_leave(flight);
    if (!job->share_again)
        return code;
    job->share_again = 0;
    return share(job, err);
}

/* ---- The way ------------------------------------------------------------------------------- */

/* RFC 9111 section 5.2.1.7: nobody upstream is asked. */
static int refuse_uncached(lc_job *job)
{
    llmcache_error none;
    lc_fail(&none, LLMCACHE_NOT_FOUND, "no answer is cached and only-if-cached was asked for");
    return lc_reply_failure(job, LLMCACHE_NOT_FOUND, &none);
}

static int only_cached(lc_job *job, llmcache_error *err)
{
    return lc_find_similar(job) ? lc_reply_entry(job, err) : refuse_uncached(job);
}

static int answer(lc_job *job, llmcache_error *err)
{
    llmcache_error local;
    int code = lc_identify(job, &local);
    if (code)
        return lc_reply_failure(job, code, &local);
    if (lc_find_known(job))
        return lc_reply_entry(job, err);
    if (!read_question(job))
        return job->controls.only_cached ? refuse_uncached(job) : lc_pass_through(job, err);
    code = lc_find_space(job, &local);
    if (code)
        return lc_reply_failure(job, code, &local);
    if (job->protocol == LC_PROTOCOL_EMBEDDINGS)
        return lc_ask_embeddings(job, err);
    lc_fingerprint(job);
    if (!job->controls.no_read && lc_find_exact(job))
        return lc_reply_entry(job, err);
    if (job->controls.only_cached)
        return only_cached(job, err);
    if (!job->controls.no_read &&
        lc_use_stale(job, job->cache->settings.stale_while_revalidate_ms,
                     job->controls.stale_while_revalidate_ms)) {
        lc_revalidate(job);
        return lc_reply_entry(job, err);
    }
    return share(job, err);
}

static void count(lc_job *job, int code)
{
    lc_counts *counts = &job->cache->counts;
    int end = code || job->code || job->status >= 400 ? LC_END_ERROR : job->ended;
    if (code == LLMCACHE_ABORTED)
        end = job->ended;
    lc_count_add(&counts->ends[end], 1);
    int64_t us = lc_mono_us() - job->start_us;
    lc_count_latency(&counts->latency[end], us);
    LC_PROBE3(ask_end, lc_end_names[end], job->id, us);
    int saved = end == LLMCACHE_SOURCE_EXACT || end == LLMCACHE_SOURCE_SEMANTIC ||
                end == LLMCACHE_SOURCE_SHARED || end == LLMCACHE_SOURCE_STALE;
    if (saved && job->entry) {
        const llmcache_entry *facts = &job->entry->facts;
        lc_count_add(&counts->tokens_saved_input, (uint64_t)facts->input_tokens);
        lc_count_add(&counts->tokens_saved_output, (uint64_t)facts->output_tokens);
        lc_count_add(&counts->cost_saved_nano, (uint64_t)facts->cost_nano);
        if (end != LLMCACHE_SOURCE_SHARED)
            lc_count_add(&counts->saved_ms, (uint64_t)facts->model_ms);
    }
}

int lc_job_run(lc_job *job, llmcache_error *err)
{
    llmcache_error local;
    LC_PROBE2(ask_start, job->request->target, job->request->body_size);
    job->ended = LLMCACHE_SOURCE_MODEL;
    local = (llmcache_error){.retry_after_ms = -1};
    int code = answer(job, &local);
    /* Nothing was said yet: say at least what went wrong. */
    if (code && code != LLMCACHE_ABORTED && !job->begun)
        code = lc_reply_failure(job, code, &local);
    count(job, code);
    if (code && local.code != code) /* whoever was to be told of an error did not take it */
        lc_fail(&local, code, "%s", code == LLMCACHE_ABORTED ? "the receiver stopped" : lc_code_text(code));
    if (code && err)
        *err = local;
    return code;
}

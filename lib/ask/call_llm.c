/*
 * Asking the model. The call runs on a worker with copies of everything it needs, so that the client who
 * started it may leave. Bytes go into the flight's log as they come; of a stream, what carries its
 * end is held back until the answer is kept, so that an answer that was seen whole is an answer that is kept.
 */
#include "ask/learning.h"
#include "ask/lease.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>
#include <strings.h>

#define STREAM_KEPT_BYTES (32 * 1024)

/* One call: what it needs of the job, by value. */
typedef struct errand {
    llmcache *cache;
    lc_flight *flight;
    llmcache_request request;
    llmcache_header *headers;
    char *target, *body;
    lc_protocol protocol;
    int anthropic, stream, no_store, yields;
    lc_wants wants;
    llmcache_entry facts; /* strings owned by the errand */
    unsigned char raw[32];
    int has_raw, form;
    float *vector;
    size_t dimension;
    int64_t ttl_ms, start_us, waited_ms;
    lc_check *check;
    lc_lease *lease;
    /* While the reply comes in */
    int status, streams, is_whole, in_store, no_memory;
    lc_assembler *assembler;
    lc_buffer held;
    size_t total, max_total; /* beyond that nothing is kept */
} errand;

static void free_errand(errand *e)
{
    lc_headers_free(e->headers, e->request.header_count);
    lc_free(e->target);
    lc_free(e->body);
    lc_free((char *)e->facts.space);
    lc_free((char *)e->facts.model);
    lc_free((char *)e->facts.question);
    lc_free((char *)e->facts.tags);
    lc_free(e->vector);
    lc_check_free(e->check);
    lc_lease_end(e->lease, 0);
    lc_assembler_free(e->assembler);
    lc_buffer_done(&e->held);
    lc_free(e);
}

/* The other servers that wait were told of the answer when it was kept. */
static void end_lease(errand *e)
{
    lc_lease_end(e->lease, e->in_store);
    e->lease = NULL;
}

/* ---- The reply comes in -------------------------------------------------------------------- */

/* Who stopped it is not seen from the provider. */
static int note(errand *e, int code)
{
    e->no_memory |= code == LLMCACHE_MEMORY;
    return code;
}

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    errand *e = user;
    e->status = status;
    e->streams = e->stream && status >= 200 && status < 300 && lc_is_event_stream(headers, count);
    if (e->streams)
        e->assembler = lc_assembler_new(e->protocol, (size_t)e->cache->settings.max_answer_bytes);
    if (e->streams && !e->assembler)
        return note(e, LLMCACHE_MEMORY);
    return note(e, lc_flight_begin(e->flight, status, headers, count, e->streams));
}

static int take(errand *e, const void *bytes, size_t size)
{
    e->total += size;
    if (e->lease && e->total > e->max_total)
        end_lease(e); /* it will not be kept: others need not wait for its end */
    if (!e->streams)
        return lc_flight_add(e->flight, bytes, size);
    if (lc_assembler_feed(e->assembler, bytes, size) == LLMCACHE_MEMORY)
        return LLMCACHE_MEMORY;
    if (lc_assembler_ended(e->assembler) && e->held.size + size < 1024 * 1024)
        return lc_buffer_add(&e->held, bytes, size);
    int code = e->held.size ? lc_flight_add(e->flight, e->held.data, e->held.size) : 0;
    lc_buffer_clear(&e->held);
    return code ? code : lc_flight_add(e->flight, bytes, size);
}

static int on_write(void *user, const void *bytes, size_t size)
{
    return note(user, take(user, bytes, size));
}

/* ---- The end ------------------------------------------------------------------------------- */

/* The whole answer's bytes, borrowed; NULL when there is none, *why says why. */
static const char *whole_answer(errand *e, lc_buffer *assembled, size_t *size, const char **why)
{
    llmcache_error err;
    if (!e->streams)
        return lc_flight_log(e->flight, size);
    if (lc_assembler_finish(e->assembler, assembled, &err) || assembled->broken) {
        *why = "incomplete";
        return NULL;
    }
    *size = assembled->size;
    return assembled->data;
}

static lc_entry *make_entry(errand *e, const char *body, size_t size, const lc_answer_facts *facts)
{
    llmcache_entry entry = e->facts;
    entry.body = body;
    entry.body_size = size;
    entry.created_ms = lc_now_ms(e->cache);
    lc_set_life(e->cache, e->ttl_ms, &entry);
    entry.model_ms = (lc_mono_us() - e->start_us) / 1000;
    entry.input_tokens = facts->input_tokens;
    entry.output_tokens = facts->output_tokens;
    entry.cost_nano = lc_prices_cost(e->cache->prices, entry.model, facts->input_tokens,
                                     facts->cached_tokens, facts->output_tokens);
    entry.flags = e->wants == LC_WANTS_STREAM && !facts->has_usage ? LLMCACHE_ENTRY_NO_USAGE : 0;
    return lc_entry_new(&entry);
}

/*
 * A short stream is kept in memory beside its answer as it came, so that a hit is cut into the very same deltas;
 * a long one would take many times the room of its answer. Padding that hides lengths has no place in a replay.
 */
static void keep_stream(errand *e, lc_entry *entry)
{
    size_t size = 0;
    if (!e->streams)
        return;
    const char *log = lc_flight_log(e->flight, &size);
    int usage = e->protocol == LC_PROTOCOL_MESSAGES ? !lc_assembler_brief(e->assembler)
                : e->protocol == LC_PROTOCOL_CHAT || e->protocol == LC_PROTOCOL_COMPLETIONS
                    ? e->wants == LC_WANTS_STREAM_USAGE
                    : 0;
    if (!log || size + e->held.size > STREAM_KEPT_BYTES || memmem(log, size, "\"obfuscation\"", 13))
        return;
    char *events = lc_alloc(size + e->held.size + 1);
    if (!events)
        return;
    memcpy(events, log, size);
    if (e->held.size)
        memcpy(events + size, e->held.data, e->held.size);
    events[size + e->held.size] = '\0';
    lc_memory_cache_render(e->cache->memory, entry, usage, events, size + e->held.size);
}

static void keep(errand *e, lc_landing *landing, const lc_answer_facts *facts, size_t size)
{
    llmcache *cache = e->cache;
    e->is_whole = facts->keep;
    if (e->no_store)
        landing->why = "no-store";
    else if (!facts->keep)
        landing->why = facts->why_not ? facts->why_not : "unfit";
    else if (size > (size_t)cache->settings.max_answer_bytes)
        landing->why = "too-large";
    if (*landing->why) {
        lc_count_word(&cache->counts.not_stored, landing->why);
        return;
    }
    lc_buffer shape;
    lc_buffer_init(&shape, 0);
    lc_request_shape(cache, e->protocol, e->anthropic, &e->request, &shape);
    e->in_store = !lc_remember(cache, landing->entry, shape.broken || !shape.data ? "" : shape.data, e->vector,
                               e->dimension, NULL);
    lc_buffer_done(&shape);
    keep_stream(e, landing->entry);
    if (e->has_raw)
        lc_memory_cache_alias(cache->memory, e->raw, landing->entry, 0, e->form, 1);
    if (!e->in_store) {
        landing->why = "store";
        lc_count_word(&cache->counts.not_stored, landing->why);
        return;
    }
    lc_count_add(&cache->counts.stored, 1);
    landing->stored = 1;
}

static void count_usage(errand *e, const lc_answer_facts *facts, const llmcache_entry *entry)
{
    const char *operation = e->protocol == LC_PROTOCOL_COMPLETIONS ? "text_completion" : "chat";
    lc_count_add(&e->cache->counts.cost_nano, (uint64_t)entry->cost_nano);
    if (facts->has_usage)
        lc_usage_add(&e->cache->usage, entry->model, operation, e->anthropic ? "anthropic" : "openai",
                     facts->input_tokens, facts->output_tokens, lc_mono_us() - e->start_us);
}

static void land(errand *e, lc_landing *landing)
{
    lc_buffer assembled;
    lc_answer_facts facts;
    size_t size = 0;
    lc_buffer_init(&assembled, 0);
    const char *body = whole_answer(e, &assembled, &size, &landing->why);
    if (body && e->streams && e->protocol == LC_PROTOCOL_MESSAGES)
        atomic_store(&e->cache->brief_messages, lc_assembler_brief(e->assembler));
    if (body && lc_answer_read(e->protocol, body, size, &facts, NULL) == 0) {
        landing->entry = make_entry(e, body, size, &facts);
        if (landing->entry) {
            count_usage(e, &facts, &landing->entry->facts);
            keep(e, landing, &facts, size);
        }
        lc_answer_facts_done(&facts);
    } else if (*landing->why) {
        lc_count_word(&e->cache->counts.not_stored, landing->why);
    }
    lc_buffer_done(&assembled);
}

static void count_call(errand *e)
{
    lc_counts *counts = &e->cache->counts;
    int hundreds = e->status / 100;
    lc_count_add(&counts->upstream_calls, 1);
    lc_count_add(&counts->upstream_status[hundreds > 0 && hundreds < 6 ? hundreds : 0], 1);
    lc_count_step(counts, LC_STEP_MODEL, lc_mono_us() - e->start_us);
}

static llmcache_limits limits_of(const llmcache *cache, int64_t waited_ms)
{
    const lc_settings *settings = &cache->settings;
    return (llmcache_limits){.connect_ms = settings->connect_timeout_ms,
                             .total_ms = lc_lease_leaves_ms(cache, waited_ms),
                             .stall_ms = settings->stall_timeout_ms,
                             .max_bytes = (size_t)settings->max_reply_bytes};
}

/* Everybody has the answer by now: this delays nobody. */
static void compare(errand *e, const lc_entry *fresh)
{
    if (e->check)
        lc_check_end(e->check, fresh);
    e->check = NULL;
}

/* Whoever has joined meanwhile joins, or makes, the next flight: this one brings nothing. */
static void leave_to_others(errand *e)
{
    lc_landing landing = {.source = LLMCACHE_SOURCE_MODEL, .why = ""};
    lc_flight_finish(e->flight, &landing);
    lc_flight_leave(e->flight);
    free_errand(e);
}

static void run_errand(void *argument)
{
    errand *e = argument;
    llmcache *cache = e->cache;
    if (e->yields && !e->no_store && !lc_lease_try(cache, &e->facts, e->wants, &e->lease)) {
        leave_to_others(e);
        return;
    }
    llmcache_limits limits = limits_of(cache, e->waited_ms);
    llmcache_sink sink = {e, on_begin, on_write};
    lc_landing landing = {.source = LLMCACHE_SOURCE_MODEL, .why = ""};
    const lc_provider *provider = e->anthropic ? &cache->anthropic : &cache->openai;
    landing.code = provider->ops.call(provider->self, &e->request, &limits, &sink, &landing.error);
    count_call(e);
    if (landing.code == LLMCACHE_ABORTED)
        landing.code = e->no_memory ? lc_fail_memory(&landing.error)
                                    : lc_fail(&landing.error, LLMCACHE_ABORTED, "nobody waits for the answer");
    landing.status = e->status;
    if (!landing.code && e->status >= 200 && e->status < 300)
        land(e, &landing);
    /* What is kept is whole all the same, but a stream without its end must not pass for one that has it. */
    if (e->held.size && lc_flight_add(e->flight, e->held.data, e->held.size) == LLMCACHE_MEMORY && !landing.code)
        landing.code = lc_fail_memory(&landing.error);
    lc_entry *fresh = e->check && e->is_whole && landing.entry ? lc_entry_ref(landing.entry) : NULL;
    lc_flight_finish(e->flight, &landing);
    lc_flight_leave(e->flight);
    end_lease(e);
    compare(e, fresh);
    lc_entry_unref(fresh);
    free_errand(e);
}

/* ---- Setting out --------------------------------------------------------------------------- */

static int copy_request(errand *e, const lc_job *job)
{
    const lc_question *question = &job->question;
    const char *body = question->forward ? question->forward : job->request->body;
    size_t size = question->forward ? question->forward_size : job->request->body_size;
    if (lc_headers_copy_up(job->request, job->cache->keeps_credential, &e->headers, &e->request.header_count) || !(e->target = lc_strdup(job->request->target)) ||
        !(e->body = lc_strndup(body, size)))
        return LLMCACHE_MEMORY;
    e->request.struct_size = sizeof e->request;
    e->request.method = "POST";
    e->request.target = e->target;
    e->request.headers = e->headers;
    e->request.body = e->body;
    e->request.body_size = size;
    return 0;
}

static int copy_facts(errand *e, const lc_job *job)
{
    llmcache_entry *facts = &e->facts;
    facts->struct_size = sizeof *facts;
    memcpy(facts->fingerprint, job->fingerprint, sizeof facts->fingerprint);
    if (!lc_unsuited(job)) /* else all zero: never matched by meaning */
        memcpy(facts->partition, job->partition, sizeof facts->partition);
    memcpy(facts->id, job->id, sizeof facts->id);
    facts->protocol = lc_protocol_name(job->protocol);
    facts->space = lc_strdup(job->space);
    facts->model = lc_strdup(job->question.model ? job->question.model : "");
    facts->question = lc_strdup(job->question.text ? job->question.text : "");
    facts->tags = lc_strdup(job->controls.tags ? job->controls.tags : "");
    facts->embedder = "";
    return facts->space && facts->model && facts->question && facts->tags ? 0 : LLMCACHE_MEMORY;
}

int lc_call_llm(lc_job *job, lc_flight *flight, llmcache_error *err)
{
    errand *e = lc_zalloc(sizeof *e);
    if (!e)
        return lc_fail_memory(err);
    lc_buffer_init(&e->held, 0);
    e->cache = job->cache;
    e->protocol = job->protocol;
    e->anthropic = job->anthropic;
    e->stream = job->question.stream;
    e->no_store = job->controls.no_store;
    e->yields = job->yields;
    e->wants = lc_flight_wants(flight);
    e->max_total = lc_job_max_log(job);
    memcpy(e->raw, job->raw, sizeof e->raw);
    e->has_raw = job->has_raw;
    e->form = lc_job_form(job);
    e->ttl_ms = lc_ttl_ms(job);
    e->start_us = lc_mono_us();
    e->waited_ms = job->waited_ms;
    if (copy_request(e, job) || copy_facts(e, job)) {
        free_errand(e);
        return lc_fail_memory(err);
    }
    e->vector = job->vector;
    e->dimension = job->dimension;
    e->check = job->check;
    e->lease = job->lease;
    e->flight = lc_flight_hold(flight);
    int code = lc_workers_run(job->cache->workers, run_errand, e, err);
    if (code) {
        e->vector = NULL;
        e->check = NULL;
        e->lease = NULL;
        lc_flight_leave(flight);
        free_errand(e);
        return code;
    }
    job->vector = NULL;
    job->check = NULL;
    job->lease = NULL;
    return 0;
}

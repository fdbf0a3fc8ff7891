/*
 * Replies from the cache: the stored body, or its replay as events, with the headers that say what
 * happened (RFC 9211 Cache-Status, RFC 9111 Age, and our own). One begin, one write.
 */
#include "ask/cache.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define PIECE_BYTES 24 /* of text in an event of a paced replay: a few words */

/*
 * Makes header values in the room, piece by piece. By hand, not by printf: on an exact hit this was a tenth
 * of all the work.
 */
typedef struct maker {
    llmcache_header *headers;
    size_t count;
    char *room;
    size_t used;
} maker;

static void put(maker *m, const char *text)
{
    size_t size = strlen(text);
    if (m->used + size + 1 > LC_REPLY_ROOM)
        size = LC_REPLY_ROOM - m->used - 1;
    memcpy(m->room + m->used, text, size);
    m->used += size;
}

static void put_number(maker *m, int64_t number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    *--at = '\0';
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--at = '-';
    put(m, at);
}

/* Four decimals of a number from -1 to 1. */
static void put_similarity(maker *m, double similarity)
{
    char decimals[8];
    int parts = (int)(similarity * 10000 + (similarity < 0 ? -0.5 : 0.5));
    put(m, parts < 0 ? "-" : "");
    parts = parts < 0 ? -parts : parts;
    put_number(m, parts / 10000);
    for (int i = 3; i >= 0; i--, parts /= 10)
        decimals[i] = (char)('0' + parts % 10);
    decimals[4] = '\0';
    put(m, ".");
    put(m, decimals);
}

/* A header whose value begins where the room is used up to; `finish` ends it. */
static void begin(maker *m, const char *name)
{
    if (m->count < LC_REPLY_HEADERS)
        m->headers[m->count++] = (llmcache_header){name, m->room + m->used};
}

static void finish(maker *m)
{
    m->room[m->used] = '\0';
    m->used += m->used + 1 < LC_REPLY_ROOM;
}

static void add_constant(maker *m, const char *name, const char *value)
{
    if (m->count < LC_REPLY_HEADERS)
        m->headers[m->count++] = (llmcache_header){name, value};
}

static int is_hit(const lc_job *job)
{
    return job->ended == LLMCACHE_SOURCE_EXACT || job->ended == LLMCACHE_SOURCE_SEMANTIC ||
           job->ended == LLMCACHE_SOURCE_STALE;
}

static void add_hit_status(maker *m, const lc_job *job)
{
    const llmcache_entry *facts = &job->entry->facts;
    begin(m, "Cache-Status");
    put(m, "llmcache; hit");
    if (facts->expires_ms) {
        put(m, "; ttl=");
        put_number(m, (facts->expires_ms - facts->stale_ms - job->now_ms) / 1000);
    }
    put(m, "; key=\"");
    put(m, facts->id);
    put(m, job->ended == LLMCACHE_SOURCE_SEMANTIC ? "\"; detail=semantic"
           : job->ended == LLMCACHE_SOURCE_STALE  ? "\"; detail=stale"
                                                  : "\"");
    finish(m);
    add_constant(m, "X-Cache-Status", job->ended == LLMCACHE_SOURCE_STALE ? "STALE" : "HIT");
    int64_t age_ms = job->now_ms - facts->created_ms;
    begin(m, "Age");
    put_number(m, age_ms > 0 ? age_ms / 1000 : 0);
    finish(m);
}

static void add_miss_status(maker *m, const lc_job *job)
{
    begin(m, "Cache-Status");
    put(m, "llmcache; fwd=");
    put(m, job->ended == LC_END_BYPASS ? "bypass" : job->controls.no_read ? "request" : "uri-miss");
    put(m, job->stored ? "; stored" : "");
    put(m, job->ended == LLMCACHE_SOURCE_SHARED ? "; collapsed" : "");
    if (job->why && *job->why) {
        put(m, "; detail=");
        put(m, job->why);
    }
    finish(m);
    add_constant(m, "X-Cache-Status", job->ended == LC_END_BYPASS ? "BYPASS" : "MISS");
}

size_t lc_reply_headers(const lc_job *job, llmcache_header *headers, char *room)
{
    maker m = {.headers = headers, .room = room};
    if (is_hit(job))
        add_hit_status(&m, job);
    else
        add_miss_status(&m, job);
    add_constant(&m, "X-LLMCache-Source",
                 job->ended == LC_END_BYPASS ? "bypass" : llmcache_source_name(job->ended));
    if (job->entry)
        add_constant(&m, "X-LLMCache-Id", job->entry->facts.id);
    else if (job->ended != LC_END_BYPASS && job->id[0])
        add_constant(&m, "X-LLMCache-Id", job->id);
    if (is_hit(job)) {
        begin(&m, "X-LLMCache-Similarity");
        put_similarity(&m, job->similarity);
        finish(&m);
    }
    return m.count;
}

/* ---- Serving an entry ---------------------------------------------------------------------- */

/*
 * An answer's events. Without usage where the answer has none: so does the service's own stream, whatever
 * it is asked. An answer that is none can only be one that just came.
 */
static int replay(const llmcache_entry *facts, int with_usage, size_t piece_bytes, lc_buffer *events,
                  llmcache_error *err)
{
    lc_protocol protocol = lc_protocol_by_name(facts->protocol);
    llmcache_error local;
    int code = lc_replay_pieces(protocol, facts->body, facts->body_size, with_usage, piece_bytes, events,
                                &local);
    if (code == LLMCACHE_UNSUPPORTED && with_usage) {
        lc_buffer_clear(events);
        code = lc_replay_pieces(protocol, facts->body, facts->body_size, 0, piece_bytes, events, &local);
    }
    if (code == LLMCACHE_INVALID)
        return lc_fail(err, LLMCACHE_UPSTREAM, "the model's service gave no answer that could be streamed");
    if (code && err)
        *err = local;
    return code;
}

/* The events of an entry: made at first need and kept with it. */
static int render(llmcache *cache, lc_entry *entry, int with_usage, llmcache_error *err)
{
    lc_buffer text;
    lc_buffer_init(&text, 0);
    int code = replay(&entry->facts, with_usage, 0, &text, err);
    size_t size = 0;
    char *events = code ? NULL : lc_buffer_take(&text, &size);
    lc_buffer_done(&text);
    if (code)
        return code;
    if (!events)
        return lc_fail_memory(err);
    lc_memory_cache_render(cache->memory, entry, with_usage, events, size);
    return 0;
}

/* Chat streams have the usage where it is asked for, messages as their service counts. */
static int with_usage(const lc_job *job)
{
    if (job->protocol == LC_PROTOCOL_MESSAGES)
        return !atomic_load(&job->cache->brief_messages);
    return job->question.include_usage != 0;
}

static int events_of(llmcache *cache, lc_entry *entry, int with_usage, const char **events,
                     size_t *size, llmcache_error *err)
{
    int code = 0;
    if (!atomic_load(&entry->rendering[with_usage]))
        code = render(cache, entry, with_usage, err);
    if (code)
        return code;
    *events = atomic_load(&entry->rendering[with_usage]);
    *size = entry->rendering_size[with_usage];
    return 0;
}

static size_t entry_headers(const lc_job *job, llmcache_header *headers, char *room)
{
    size_t count = lc_reply_headers(job, headers, room);
    headers[count++] = (llmcache_header){
        "Content-Type", job->question.stream ? "text/event-stream; charset=utf-8" : "application/json"};
    headers[count++] =
        (llmcache_header){job->anthropic ? "request-id" : "x-request-id", job->entry->facts.id};
    return count;
}

/* Event by event, with a pause after each; an event ends with its blank line. */
static int write_paced(const lc_job *job, const char *events, size_t size)
{
    while (size) {
        const char *end = memmem(events, size, "\n\n", 2);
        size_t event = end ? (size_t)(end - events) + 2 : size;
        if (job->sink->write(job->sink->user, events, event))
            return LLMCACHE_ABORTED;
        events += event;
        size -= event;
        if (size)
            lc_sleep_ms(job->cache->settings.replay_delay_ms);
    }
    return 0;
}

static int reply_paced(lc_job *job, llmcache_error *err)
{
    llmcache_header headers[LC_REPLY_HEADERS + 2];
    char room[LC_REPLY_ROOM];
    lc_buffer events;
    lc_buffer_init(&events, 0);
    int code = replay(&job->entry->facts, with_usage(job), PIECE_BYTES, &events, err);
    if (!code && events.broken)
        code = lc_fail_memory(err);
    if (!code) {
        job->status = 200;
        job->begun = 1;
        size_t count = entry_headers(job, headers, room);
        if (job->sink->begin(job->sink->user, 200, headers, count, -1) ||
            write_paced(job, events.data, events.size))
            code = lc_fail(err, LLMCACHE_ABORTED, "the receiver stopped");
    }
    lc_buffer_done(&events);
    return code;
}

int lc_reply_entry(lc_job *job, llmcache_error *err)
{
    llmcache_header headers[LC_REPLY_HEADERS + 2];
    char room[LC_REPLY_ROOM];
    const char *body = job->entry->facts.body;
    size_t size = job->entry->facts.body_size;
    if (job->question.stream && job->cache->settings.replay_delay_ms)
        return reply_paced(job, err);
    if (job->question.stream) {
        int code = events_of(job->cache, job->entry, with_usage(job), &body, &size, err);
        if (code)
            return code;
    }
    size_t count = entry_headers(job, headers, room);
    job->status = 200;
    job->begun = 1;
    if (job->sink->begin(job->sink->user, 200, headers, count, (int64_t)size) ||
        (size && job->sink->write(job->sink->user, body, size)))
        return lc_fail(err, LLMCACHE_ABORTED, "the receiver stopped");
    return 0;
}

/* ---- Errors -------------------------------------------------------------------------------- */

int lc_reply_error(lc_job *job, int status, const char *message, int64_t retry_after_ms)
{
    llmcache_header headers[LC_REPLY_HEADERS + 4];
    char room[LC_REPLY_ROOM], seconds[24];
    lc_buffer body;
    lc_buffer_init(&body, 0);
    lc_error_write(job->protocol, job->anthropic, status, NULL, NULL, message, &body);
    size_t count = lc_reply_headers(job, headers, room);
    headers[count++] = (llmcache_header){"Content-Type", "application/json"};
    if (retry_after_ms >= 0) {
        snprintf(seconds, sizeof seconds, "%lld", (long long)((retry_after_ms + 999) / 1000));
        headers[count++] = (llmcache_header){"Retry-After", seconds};
    } else if (job->code == LLMCACHE_NO_PROVIDER || job->code == LLMCACHE_NOT_FOUND) {
        headers[count++] = (llmcache_header){"x-should-retry", "false"};
    }
    const char *text = body.data ? body.data : "{}";
    job->status = status;
    job->begun = 1;
    int stopped = job->sink->begin(job->sink->user, status, headers, count, (int64_t)strlen(text)) ||
                  job->sink->write(job->sink->user, text, strlen(text));
    lc_buffer_done(&body);
    return stopped ? LLMCACHE_ABORTED : 0;
}

int lc_reply_failure(lc_job *job, int code, const llmcache_error *error)
{
    int status = 500;
    switch (code) {
    case LLMCACHE_INVALID:
        status = 400;
        break;
    case LLMCACHE_DENIED:
        status = 401;
        break;
    case LLMCACHE_TIMEOUT:
    case LLMCACHE_NOT_FOUND: /* only-if-cached, RFC 9111 section 5.2.1.7 */
        status = 504;
        break;
    case LLMCACHE_NETWORK:
    case LLMCACHE_UPSTREAM:
    case LLMCACHE_TOO_LARGE:
        status = 502;
        break;
    case LLMCACHE_NO_PROVIDER:
    case LLMCACHE_BUSY:
        status = 503;
        break;
    default:
        break;
    }
    job->code = code;
    job->error = *error;
    return lc_reply_error(job, status, error->message, code == LLMCACHE_BUSY ? 1000 : -1);
}

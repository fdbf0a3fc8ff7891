/*
 * demo: answers offline, so that everything around the model can be tried without a key. It takes the time
 * it is told to take: a whole reply comes at its end, a stream in pieces spread over it. Nothing is
 * shared between calls but that number.
 */
#include "provider/provider.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "provider/demo_reply.h"

#include <string.h>

enum { PIECES = 8 };

typedef struct demo {
    int64_t latency_ms;
} demo;

/* One call under way. */
typedef struct call_state {
    const llmcache_sink *sink;
    llmcache_error *err;
    int64_t start_ms; /* monotonic */
    int64_t total_ms; /* 0: no limit */
    const char *id_name; /* the header that names the reply, and its value; NULL for none */
    const char *id;
} call_state;

/* Sleeps until `at_ms` after the start, or fails at the call's limit. */
static int think(const call_state *c, int64_t at_ms)
{
    int64_t spent_ms = lc_mono_ms() - c->start_ms;
    int late = c->total_ms > 0 && at_ms > c->total_ms;
    int64_t until_ms = late ? c->total_ms : at_ms;
    if (until_ms > spent_ms)
        lc_sleep_ms(until_ms - spent_ms);
    if (!late)
        return 0;
    return lc_fail(c->err, LLMCACHE_TIMEOUT,
                   "the demo provider did not finish its answer within %lld ms",
                   (long long)c->total_ms);
}

static int stopped(const call_state *c)
{
    return lc_fail(c->err, LLMCACHE_ABORTED, "the receiver stopped the demo provider's reply");
}

static int begin(call_state *c, int status, const char *type, int64_t body_size)
{
    const llmcache_header headers[] = {{"Content-Type", type}, {c->id_name, c->id}};
    if (c->sink->begin(c->sink->user, status, headers, c->id ? 2 : 1, body_size))
        return stopped(c);
    return 0;
}

/* Sends what is in the buffer and empties it. */
static int send(const call_state *c, lc_buffer *bytes)
{
    if (bytes->broken)
        return lc_fail_memory(c->err);
    if (bytes->size && c->sink->write(c->sink->user, bytes->data, bytes->size))
        return stopped(c);
    lc_buffer_clear(bytes);
    return 0;
}

static int send_document(call_state *c, int status, lc_buffer *body)
{
    if (body->broken)
        return lc_fail_memory(c->err);
    int rc = begin(c, status, "application/json", (int64_t)body->size);
    return rc ? rc : send(c, body);
}

static int send_whole(call_state *c, const lc_demo_reply *reply, int64_t latency_ms,
                      lc_buffer *out)
{
    int rc = think(c, latency_ms);
    if (rc)
        return rc;
    lc_demo_write_whole(reply, out);
    return send_document(c, 200, out);
}

static int send_stream(call_state *c, const lc_demo_reply *reply, int64_t latency_ms,
                       lc_buffer *out)
{
    int rc = begin(c, 200, "text/event-stream; charset=utf-8", -1);
    lc_demo_write_start(reply, out);
    size_t from = 0;
    for (int i = 0; i < PIECES && !rc; i++) {
        rc = think(c, latency_ms * (i + 1) / PIECES);
        size_t end = lc_demo_cut(reply->text, i, PIECES);
        lc_demo_write_piece(reply, reply->text + from, end - from, out);
        from = end;
        if (i == PIECES - 1)
            lc_demo_write_end(reply, out);
        if (!rc)
            rc = send(c, out);
    }
    return rc;
}

static int refuse(call_state *c, int messages, int status, const char *type, const char *why,
                  lc_buffer *out)
{
    lc_demo_write_error(messages, type, why, out);
    return send_document(c, status, out);
}

/* Does the target's path end so, its query aside? */
static int path_ends(const char *target, const char *end)
{
    size_t size = strcspn(target, "?"), tail = strlen(end);
    return size >= tail && memcmp(target + size - tail, end, tail) == 0;
}

static int answer(call_state *c, const llmcache_request *request, int64_t latency_ms,
                  lc_buffer *out)
{
    int messages = path_ends(request->target, "/messages");
    if (!messages && !path_ends(request->target, "/chat/completions"))
        return refuse(c, 0, 404, "invalid_request_error",
                      "The demo provider answers chat completions and messages only.", out);
    lc_demo_question question;
    int rc = lc_demo_read(messages, request->body, request->body_size, &question, c->err);
    if (rc == LLMCACHE_INVALID)
        return refuse(c, messages, 400, "invalid_request_error", c->err->message, out);
    if (rc)
        return rc;
    lc_demo_reply reply;
    lc_demo_answer(&question, lc_wall_ms(), &reply);
    c->id_name = messages ? "request-id" : "x-request-id";
    c->id = reply.id;
    if (question.stream)
        rc = send_stream(c, &reply, latency_ms, out);
    else
        rc = send_whole(c, &reply, latency_ms, out);
    lc_demo_question_done(&question);
    return rc;
}

static int call(void *user, const llmcache_request *request, const llmcache_limits *limits,
                const llmcache_sink *sink, llmcache_error *err)
{
    call_state c = {.sink = sink, .err = err, .start_ms = lc_mono_ms(),
                    .total_ms = limits->total_ms};
    lc_buffer out;
    lc_buffer_init(&out, 0);
    int rc = answer(&c, request, ((demo *)user)->latency_ms, &out);
    lc_buffer_done(&out);
    return rc;
}

static const char *base(void *user)
{
    return "demo:";
}

static int ping(void *user, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

int lc_provider_open_demo(int64_t latency_ms, lc_provider *provider, llmcache_error *err)
{
    demo *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    self->latency_ms = latency_ms;
    *provider = (lc_provider){.self = self,
                              .ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "demo",
                                      .call = call, .base = base, .ping = ping,
                                      .close = lc_free}};
    return 0;
}

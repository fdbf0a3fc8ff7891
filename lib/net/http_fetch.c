/* The whole reply in memory: a sink that collects, for callers who need no streaming. */
#include "net/http.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"

enum { HEAD_START = 1024 * 1024 };

typedef struct collector {
    lc_http_reply reply;
    lc_buffer body;
} collector;

static int collect_head(void *user, int status, const llmcache_header *headers, size_t count,
                        int64_t body_size)
{
    collector *c = user;
    c->reply.status = status;
    c->reply.retry_after_ms = lc_retry_after_ms(headers, count, lc_wall_ms());
    if (body_size <= 0)
        return 0;
    /* A promise of the peer's is worth a head start, not the memory itself. */
    return lc_buffer_reserve(&c->body, body_size < HEAD_START ? (size_t)body_size : HEAD_START);
}

static int collect_body(void *user, const void *bytes, size_t size)
{
    return lc_buffer_add(&((collector *)user)->body, bytes, size);
}

int lc_http_fetch(lc_http *http, const lc_http_request *request, lc_http_reply *reply,
                  llmcache_error *err)
{
    collector c = {.reply = {.retry_after_ms = -1}};
    lc_buffer_init(&c.body, request->limits.max_bytes);
    const llmcache_sink sink = {&c, collect_head, collect_body};
    int rc = lc_http_perform(http, request, &sink, err);
    if (rc == LLMCACHE_ABORTED && c.body.broken)
        rc = lc_fail(err, c.body.broken, "%s", lc_code_text(c.body.broken));
    if (!rc) {
        c.reply.body = lc_buffer_take(&c.body, &c.reply.body_size);
        if (!c.reply.body)
            rc = lc_fail_memory(err);
    }
    if (rc) {
        lc_buffer_done(&c.body);
        return rc;
    }
    *reply = c.reply;
    return 0;
}

/*
 * The drop-in path: /v1/... goes to llmcache_call as it came, and what that gives goes
 * out as it comes.
 *
 * A reply of known size leaves as head and body in one write. A stream leaves in chunks,
 * one write each. If the library has to cut it, the connection is closed without the last
 * chunk, so that the client sees the cut: by HTTP/1.0, which has no chunks, the
 * connection is reset.
 */
#include "cors.h"
#include "routes.h"

#include <string.h>
#include <strings.h>

enum { ONE_WRITE = 256 * 1024 };

typedef struct reply_relay {
    exchange *x;
    byte_buffer out; /* head, or a chunk, on its way */
    int begun;
    int streams;
    int64_t left; /* of a body of known size */
    int held;     /* `out` holds a last event, to leave with the last chunk */
} reply_relay;

/* ---- The reply ------------------------------------------------------------------ */

/* What the log says comes from the reply's own headers. */
static void note(exchange *x, const llmcache_header *header)
{
    if (!x->server->log || (*header->name | 0x20) != 'x')
        return;
    if (strcasecmp(header->name, "x-llmcache-source") == 0)
        reply_note(x->source, sizeof x->source, header->value);
    else if (strcasecmp(header->name, "x-llmcache-id") == 0)
        reply_note(x->id, sizeof x->id, header->value);
}

/* Fields of the upstream's connection, and those this server writes itself. */
static int is_own(const char *name)
{
    static const char *const own[] = {"connection", "content-length",    "date",
                                      "keep-alive", "transfer-encoding", "trailer",
                                      "upgrade"};
    char first = (char)(*name | 0x20);
    if (first == 'x')
        return 0; /* most of a hit's */
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i][0] == first && strcasecmp(name, own[i]) == 0)
            return 1;
    return 0;
}

/* Where the cache says who may read, what the service says of it does not count. */
static int is_cors(const char *name)
{
    static const char prefix[] = "access-control-";
    return strncasecmp(name, prefix, sizeof prefix - 1) == 0;
}

static void add_headers(reply_relay *relay, const llmcache_header *headers, size_t count)
{
    int governed = cors_governs(relay->x);
    for (size_t i = 0; i < count; i++) {
        const char *value = headers[i].value;
        size_t size = strlen(value);
        if (is_own(headers[i].name) || (governed && is_cors(headers[i].name)) || memchr(value, '\r', size) ||
            memchr(value, '\n', size))
            continue;
        note(relay->x, &headers[i]);
        bytes_text(&relay->out, headers[i].name);
        bytes_add(&relay->out, ": ", 2);
        bytes_add(&relay->out, value, size);
        bytes_add(&relay->out, "\r\n", 2);
    }
}

static int flush(reply_relay *relay)
{
    int failed =
        relay->out.broken || reply_write(relay->x, relay->out.data, relay->out.size);
    relay->out.size = 0;
    relay->held = 0;
    return failed ? -1 : 0;
}

static int begin(void *user, int status, const llmcache_header *headers, size_t count,
                 int64_t body_size)
{
    reply_relay *relay = user;
    exchange *x = relay->x;
    int bodiless = status == 204 || status == 304;
    relay->begun = 1;
    relay->streams = body_size < 0 && !bodiless;
    relay->left = body_size > 0 ? body_size : 0;
    x->close |= relay->streams && x->http10;
    bytes_reserve(&relay->out,
                  1024 + (relay->left <= ONE_WRITE ? (size_t)relay->left : 0));
    reply_head(x, &relay->out, status);
    add_headers(relay, headers, count);
    if (relay->streams && !x->http10)
        bytes_text(&relay->out, "Transfer-Encoding: chunked\r\n");
    else if (!relay->streams && !bodiless)
        reply_length(&relay->out, (uint64_t)relay->left);
    bytes_text(&relay->out, "\r\n");
    if (relay->out.broken)
        return -1; /* a body without its head would be read as something else */
    if (!x->head_only && relay->left > 0 && relay->left <= ONE_WRITE)
        return 0; /* the body's write takes it along */
    return flush(relay);
}

/* SDKs hang up at the last event: sent together with the last chunk, their connection can
 * be kept. */
static int is_last_event(const char *bytes, size_t size)
{
    static const char last[] = "data: [DONE]\n\n";
    size_t length = sizeof last - 1;
    return size >= length && memcmp(bytes + size - length, last, length) == 0;
}

static int write_stream(reply_relay *relay, const void *bytes, size_t size)
{
    if (relay->held && flush(relay))
        return -1;
    if (!relay->x->http10)
        bytes_format(&relay->out, "%zx\r\n", size);
    bytes_add(&relay->out, bytes, size);
    if (!relay->x->http10)
        bytes_text(&relay->out, "\r\n");
    if (is_last_event(bytes, size)) {
        relay->held = 1;
        return 0;
    }
    return flush(relay);
}

static int write_known(reply_relay *relay, const void *bytes, size_t size)
{
    if ((uint64_t)size > (uint64_t)relay->left)
        return -1;
    relay->left -= (int64_t)size;
    if (relay->out.size == 0)
        return reply_write(relay->x, bytes, size);
    bytes_add(&relay->out, bytes, size);
    return flush(relay);
}

static int write_body(void *user, const void *bytes, size_t size)
{
    reply_relay *relay = user;
    if (size == 0 || relay->x->head_only)
        return 0;
    return relay->streams ? write_stream(relay, bytes, size)
                          : write_known(relay, bytes, size);
}

/* The reply is whole: what is held leaves, with the last chunk. */
static void finish(reply_relay *relay)
{
    exchange *x = relay->x;
    if (relay->streams && !x->head_only && !x->http10)
        bytes_text(&relay->out, "0\r\n\r\n");
    if (relay->out.size)
        flush(relay);
    x->close |= relay->left > 0 && !x->head_only;
}

static void cut(reply_relay *relay)
{
    exchange *x = relay->x;
    x->close = 1;
    if (relay->streams && x->http10)
        gate_abort(x->slot);
}

void handle_call(exchange *x)
{
    llmcache_header headers[MG_MAX_HEADERS];
    byte_buffer target = {0}, room = {0};
    reply_relay relay = {.x = x};
    const llmcache_sink sink = {&relay, begin, write_body};
    llmcache_error err;

    if (request_body(x))
        return;
    if (x->info->query_string) {
        bytes_text(&target, x->path);
        bytes_text(&target, "?");
        bytes_text(&target, x->query);
        bytes_end(&target);
    }
    size_t count = request_onward(x, headers, &room);
    if (target.broken || room.broken) {
        reply_error(x, 503, NULL, "out_of_memory", NULL, "out of memory");
    } else {
        llmcache_request request = {.struct_size = sizeof request,
                                    .method = x->info->request_method,
                                    .target = target.data ? target.data : x->path,
                                    .headers = headers,
                                    .header_count = count,
                                    .body = x->body.data,
                                    .body_size = x->body.size};
        int code = llmcache_call(x->server->cache, &request, &sink, &err);
        if (code == 0 && relay.begun)
            finish(&relay);
        else if (relay.begun)
            cut(&relay);
        else if (code)
            reply_failure(x, &err);
        else
            reply_error(x, 502, NULL, "no_reply", NULL, "there was no reply");
    }
    bytes_free(&relay.out);
    bytes_free(&room);
    bytes_free(&target);
}

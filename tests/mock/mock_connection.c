/*
 * One connection: reads calls (with a length or chunks, Expect, gzip), sends replies in one write, or step by
 * step with the misbehaviour the rule asks for. A wait watches the client, so that one who
 * leaves is noticed at once.
 */
#include "mock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { most_head = 1 << 20, most_body = 512 << 20, longest_wait_ms = 600000 };

typedef struct connection {
    int fd;
    uint64_t number;
    mock_bytes in;     /* received; `start` of it is done with */
    size_t start;
    int gone;          /* the client has left, or writing failed */
    int last;          /* close after this reply */
} connection;

/* ---- Reading --------------------------------------------------------------------------------- */

static int receive(connection *c)
{
    char piece[65536];
    ssize_t count;
    do
        count = recv(c->fd, piece, sizeof piece, 0);
    while (count < 0 && errno == EINTR);
    if (count <= 0)
        return -1;
    mock_add(&c->in, piece, (size_t)count);
    return 0;
}

static void send_all(connection *c, const void *data, size_t size)
{
    for (const char *at = data; size && !c->gone;) {
        ssize_t sent = send(c->fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            c->gone = 1;
        else {
            at += sent;
            size -= (size_t)sent;
        }
    }
}

int mock_header(const mock_call *call, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    *value = '\0';
    for (const char *line = call->headers; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *at = line + length + 1;
            at += strspn(at, " \t");
            snprintf(value, size, "%.*s", (int)strcspn(at, "\r\n"), at);
            return 1;
        }
    return 0;
}

/* Waits until `size` bytes are there from `at` on; pointers into `in` change. */
static int need(connection *c, size_t at, size_t size)
{
    while (c->in.size < at + size)
        if (receive(c))
            return -1;
    return 0;
}

/* The line at `at` without its end; -1 when the connection ends. *next: after it. */
static int line_at(connection *c, size_t at, size_t *next)
{
    char *end;
    while (!(end = c->in.size > at ? memchr(c->in.data + at, '\n', c->in.size - at) : NULL))
        if (c->in.size - at > 4096 || receive(c))
            return -1;
    *next = (size_t)(end - c->in.data) + 1;
    return 0;
}

/* A chunked body from `at` on, decoded into `body`; *end: after it. */
static int read_chunks(connection *c, size_t at, mock_bytes *body, size_t *end)
{
    for (;;) {
        size_t next;
        if (line_at(c, at, &next))
            return -1;
        size_t size = strtoul(c->in.data + at, NULL, 16);
        if (size > most_body || body->size + size > most_body)
            return -1;
        if (size == 0)
            break;
        if (need(c, next, size + 2))
            return -1;
        mock_add(body, c->in.data + next, size);
        at = next + size + 2;
    }
    size_t next;
    do { /* trailers up to the empty line */
        if (line_at(c, at, &next))
            return -1;
        size_t length = next - at;
        at = next;
        if (length <= 2)
            break;
    } while (1);
    *end = at;
    return 0;
}

static int read_body(connection *c, const mock_call *call, size_t at, mock_bytes *body, size_t *end)
{
    char value[64];
    if (mock_header(call, "expect", value, sizeof value) && strcasecmp(value, "100-continue") == 0)
        send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    if (mock_header(call, "transfer-encoding", value, sizeof value))
        return read_chunks(c, at, body, end);
    size_t size = mock_header(call, "content-length", value, sizeof value) ? strtoul(value, NULL, 10) : 0;
    if (size > most_body || need(c, at, size))
        return -1;
    mock_add(body, c->in.data + at, size);
    *end = at + size;
    return 0;
}

/* Undoes gzip in place; leaves the bytes when they are none. */
static void inflate_body(mock_bytes *body)
{
    z_stream z = {.next_in = (Bytef *)body->data, .avail_in = (uInt)body->size};
    mock_bytes plain = {0};
    char piece[65536];
    int code = Z_OK;
    if (inflateInit2(&z, 15 + 32) != Z_OK)
        return;
    while (code == Z_OK) {
        z.next_out = (Bytef *)piece;
        z.avail_out = sizeof piece;
        code = inflate(&z, Z_NO_FLUSH);
        mock_add(&plain, piece, sizeof piece - z.avail_out);
        if (code == Z_OK && z.avail_in == 0 && z.avail_out)
            break;
    }
    inflateEnd(&z);
    if (code != Z_STREAM_END) {
        mock_bytes_done(&plain);
        return;
    }
    mock_bytes_done(body);
    *body = plain;
}

/* Other parsers take lone surrogates: they become U+FFFD here, in a copy. */
static json_t *parse_lenient(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (!copy)
        exit(1);
    memcpy(copy, text, size);
    for (size_t i = 0; i + 5 < size; i++) {
        if (copy[i] != '\\')
            continue;
        if (copy[i + 1] == 'u' && (copy[i + 2] | 32) == 'd' && strchr("89abcdefABCDEF", copy[i + 3]))
            memcpy(copy + i + 2, "fffd", 4);
        i++;
    }
    json_t *root = json_loadb(copy, size, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    free(copy);
    return root;
}

static json_t *parse(const char *text, size_t size)
{
    if (!size)
        return NULL;
    json_t *root = json_loadb(text, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    return root ? root : parse_lenient(text, size);
}

/* ---- Waiting and sending --------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_ms(connection *c, long ms)
{
    int64_t end = now_ms() + ms;
    while (!c->gone && ms > 0) {
        struct pollfd watch = {.fd = c->fd, .events = POLLRDHUP};
        if (poll(&watch, 1, (int)ms) > 0 && watch.revents)
            c->gone = 1;
        ms = (long)(end - now_ms());
    }
}

static const char *reason(int status)
{
    return status < 300 ? "OK" : status < 500 ? "Refused" : "Failed";
}

static void add_standard_headers(const mock_call *call, mock_bytes *head)
{
    unsigned long long n = (unsigned long long)call->number;
    char date[64];
    struct tm utc;
    time_t now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    mock_print(head, "Date: %s\r\nServer: mock\r\nSet-Cookie: __cf_bm=mock%llu; path=/; HttpOnly\r\n", date, n);
    if (mock_is_anthropic(call))
        mock_print(head, "request-id: req_mock%06llu\r\nanthropic-organization-id: org-mock\r\n"
                         "anthropic-ratelimit-requests-limit: 1000\r\n"
                         "anthropic-ratelimit-requests-remaining: %llu\r\n", n, 1000 - n % 1000);
    else
        mock_print(head, "x-request-id: req_mock%06llu\r\nopenai-organization: org-mock\r\n"
                         "openai-processing-ms: 7\r\nopenai-version: 2020-10-01\r\n"
                         "x-ratelimit-limit-requests: 10000\r\n"
                         "x-ratelimit-remaining-requests: %llu\r\n", n, 10000 - n % 10000);
}

static int rule_has_header(const mock_call *call, const char *name)
{
    json_t *headers = call->rule ? json_object_get(call->rule, "headers") : NULL;
    const char *key;
    json_t *value;
    json_object_foreach (headers, key, value)
        if (strcasecmp(key, name) == 0)
            return 1;
    return 0;
}

static void add_rule_headers(const mock_call *call, mock_bytes *head)
{
    json_t *headers = call->rule ? json_object_get(call->rule, "headers") : NULL, *value;
    const char *key;
    json_object_foreach (headers, key, value)
        if (json_is_string(value))
            mock_print(head, "%s: %s\r\n", key, json_string_value(value));
}

static void make_head(connection *c, const mock_call *call, const mock_reply *reply, mock_bytes *head)
{
    mock_print(head, "HTTP/1.1 %d %s\r\n", reply->status, reason(reply->status));
    add_standard_headers(call, head);
    if (!rule_has_header(call, "content-type"))
        mock_print(head, "Content-Type: %s\r\n", reply->type);
    add_rule_headers(call, head);
    if (reply->headers.size)
        mock_add(head, reply->headers.data, reply->headers.size);
    if (mock_rule_true(call, "no_length"))
        c->last = 1;
    else if (reply->stream)
        mock_print(head, "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n");
    else
        mock_print(head, "Content-Length: %zu\r\n", reply->body.size);
    mock_print(head, "Connection: %s\r\n\r\n", c->last ? "close" : "keep-alive");
}

static void add_chunk(mock_bytes *to, const char *data, size_t size)
{
    if (!size)
        return;
    mock_print(to, "%zx\r\n", size);
    mock_add(to, data, size);
    mock_add(to, "\r\n", 2);
}

/* The well-behaved reply: one write. */
static void send_plain(connection *c, const mock_call *call, const mock_reply *reply)
{
    mock_bytes out = {0};
    make_head(c, call, reply, &out);
    if (strcmp(call->method, "HEAD") == 0)
        ;
    else if (!reply->stream)
        mock_add(&out, reply->body.data, reply->body.size);
    else {
        for (size_t i = 0, at = 0; i < reply->pieces; at = reply->ends[i++])
            add_chunk(&out, reply->body.data + at, reply->ends[i] - at);
        mock_add(&out, "0\r\n\r\n", 5);
    }
    send_all(c, out.data, out.size);
    mock_bytes_done(&out);
}

/* ---- Misbehaviour ---------------------------------------------------------------------------- */

/* Every piece compressed and flushed, so that pieces still arrive one by one. */
static void compress_reply(mock_reply *reply)
{
    z_stream z = {0};
    mock_bytes out = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return;
    if (!reply->pieces)
        mock_piece(reply);
    for (size_t i = 0, at = 0; i < reply->pieces; i++) {
        z.next_in = (Bytef *)reply->body.data + at;
        z.avail_in = (uInt)(reply->ends[i] - at);
        at = reply->ends[i];
        int flush = i + 1 == reply->pieces ? Z_FINISH : Z_SYNC_FLUSH;
        do {
            char piece[16384];
            z.next_out = (Bytef *)piece;
            z.avail_out = sizeof piece;
            deflate(&z, flush);
            mock_add(&out, piece, sizeof piece - z.avail_out);
        } while (z.avail_out == 0);
        reply->ends[i] = out.size;
    }
    deflateEnd(&z);
    mock_bytes_done(&reply->body);
    reply->body = out;
    mock_print(&reply->headers, "Content-Encoding: gzip\r\n");
}

/* Makes the connection end with RST instead of FIN. */
static void arm_reset(connection *c)
{
    struct linger hard = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

/* Sends the payload in frames of `step` bytes. */
static void send_payload(connection *c, const mock_call *call, const mock_reply *reply, const char *data,
                         size_t size)
{
    long dribble = mock_rule_int(call, "dribble", 0), pause = mock_rule_int(call, "dribble_ms", 0);
    size_t step = dribble > 0 ? (size_t)dribble : size;
    for (size_t at = 0; at < size && !c->gone; at += step) {
        size_t count = size - at < step ? size - at : step;
        mock_bytes frame = {0};
        if (reply->stream && !mock_rule_true(call, "no_length"))
            add_chunk(&frame, data + at, count);
        else
            mock_add(&frame, data + at, count);
        send_all(c, frame.data, frame.size);
        mock_bytes_done(&frame);
        if (at + count < size)
            wait_ms(c, pause);
    }
}

/* Sends body bytes up to `limit`, piece by piece. */
static void send_pieces(connection *c, const mock_call *call, const mock_reply *reply, size_t limit)
{
    long pause = mock_rule_int(call, "chunk_delay_ms", 0);
    size_t at = 0;
    for (size_t i = 0; at < limit && !c->gone; i++) {
        size_t end = i < reply->pieces ? reply->ends[i] : reply->body.size;
        if (i)
            wait_ms(c, pause);
        if (end > limit)
            end = limit;
        send_payload(c, call, reply, reply->body.data + at, end - at);
        at = end;
    }
}

/* Where the body is cut or stalls: bytes, or the end of so many events; its size when it is not. */
static size_t limit_of(const mock_call *call, const mock_reply *reply, const char *verb, int *found)
{
    char name[40];
    snprintf(name, sizeof name, "%s_after_bytes", verb);
    long bytes = mock_rule_int(call, name, -1);
    snprintf(name, sizeof name, "%s_after_events", verb);
    long events = mock_rule_int(call, name, -1);
    *found = 1;
    if (bytes >= 0 && (size_t)bytes < reply->body.size)
        return (size_t)bytes;
    if (events >= 0 && (size_t)events < reply->pieces)
        return events ? reply->ends[events - 1] : 0;
    *found = 0;
    return reply->body.size;
}

static void send_by_rule(connection *c, const mock_call *call, mock_reply *reply)
{
    int cut, stall;
    mock_bytes head = {0};
    if (mock_rule_text(call, "content_encoding"))
        compress_reply(reply);
    size_t limit = limit_of(call, reply, "cut", &cut);
    if (!cut)
        limit = limit_of(call, reply, "stall", &stall);
    else
        stall = 0;
    if (mock_rule_true(call, "close"))
        c->last = 1;
    make_head(c, call, reply, &head);
    send_all(c, head.data, head.size);
    mock_bytes_done(&head);
    wait_ms(c, mock_rule_int(call, "first_byte_delay_ms", 0));
    if (strcmp(call->method, "HEAD") != 0)
        send_pieces(c, call, reply, limit);
    if (stall)
        wait_ms(c, longest_wait_ms);
    if (cut && !mock_rule_true(call, "cut_clean")) {
        c->last = 1;
        if (mock_rule_true(call, "reset"))
            arm_reset(c);
    } else if (reply->stream && !mock_rule_true(call, "no_length") && !c->gone) {
        wait_ms(c, mock_rule_int(call, "end_delay_ms", 0));
        send_all(c, "0\r\n\r\n", 5);
    }
}

/* No reply at all: dropped, reset, or silence until the client leaves. 1 when it is so. */
static int says_nothing(connection *c, const mock_call *call)
{
    json_t *rule = call->rule;
    int cuts = json_object_get(rule, "cut_after_bytes") || json_object_get(rule, "cut_after_events");
    if (mock_rule_true(call, "hang"))
        wait_ms(c, longest_wait_ms);
    else if (!mock_rule_true(call, "drop") && (!mock_rule_true(call, "reset") || cuts))
        return 0;
    if (mock_rule_true(call, "reset"))
        arm_reset(c);
    c->last = 1;
    return 1;
}

static void send_reply(connection *c, const mock_call *call, mock_reply *reply)
{
    if (!call->rule)
        send_plain(c, call, reply);
    else
        send_by_rule(c, call, reply);
}

/* ---- One call -------------------------------------------------------------------------------- */

static void answer_call(connection *c, mock_call *call)
{
    mock_reply reply = {.status = 200, .type = "application/json", .call = call};
    if (mock_control(call, &reply)) {
        send_plain(c, call, &reply);
    } else {
        mock_seen *seen = mock_note(call);
        wait_ms(c, mock_rule_int(call, "delay_ms", 0));
        if (says_nothing(c, call))
            reply.status = 0;
        else {
            mock_dispatch(call, &reply);
            send_reply(c, call, &reply);
        }
        mock_note_end(seen, reply.status, c->gone);
    }
    mock_bytes_done(&reply.headers);
    mock_bytes_done(&reply.body);
    free(reply.ends);
}

/* Reads the head into strings of its own; its size with the empty line, 0 when the connection ends. */
static size_t read_head(connection *c, char **head)
{
    char *end;
    while (!(end = c->in.size > c->start
                       ? memmem(c->in.data + c->start, c->in.size - c->start, "\r\n\r\n", 4)
                       : NULL))
        if (c->in.size - c->start > most_head || receive(c))
            return 0;
    size_t size = (size_t)(end - (c->in.data + c->start)) + 4;
    *head = strndup(c->in.data + c->start, size - 2);
    return size;
}

static int serve_one(connection *c)
{
    char *head = NULL, value[64];
    size_t size = read_head(c, &head), end = 0;
    if (!size)
        return -1;
    char *method = head, *target = strchr(head, ' '), *line = strstr(head, "\r\n");
    char *version = target ? strchr(target + 1, ' ') : NULL;
    mock_call call = {.method = method, .connection = c->number};
    mock_bytes body = {0};
    int code = -1;
    if (!version || version > line)
        goto out;
    *target++ = *version++ = *line = '\0';
    call.target = target;
    call.headers = line + 2;
    char *path = strndup(target, strcspn(target, "?"));
    call.path = path;
    c->last = strncmp(version, "HTTP/1.0", 8) == 0 ||
              (mock_header(&call, "connection", value, sizeof value) && strcasecmp(value, "close") == 0);
    mock_add(&body, "", 0);
    if (read_body(c, &call, c->start + size, &body, &end) == 0) {
        c->start = end;
        if (mock_header(&call, "content-encoding", value, sizeof value))
            inflate_body(&body);
        call.body = body.data;
        call.body_size = body.size;
        call.json = parse(body.data, body.size);
        answer_call(c, &call);
        json_decref(call.json);
        json_decref(call.rule);
        code = c->gone || c->last ? -1 : 0;
    }
    free(path);
out:
    mock_bytes_done(&body);
    free(head);
    return code;
}

void mock_serve(int fd, uint64_t number)
{
    connection c = {.fd = fd, .number = number};
    while (serve_one(&c) == 0) {
        if (c.start == c.in.size)
            c.start = c.in.size = 0;
    }
    mock_bytes_done(&c.in);
    close(fd);
}

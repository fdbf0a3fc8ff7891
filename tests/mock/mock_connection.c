/*
 * One connection: sends replies in one write, or step by step with the misbehaviour the
 * rule asks for. A wait watches the client, so that one who leaves is noticed at once.
 */
#include "mock_connection.h"

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

enum { longest_wait_ms = 600000 };

/* ---- Waiting and sending
 * --------------------------------------------------------------------- */

void mock_send(mock_connection *c, const void *data, size_t size)
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

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_ms(mock_connection *c, long ms)
{
    int64_t end = now_ms() + ms;
    while (!c->gone && ms > 0) {
        struct pollfd watch = {.fd = c->fd, .events = POLLRDHUP};
        if (poll(&watch, 1, (int)ms) > 0 && watch.revents)
            c->gone = 1;
        ms = (long)(end - now_ms());
    }
}

static void wait_for_release(mock_connection *c, const mock_call *call)
{
    while (!c->gone && !mock_is_released(call))
        wait_ms(c, 1);
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
    mock_print(
        head,
        "Date: %s\r\nServer: mock\r\nSet-Cookie: __cf_bm=mock%llu; path=/; HttpOnly\r\n",
        date, n);
    if (mock_is_anthropic(call))
        mock_print(head,
                   "request-id: req_mock%06llu\r\nanthropic-organization-id: org-mock\r\n"
                   "anthropic-ratelimit-requests-limit: 1000\r\n"
                   "anthropic-ratelimit-requests-remaining: %llu\r\n",
                   n, 1000 - n % 1000);
    else
        mock_print(head,
                   "x-request-id: req_mock%06llu\r\nopenai-organization: org-mock\r\n"
                   "openai-processing-ms: 7\r\nopenai-version: 2020-10-01\r\n"
                   "x-ratelimit-limit-requests: 10000\r\n"
                   "x-ratelimit-remaining-requests: %llu\r\n",
                   n, 10000 - n % 10000);
}

static int rule_has_header(const mock_call *call, const char *name)
{
    json_t *headers = call->rule ? json_object_get(call->rule, "headers") : NULL;
    const char *key;
    json_t *value;
    json_object_foreach(headers, key, value) if (strcasecmp(key, name) == 0) return 1;
    return 0;
}

static void add_rule_headers(const mock_call *call, mock_bytes *head)
{
    json_t *headers = call->rule ? json_object_get(call->rule, "headers") : NULL, *value;
    const char *key;
    json_object_foreach(headers, key, value) if (json_is_string(value))
        mock_print(head, "%s: %s\r\n", key, json_string_value(value));
}

static void make_head(mock_connection *c, const mock_call *call, const mock_reply *reply,
                      mock_bytes *head)
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
static void send_plain(mock_connection *c, const mock_call *call, const mock_reply *reply)
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
    mock_send(c, out.data, out.size);
    mock_bytes_done(&out);
}

/* ---- Misbehaviour
 * ---------------------------------------------------------------------------- */

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
static void arm_reset(mock_connection *c)
{
    struct linger hard = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

/* Sends the payload in frames of `step` bytes. */
static void send_payload(mock_connection *c, const mock_call *call,
                         const mock_reply *reply, const char *data, size_t size)
{
    long dribble = mock_rule_int(call, "dribble", 0),
         pause = mock_rule_int(call, "dribble_ms", 0);
    size_t step = dribble > 0 ? (size_t)dribble : size;
    for (size_t at = 0; at < size && !c->gone; at += step) {
        size_t count = size - at < step ? size - at : step;
        mock_bytes frame = {0};
        if (reply->stream && !mock_rule_true(call, "no_length"))
            add_chunk(&frame, data + at, count);
        else
            mock_add(&frame, data + at, count);
        mock_send(c, frame.data, frame.size);
        mock_bytes_done(&frame);
        if (at + count < size)
            wait_ms(c, pause);
    }
}

/* Sends body bytes up to `limit`, piece by piece. */
static void send_pieces(mock_connection *c, const mock_call *call,
                        const mock_reply *reply, size_t limit)
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

/* Where the body is cut or stalls: bytes, or the end of so many events; its size when it
 * is not. */
static size_t limit_of(const mock_call *call, const mock_reply *reply, const char *verb,
                       int *found)
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

static void send_by_rule(mock_connection *c, const mock_call *call, mock_reply *reply)
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
    mock_send(c, head.data, head.size);
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
        mock_send(c, "0\r\n\r\n", 5);
    }
}

/* No reply at all: dropped, reset, or silence until the client leaves. 1 when it is so.
 */
static int says_nothing(mock_connection *c, const mock_call *call)
{
    json_t *rule = call->rule;
    int cuts = json_object_get(rule, "cut_after_bytes") ||
               json_object_get(rule, "cut_after_events");
    if (mock_rule_true(call, "hang"))
        wait_ms(c, longest_wait_ms);
    else if (!mock_rule_true(call, "drop") && (!mock_rule_true(call, "reset") || cuts))
        return 0;
    if (mock_rule_true(call, "reset"))
        arm_reset(c);
    c->last = 1;
    return 1;
}

static void send_reply(mock_connection *c, const mock_call *call, mock_reply *reply)
{
    if (!call->rule)
        send_plain(c, call, reply);
    else
        send_by_rule(c, call, reply);
}

/* ---- One call
 * -------------------------------------------------------------------------------- */

static void answer_call(mock_connection *c, mock_call *call)
{
    mock_reply reply = {.status = 200, .type = "application/json", .call = call};
    if (mock_control(call, &reply)) {
        send_plain(c, call, &reply);
    } else {
        mock_seen *seen = mock_note(call);
        if (mock_rule_true(call, "hold"))
            wait_for_release(c, call);
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

static int serve_one(mock_connection *c)
{
    char *head = NULL, value[64];
    size_t size = mock_read_head(c, &head), end = 0;
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
              (mock_header(&call, "connection", value, sizeof value) &&
               strcasecmp(value, "close") == 0);
    mock_add(&body, "", 0);
    if (mock_read_body(c, &call, c->start + size, &body, &end) == 0) {
        c->start = end;
        if (mock_header(&call, "content-encoding", value, sizeof value))
            mock_inflate(&body);
        call.body = body.data;
        call.body_size = body.size;
        call.json = mock_parse(body.data, body.size);
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
    mock_connection c = {.fd = fd, .number = number};
    while (serve_one(&c) == 0) {
        if (c.start == c.in.size)
            c.start = c.in.size = 0;
    }
    mock_bytes_done(&c.in);
    close(fd);
}

/*
 * Requests, checked. CivetWeb 1.15 parses leniently: it drops what follows a folded
 * header line, takes the first of two lengths, reads "5x" as 5, prefers chunks when a
 * length is there as well. Any of these lets two readers of one connection disagree on
 * where a request ends, so all of them are refused here, and the connection closed.
 */
#include "exchange.h"
#include "inflate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SKIP_BYTES = 64 * 1024 };

/* ---- Values --------------------------------------------------------------------- */

size_t request_value_size(const char *value)
{
    size_t size = strlen(value);
    while (size && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        size--;
    return size;
}

static int value_is(const char *value, const char *word)
{
    size_t size = request_value_size(value);
    return strlen(word) == size && strncasecmp(value, word, size) == 0;
}

const char *request_query(const exchange *x, const char *name, char *out, size_t size)
{
    int found = mg_get_var(x->query, strlen(x->query), name, out, size);
    if (found == -1)
        return NULL;
    if (found < 0)
        out[0] = '\0';
    return out;
}

/* ---- The head ------------------------------------------------------------------- */

static int refuse(exchange *x, int status, const char *code, const char *message)
{
    x->close = 1;
    x->body_state = BODY_UNREAD; /* whatever still comes is not understood */
    reply_error(x, status, NULL, code, NULL, message);
    return -1;
}

/*
 * CivetWeb parses in place and puts a NUL over each line end, so neighbouring fields tell
 * how a line ended: by CR LF there are two bytes between the end of a value and the next
 * name.
 */
static int lines_are_whole(const struct mg_request_info *info)
{
    const char *end = info->http_version + strlen(info->http_version);
    for (int i = 0; i < info->num_headers; i++) {
        const char *name = info->http_headers[i].name,
                   *value = info->http_headers[i].value;
        const char *name_end = name + strlen(name);
        if (name != end + 2 || (name_end[1] == '\0' && value != name_end + 1))
            return 0; /* a bare LF, a folded line, or white space before the colon */
        end = value + strlen(value);
    }
    return 1;
}

/* The head ends where the last header line ends; otherwise CivetWeb stopped before its
 * end. */
static int head_is_complete(const struct mg_request_info *info)
{
    if (info->num_headers == 0)
        return 1;
    const char *last = info->http_headers[info->num_headers - 1].value;
    const char *end = last + strlen(last);
    return end[1] == '\0' && end[2] == '\r';
}

static size_t head_size(const struct mg_request_info *info)
{
    const char *last = info->num_headers ? info->http_headers[info->num_headers - 1].value
                                         : info->http_version;
    return (size_t)(last + strlen(last) - info->request_method);
}

static int check_lines(exchange *x)
{
    const struct mg_request_info *info = x->info;
    if (head_size(info) > SERVER_HEAD_BYTES)
        return refuse(x, 431, "headers_too_large",
                      "the request's header fields are too large");
    if (!lines_are_whole(info))
        return refuse(x, 400, "malformed_request", "a header line is malformed");
    if (!head_is_complete(info))
        return info->num_headers == MG_MAX_HEADERS
                   ? refuse(x, 431, "too_many_headers",
                            "the request has too many header fields")
                   : refuse(x, 400, "malformed_request",
                            "a header line is folded or malformed");
    return 0;
}

static int check_fields(exchange *x)
{
    if (x->fields.doubled)
        return refuse(x, 400, "malformed_request", "a header field comes twice");
    if (!x->http10 && !x->fields.value[FIELD_HOST])
        return refuse(x, 400, "malformed_request", "the Host header is missing");
    return 0;
}

static int read_length(const char *value, int64_t *length)
{
    size_t size = request_value_size(value);
    *length = 0;
    if (size == 0 || size > 18)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)value[i]))
            return -1;
        *length = *length * 10 + (value[i] - '0');
    }
    return 0;
}

static int check_framing(exchange *x)
{
    const char *coding = x->fields.value[FIELD_TRANSFER_ENCODING];
    const char *length = x->fields.value[FIELD_CONTENT_LENGTH];
    const char *expect = x->fields.value[FIELD_EXPECT];
    if (coding && (length || x->http10 || !value_is(coding, "chunked")))
        return refuse(
            x, 400, "malformed_request",
            "Transfer-Encoding must be chunked, and stand without Content-Length");
    if (length && read_length(length, &x->length))
        return refuse(x, 400, "malformed_request", "Content-Length is not a number");
    if (expect && !value_is(expect, "100-continue"))
        return refuse(x, 417, "expectation_failed", "Expect can only be 100-continue");
    x->chunked = coding != NULL;
    x->body_state = x->chunked || x->length > 0 ? BODY_UNREAD : BODY_NONE;
    return 0;
}

/* Is the segment "." or "..", percent-encoded or not? */
static int is_dots(const char *segment, size_t size)
{
    size_t dots = 0;
    for (size_t i = 0; i < size; dots++) {
        if (segment[i] == '.')
            i++;
        else if (size - i >= 3 && strncasecmp(segment + i, "%2e", 3) == 0)
            i += 3;
        else
            return 0;
    }
    return dots == 1 || dots == 2;
}

/* Dot segments could leave the upstream's base; whoever sends them on purpose means no
 * good. */
static int check_path(exchange *x)
{
    for (const char *at = x->path; *at == '/';) {
        size_t size = strcspn(++at, "/");
        if (is_dots(at, size))
            return refuse(x, 400, "malformed_request", "the path has dot segments");
        at += size;
    }
    if (strchr(x->path, '#') || strchr(x->query, '#'))
        return refuse(x, 400, "malformed_request", "the request target has a fragment");
    return 0;
}

/* Will CivetWeb keep the connection? It does so by the same rules. */
static int client_keeps(const exchange *x)
{
    const char *wish = x->fields.value[FIELD_CONNECTION];
    if (x->fields.value[FIELD_UPGRADE])
        return 0;
    return wish ? strcasestr(wish, "keep-alive") != NULL : !x->http10;
}

int request_check(exchange *x)
{
    const struct mg_request_info *info = x->info;
    fields_find(&x->fields, info);
    x->http10 = strcmp(info->http_version, "1.0") == 0;
    x->path = info->local_uri_raw;
    x->query = info->query_string ? info->query_string : "";
    x->head_only = strcmp(info->request_method, "HEAD") == 0;
    x->method = x->head_only ? "GET" : info->request_method;
    x->tail = "";
    x->shape = strncmp(x->path, "/v1/messages", 12) == 0 ? SHAPE_ANTHROPIC : SHAPE_OPENAI;
    x->close |= !client_keeps(x);
    if (check_lines(x) || check_fields(x) || check_framing(x))
        return -1;
    return check_path(x);
}

/* ---- Going on ------------------------------------------------------------------- */

/* Is the field named in Connection, and so meant for this connection only? */
static int is_hop(const char *list, const char *name)
{
    size_t size = strlen(name);
    while (list && *list) {
        list += strspn(list, ", \t");
        size_t word = strcspn(list, ", \t");
        if (word == size && strncasecmp(list, name, size) == 0)
            return 1;
        list += word;
    }
    return 0;
}

size_t request_onward(const exchange *x, llmcache_header *headers, byte_buffer *room)
{
    const char *hops = x->fields.value[FIELD_CONNECTION];
    size_t count = 0;
    for (int i = 0; i < x->info->num_headers; i++) {
        const char *name = x->info->http_headers[i].name;
        const char *value = x->info->http_headers[i].value;
        size_t size = request_value_size(value);
        if (field_stays(x->fields.kind[i]) || is_hop(hops, name))
            continue;
        if (value[size]) {
            size_t start = room->size;
            if (!room->data)
                bytes_reserve(room,
                              2 * SERVER_HEAD_BYTES); /* all fit: it is never moved */
            bytes_add(room, value, size);
            bytes_add(room, "", 1);
            value = room->broken ? "" : room->data + start;
        }
        headers[count++] = (llmcache_header){name, value};
    }
    return count;
}

/* ---- The body ------------------------------------------------------------------- */

static int too_large(exchange *x)
{
    return refuse(x, 413, "request_too_large",
                  "the request's body is larger than max-body-bytes");
}

static int broken_body(exchange *x)
{
    if (gate_was_cut(x->slot))
        return refuse(x, 408, "request_timeout",
                      "the request's body did not come in time");
    return refuse(x, 400, "malformed_request",
                  "the request's body is shorter than announced or malformed");
}

/* A client that waits for leave to send gets it. */
static int go_ahead(exchange *x)
{
    static const char leave[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!x->fields.value[FIELD_EXPECT] || x->http10)
        return 0;
    return reply_write(x, leave, sizeof leave - 1);
}

/* mg_read returns what came before the end, the same for a whole body, a broken one and a
 * lost peer. */
static int read_known(exchange *x)
{
    size_t size = (size_t)x->length;
    if (bytes_reserve(&x->body, size + 1))
        return -1;
    while (x->body.size < size) {
        int count = mg_read(x->conn, x->body.data + x->body.size, size - x->body.size);
        if (count <= 0)
            return -1;
        x->body.size += (size_t)count;
    }
    return 0;
}

/* One byte past the cap tells "too large" from "just fits". */
static int read_chunks(exchange *x, size_t cap)
{
    for (;;) {
        size_t piece = x->body.size < 65536 ? 16384 : x->body.size / 2;
        if (piece > cap + 1 - x->body.size)
            piece = cap + 1 - x->body.size;
        if (piece == 0 || bytes_reserve(&x->body, piece + 1))
            return 0;
        int count = mg_read(x->conn, x->body.data + x->body.size, piece);
        if (count < 0)
            return -1;
        if (count == 0)
            return 0;
        x->body.size += (size_t)count;
    }
}

static int decode(exchange *x, size_t cap)
{
    const char *coding = x->fields.value[FIELD_CONTENT_ENCODING];
    if (!coding || value_is(coding, "identity") || x->body.size == 0)
        return 0;
    if (!value_is(coding, "gzip") && !value_is(coding, "x-gzip") &&
        !value_is(coding, "deflate")) {
        reply_error(x, 415, "Accept-Encoding: gzip, deflate\r\n", "unsupported_encoding",
                    NULL, "Content-Encoding can be gzip or deflate");
        return -1;
    }
    byte_buffer plain = {.max = cap};
    int code = inflate_bytes(x->body.data, x->body.size, &plain);
    if (code == 0) {
        bytes_free(&x->body);
        x->body = plain;
        return 0;
    }
    bytes_free(&plain);
    if (code == INFLATE_TOO_LARGE)
        return too_large(x);
    reply_error(x, 400, NULL, "malformed_request", NULL,
                "the request's body is not what its Content-Encoding says");
    return -1;
}

int request_body(exchange *x)
{
    size_t cap = x->server->config.max_body_bytes;
    int failed = 0;
    if (x->body_state == BODY_UNREAD) {
        if (!x->chunked && (uint64_t)x->length > cap)
            return too_large(x);
        if (go_ahead(x))
            return -1;
        gate_limit(x->slot, x->server->config.request_timeout_ms);
        failed = x->chunked ? read_chunks(x, cap) : read_known(x);
        gate_limit(x->slot, 0);
        if (x->body.broken)
            return refuse(x, 503, "out_of_memory",
                          "there is no memory for the request's body");
        if (failed)
            return broken_body(x);
        if (x->body.size > cap)
            return too_large(x);
        x->body_state = BODY_READ;
        if (decode(x, cap))
            return -1;
    }
    if (bytes_end(&x->body))
        return refuse(x, 503, "out_of_memory",
                      "there is no memory for the request's body");
    return 0;
}

void request_skip_body(exchange *x)
{
    char sink[4096];
    if (x->body_state != BODY_UNREAD)
        return;
    x->close |=
        x->chunked || x->length > SKIP_BYTES || x->fields.value[FIELD_EXPECT] != NULL;
    if (x->close)
        return;
    gate_limit(x->slot, x->server->config.request_timeout_ms);
    for (int64_t left = x->length; left > 0 && !x->close;) {
        int count = mg_read(x->conn, sink, sizeof sink);
        x->close = count <= 0;
        left -= count;
    }
    gate_limit(x->slot, 0);
    x->body_state = BODY_READ;
}

/* Reading a call off a connection: its head, a body with a length or in chunks, gzip,
 * JSON. */
#include "mock_connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <zlib.h>

enum { most_head = 1 << 20, most_body = 512 << 20 };

static int receive(mock_connection *c)
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

int mock_header(const mock_call *call, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    *value = '\0';
    for (const char *line = call->headers; *line;
         line += strcspn(line, "\n"), line += *line == '\n')
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *at = line + length + 1;
            at += strspn(at, " \t");
            snprintf(value, size, "%.*s", (int)strcspn(at, "\r\n"), at);
            return 1;
        }
    return 0;
}

/* Waits until `size` bytes are there from `at` on; pointers into `in` change. */
static int need(mock_connection *c, size_t at, size_t size)
{
    while (c->in.size < at + size)
        if (receive(c))
            return -1;
    return 0;
}

/* The line at `at` without its end; -1 when the connection ends. *next: after it. */
static int line_at(mock_connection *c, size_t at, size_t *next)
{
    char *end;
    while (
        !(end = c->in.size > at ? memchr(c->in.data + at, '\n', c->in.size - at) : NULL))
        if (c->in.size - at > 4096 || receive(c))
            return -1;
    *next = (size_t)(end - c->in.data) + 1;
    return 0;
}

/* A chunked body from `at` on, decoded into `body`; *end: after it. */
static int read_chunks(mock_connection *c, size_t at, mock_bytes *body, size_t *end)
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

int mock_read_body(mock_connection *c, const mock_call *call, size_t at, mock_bytes *body,
                   size_t *end)
{
    char value[64];
    if (mock_header(call, "expect", value, sizeof value) &&
        strcasecmp(value, "100-continue") == 0)
        mock_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    if (mock_header(call, "transfer-encoding", value, sizeof value))
        return read_chunks(c, at, body, end);
    size_t size = mock_header(call, "content-length", value, sizeof value)
                      ? strtoul(value, NULL, 10)
                      : 0;
    if (size > most_body || need(c, at, size))
        return -1;
    mock_add(body, c->in.data + at, size);
    *end = at + size;
    return 0;
}

void mock_inflate(mock_bytes *body)
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
        if (copy[i + 1] == 'u' && (copy[i + 2] | 32) == 'd' &&
            strchr("89abcdefABCDEF", copy[i + 3]))
            memcpy(copy + i + 2, "fffd", 4);
        i++;
    }
    json_t *root = json_loadb(
        copy, size, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    free(copy);
    return root;
}

json_t *mock_parse(const char *text, size_t size)
{
    if (!size)
        return NULL;
    json_t *root = json_loadb(text, size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    return root ? root : parse_lenient(text, size);
}

size_t mock_read_head(mock_connection *c, char **head)
{
    char *end;
    while (!(end = c->in.size > c->start ? memmem(c->in.data + c->start,
                                                  c->in.size - c->start, "\r\n\r\n", 4)
                                         : NULL))
        if (c->in.size - c->start > most_head || receive(c))
            return 0;
    size_t size = (size_t)(end - (c->in.data + c->start)) + 4;
    *head = strndup(c->in.data + c->start, size - 2);
    return size;
}

/*
 * One request and its reply, from the moment CivetWeb has parsed the head to the line in
 * the log. It lives on the stack of the connection's thread; handlers get it and nothing
 * else.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "bytes.h"
#include "fields.h"
#include "gate.h"
#include "server.h"

#include <civetweb.h>

/* How errors are written: as the protocol of the path has them. */
typedef enum exchange_shape { SHAPE_OPENAI, SHAPE_ANTHROPIC } exchange_shape;

typedef enum exchange_body { BODY_NONE, BODY_UNREAD, BODY_READ } exchange_body;

typedef struct exchange {
    http_server *server;
    struct mg_connection *conn;
    const struct mg_request_info *info;
    gate_slot *slot;
    int64_t started_us;
    header_fields fields;

    const char *method; /* "HEAD" is "GET" here, with head_only */
    const char *path;   /* as sent, without the query */
    const char *query;  /* "" when there is none */
    const char *tail;   /* what the route's * stands for, "" when it has none */
    exchange_shape shape;
    int head_only;
    int http10;
    int close;      /* the connection ends with this reply */
    int chunked;    /* the request's body is */
    int64_t length; /* of the request's body, 0 when unknown */
    exchange_body body_state;
    byte_buffer body; /* decoded, once it is read */

    int status;      /* 0: no reply yet */
    uint64_t sent;   /* bytes */
    char source[16]; /* for the log */
    char id[32];
} exchange;

/* ---- http_request.c ------------------------------------------------------------- */

/*
 * Is the request whole and unambiguous? Fills *x. 0, or -1 after an error reply that
 * closes the connection: such a request may mean something else to a proxy in front.
 */
int request_check(exchange *x);

/*
 * Reads and decodes the body, up to the setting max-body-bytes. 0, or -1 after an error
 * reply. x->body.data is NUL-terminated and never NULL afterwards.
 */
int request_body(exchange *x);

/* Before a reply to a request whose body nobody wanted: reads a short one, gives up on
 * others. */
void request_skip_body(exchange *x);

/*
 * The fields that go on to the library, up to MG_MAX_HEADERS: all but those of this
 * connection. Values with white space at their end are copied into `room`; room->broken
 * when there is no memory.
 */
size_t request_onward(const exchange *x, llmcache_header *headers, byte_buffer *room);

/* The value's length without white space at its end (CivetWeb leaves it there). */
size_t request_value_size(const char *value);

/* The decoded value of a query parameter in `out`; NULL when absent, "" when too long or
 * broken. */
const char *request_query(const exchange *x, const char *name, char *out, size_t size);

/* ---- http_reply.c --------------------------------------------------------------- */

/* One whole reply in one write. `headers` (may be NULL) are lines that end with CR LF. */
void reply_send(exchange *x, int status, const char *type, const char *headers,
                const void *body, size_t size);
void reply_json(exchange *x, int status,
                const byte_buffer *json); /* 500 when it is broken */

/*
 * An error in the shape of the path's protocol. `code` is a word for programs, `param`
 * the field at fault; both may be NULL. `headers` as above.
 */
void reply_error(exchange *x, int status, const char *headers, const char *code,
                 const char *param, const char *message);

/* What the library refused or failed at: status and Retry-After by its code. */
void reply_failure(exchange *x, const llmcache_error *err);

/* The head of a reply, without the blank line that ends it: more header lines may follow.
 */
void reply_head(exchange *x, byte_buffer *out, int status);

void reply_length(byte_buffer *out, uint64_t size); /* the Content-Length line */

/* Keeps what the log is to say of this exchange: x->source, x->id. */
void reply_note(char *out, size_t size, const char *value);

/* Writes bytes as they are. 0, or -1 when the client has gone (x->close is set). */
int reply_write(exchange *x, const void *data, size_t size);

const char *reply_reason(int status);

#endif

/*
 * HTTP as a test needs it: one call a line, a handle that keeps its connection, bytes as
 * they arrive, and a bare socket for what no client library would send.
 */
#ifndef TEST_HTTP_H
#define TEST_HTTP_H

#include <stddef.h>

typedef struct test_http test_http; /* one connection kept alive; for one thread */

test_http *test_http_new(void);
void test_http_free(test_http *http);

/* Called for each piece of the body as it arrives; non-zero hangs up. */
typedef int (*test_bytes_fn)(void *user, const char *bytes, size_t size);

typedef struct test_request {
    const char *method; /* NULL: POST with a body, GET without */
    const char *url;
    const char *const *headers; /* "name: value", ends with NULL; may be NULL */
    const void *body;        /* sent as application/json unless a header says otherwise */
    size_t body_size;        /* 0: strlen(body) */
    const char *unix_socket; /* NULL: TCP */
    const char *ca_file;     /* NULL: none */
    long timeout_ms;         /* 0: 30 s */
    test_bytes_fn each;      /* may be NULL; the body is collected as well */
    void *user;
} test_request;

typedef struct test_reply {
    int curl; /* CURLcode: 0 when the reply came whole */
    int status;
    char *headers; /* as they came, lines with CR LF */
    char *body;    /* NUL-terminated */
    size_t size;
    double first_byte_ms;
    double total_ms;
    int reused; /* 1: no new connection was made */
} test_reply;

/* The reply lives until the test ends; test_reply_done frees it before, for tests that
 * make many. */
test_reply test_http_send(test_http *http, const test_request *request);
void test_reply_done(test_reply *reply);

/* The short forms: a handle of their own for each call. */
test_reply test_get(const char *url);
test_reply test_post(const char *url, const char *body);

/* POST with a key that the mock takes, and a version, in the way of the path's protocol.
 */
test_reply test_post_with_key(const char *url, const char *body);

/* The value of a header, alive until the test ends; NULL when absent. The last one wins.
 */
const char *test_header(const test_reply *reply, const char *name);

/* ---- A bare connection
 * ------------------------------------------------------------------------- */

int test_connect(int port); /* to 127.0.0.1; the fd */
void test_send(int fd, const void *bytes, size_t size);
void test_send_text(int fd, const char *text);

/* Reads until the far end closes or `ms` have passed. NUL-terminated, alive until the
 * test ends. */
char *test_receive(int fd, size_t *size, int ms);

/* Reads until `text` has come (or the end, or `ms`); what was read so far. */
char *test_receive_until(int fd, const char *text, size_t *size, int ms);

#endif

/*
 * llmcache-server from a test's side: started on a free port with an empty memory store
 * and the demo provider (unless the flags say otherwise), killed with the test.
 */
#ifndef TEST_LLMCACHE_SERVER_H
#define TEST_LLMCACHE_SERVER_H

#include "support.h"
#include "test_http.h"

#include <jansson.h>

typedef struct test_server {
    test_process process;
    int port;
    const char *url;        /* http://127.0.0.1:port */
    const char *access_log; /* the file */
} test_server;

/* `flags` ends with NULL, later ones win: {"--max-connections", "4", NULL}; NULL for
 * none. Environment as test_spawn has it. Returns when it answers. */
void test_server_start(test_server *server, const char *const flags[],
                       const char *const environment[]);

/* SIGTERM; its exit code. */
int test_server_stop(test_server *server);

/* One request to a path; `body` NULL: GET. */
test_reply test_server_get(const test_server *server, const char *path);
test_reply test_server_post(const test_server *server, const char *path,
                            const char *body);
test_reply test_server_send(const test_server *server, const char *method,
                            const char *path, const char *const headers[],
                            const char *body);

/* Bytes over a connection of their own, then all that comes back until it closes or `ms`
 * pass. */
const char *test_server_raw(const test_server *server, const char *bytes, int ms);

/* The access log as it is written so far, once it has `lines` lines (or after 5 s). */
const char *test_server_log(const test_server *server, int lines);

/* The status of a raw reply, 0 when there is none. */
int test_raw_status(const char *reply);

#endif

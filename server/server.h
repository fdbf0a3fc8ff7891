/*
 * llmcache-server: what its files share.
 *
 *   server_main.c     starts, waits for signals, drains
 *   server_config.c   the command line and the settings the server itself needs
 *   gate.c            who may connect: the limit, time limits of a connection, draining
 *   http_request.c    is this request whole and unambiguous? its body
 *   http_reply.c      one reply, in one write; streams; errors in the caller's protocol
 *   cors.c            which pages of other sites may read replies
 *   routes.c          the table: method, path, handler, who may
 *   handle_*.c        the handlers
 *   access_log.c      one line a request
 *
 * CivetWeb runs one thread a connection; a request and all that belongs to it (an
 * `exchange`) lives on that thread's stack. Shared are only the cache, the gate and the
 * log, each with its own lock.
 */
#ifndef SERVER_H
#define SERVER_H

#include <llmcache/llmcache.h>

#include <stddef.h>
#include <stdint.h>

typedef struct conn_gate conn_gate;
typedef struct gate_slot gate_slot;
typedef struct access_log access_log;

enum {
    SERVER_HEAD_BYTES = 32 * 1024, /* largest request line and header fields together */
    SERVER_EXIT_FAILED = 1,
    SERVER_EXIT_USAGE = 2
};

/* What the server needs to know of its settings. Strings belong to `options`. */
typedef struct server_config {
    char address[64];      /* numeric, for CivetWeb: "127.0.0.1:8000" */
    char host[256];        /* as configured: "localhost" */
    const char *port_file; /* where the port goes once it is known, NULL for nowhere */
    const char *admin_key; /* "" for none */
    const char *access_log;
    const char *cors_origins; /* "" for none */
    int max_connections;
    size_t max_body_bytes;
    int64_t request_timeout_ms;
    int64_t keep_alive_timeout_ms;
    int64_t drain_timeout_ms;
} server_config;

typedef struct http_server {
    server_config config;
    llmcache_options *options;
    llmcache *cache;
    conn_gate *gate;
    access_log *log;
    char *openapi; /* the document, made once */
} http_server;

int64_t server_now_us(void);  /* monotonic */
int64_t server_now_ms(void);  /* the same in ms */
int64_t server_wall_ms(void); /* since 1970 UTC */

/*
 * Reads the command line and the settings. 0; 1 when it only was asked for help or the
 * version (shown); or -SERVER_EXIT_USAGE after saying on standard error what is wrong.
 */
int server_config_read(http_server *server, int argc, char **argv);

#endif

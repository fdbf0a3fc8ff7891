/*
 * HTTP client: a pool of libcurl handles that keep their connections. Any thread may perform; nothing is
 * locked during I/O. Redirects are never followed, only http and https are spoken, SIGPIPE and
 * SIGALRM are never raised.
 */
#ifndef LC_NET_HTTP_H
#define LC_NET_HTTP_H

#include <llmcache/backend.h>

typedef struct lc_http lc_http;

/* max_idle: connections kept warm. ca_file NULL or "" for the system's. */
int lc_http_new(size_t max_idle, const char *ca_file, lc_http **http, llmcache_error *err);
void lc_http_free(lc_http *http);

typedef struct lc_http_request {
    const char *method; /* "GET", "POST", any other */
    const char *url;
    const llmcache_header *headers; /* sent as they are, besides Host, Content-Length, Accept-Encoding */
    size_t header_count;
    const void *body; /* NULL for none */
    size_t body_size;
    llmcache_limits limits;
} lc_http_request;

/*
 * Performs one exchange. The sink's begin gets status and the end-to-end headers (no hop-by-hop ones, no
 * Content-Encoding: compressed bodies arrive decoded; no Content-Length), then write gets bytes as they come; body_size
 * is -1 unless known. Returns 0 for a whole reply of any status; LLMCACHE_NETWORK, _TIMEOUT, _TOO_LARGE,
 * _ABORTED (the sink stopped it), _MEMORY otherwise.
 */
int lc_http_perform(lc_http *http, const lc_http_request *request, const llmcache_sink *sink,
                    llmcache_error *err);

/* The same with the whole reply in memory. Free *body with lc_free. */
typedef struct lc_http_reply {
    int status;
    int64_t retry_after_ms; /* from Retry-After or retry-after-ms; -1 when absent */
    char *body;             /* NUL-terminated */
    size_t body_size;
} lc_http_reply;

int lc_http_fetch(lc_http *http, const lc_http_request *request, lc_http_reply *reply,
                  llmcache_error *err);

/* Retry-After (seconds or date; now_ms wall clock) and retry-after-ms among headers; -1 if absent. */
int64_t lc_retry_after_ms(const llmcache_header *headers, size_t count, int64_t now_ms);

/* The value of a header, by name without case; NULL if absent. */
const char *lc_header(const llmcache_header *headers, size_t count, const char *name);

#endif

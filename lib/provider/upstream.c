/*
 * The call that providers over HTTP share. A provider is made once and never changes, so calls of any
 * number of threads need no lock; connections are the HTTP pool's.
 *
 * Bytes of the request and of the reply pass through untouched. What is added is the credential, when
 * the caller brought none, and a content type.
 */
#include "provider/upstream.h"

#include "base/error.h"
#include "base/memory.h"
#include "net/base_url.h"
#include "net/http.h"
#include "net/http_headers.h"

#include <string.h>
#include <strings.h>

enum { PING_MAX_BYTES = 4 * 1024 * 1024 };

typedef struct upstream {
    const lc_upstream_kind *kind;
    lc_http *http;          /* borrowed */
    char *base;             /* without a slash at its end */
    char *name;             /* the base without user and password: for keys and people */
    char *key;              /* value of the key header, NULL without a key */
    llmcache_header extra;  /* name is static, value our own */
    int needs_key;
} upstream;

/* ---- Calling ------------------------------------------------------------------------------------ */

static int caller_has_credential(const upstream *self, const llmcache_request *request)
{
    for (const char *const *name = self->kind->credential; *name; name++) {
        const char *value = lc_header(request->headers, request->header_count, *name);
        if (value && *value)
            return 1;
    }
    return 0;
}

static int fail_without_key(llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_NO_PROVIDER,
                   "no key for the model's service: set OPENAI_API_KEY or ANTHROPIC_API_KEY, or "
                   "use --provider demo: to try without one");
}

/* The caller's headers and what has to be added. *headers is for lc_free. */
static int make_headers(const upstream *self, const llmcache_request *request,
                        llmcache_header **headers, size_t *count, llmcache_error *err)
{
    size_t n = request->header_count;
    int has_credential = caller_has_credential(self, request);
    if (!has_credential && !self->key && self->needs_key)
        return fail_without_key(err);
    llmcache_header *list = lc_alloc_array(n + 3, sizeof *list);
    if (!list)
        return lc_fail_memory(err);
    if (n)
        memcpy(list, request->headers, n * sizeof *list);
    if (!has_credential && self->key)
        list[n++] = (llmcache_header){self->kind->key_header, self->key};
    if (self->extra.name && !lc_header(list, request->header_count, self->extra.name))
        list[n++] = self->extra;
    if (request->body && !lc_header(list, request->header_count, "content-type"))
        list[n++] = (llmcache_header){"Content-Type", "application/json"};
    *headers = list;
    *count = n;
    return 0;
}

static int call(void *user, const llmcache_request *request, const llmcache_limits *limits,
                const llmcache_sink *sink, llmcache_error *err)
{
    upstream *self = user;
    llmcache_header *headers = NULL;
    size_t count = 0;
    if (request->target[0] != '/') /* or it could become part of the host */
        return lc_fail(err, LLMCACHE_INVALID, "the target of a request must start with /");
    int rc = make_headers(self, request, &headers, &count, err);
    if (rc)
        return rc;
    char *url = lc_base_url_join(self->kind->style, self->base, request->target);
    if (url) {
        const lc_http_request exchange = {.method = request->method, .url = url,
                                          .headers = headers, .header_count = count,
                                          .body = request->body, .body_size = request->body_size,
                                          .limits = *limits};
        rc = lc_http_perform(self->http, &exchange, sink, err);
    } else {
        rc = lc_fail_memory(err);
    }
    lc_free(url);
    lc_free(headers);
    return rc;
}

static const char *base(void *user)
{
    return ((upstream *)user)->name;
}

/* ---- Checking ----------------------------------------------------------------------------------- */

static int ignore_head(void *user, int status, const llmcache_header *headers, size_t count,
                       int64_t body_size)
{
    *(int *)user = status;
    return 0;
}

static int ignore_body(void *user, const void *bytes, size_t size)
{
    return 0;
}

/* Asks for the list of models: costs nothing, and a bad credential shows. */
static int ping(void *user, int64_t deadline_ms, llmcache_error *err)
{
    upstream *self = user;
    int status = 0;
    const llmcache_request request = {.struct_size = sizeof request, .method = "GET",
                                      .target = "/v1/models"};
    const llmcache_limits limits = {.connect_ms = deadline_ms, .total_ms = deadline_ms,
                                    .max_bytes = PING_MAX_BYTES};
    const llmcache_sink sink = {&status, ignore_head, ignore_body};
    int rc = call(self, &request, &limits, &sink, err);
    if (rc || (status != 401 && status != 403 && status < 500))
        return rc;
    rc = lc_fail(err, LLMCACHE_UPSTREAM, "%s %s (status %d)", self->name,
                 status < 500 ? "refused the credential" : "is in trouble", status);
    err->upstream_status = status;
    return rc;
}

/* ---- Opening ------------------------------------------------------------------------------------ */

static void close_upstream(void *user)
{
    upstream *self = user;
    lc_free(self->base);
    lc_free(self->name);
    lc_free(self->key);
    lc_free((char *)self->extra.value);
    lc_free(self);
}

static int fill(upstream *self, const char *base_url, const char *api_key, llmcache_header extra)
{
    const lc_upstream_kind *kind = self->kind;
    self->base = lc_base_url_trim(base_url);
    self->name = lc_base_url_name(base_url);
    char *host = self->name ? lc_base_url_host(self->name) : NULL;
    if (!self->base || !host) {
        lc_free(host);
        return LLMCACHE_MEMORY;
    }
    self->needs_key = strcasecmp(host, kind->home) == 0;
    lc_free(host);
    if (lc_credential(kind->key_prefix, api_key, &self->key))
        return LLMCACHE_MEMORY;
    if (extra.name) {
        self->extra = (llmcache_header){extra.name, lc_strdup(extra.value)};
        if (!self->extra.value)
            return LLMCACHE_MEMORY;
    }
    return 0;
}

int lc_upstream_open(const lc_upstream_kind *kind, lc_http *http, const char *base_url,
                     const char *api_key, llmcache_header extra, lc_provider *provider,
                     llmcache_error *err)
{
    int rc = lc_base_url_check(kind->base_setting, base_url, err);
    if (rc)
        return rc;
    upstream *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    self->kind = kind;
    self->http = http;
    if (fill(self, base_url, api_key, extra)) {
        close_upstream(self);
        return lc_fail_memory(err);
    }
    if (self->key && !lc_header_is_sane(kind->key_header, self->key)) {
        close_upstream(self);
        return lc_fail(err, LLMCACHE_SETTING, "%s holds a control character", kind->key_setting);
    }
    *provider = (lc_provider){.self = self,
                              .ops = {.version = LLMCACHE_BACKEND_VERSION, .name = kind->name,
                                      .call = call, .base = base, .ping = ping,
                                      .close = close_upstream}};
    return 0;
}

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

/* ---- Addresses ---------------------------------------------------------------------------------- */

/* The rest of an http or https address behind "://"; NULL when it is none. */
static const char *behind_scheme(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0)
        return url + 7;
    if (strncasecmp(url, "https://", 8) == 0)
        return url + 8;
    return NULL;
}

static int ends_with_version(const char *base)
{
    size_t size = strlen(base);
    return size >= 3 && strcmp(base + size - 3, "/v1") == 0;
}

/* Is the target's own /v1 to be left out? */
static int base_replaces_version(const lc_upstream_kind *kind, const char *base)
{
    const char *host = behind_scheme(base);
    int has_path = host && strchr(host, '/') != NULL;
    return kind->base_has_version ? has_path : ends_with_version(base);
}

char *lc_upstream_url(const lc_upstream_kind *kind, const char *base, const char *target)
{
    int versioned = strncmp(target, "/v1", 3) == 0 &&
                    (target[3] == '\0' || target[3] == '/' || target[3] == '?');
    if (versioned && base_replaces_version(kind, base))
        target += 3;
    size_t base_size = strlen(base), target_size = strlen(target);
    char *url = lc_alloc(base_size + target_size + 1);
    if (!url)
        return NULL;
    memcpy(url, base, base_size);
    memcpy(url + base_size, target, target_size + 1);
    return url;
}

/* Copies the base without slashes at its end; and once more without user and password. */
static int keep_base(upstream *self, const char *url)
{
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/')
        size--;
    self->base = lc_strndup(url, size);
    self->name = lc_strndup(url, size);
    if (!self->base || !self->name)
        return LLMCACHE_MEMORY;
    char *host = strstr(self->name, "://") + 3;
    char *at = memrchr(host, '@', strcspn(host, "/"));
    if (at)
        memmove(host, at + 1, strlen(at + 1) + 1);
    return 0;
}

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
    char *url = lc_upstream_url(self->kind, self->base, request->target);
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

/* The value of the key header. Keys read from files tend to end with a line break. */
static char *make_key(const char *prefix, const char *key)
{
    static const char space[] = " \t\r\n";
    key += strspn(key, space);
    size_t size = strlen(key), head = strlen(prefix);
    while (size > 0 && strchr(space, key[size - 1]))
        size--;
    char *value = lc_alloc(head + size + 1);
    if (!value)
        return NULL;
    memcpy(value, prefix, head);
    memcpy(value + head, key, size);
    value[head + size] = '\0';
    return value;
}

static int fill(upstream *self, const char *base_url, const char *api_key, llmcache_header extra)
{
    const lc_upstream_kind *kind = self->kind;
    if (keep_base(self, base_url))
        return LLMCACHE_MEMORY;
    const char *host = behind_scheme(self->name);
    self->needs_key = strncasecmp(host, kind->home, strlen(kind->home)) == 0;
    if (*api_key && !(self->key = make_key(kind->key_prefix, api_key)))
        return LLMCACHE_MEMORY;
    if (extra.name) {
        self->extra = (llmcache_header){extra.name, lc_strdup(extra.value)};
        if (!self->extra.value)
            return LLMCACHE_MEMORY;
    }
    return 0;
}

static int check_base(const lc_upstream_kind *kind, const char *url, llmcache_error *err)
{
    const char *host = behind_scheme(url);
    if (!host || *host == '\0' || *host == '/')
        return lc_fail(err, LLMCACHE_SETTING,
                       "%s must be an address that starts with http:// or https://",
                       kind->base_setting);
    if (strpbrk(url, "?# "))
        return lc_fail(err, LLMCACHE_SETTING, "%s must end with its path: no ?, # or space",
                       kind->base_setting);
    return 0;
}

int lc_upstream_open(const lc_upstream_kind *kind, lc_http *http, const char *base_url,
                     const char *api_key, llmcache_header extra, lc_provider *provider,
                     llmcache_error *err)
{
    int rc = check_base(kind, base_url, err);
    if (rc)
        return rc;
    upstream *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    self->kind = kind;
    self->http = http;
    if (fill(self, base_url, api_key ? api_key : "", extra)) {
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

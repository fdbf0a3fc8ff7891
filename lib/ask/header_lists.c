/*
 * Which headers travel: from the caller up to the service, and from its reply down to callers. Hop-by-hop
 * ones stay (RFC 9110 section 7.6.1), and those that would mislead a client or another cache.
 */
#include "ask/header_lists.h"

#include "ask/caller.h"
#include "base/memory.h"
#include "net/http.h"

#include <string.h>
#include <strings.h>

static int listed(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return 1;
    return 0;
}

static int goes_up(const char *name)
{
    static const char *const stay[] = {
        "Host",    "Content-Length", "Connection", "Keep-Alive",    "Transfer-Encoding",
        "TE",      "Trailer",        "Upgrade",    "Expect",        "Accept-Encoding",
        "Cookie",  "Cache-Control",  "Pragma",     "Content-Encoding", "Proxy-Authorization",
        "Proxy-Connection", "X-Admin-Key", NULL};
    return !listed(name, stay) && strncasecmp(name, "X-LLMCache-", 11) != 0;
}

static int comes_down(const char *name)
{
    static const char *const stay[] = {"Connection", "Keep-Alive", "Transfer-Encoding", "Trailer",
                                       "Upgrade",    "Set-Cookie", "Content-Length",    "Content-Encoding",
                                       "Alt-Svc",    "Cache-Status", "Age", NULL};
    return !listed(name, stay);
}

void lc_headers_free(llmcache_header *headers, size_t count)
{
    for (size_t i = 0; headers && i < count; i++) {
        lc_free((char *)headers[i].name);
        lc_free((char *)headers[i].value);
    }
    lc_free(headers);
}

static int copy_one(const llmcache_header *from, llmcache_header *to)
{
    to->name = lc_strdup(from->name);
    to->value = lc_strdup(from->value);
    return to->name && to->value ? 0 : LLMCACHE_MEMORY;
}

size_t lc_headers_up(const llmcache_request *request, int keep_credential, llmcache_header *headers)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (goes_up(name) && !(keep_credential && lc_header_is_credential(name)))
            headers[count++] = request->headers[i];
    }
    return count;
}

int lc_headers_copy_up(const llmcache_request *request, int keep_credential,
                       llmcache_header **headers, size_t *count)
{
    llmcache_header *borrowed = lc_alloc_array(request->header_count, sizeof *borrowed);
    llmcache_header *list = lc_zalloc_array(request->header_count, sizeof *list);
    size_t used = borrowed && list ? lc_headers_up(request, keep_credential, borrowed) : 0;
    int code = borrowed && list ? 0 : LLMCACHE_MEMORY;
    for (size_t i = 0; !code && i < used; i++)
        code = copy_one(&borrowed[i], &list[i]);
    lc_free(borrowed);
    if (code) {
        lc_headers_free(list, used);
        return code;
    }
    *headers = list;
    *count = used;
    return 0;
}

int lc_headers_down(const llmcache_header *headers, size_t count, llmcache_header **kept,
                    size_t *kept_count)
{
    llmcache_header *list = lc_zalloc_array(count, sizeof *list);
    size_t used = 0;
    if (!list)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!comes_down(headers[i].name))
            continue;
        if (copy_one(&headers[i], &list[used++])) {
            lc_headers_free(list, used);
            return LLMCACHE_MEMORY;
        }
    }
    *kept = list;
    *kept_count = used;
    return 0;
}

int lc_is_event_stream(const llmcache_header *headers, size_t count)
{
    const char *type = lc_header(headers, count, "Content-Type");
    return type && strncasecmp(type, "text/event-stream", 17) == 0;
}

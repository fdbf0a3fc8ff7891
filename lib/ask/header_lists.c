/*
 * Which headers travel: from the caller up to the service, and from its reply down to callers. Hop-by-hop
 * ones stay (RFC 9110 section 7.6.1), and those that would mislead a client or another cache.
 */
#include "ask/header_lists.h"

#include "base/memory.h"

#include <string.h>
#include <strings.h>

static int listed(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return 1;
    return 0;
}

int lc_header_goes_up(const char *name)
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

static int copy(const llmcache_header *headers, size_t count, int (*travels)(const char *name),
                llmcache_header **out, size_t *out_count)
{
    llmcache_header *list = lc_zalloc_array(count, sizeof *list);
    size_t used = 0;
    if (!list)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!travels(headers[i].name))
            continue;
        llmcache_header *to = &list[used++];
        to->name = lc_strdup(headers[i].name);
        to->value = lc_strdup(headers[i].value);
        if (!to->name || !to->value) {
            lc_headers_free(list, used);
            return LLMCACHE_MEMORY;
        }
    }
    *out = list;
    *out_count = used;
    return 0;
}

int lc_headers_copy_up(const llmcache_request *request, llmcache_header **headers, size_t *count)
{
    return copy(request->headers, request->header_count, lc_header_goes_up, headers, count);
}

int lc_headers_down(const llmcache_header *headers, size_t count, llmcache_header **kept,
                    size_t *kept_count)
{
    return copy(headers, count, comes_down, kept, kept_count);
}

size_t lc_headers_up(const llmcache_request *request, llmcache_header *headers)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        if (lc_header_goes_up(request->headers[i].name))
            headers[count++] = request->headers[i];
    return count;
}

/*
 * What a request says about its own caching: standard Cache-Control first (RFC 9111 section 5.2.1), then
 * the X-LLMCache-* headers. Unknown directives are ignored, as the RFC asks.
 */
#include "ask/cache.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "120" -> 120000; -1 when it is not a whole number of seconds. */
static int64_t seconds(const char *text, size_t size)
{
    int64_t value = 0;
    if (size == 0 || size > 10)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value * 1000;
}

static int is(const char *word, size_t size, const char *name)
{
    return strlen(name) == size && strncasecmp(word, name, size) == 0;
}

static void read_directive(const char *word, size_t size, lc_controls *controls)
{
    const char *equals = memchr(word, '=', size);
    size_t name = equals ? (size_t)(equals - word) : size;
    int64_t ms = equals ? seconds(equals + 1, size - name - 1) : -1;
    if (is(word, name, "no-cache"))
        controls->no_read = 1;
    else if (is(word, name, "no-store"))
        controls->no_read = controls->no_store = 1;
    else if (is(word, name, "only-if-cached"))
        controls->only_cached = 1;
    else if (is(word, name, "max-age") && ms >= 0)
        controls->max_age_ms = ms;
    else if (is(word, name, "stale-while-revalidate") && ms >= 0)
        controls->stale_while_revalidate_ms = ms;
    else if (is(word, name, "stale-if-error") && ms >= 0)
        controls->stale_if_error_ms = ms;
    else if (is(word, name, "min-fresh") && ms >= 0)
        controls->min_fresh_ms = ms;
}

static void read_cache_control(const char *value, lc_controls *controls)
{
    while (*value) {
        value += strspn(value, " \t,");
        size_t size = strcspn(value, ",");
        size_t word = size;
        while (word && (value[word - 1] == ' ' || value[word - 1] == '\t'))
            word--;
        if (word)
            read_directive(value, word, controls);
        value += size;
    }
}

static int read_mode(const char *value, lc_controls *controls, llmcache_error *err)
{
    if (strcasecmp(value, "exact") == 0)
        controls->exact_only = 1;
    else if (strcasecmp(value, "off") == 0)
        controls->no_read = controls->no_store = 1;
    else if (strcasecmp(value, "semantic") != 0)
        return lc_fail(err, LLMCACHE_INVALID, "X-LLMCache-Mode must be exact, semantic or off");
    return 0;
}

static int read_threshold(const char *value, lc_controls *controls, llmcache_error *err)
{
    char *end;
    double threshold = strtod(value, &end);
    if (end == value || *end || !(threshold >= 0 && threshold <= 1))
        return lc_fail(err, LLMCACHE_INVALID, "X-LLMCache-Threshold must be a number from 0 to 1");
    controls->threshold = threshold;
    return 0;
}

static int read_ttl(const char *value, lc_controls *controls, llmcache_error *err)
{
    int64_t ms = seconds(value, strlen(value));
    if (ms < 0)
        return lc_fail(err, LLMCACHE_INVALID, "X-LLMCache-TTL must be a whole number of seconds");
    if (ms == 0)
        controls->no_store = 1;
    controls->ttl_ms = ms;
    return 0;
}

static int read_own(const char *name, const char *value, lc_controls *controls, llmcache_error *err)
{
    if (strcasecmp(name, "Mode") == 0)
        return read_mode(value, controls, err);
    if (strcasecmp(name, "Threshold") == 0)
        return read_threshold(value, controls, err);
    if (strcasecmp(name, "TTL") == 0)
        return read_ttl(value, controls, err);
    if (strcasecmp(name, "Namespace") == 0) {
        controls->space = value;
    } else if (strcasecmp(name, "Tags") == 0) {
        if (strlen(value) > 512)
            return lc_fail(err, LLMCACHE_INVALID, "X-LLMCache-Tags must be at most 512 bytes");
        controls->tags = value;
    }
    return 0;
}

int lc_request_controls(const llmcache_request *request, lc_controls *controls, int *any,
                     llmcache_error *err)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const llmcache_header *header = &request->headers[i];
        int code = 0;
        if (strcasecmp(header->name, "Cache-Control") == 0)
            read_cache_control(header->value, controls);
        else if (strncasecmp(header->name, "X-LLMCache-", 11) == 0)
            code = read_own(header->name + 11, header->value, controls, err);
        else
            continue;
        *any = 1;
        if (code)
            return code;
    }
    return 0;
}

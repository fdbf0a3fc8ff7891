/*
 * Base addresses. What people write differs: with or without /v1, with slashes at the end, with another
 * version's path. The rules are those of the services' own clients, and a base without any path is
 * taken to be the host alone.
 */
#include "net/base_url.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>
#include <strings.h>

/* The rest of an http or https address behind "://"; NULL when it is none. */
static const char *behind_scheme(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0)
        return url + 7;
    if (strncasecmp(url, "https://", 8) == 0)
        return url + 8;
    return NULL;
}

int lc_base_url_check(const char *setting, const char *url, llmcache_error *err)
{
    const char *host = behind_scheme(url);
    if (!host || *host == '\0' || *host == '/')
        return lc_fail(err, LLMCACHE_SETTING,
                       "%s must be an address that starts with http:// or https://", setting);
    if (strpbrk(url, "?# \t\r\n"))
        return lc_fail(err, LLMCACHE_SETTING, "%s must end with its path: no ?, # or space", setting);
    return 0;
}

char *lc_base_url_trim(const char *url)
{
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/')
        size--;
    return lc_strndup(url, size);
}

char *lc_base_url_name(const char *url)
{
    char *name = lc_base_url_trim(url);
    if (!name)
        return NULL;
    char *host = strstr(name, "://") + 3;
    char *at = memrchr(host, '@', strcspn(host, "/"));
    if (at)
        memmove(host, at + 1, strlen(at + 1) + 1);
    return name;
}

char *lc_base_url_host(const char *name)
{
    const char *host = behind_scheme(name);
    return lc_strndup(host, strcspn(host, "/"));
}

static int ends_with_version(const char *base)
{
    size_t size = strlen(base);
    return size >= 3 && strcmp(base + size - 3, "/v1") == 0;
}

static int replaces_version(lc_base_style style, const char *base)
{
    if (style == LC_BASE_WITHOUT_VERSION)
        return ends_with_version(base);
    const char *host = behind_scheme(base);
    return host && strchr(host, '/') != NULL;
}

char *lc_base_url_join(lc_base_style style, const char *base, const char *target)
{
    int versioned = strncmp(target, "/v1", 3) == 0 &&
                    (target[3] == '\0' || target[3] == '/' || target[3] == '?');
    if (versioned && replaces_version(style, base))
        target += 3;
    size_t base_size = strlen(base), target_size = strlen(target);
    char *url = lc_alloc(base_size + target_size + 1);
    if (!url)
        return NULL;
    memcpy(url, base, base_size);
    memcpy(url + base_size, target, target_size + 1);
    return url;
}

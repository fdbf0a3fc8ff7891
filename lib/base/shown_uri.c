/*
 * Hiding what is secret in a URI. Where a login ends is read as whoever takes the URI apart reads it: of a Redis
 * (redis_uri.c) at the last @ before the question mark, whatever else is in it, and there a word alone is the
 * password; of others before the path, and a word alone is the user.
 */
#include "base/shown_uri.h"

#include "base/buffer.h"

#include <string.h>
#include <strings.h>

/* Behind "://", if that is no part of a value. */
static const char *behind_scheme(const char *uri)
{
    const char *scheme = memmem(uri, strcspn(uri, "?"), "://", 3);
    return scheme ? scheme + 3 : uri;
}

/*
 * Where the password in front of the host begins and, in *end, ends; NULL when there is none. libpq takes a ? in front of the
 * @ for a part of the password: there all that follows may be one.
 */
static const char *find_password(const char *uri, const char *user, const char **end)
{
    int is_redis = memmem(uri, (size_t)(user - uri), "redis", 5) != NULL;
    const char *at = memrchr(user, '@', strcspn(user, is_redis ? "?" : "/"));
    const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
    const char *password = colon ? colon + 1 : is_redis && at && at > user ? user : NULL;
    if (password)
        *end = memchr(user, '?', (size_t)(at - user)) ? uri + strlen(uri) : at;
    return password;
}

/* One of "?name=value" and "&name=value": how much of it is shown. */
static size_t shown_part(const char *parameter, size_t size)
{
    static const char *const secrets[] = {"password=", "sslpassword=", "sentinel_password="};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (strncasecmp(parameter + 1, secrets[i], strlen(secrets[i])) == 0)
            return 1 + strlen(secrets[i]);
    return size;
}

int lc_shown_uri(const char *uri, char **shown)
{
    lc_buffer out;
    const char *rest = uri, *user = behind_scheme(uri);
    const char *password = find_password(uri, user, &rest);
    const char *query = rest + strcspn(rest, "?");
    int hidden = password != NULL;
    lc_buffer_init(&out, 0);
    lc_buffer_add(&out, uri, password ? (size_t)(password - uri) : 0);
    lc_buffer_text(&out, password ? "***" : "");
    lc_buffer_add(&out, rest, (size_t)(query - rest));
    while (*query) { /* at ? or & */
        size_t size = 1 + strcspn(query + 1, "&"), part = shown_part(query, size);
        lc_buffer_add(&out, query, part);
        lc_buffer_text(&out, part < size ? "***" : "");
        hidden |= part < size;
        query += size;
    }
    *shown = NULL;
    int broken = out.broken;
    if (hidden && !broken)
        *shown = lc_buffer_take(&out, NULL);
    lc_buffer_done(&out);
    return broken;
}

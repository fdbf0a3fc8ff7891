/* Taking a Redis URI apart. Each part is copied; a half-read URI is given back by lc_redis_uri_done. */
#include "net/redis_uri.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_PORT = 6379, MAX_DATABASE = 65535 };

static int refuse(llmcache_error *err, const char *what)
{
    return lc_fail(err, LLMCACHE_SETTING,
                   "store: %s; write redis://user:password@host:port/database, rediss://... or "
                   "unix:/path?db=0", what);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Copies and decodes; NULL text for an empty part. */
static int decode(const char *text, size_t size, char **out, llmcache_error *err)
{
    char *copy = lc_alloc(size + 1);
    if (!copy)
        return lc_fail_memory(err);
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < size ? hex_value(text[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text[i + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0)) {
                lc_free(copy);
                return refuse(err, "% in a user or password must stand before two hexadecimal digits");
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        copy[at++] = c;
    }
    copy[at] = '\0';
    lc_free(*out);
    *out = copy;
    return 0;
}

/* Digits only, up to `most`; -1 otherwise. */
static int read_number(const char *text, size_t size, int most)
{
    int value = 0;
    if (size == 0 || size > 5)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value <= most ? value : -1;
}

static int read_database(const char *text, size_t size, lc_redis_uri *uri, llmcache_error *err)
{
    uri->database = read_number(text, size, MAX_DATABASE);
    return uri->database < 0 ? refuse(err, "the database is not a number") : 0;
}

/* "user:password" or "password". */
static int read_login(const char *text, size_t size, lc_redis_uri *uri, llmcache_error *err)
{
    const char *colon = memchr(text, ':', size);
    size_t user_size = colon ? (size_t)(colon - text) : 0;
    if (user_size) {
        int rc = decode(text, user_size, &uri->user, err);
        if (rc)
            return rc;
    }
    const char *password = colon ? colon + 1 : text;
    size_t password_size = size - (size_t)(password - text);
    if (password_size == 0 && user_size == 0)
        return 0;
    return decode(password, password_size, &uri->password, err);
}

/* "db=1&user=a&password=b" */
static int read_query(const char *query, lc_redis_uri *uri, llmcache_error *err)
{
    int rc = 0;
    while (*query && !rc) {
        size_t size = strcspn(query, "&"), name = strcspn(query, "=&");
        const char *value = query + name + (query[name] == '=');
        size_t value_size = size - (size_t)(value - query);
        if (name == 2 && memcmp(query, "db", 2) == 0)
            rc = read_database(value, value_size, uri, err);
        else if (name == 4 && memcmp(query, "user", 4) == 0)
            rc = decode(value, value_size, &uri->user, err);
        else if (name == 8 && memcmp(query, "password", 8) == 0)
            rc = decode(value, value_size, &uri->password, err);
        else
            rc = refuse(err, "behind ? there may be db, user and password");
        query += size + (query[size] == '&');
    }
    return rc;
}

static int keep(const char *text, size_t size, char **out, llmcache_error *err)
{
    *out = lc_strndup(text, size);
    return *out ? 0 : lc_fail_memory(err);
}

/* "host", "host:port", "[v6]:port" */
static int read_host(const char *text, size_t size, lc_redis_uri *uri, llmcache_error *err)
{
    const char *end = text + size, *host = text, *port = NULL;
    size_t host_size;
    if (size && *text == '[') {
        const char *close = memchr(text, ']', size);
        if (!close)
            return refuse(err, "] is missing");
        host = text + 1;
        host_size = (size_t)(close - host);
        port = close + 1;
    } else {
        port = memchr(text, ':', size);
        port = port ? port : end;
        host_size = (size_t)(port - text);
    }
    if (host_size == 0 || host_size > 253)
        return refuse(err, "the host is missing or too long");
    for (size_t i = 0; i < host_size; i++)
        if ((unsigned char)host[i] <= ' ' || strchr("@/\\?#[]", host[i]))
            return refuse(err, "the host holds a character that no host has");
    uri->target.port = DEFAULT_PORT;
    if (port < end)
        uri->target.port = *port == ':' ? read_number(port + 1, (size_t)(end - port - 1), 65535) : -1;
    if (uri->target.port <= 0)
        return refuse(err, "the port is not a number from 1 to 65535");
    return keep(host, host_size, &uri->host, err);
}

static int read_network(const char *rest, lc_redis_uri *uri, llmcache_error *err)
{
    /* A password may hold / and @ as they are: what ends it is the last @ before the query. */
    const char *at = memrchr(rest, '@', strcspn(rest, "?"));
    if (at) {
        int rc = read_login(rest, (size_t)(at - rest), uri, err);
        if (rc)
            return rc;
        rest = at + 1;
    }
    size_t size = strcspn(rest, "/?#");
    int rc = read_host(rest, size, uri, err);
    rest += size;
    if (!rc && *rest == '/') {
        size_t digits = strcspn(++rest, "?");
        if (digits)
            rc = read_database(rest, digits, uri, err);
        rest += digits;
    }
    if (!rc && *rest == '?')
        rc = read_query(rest + 1, uri, err);
    else if (!rc && *rest)
        rc = refuse(err, "there is something behind the database");
    return rc;
}

static int read_unix(const char *rest, lc_redis_uri *uri, llmcache_error *err)
{
    if (strncmp(rest, "//", 2) == 0)
        rest += 2;
    size_t size = strcspn(rest, "?");
    if (size == 0 || *rest != '/')
        return refuse(err, "the path of the socket must start with /");
    if (size > 107)
        return refuse(err, "the path of the socket is longer than 107 bytes");
    int rc = keep(rest, size, &uri->unix_path, err);
    if (!rc && rest[size] == '?')
        rc = read_query(rest + size + 1, uri, err);
    return rc;
}

static int make_name(lc_redis_uri *uri, llmcache_error *err)
{
    char name[512];
    const char *scheme = uri->target.tls ? "rediss" : "redis";
    if (uri->unix_path)
        snprintf(name, sizeof name, "unix:%s", uri->unix_path);
    else
        snprintf(name, sizeof name, "%s://%s:%d", scheme, uri->host, uri->target.port);
    if (uri->database)
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s%d",
                 uri->unix_path ? "?db=" : "/", uri->database);
    return keep(name, strlen(name), &uri->name, err);
}

int lc_redis_uri_read(const char *text, lc_redis_uri *uri, llmcache_error *err)
{
    lc_redis_uri fresh = {0};
    int rc;
    if (strncmp(text, "redis://", 8) == 0) {
        rc = read_network(text + 8, &fresh, err);
    } else if (strncmp(text, "rediss://", 9) == 0) {
        fresh.target.tls = 1;
        rc = read_network(text + 9, &fresh, err);
    } else if (strncmp(text, "unix:", 5) == 0) {
        rc = read_unix(text + 5, &fresh, err);
    } else {
        rc = refuse(err, "this is no address of a Redis");
    }
    if (!rc && fresh.user && !fresh.password)
        rc = refuse(err, "a user needs a password");
    if (!rc)
        rc = make_name(&fresh, err);
    if (rc) {
        lc_redis_uri_done(&fresh);
        return rc;
    }
    fresh.target.host = fresh.host;
    fresh.target.unix_path = fresh.unix_path;
    *uri = fresh;
    return 0;
}

void lc_redis_uri_done(lc_redis_uri *uri)
{
    lc_free(uri->host);
    lc_free(uri->unix_path);
    lc_free(uri->user);
    lc_free(uri->password);
    lc_free(uri->name);
    *uri = (lc_redis_uri){0};
}

/* Taking a Redis URI apart. Each part is copied; a half-read URI is given back by lc_redis_uri_done. */
#include "net/redis_uri.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_PORT = 6379, SENTINEL_PORT = 26379, MAX_DATABASE = 65535 };

#define SENTINEL     "redis+sentinel://"
#define SENTINEL_TLS "rediss+sentinel://"

static int refuse(llmcache_error *err, const char *what)
{
    return lc_fail(err, LLMCACHE_SETTING,
                   "store: %s; write redis://user:password@host:port/database, rediss://... or "
                   "unix:/path?db=0", what);
}

static int refuse_sentinel(llmcache_error *err, const char *what)
{
    return lc_fail(err, LLMCACHE_SETTING,
                   "store: %s; write redis+sentinel://user:password@host:port,host:port/name/database", what);
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

static int is_name(const char *text, size_t size, const char *name)
{
    return size == strlen(name) && memcmp(text, name, size) == 0;
}

/* The login of all sentinels. */
static int read_sentinel_login(const char *name, const char *value, size_t size, lc_redis_sentinels *sentinels,
                               llmcache_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < sentinels->count && !rc; i++) {
        lc_redis_uri *one = &sentinels->uris[i];
        rc = decode(value, size, *name == 'u' ? &one->user : &one->password, err);
    }
    return rc;
}

/* One of "db=1", "user=a", "password=b", "sentinel_user=c", "sentinel_password=d". */
static int read_parameter(const char *name, size_t name_size, const char *value, size_t size, lc_redis_uri *uri,
                          llmcache_error *err)
{
    if (is_name(name, name_size, "db"))
        return read_database(value, size, uri, err);
    if (is_name(name, name_size, "user"))
        return decode(value, size, &uri->user, err);
    if (is_name(name, name_size, "password"))
        return decode(value, size, &uri->password, err);
    if (!uri->sentinels)
        return refuse(err, "behind ? there may be db, user and password");
    if (is_name(name, name_size, "sentinel_user") || is_name(name, name_size, "sentinel_password"))
        return read_sentinel_login(name + strlen("sentinel_"), value, size, uri->sentinels, err);
    return refuse_sentinel(err, "behind ? there may be db, user, password, sentinel_user and sentinel_password");
}

static int read_query(const char *query, lc_redis_uri *uri, llmcache_error *err)
{
    int rc = 0;
    while (*query && !rc) {
        size_t size = strcspn(query, "&"), name = strcspn(query, "=&");
        const char *value = query + name + (query[name] == '=');
        rc = read_parameter(query, name, value, size - (size_t)(value - query), uri, err);
        query += size + (query[size] == '&');
    }
    return rc;
}

static int keep(const char *text, size_t size, char **out, llmcache_error *err)
{
    *out = lc_strndup(text, size);
    return *out ? 0 : lc_fail_memory(err);
}

static int is_host(const char *host, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)host[i] <= ' ' || strchr("@/\\?#[]", host[i]))
            return 0;
    return size > 0 && size < LC_REDIS_HOST_SIZE;
}

/* "host", "host:port", "[v6]:port"; the port stays what it is when none is named. */
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
    if (host_size == 0 || host_size >= LC_REDIS_HOST_SIZE)
        return refuse(err, "the host is missing or too long");
    if (!is_host(host, host_size))
        return refuse(err, "the host holds a character that no host has");
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
    uri->target.port = DEFAULT_PORT;
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

/* ---- Sentinels ---------------------------------------------------------------------------------- */

int lc_redis_is_sentinel(const char *text)
{
    return strncmp(text, SENTINEL, strlen(SENTINEL)) == 0 || strncmp(text, SENTINEL_TLS, strlen(SENTINEL_TLS)) == 0;
}

static int make_name(lc_redis_uri *uri, llmcache_error *err);

/* "host:port,host:port" up to `end`. */
static int read_sentinels(const char *hosts, const char *end, lc_redis_uri *uri, llmcache_error *err)
{
    lc_redis_sentinels *sentinels = uri->sentinels;
    for (const char *at = hosts;; at++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        if (sentinels->count == LC_REDIS_MAX_SENTINELS)
            return refuse_sentinel(err, "there are more than 16 sentinels");
        lc_redis_uri *one = &sentinels->uris[sentinels->count++];
        one->target.tls = uri->target.tls;
        one->target.port = SENTINEL_PORT;
        int rc = read_host(at, (size_t)(stop - at), one, err);
        one->target.host = one->host;
        if (!rc)
            rc = make_name(one, err);
        if (rc || !comma)
            return rc;
        at = comma;
    }
}

/* The characters that Redis takes for it. */
static int read_service(const char *text, size_t size, lc_redis_uri *uri, llmcache_error *err)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", text[i]))
            size = 0;
    if (size == 0 || size > 200)
        return refuse_sentinel(err, "behind the sentinels comes /name, what they call the Redis");
    return keep(text, size, &uri->sentinels->service, err);
}

static int check_sentinel_logins(const lc_redis_sentinels *sentinels, llmcache_error *err)
{
    if (sentinels->uris[0].user && !sentinels->uris[0].password)
        return refuse_sentinel(err, "a sentinel_user needs a sentinel_password");
    return 0;
}

static int read_behind_service(const char *rest, lc_redis_uri *uri, llmcache_error *err)
{
    int rc = 0;
    if (*rest == '/') {
        size_t digits = strcspn(++rest, "?");
        if (digits)
            rc = read_database(rest, digits, uri, err);
        rest += digits;
    }
    if (!rc && *rest == '?')
        rc = read_query(rest + 1, uri, err);
    else if (!rc && *rest)
        rc = refuse_sentinel(err, "there is something behind the name");
    return rc ? rc : check_sentinel_logins(uri->sentinels, err);
}

static int read_sentinel_network(const char *rest, lc_redis_uri *uri, llmcache_error *err)
{
    uri->sentinels = lc_zalloc(sizeof *uri->sentinels);
    if (!uri->sentinels)
        return lc_fail_memory(err);
    const char *at = memrchr(rest, '@', strcspn(rest, "?"));
    int rc = at ? read_login(rest, (size_t)(at - rest), uri, err) : 0;
    const char *hosts = at ? at + 1 : rest, *end = hosts + strcspn(hosts, "/?#");
    if (!rc)
        rc = read_sentinels(hosts, end, uri, err);
    const char *service = end + (*end == '/');
    size_t size = strcspn(service, "/?#");
    if (!rc)
        rc = read_service(service, service > end ? size : 0, uri, err);
    return rc ? rc : read_behind_service(service + size, uri, err);
}

static int make_sentinel_name(lc_redis_uri *uri, llmcache_error *err)
{
    const lc_redis_sentinels *sentinels = uri->sentinels;
    lc_buffer name;
    lc_buffer_init(&name, 0);
    lc_buffer_text(&name, uri->target.tls ? SENTINEL_TLS : SENTINEL);
    for (size_t i = 0; i < sentinels->count; i++)
        lc_buffer_format(&name, "%s%s:%d", i ? "," : "", sentinels->uris[i].host, sentinels->uris[i].target.port);
    lc_buffer_format(&name, "/%s", sentinels->service);
    if (uri->database)
        lc_buffer_format(&name, "/%d", uri->database);
    int rc = name.broken ? lc_fail_memory(err) : keep(name.data, name.size, &uri->name, err);
    lc_buffer_done(&name);
    return rc;
}

/* ---- All of them -------------------------------------------------------------------------------- */

static int make_name(lc_redis_uri *uri, llmcache_error *err)
{
    char name[512];
    if (uri->sentinels)
        return make_sentinel_name(uri, err);
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
    } else if (lc_redis_is_sentinel(text)) {
        fresh.target.tls = strncmp(text, SENTINEL_TLS, strlen(SENTINEL_TLS)) == 0;
        rc = read_sentinel_network(text + strlen(fresh.target.tls ? SENTINEL_TLS : SENTINEL), &fresh, err);
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

static void free_sentinels(lc_redis_sentinels *sentinels)
{
    if (!sentinels)
        return;
    for (size_t i = 0; i < sentinels->count; i++)
        lc_redis_uri_done(&sentinels->uris[i]);
    lc_free(sentinels->service);
    lc_free(sentinels);
}

void lc_redis_uri_done(lc_redis_uri *uri)
{
    free_sentinels(uri->sentinels);
    lc_free(uri->host);
    lc_free(uri->unix_path);
    lc_free(uri->user);
    lc_free(uri->password);
    lc_free(uri->name);
    *uri = (lc_redis_uri){0};
}

void lc_redis_uri_trust(lc_redis_uri *uri, const char *ca_file)
{
    uri->target.ca_file = ca_file;
    for (size_t i = 0; uri->sentinels && i < uri->sentinels->count; i++)
        uri->sentinels->uris[i].target.ca_file = ca_file;
}

/* ---- Addresses ---------------------------------------------------------------------------------- */

int lc_redis_same_address(const lc_redis_address *a, const lc_redis_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

int lc_redis_address_set(const char *host, size_t size, long long port, lc_redis_address *address)
{
    if (!is_host(host, size) || port < 1 || port > 65535)
        return 0;
    lc_redis_address fresh = {.port = (int)port};
    memcpy(fresh.host, host, size);
    *address = fresh;
    return 1;
}

int lc_redis_uri_at(const lc_redis_uri *like, const lc_redis_address *address, lc_redis_uri *uri)
{
    char name[LC_REDIS_HOST_SIZE + 32];
    lc_redis_uri fresh = *like;
    snprintf(name, sizeof name, "%s://%s:%d", like->target.tls ? "rediss" : "redis", address->host, address->port);
    fresh.sentinels = NULL;
    fresh.host = lc_strdup(address->host);
    fresh.name = lc_strdup(name);
    fresh.target.host = fresh.host;
    fresh.target.port = address->port;
    if (!fresh.host || !fresh.name) {
        lc_redis_uri_at_done(&fresh);
        return LLMCACHE_MEMORY;
    }
    *uri = fresh;
    return 0;
}

void lc_redis_uri_at_done(lc_redis_uri *uri)
{
    lc_free(uri->host);
    lc_free(uri->name);
    *uri = (lc_redis_uri){0};
}

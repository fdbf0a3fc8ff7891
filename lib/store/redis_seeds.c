/* Each address becomes a Redis URI of its own, with what stands around the addresses. */
#include "store/redis_seeds.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

#define PLAIN "redis+cluster://"
#define TLS   "rediss+cluster://"

int lc_redis_is_cluster(const char *uri)
{
    return strncmp(uri, PLAIN, strlen(PLAIN)) == 0 || strncmp(uri, TLS, strlen(TLS)) == 0;
}

static int refuse(llmcache_error *err, const char *what)
{
    return lc_fail(err, LLMCACHE_SETTING,
                   "store: %s; write redis+cluster://user:password@host:port,host:port", what);
}

/* The parts of the text between which the addresses stand. */
typedef struct frame {
    const char *scheme, *login;
    size_t login_size; /* with its @ */
    lc_buffer tail;    /* what stands behind the addresses, for each of them */
} frame;

static int read_seed(const frame *f, const char *host, size_t size, lc_redis_uri *uri, llmcache_error *err)
{
    lc_buffer text;
    lc_buffer_init(&text, 0);
    lc_buffer_text(&text, f->scheme);
    lc_buffer_add(&text, f->login, f->login_size);
    lc_buffer_add(&text, host, size);
    lc_buffer_add(&text, f->tail.data ? f->tail.data : "", f->tail.size);
    int rc = text.broken ? lc_fail_memory(err) : lc_redis_uri_read(text.data, uri, err);
    lc_buffer_done(&text);
    if (!rc && uri->database)
        return refuse(err, "a cluster has no databases but 0");
    return rc;
}

/* What stands behind the addresses, less what is the cluster's own: read=replica or read=primary. */
static int read_tail(const char *tail, lc_redis_seeds *seeds, lc_buffer *rest, llmcache_error *err)
{
    size_t path = strcspn(tail, "?");
    lc_buffer_add(rest, tail, path);
    for (tail += path; *tail;) { /* at ? or & */
        size_t size = 1 + strcspn(tail + 1, "&");
        if (strncmp(tail + 1, "read=", 5) != 0) {
            lc_buffer_byte(rest, rest->size && memchr(rest->data, '?', rest->size) ? '&' : '?');
            lc_buffer_add(rest, tail + 1, size - 1);
        } else if (size == 13 && memcmp(tail + 6, "replica", 7) == 0) {
            seeds->read_replicas = 1;
        } else if (size == 13 && memcmp(tail + 6, "primary", 7) == 0) {
            seeds->read_replicas = 0;
        } else {
            return refuse(err, "read is primary or replica");
        }
        tail += size;
    }
    return rest->broken ? lc_fail_memory(err) : 0;
}

static int make_name(lc_redis_seeds *seeds, int tls, llmcache_error *err)
{
    lc_buffer name;
    lc_buffer_init(&name, 0);
    lc_buffer_text(&name, tls ? TLS : PLAIN);
    for (size_t i = 0; i < seeds->count; i++)
        lc_buffer_format(&name, "%s%s:%d", i ? "," : "", seeds->uris[i].host, seeds->uris[i].target.port);
    if (name.broken) {
        lc_buffer_done(&name);
        return lc_fail_memory(err);
    }
    seeds->name = lc_buffer_take(&name, NULL);
    return 0;
}

static int read_all(const char *hosts, const frame *f, lc_redis_seeds *seeds, llmcache_error *err)
{
    const char *end = hosts + strcspn(hosts, "/?#");
    for (const char *at = hosts;; at++) {
        size_t size = strcspn(at, ",");
        if (size > (size_t)(end - at))
            size = (size_t)(end - at);
        if (seeds->count == LC_REDIS_MAX_SEEDS)
            return refuse(err, "there are more than 32 addresses");
        int rc = read_seed(f, at, size, &seeds->uris[seeds->count], err);
        seeds->count += !rc || seeds->uris[seeds->count].host;
        if (rc)
            return rc;
        at += size;
        if (at == end)
            return 0;
    }
}

int lc_redis_seeds_read(const char *text, lc_redis_seeds *seeds, llmcache_error *err)
{
    int tls = strncmp(text, TLS, strlen(TLS)) == 0;
    if (!lc_redis_is_cluster(text))
        return refuse(err, "this is no address of a Redis Cluster");
    frame f = {.scheme = tls ? "rediss://" : "redis://"};
    f.login = text + strlen(tls ? TLS : PLAIN);
    /* As in redis_uri.c: what ends a login is the last @ before the query. */
    const char *at = memrchr(f.login, '@', strcspn(f.login, "?"));
    const char *hosts = at ? at + 1 : f.login;
    f.login_size = (size_t)(hosts - f.login);
    *seeds = (lc_redis_seeds){0};
    lc_buffer_init(&f.tail, 0);
    int rc = read_tail(hosts + strcspn(hosts, "/?#"), seeds, &f.tail, err);
    if (!rc)
        rc = read_all(hosts, &f, seeds, err);
    lc_buffer_done(&f.tail);
    if (!rc)
        rc = make_name(seeds, tls, err);
    if (rc)
        lc_redis_seeds_done(seeds);
    return rc;
}

void lc_redis_seeds_done(lc_redis_seeds *seeds)
{
    for (size_t i = 0; i < seeds->count; i++)
        lc_redis_uri_done(&seeds->uris[i]);
    lc_free(seeds->name);
    *seeds = (lc_redis_seeds){0};
}

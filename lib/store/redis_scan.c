/*
 * SCAN, page by page. While the server rehashes, SCAN may name a key twice; those seen are remembered by 64 bits
 * of their hash in an open table, 8 to 16 bytes a key.
 */
#include "store/redis_scan.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <string.h>

#define PAGE_HINT "256"
enum { TRIES = 4 };

typedef struct seen {
    uint64_t *table; /* 0: free */
    size_t room;     /* a power of two */
    size_t count;
} seen;

static int grow(seen *s)
{
    size_t room = s->room ? s->room * 2 : 1024;
    uint64_t *table = lc_zalloc_array(room, sizeof *table);
    if (!table)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < s->room; i++) {
        if (!s->table[i])
            continue;
        size_t at = s->table[i] & (room - 1);
        while (table[at])
            at = (at + 1) & (room - 1);
        table[at] = s->table[i];
    }
    lc_free(s->table);
    s->table = table;
    s->room = room;
    return 0;
}

/* 1 when it is new, 0 when it was seen, or LLMCACHE_MEMORY. */
static int note(seen *s, const char *name, size_t size)
{
    unsigned char digest[LC_SHA256_SIZE];
    uint64_t hash;
    if (s->count * 4 >= s->room * 3 && grow(s))
        return LLMCACHE_MEMORY;
    lc_sha256_once(name, size, digest);
    memcpy(&hash, digest, sizeof hash);
    hash |= 1; /* never the mark of a free place */
    size_t at = hash & (s->room - 1);
    while (s->table[at]) {
        if (s->table[at] == hash)
            return 0;
        at = (at + 1) & (s->room - 1);
    }
    s->table[at] = hash;
    s->count++;
    return 1;
}

/* Hands over the new names of one page. */
static int hand_over(seen *s, const redisReply *page, lc_redis_names_fn fn, void *user,
                     llmcache_error *err)
{
    size_t count = 0;
    int rc = 0;
    lc_redis_word *names = lc_alloc_array(page->elements, sizeof *names);
    if (!names)
        return lc_fail_memory(err);
    for (size_t i = 0; i < page->elements && !rc; i++) {
        const redisReply *name = page->element[i];
        int fresh = name->type == REDIS_REPLY_STRING ? note(s, name->str, name->len) : 0;
        if (fresh < 0)
            rc = lc_fail_memory(err);
        else if (fresh)
            names[count++] = (lc_redis_word){name->str, name->len};
    }
    if (!rc && count)
        rc = fn(user, names, count, err);
    lc_free(names);
    return rc;
}

/* One page: cursor and keys. */
static int read_page(lc_redis_pool *pool, const char *cursor, const char *pattern,
                     int64_t until_ms, redisReply **page, llmcache_error *err)
{
    lc_redis_batch batch;
    if (!until_ms)
        until_ms = lc_mono_ms() + LC_REDIS_STEP_MS;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("SCAN"), lc_redis_text(cursor), lc_redis_text("MATCH"),
                 lc_redis_text(pattern), lc_redis_text("COUNT"), lc_redis_text(PAGE_HINT));
    int rc = lc_redis_pool_exchange(pool, &batch, until_ms, page, err);
    lc_redis_batch_done(&batch);
    if (rc)
        return rc;
    rc = lc_redis_check(*page, "redis", err);
    if (!rc && ((*page)->type != REDIS_REPLY_ARRAY || (*page)->elements != 2 ||
                (*page)->element[0]->type != REDIS_REPLY_STRING ||
                (*page)->element[0]->len > 20 ||
                (*page)->element[1]->type != REDIS_REPLY_ARRAY))
        rc = lc_fail(err, LLMCACHE_STORE, "redis answered SCAN in a way of its own");
    if (rc)
        lc_redis_free_replies(page, 1);
    return rc;
}

typedef struct scan {
    seen seen;
    const char *pattern;
    int64_t until_ms;
    lc_redis_names_fn fn;
    void *user;
} scan;

/* From the first page to the last; >0 when fn stopped it. */
static int scan_once(scan *s, lc_redis_pool *pool, llmcache_error *err)
{
    char cursor[24] = "0";
    int rc;
    do {
        redisReply *page;
        rc = read_page(pool, cursor, s->pattern, s->until_ms, &page, err);
        if (rc)
            break;
        memcpy(cursor, page->element[0]->str, page->element[0]->len + 1);
        rc = hand_over(&s->seen, page->element[1], s->fn, s->user, err);
        lc_redis_reply_free(page);
    } while (!rc && strcmp(cursor, "0") != 0);
    return rc;
}

/*
 * All keys of one server. A server that was started anew, or another that took over, hashes its keys otherwise and gives
 * a cursor of before another meaning: it would pass over keys and say nothing of it.
 */
static int scan_server(void *user, lc_redis_pool *pool, llmcache_error *err)
{
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t breaks = lc_redis_pool_breaks(pool);
        int rc = scan_once(user, pool, err);
        if (rc || lc_redis_pool_breaks(pool) == breaks)
            return rc;
    }
    return lc_fail(err, LLMCACHE_NETWORK, "%s broke off too often to be read whole", lc_redis_pool_name(pool));
}

int lc_redis_scan(const lc_redis_route *route, const char *pattern, int64_t until_ms,
                  lc_redis_names_fn fn, void *user, llmcache_error *err)
{
    scan s = {.pattern = pattern, .until_ms = until_ms, .fn = fn, .user = user};
    int rc = route->cluster ? lc_redis_cluster_visit(route->cluster, until_ms, scan_server, &s, err)
                            : scan_server(&s, route->pool, err);
    lc_free(s.seen.table);
    return rc > 0 ? 0 : rc;
}

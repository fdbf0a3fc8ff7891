/*
 * One look-up by how many entries there are, so that the slope is seen: the memory cache, and each store by itself,
 * the servers beside a bare look-up of the same entries by their own client library.
 * LLMCACHE_BENCH_RECORDS is how far the sizes go, from 1,000 in tens; 100,000 if not said.
 */
#include "base/memory.h"
#include "base/sha256.h"
#include "bench.h"
#include "redis_server.h"
#include "store/memory_cache.h"
#include "store/store.h"
#include "support.h"
#include "test_vectors.h"

#ifdef BENCH_POSTGRES
#include "postgres_server.h"

#include <libpq-fe.h>
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY    1024
#define WRITERS 16 /* the stores commit what comes together together */

typedef struct bench {
    lc_store store;
    lc_memory_cache *memory;
    uint64_t entries, state, bytes;
    redisContext *redis; /* the raw engines */
    void *postgres;
} bench;

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void facts_of(uint64_t number, llmcache_entry *facts)
{
    static const char body[BODY] = {1};
    *facts = (llmcache_entry){.struct_size = sizeof *facts, .space = "default", .protocol = "chat",
                              .model = "gpt-4o-mini", .question = "What is a cache?", .tags = "", .embedder = "",
                              .body = body, .body_size = sizeof body, .created_ms = 1700000000000};
    test_digest(number, facts->fingerprint);
}

/* ---- Filling ----------------------------------------------------------------------------------------- */

typedef struct writer {
    const bench *b;
    uint64_t first, last;
} writer;

static void *write_entries(void *user)
{
    writer *w = user;
    for (uint64_t n = w->first; n < w->last; n++) {
        llmcache_entry facts;
        llmcache_error err;
        facts_of(n, &facts);
        if (w->b->store.ops.put(w->b->store.self, LLMCACHE_PART_PROMPT, &facts, 60000, &err))
            test_give_up("%s", err.message);
    }
    return NULL;
}

static void fill_store(bench *b, uint64_t from, uint64_t to)
{
    pthread_t threads[WRITERS];
    writer writers[WRITERS];
    for (uint64_t i = 0; i < WRITERS; i++) {
        writers[i] = (writer){b, from + (to - from) * i / WRITERS, from + (to - from) * (i + 1) / WRITERS};
        if (pthread_create(&threads[i], NULL, write_entries, &writers[i]))
            test_give_up("no thread");
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    b->entries = to;
}

static void fill_memory(bench *b, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n++) {
        llmcache_entry facts;
        facts_of(n, &facts);
        lc_entry *entry = lc_entry_new(&facts);
        if (!entry)
            test_give_up("no memory");
        lc_memory_cache_put(b->memory, entry, UINT64_MAX);
        lc_entry_unref(entry);
    }
    b->entries = to;
}

/* ---- Looking up ------------------------------------------------------------------------------------- */

static int take(void *user, const llmcache_entry *entry)
{
    ((bench *)user)->bytes += entry->body_size;
    return 0;
}

static void get(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = {.space = "default"};
        llmcache_error err;
        test_digest(next_random(&b->state) % b->entries, key.fingerprint);
        if (b->store.ops.get(b->store.self, LLMCACHE_PART_PROMPT, &key, 0, 1000, take, b, &err))
            test_give_up("%s", err.message);
    }
}

static void find(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char digest[32];
        lc_memory_hit hit;
        test_digest(next_random(&b->state) % b->entries, digest);
        if (!lc_memory_cache_find(b->memory, digest, 1, &hit))
            test_give_up("not in memory");
        b->bytes += hit.entry->facts.body_size;
        lc_entry_unref(hit.entry);
    }
}

/* ---- The raw engines -------------------------------------------------------------------------------- */

static void redis_get(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char digest[32];
        char hex[65];
        test_digest(next_random(&b->state) % b->entries, digest);
        lc_hex(digest, sizeof digest, hex);
        redisReply *reply = redisCommand(b->redis, "GET prompt_cache:default:%s", hex);
        if (!reply || reply->type != REDIS_REPLY_STRING)
            test_give_up("no value");
        b->bytes += reply->len;
        freeReplyObject(reply);
    }
}

#ifdef BENCH_POSTGRES
static void postgres_select(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char digest[32];
        const char *values[] = {"default", (const char *)digest};
        const int sizes[] = {7, sizeof digest}, formats[] = {0, 1};
        test_digest(next_random(&b->state) % b->entries, digest);
        PGresult *result = PQexecPrepared(b->postgres, "bench", 2, values, sizes, formats, 1);
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
            test_give_up("no row: %s", PQerrorMessage(b->postgres));
        b->bytes += (uint64_t)PQgetlength(result, 0, 1);
        PQclear(result);
    }
}
#endif

/* ---- The sizes -------------------------------------------------------------------------------------- */

static void measure_store(bench_report *report, bench *b, const char *name, const char *uri, size_t limit,
                          const char *raw_name, bench_fn raw)
{
    lc_store_options options = {.max_bytes = (uint64_t)16 << 30, .connect_ms = 60000};
    llmcache_error err;
    b->entries = 0;
    if (lc_store_open(uri, &options, &b->store, &err))
        test_give_up("%s", err.message);
    for (size_t entries = 1000; entries <= limit; entries *= 10) {
        fill_store(b, b->entries, entries);
        bench_compare(report, test_format("%s among %zu", name, entries), raw_name, get, raw, b, 2000, 7, 0);
    }
    lc_store_close(&b->store);
}

static void measure_memory(bench_report *report, size_t limit)
{
    bench b = {0};
    if (lc_memory_cache_new((size_t)8 << 30, &b.memory, NULL))
        test_give_up("no cache");
    for (size_t entries = 1000; entries <= limit; entries *= 10) {
        fill_memory(&b, b.entries, entries);
        bench_compare(report, test_format("memory cache among %zu", entries), NULL, find, NULL, &b, 20000, 7, 0);
    }
    lc_memory_cache_free(b.memory);
}

static void measure_redis(bench_report *report, size_t limit)
{
    test_redis redis;
    bench b = {0};
    test_redis_start(&redis, NULL);
    for (int by_socket = 0; by_socket < 2; by_socket++) {
        b.redis = by_socket ? redisConnectUnix(redis.socket) : redisConnect("127.0.0.1", redis.port);
        if (!b.redis || b.redis->err)
            test_give_up("no link to Redis");
        measure_store(report, &b, by_socket ? "unix: (Redis)" : "redis: by TCP", by_socket ? redis.unix_uri : redis.uri,
                      limit, "bare GET", redis_get);
        redisFree(b.redis);
    }
}

#ifdef BENCH_POSTGRES
static void measure_postgres(bench_report *report, size_t limit)
{
    test_postgres postgres;
    bench b = {0};
    const char *missing = test_postgres_missing();
    if (missing) {
        printf("skipped: %s\n", missing);
        return;
    }
    test_postgres_start(&postgres);
    lc_store_options options = {.connect_ms = 60000};
    llmcache_error err;
    if (lc_store_open(postgres.uri, &options, &b.store, &err))
        test_give_up("%s", err.message);
    fill_store(&b, 0, WRITERS); /* the first makes the tables */
    lc_store_close(&b.store);
    b.postgres = PQconnectdb(postgres.uri);
    PQclear(PQprepare(b.postgres, "bench", "SELECT facts, body FROM llmcache_prompt WHERE space = $1 AND fingerprint = $2", 2,
                      NULL));
    measure_store(report, &b, "postgresql: by TCP", postgres.uri, limit, "bare prepared SELECT", postgres_select);
    PQfinish(b.postgres);
}
#else
static void measure_postgres(bench_report *report, size_t limit)
{
    puts("skipped: this build has no postgresql://");
}
#endif

int main(void)
{
    const char *most = getenv("LLMCACHE_BENCH_RECORDS");
    size_t limit = most && *most ? strtoull(most, NULL, 10) : 100000;
    size_t fewer = limit > 100000 ? 100000 : limit; /* a server's look-up is a round trip at any size */
    bench b = {0};
    bench_report *report = bench_new("One look-up by the number of entries, 1 KB each, one thread");
    measure_memory(report, limit);
    measure_store(report, &b, "sqlite:", test_format("sqlite:%s/growth.db", test_folder()), limit, NULL, NULL);
    if (test_redis_installed())
        measure_redis(report, fewer);
    else
        puts("skipped: redis-server is not installed");
    measure_postgres(report, fewer);
    return bench_done(report);
}

/*
 * The stores against their raw engines: a get from SQLite against the SELECT it needs, a put against the INSERTs,
 * from one thread and from many; the memory: store for comparison.
 */
#include "bench.h"
#include "store/store.h"
#include "support.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY    1024
#define DIM     384
#define ENTRIES 20000

typedef struct bench {
    lc_store store;
    sqlite3 *db;
    sqlite3_stmt *select, *insert;
    int part;
    uint64_t state, next;
    size_t bytes;
} bench;

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static llmcache_key key_of(uint64_t number)
{
    llmcache_key key = {.space = "default"};
    for (int i = 0; i < 4; i++) {
        uint64_t seed = number * 4 + (uint64_t)i, word = next_random(&seed);
        memcpy(key.fingerprint + 8 * i, &word, 8);
    }
    return key;
}

static void put_one(bench *b, uint64_t number, int parts)
{
    static const char body[BODY] = {1};
    static const float vector[DIM] = {1};
    llmcache_key key = key_of(number);
    llmcache_entry entry = {.struct_size = sizeof entry, .space = "default", .protocol = "chat",
                            .model = "gpt-4o-mini", .question = "What is a cache?", .tags = "",
                            .body = body, .body_size = sizeof body, .created_ms = 1700000000000,
                            .embedder = "local:bench", .vector = vector, .dimension = DIM};
    llmcache_error err;
    memcpy(entry.fingerprint, key.fingerprint, sizeof entry.fingerprint);
    if (b->store.ops.put(b->store.self, parts, &entry, 60000, &err))
        test_give_up("%s", err.message);
}

static int take(void *user, const llmcache_entry *entry)
{
    ((bench *)user)->bytes += entry->body_size;
    return 0;
}

static void get(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = key_of(next_random(&b->state) % ENTRIES);
        llmcache_error err;
        if (b->store.ops.get(b->store.self, b->part, &key, 0, 50, take, b, &err))
            test_give_up("%s", err.message);
    }
}

/* The same row by the same index, columns read, no more. */
static void raw_select(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = key_of(next_random(&b->state) % ENTRIES);
        sqlite3_bind_blob(b->select, 1, key.fingerprint, 32, SQLITE_STATIC);
        if (sqlite3_step(b->select) != SQLITE_ROW)
            test_give_up("%s", sqlite3_errmsg(b->db));
        b->bytes += (size_t)sqlite3_column_bytes(b->select, 0);
        b->bytes += *(const unsigned char *)sqlite3_column_blob(b->select, 0);
        sqlite3_reset(b->select);
    }
}

static void put(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        put_one(b, b->next++, b->part);
}

/* An INSERT of the same size into an indexed table, a commit each. */
static void raw_insert(void *user, size_t count)
{
    static const char body[BODY] = {1};
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = key_of(b->next++);
        sqlite3_bind_blob(b->insert, 1, key.fingerprint, 32, SQLITE_STATIC);
        sqlite3_bind_text(b->insert, 2, body, BODY, SQLITE_STATIC);
        if (sqlite3_step(b->insert) != SQLITE_DONE)
            test_give_up("%s", sqlite3_errmsg(b->db));
        sqlite3_reset(b->insert);
    }
}

static void prepare(bench *b, const char *path, const char *sql, sqlite3_stmt **statement, const char *set_up)
{
    if (sqlite3_open_v2(path, &b->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ||
        sqlite3_exec(b->db, set_up, NULL, NULL, NULL) ||
        sqlite3_prepare_v2(b->db, sql, -1, statement, NULL))
        test_give_up("%s", sqlite3_errmsg(b->db));
}

static void open_store(bench *b, const char *uri)
{
    lc_store_options options = {.max_bytes = 1 << 30};
    llmcache_error err;
    if (lc_store_open(uri, &options, &b->store, &err))
        test_give_up("%s", err.message);
}

static void reading(bench_report *report, bench *b, const char *path)
{
    open_store(b, test_format("sqlite:%s", path));
    for (uint64_t n = 0; n < ENTRIES; n++)
        put_one(b, n, LLMCACHE_PART_BOTH);
    prepare(b, path, "SELECT body FROM prompt_cache WHERE fingerprint=?1 AND space='default'", &b->select,
            "PRAGMA cache_size=-1024");
    b->part = LLMCACHE_PART_PROMPT;
    bench_compare(report, "get from sqlite:, answer of 1 KB", "raw SELECT of the answer", get, raw_select, b,
                  5000, 11, 0);
    b->part = LLMCACHE_PART_EMBED;
    bench_compare(report, "get of a record from sqlite:", "raw SELECT of an answer", get, raw_select, b, 5000,
                  11, 0);
    sqlite3_finalize(b->select);
    sqlite3_close(b->db);
    lc_store_close(&b->store);
}

static void *put_on(void *user)
{
    put(user, 2000);
    return NULL;
}

static void writing_together(bench_report *report, const char *uri, int threads)
{
    bench b = {.part = LLMCACHE_PART_PROMPT}, each[64];
    pthread_t ids[64];
    open_store(&b, uri);
    double start = test_now_us();
    for (int i = 0; i < threads; i++) {
        each[i] = b;
        each[i].next = (uint64_t)(i + 1) * 1000000000;
        pthread_create(&ids[i], NULL, put_on, &each[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double seconds = (test_now_us() - start) / 1e6;
    bench_note(report, test_format("entries written, %.7s, %d threads", uri, threads), threads * 2000 / seconds,
               "a second");
    lc_store_close(&b.store);
}

static void writing(bench_report *report, bench *b)
{
    const char *folder = test_folder();
    open_store(b, test_format("sqlite:%s/store.db", folder));
    prepare(b, test_format("%s/raw.db", folder), "INSERT INTO t(k, v) VALUES(?1, ?2)", &b->insert,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            "CREATE TABLE t(id INTEGER PRIMARY KEY, k BLOB UNIQUE, v TEXT)");
    b->part = LLMCACHE_PART_PROMPT;
    b->next = 1000000;
    bench_compare(report, "put into sqlite:, answer of 1 KB", "raw INSERT with its own commit", put, raw_insert,
                  b, 1000, 11, 0);
    b->part = LLMCACHE_PART_BOTH;
    bench_compare(report, "put of entry and record into sqlite:", "raw INSERT with its own commit", put,
                  raw_insert, b, 1000, 11, 0);
    sqlite3_finalize(b->insert);
    sqlite3_close(b->db);
    lc_store_close(&b->store);
    for (int threads = 1; threads <= 64; threads *= 4)
        writing_together(report, test_format("sqlite:%s/store.db", folder), threads);
    writing_together(report, "memory:", 1);
}

static void loading(bench_report *report, const char *path)
{
    bench b = {0};
    llmcache_error err;
    uint64_t damaged;
    open_store(&b, test_format("sqlite:%s", path));
    double start = test_now_us();
    if (b.store.ops.each(b.store.self, LLMCACHE_PART_EMBED, NULL, 0, take, &b, &damaged, &err))
        test_give_up("%s", err.message);
    bench_note(report, "records read at a start, sqlite:",
               (double)b.bytes / BODY / ((test_now_us() - start) / 1e6), "a second");
    lc_store_close(&b.store);
}

int main(void)
{
    bench b = {0};
    const char *path = test_format("%s/cache.db", test_folder());
    bench_report *report = bench_new("The stores, entries of 1 KB, records of 384 dimensions");
    reading(report, &b, path);
    loading(report, path);
    writing(report, &b);
    return bench_done(report);
}

/*
 * What an answer costs in each engine: bytes held, time to keep one with 16 writers, time to read its vector at a
 * start and to look one up. Answers of 1 KB and 4 KB of made-up words with a vector of 384 dimensions, kept for both parts, as the cache
 * does. LLMCACHE_BENCH_RECORDS is how many, at most 20,000 if not said: docs/scaling.md multiplies.
 */
#include "bench.h"
#include "index/flat_index.h"
#include "redis_cluster_server.h"
#include "store/store.h"
#include "support.h"
#include "test_vectors.h"

#ifdef BENCH_POSTGRES
#include "postgres_server.h"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIM       384
#define BODY_MOST 4096
#define WRITERS   16
#define WORDS     2000 /* of the made-up language */

typedef struct place {
    const char *name, *uri;
    double (*held)(const struct place *engine); /* bytes */
    const void *server;
} place;

typedef struct bench {
    lc_store store;
    lc_flat *index;
    size_t records, body, seen;
    int parts;
    uint64_t state;
} bench;

/* ---- Answers ----------------------------------------------------------------------------------------- */

/* Words of three to nine letters: as compressible as text, more or less. */
static void write_words(uint64_t seed, char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint64_t word = test_random(&seed) % WORDS, letters = test_random(&word);
        for (uint64_t i = 0; i < 3 + letters % 7 && at < size; i++)
            text[at++] = (char)('a' + (letters >> (8 + 5 * i)) % 26);
        if (at < size)
            text[at++] = ' ';
    }
}

static void put(void *user, uint64_t number)
{
    bench *b = user;
    float vector[DIM];
    char body[BODY_MOST], question[64];
    llmcache_error err;
    llmcache_entry entry = {.struct_size = sizeof entry, .space = "default", .protocol = "chat",
                            .model = "gpt-4o-mini", .question = question, .tags = "",
                            .embedder = "local:multilingual-e5-small:5c9b4d67436d78e0:t2s1:int8", .body = body,
                            .body_size = b->body, .vector = vector, .dimension = DIM, .created_ms = 1700000000000};
    write_words(number, body, b->body);
    write_words(~number, question, sizeof question - 1);
    question[sizeof question - 1] = '\0';
    test_digest(number, entry.fingerprint);
    test_digest(7, entry.partition);
    test_vector(number, vector, DIM);
    if (b->store.ops.put(b->store.self, b->parts, &entry, 60000, &err))
        test_give_up("%s", err.message);
}

static void fill(bench *b)
{
    bench_share_out(b->records, WRITERS, put, b);
}

static int take_in(void *user, const llmcache_entry *entry)
{
    bench *b = user;
    llmcache_error err;
    lc_record record = {.space = entry->space, .fingerprint = entry->fingerprint, .partition = entry->partition,
                        .vector = entry->vector, .dimension = entry->dimension};
    b->seen += lc_flat_ops.add(b->index, &record, 1000, &err) == 0;
    return 0;
}

static int see(void *user, const llmcache_entry *entry)
{
    ((bench *)user)->seen += entry->body_size > 0;
    return 0;
}

static void get(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = {.space = "default"};
        llmcache_error err;
        test_digest(test_random(&b->state) % b->records, key.fingerprint);
        if (b->store.ops.get(b->store.self, LLMCACHE_PART_PROMPT, &key, 1, 60000, see, b, &err))
            test_give_up("%s", err.message);
    }
}

/* ---- What an engine holds ----------------------------------------------------------------------------- */

static double file_bytes(const place *engine)
{
    size_t size = 0;
    if (!test_read_file(engine->server, &size))
        test_give_up("no file %s", (const char *)engine->server);
    return (double)size;
}

static double redis_bytes(const test_redis *redis)
{
    const char *info = test_redis_command(redis, "INFO memory"), *used = strstr(info, "used_memory:");
    return used ? strtod(used + strlen("used_memory:"), NULL) : 0;
}

static double one_redis_bytes(const place *engine)
{
    return redis_bytes(engine->server);
}

/* The primaries'; their replicas hold as much again. */
static double cluster_bytes(const place *engine)
{
    const test_redis_cluster *cluster = engine->server;
    double sum = 0;
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++)
        sum += redis_bytes(&cluster->nodes[i]);
    return sum;
}

#ifdef BENCH_POSTGRES
static double postgres_bytes(const place *engine)
{
    return strtod(test_postgres_ask(engine->server,
                                    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
                                    "WHERE c.relkind = 'r' AND c.relname LIKE 'llmcache\\_%%'"), NULL);
}
#endif

/* ---- Measuring ------------------------------------------------------------------------------------------ */

static double held_before(const place *engine)
{
    return strcmp(engine->name, "sqlite:") ? engine->held(engine) : 0; /* its file is made when it is opened */
}

/* Without a vector, as where the embedder is "none". */
static void measure_exact(bench_report *report, const place *engine, size_t body, size_t records)
{
    bench b = {.records = records, .body = body, .parts = LLMCACHE_PART_PROMPT};
    lc_store_options options = {.connect_ms = 60000};
    llmcache_error err;
    double before = held_before(engine);
    if (lc_store_open(engine->uri, &options, &b.store, &err))
        test_give_up("%s", err.message);
    fill(&b);
    lc_store_close(&b.store);
    bench_note(report, test_format("%s answers of %zu bytes, exact matches only: held for one", engine->name, body),
               (engine->held(engine) - before) / (double)records, "bytes");
}

static void measure(bench_report *report, const place *engine, size_t body, size_t records, int parts)
{
    if (parts == LLMCACHE_PART_PROMPT) {
        measure_exact(report, engine, body, records);
        return;
    }
    bench b = {.records = records, .body = body, .parts = parts};
    lc_store_options options = {.connect_ms = 60000};
    llmcache_error err;
    double before = held_before(engine);
    if (lc_store_open(engine->uri, &options, &b.store, &err) || lc_flat_new(&b.index, &err))
        test_give_up("%s", err.message);
    double start = test_now_us();
    fill(&b);
    double filled = test_now_us() - start;
    clock_t used = -clock();
    start = test_now_us();
    if (lc_store_each_vector(&b.store, 1, take_in, &b, NULL, &err) || b.seen != records)
        test_give_up("not every record was read: %zu", b.seen);
    double loaded = test_now_us() - start;
    used += clock();
    const char *what = test_format("%s answers of %zu bytes", engine->name, body);
    bench_note(report, test_format("%s: keeping one, 16 writers", what), filled / (double)records, "us");
    bench_note(report, "  reading its vector into the index", loaded / (double)records, "us");
    bench_note(report, "  of that this process' own time",
               (double)used / CLOCKS_PER_SEC * 1e6 / (double)records, "us");
    bench_compare(report, "  a look-up, one thread", NULL, get, NULL, &b, 1000, 7, 0);
    lc_store_close(&b.store); /* SQLite's log goes into the file */
    bench_note(report, "  held for one", (engine->held(engine) - before) / (double)records, "bytes");
    lc_flat_free(b.index);
}

static void measure_sqlite(bench_report *report, size_t body, size_t records, int parts)
{
    const char *path = test_format("%s/sizing.db", test_folder());
    place engine = {"sqlite:", test_format("sqlite:%s", path), file_bytes, path};
    measure(report, &engine, body, records, parts);
}

static void measure_redis(bench_report *report, size_t body, size_t records, int parts)
{
    test_redis redis;
    test_redis_start(&redis, NULL);
    place engine = {"redis:", redis.uri, one_redis_bytes, &redis};
    measure(report, &engine, body, records, parts);
    test_redis_kill(&redis);
}

static void measure_cluster(bench_report *report, size_t body, size_t records, int parts)
{
    test_redis_cluster cluster;
    const char *lacking = test_redis_lacks_cluster();
    if (lacking) {
        printf("skipped: %s\n", lacking);
        return;
    }
    test_redis_cluster_start(&cluster, NULL);
    place engine = {"redis+cluster:", cluster.uri, cluster_bytes, &cluster};
    measure(report, &engine, body, records, parts);
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        test_redis_kill(&cluster.nodes[i]);
}

static void measure_postgres(bench_report *report, size_t body, size_t records, int parts)
{
#ifdef BENCH_POSTGRES
    const char *missing = test_postgres_missing();
    test_postgres postgres;
    if (missing) {
        printf("skipped: %s\n", missing);
        return;
    }
    test_postgres_start(&postgres);
    place engine = {"postgresql:", postgres.uri, postgres_bytes, &postgres};
    measure(report, &engine, body, records, parts);
    test_postgres_kill(&postgres);
#else
    puts("skipped: this build has no postgresql://");
#endif
}

int main(void)
{
    const char *most = getenv("LLMCACHE_BENCH_RECORDS");
    size_t records = most && *most ? strtoull(most, NULL, 10) : 20000;
    records = records > 20000 && bench_quick() ? 20000 : records;
    bench_report *report = bench_new(test_format("What an answer costs in each engine, %zu of them", records));
    const struct {
        size_t body;
        int parts;
    } answers[] = {{1024, LLMCACHE_PART_BOTH}, {BODY_MOST, LLMCACHE_PART_BOTH}, {1024, LLMCACHE_PART_PROMPT}};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        measure_sqlite(report, answers[i].body, records, answers[i].parts);
        if (test_redis_installed()) {
            measure_redis(report, answers[i].body, records, answers[i].parts);
            measure_cluster(report, answers[i].body, records, answers[i].parts);
        } else {
            puts("skipped: redis-server is not installed");
        }
        measure_postgres(report, answers[i].body, records, answers[i].parts);
    }
    return bench_done(report);
}

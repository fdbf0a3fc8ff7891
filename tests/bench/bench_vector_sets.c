/*
 * The index redis: (vector sets in a Redis 8 on this machine, over its Unix socket) against a GET of the same size over
 * the same kind of connection, and against flat: in this process; what it finds beside what is there; and what
 * a record takes in Redis.
 *
 * Each is measured by the clock, and by the processor's time: of Redis for what it does, of this thread for flat:. On a
 * machine that is busy otherwise, the clock says little about work that takes milliseconds.
 *
 * LLMCACHE_BENCH_RECORDS is how far the sizes go, from 1,000 in tens; 10,000 if not said. An addition takes Redis up to
 * milliseconds, so 100,000 take minutes.
 * LLMCACHE_BENCH_DIMENSION is the vectors' dimension; 384 if not said.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "bench.h"
#include "index/index.h"
#include "net/redis_pool.h"
#include "redis_server.h"
#include "store/store.h"
#include "support.h"
#include "test_vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUERIES 100
#define CENTRES 500
#define SPREAD  0.6
#define WAIT_MS 60000

typedef struct bench {
    test_redis redis;
    lc_redis_uri uri;
    lc_redis_pool *pool;
    lc_index sets, flat;
    size_t dimension, records;
    float *queries;
    unsigned char partition[32];
    uint64_t next, turn;
} bench;

static void add(bench *b, const lc_index *index, uint64_t number)
{
    float vector[4096];
    unsigned char fingerprint[32];
    llmcache_error err;
    lc_record record = {.space = "default", .fingerprint = fingerprint, .partition = b->partition,
                        .vector = vector, .dimension = b->dimension};
    test_digest(number, fingerprint);
    test_clustered_vector(number, CENTRES, SPREAD, vector, b->dimension);
    if (index->ops.add(index->self, &record, WAIT_MS, &err))
        test_give_up("%s", err.message);
}

static size_t search_in(bench *b, const lc_index *index, size_t query_number, lc_neighbour *out, size_t k)
{
    size_t found;
    llmcache_error err;
    lc_query query = {.space = "default", .partition = b->partition, .dimension = b->dimension,
                      .vector = b->queries + query_number * b->dimension, .deadline_ms = WAIT_MS};
    if (index->ops.search(index->self, &query, out, k, &found, &err))
        test_give_up("%s", err.message);
    return found;
}

static void search(bench *b, const lc_index *index, size_t count)
{
    lc_neighbour out[4];
    for (size_t i = 0; i < count; i++)
        if (search_in(b, index, b->turn++ % QUERIES, out, 4) != 4)
            test_give_up("nothing found");
}

static void search_sets(void *user, size_t count)
{
    search(user, &((bench *)user)->sets, count);
}

static void search_flat(void *user, size_t count)
{
    search(user, &((bench *)user)->flat, count);
}

static void run(bench *b, const lc_redis_word *words, size_t count)
{
    lc_redis_batch batch;
    redisReply *reply;
    llmcache_error err;
    lc_redis_batch_init(&batch);
    lc_redis_add(&batch, count, words);
    if (lc_redis_pool_exchange(b->pool, &batch, lc_mono_ms() + WAIT_MS, &reply, &err))
        test_give_up("%s", err.message);
    lc_redis_free_replies(&reply, 1);
    lc_redis_batch_done(&batch);
}

static void get(void *user, size_t count)
{
    const lc_redis_word words[] = {lc_redis_text("GET"), lc_redis_text("one")};
    for (size_t i = 0; i < count; i++)
        run(user, words, 2);
}

/* Of new records, and out with them again: the partition keeps its size. */
static void add_and_remove(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char fingerprint[32];
        char id[LLMCACHE_ID_SIZE];
        llmcache_error err;
        add(b, &b->sets, b->next);
        test_digest(b->next++, fingerprint);
        lc_entry_id(fingerprint, id);
        if (b->sets.ops.remove(b->sets.self, "default", id, WAIT_MS, NULL, &err))
            test_give_up("%s", err.message);
    }
}

static double used_bytes(const bench *b)
{
    const char *info = test_redis_command(&b->redis, "INFO memory");
    return strtod(strstr(info, "used_memory:") + strlen("used_memory:"), NULL);
}

/* ---- By the processor's time ---------------------------------------------------------------------------- */

static double number_in(const char *info, const char *name)
{
    const char *found = strstr(info, name);
    return found ? strtod(found + strlen(name), NULL) : 0;
}

static double redis_us(const bench *b)
{
    const char *info = test_redis_command(&b->redis, "INFO cpu");
    return 1e6 * (number_in(info, "used_cpu_sys:") + number_in(info, "used_cpu_user:"));
}

static double thread_us(const bench *b)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static double spent(bench *b, bench_fn fn, double (*clock)(const bench *), size_t count)
{
    double before = clock(b);
    fn(b, count);
    return (clock(b) - before) / (double)count;
}

static void compare_spent(bench_report *report, bench *b, size_t count)
{
    double one = spent(b, search_sets, redis_us, count), bound = spent(b, get, redis_us, 20 * count);
    bench_pair(report, "  of the processor's time, in Redis", "GET", one, bound, 0);
    bench_pair(report, "  of the processor's time, in Redis", "flat:, in this process", one,
               spent(b, search_flat, thread_us, 20 * count), 0);
    bench_pair(report, "  adding and removing, in Redis", "GET", spent(b, add_and_remove, redis_us, count), bound, 0);
}

/* ---- What is found ------------------------------------------------------------------------------------------ */

static void compare_found(bench_report *report, bench *b)
{
    size_t first = 0, four = 0;
    double worst = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        lc_neighbour found[4], there[4];
        size_t got = search_in(b, &b->sets, q, found, 4);
        search_in(b, &b->flat, q, there, 4);
        first += got && found[0].similarity > there[0].similarity - 1e-5;
        for (size_t i = 0; i < got; i++) {
            four += found[i].similarity > there[i].similarity - 1e-5;
            if (memcmp(found[i].fingerprint, there[i].fingerprint, 32) == 0)
                worst = fmax(worst, fabs(found[i].similarity - there[i].similarity));
        }
    }
    bench_note(report, test_format("recall@1 among %zu", b->records), (double)first / QUERIES, "of 1");
    bench_note(report, test_format("recall@4 among %zu", b->records), (double)four / QUERIES / 4, "of 1");
    bench_note(report, "  largest difference of a similarity", worst * 1e6, "millionths");
}

static void measure(bench_report *report, bench *b, size_t records)
{
    llmcache_error err;
    if (b->sets.ops.clear(b->sets.self, WAIT_MS, &err) || b->flat.ops.clear(b->flat.self, WAIT_MS, &err))
        test_give_up("%s", err.message);
    double before = used_bytes(b), start = test_now_us();
    for (size_t i = 0; i < records; i++)
        add(b, &b->sets, i);
    double us = (test_now_us() - start) / (double)records, bytes = used_bytes(b) - before;
    for (size_t i = 0; i < records; i++)
        add(b, &b->flat, i);
    b->records = records;
    b->next = records;
    const char *name = test_format("search among %zu, %zu dimensions", records, b->dimension);
    size_t count = bench_quick() ? 20 : 50;
    bench_compare(report, name, "GET of as many bytes as a vector", search_sets, get, b, count, 15, 0);
    bench_compare(report, name, "flat:, in this process", search_sets, search_flat, b, count, 15, 0);
    bench_compare(report, test_format("adding and removing one among %zu", records),
                  "GET of as many bytes as a vector", add_and_remove, get, b, count / 2, 9, 0);
    compare_spent(report, b, 10 * count);
    bench_note(report, "  adding each of them, on the way there", us, "us");
    bench_note(report, test_format("memory of Redis a record among %zu", records), bytes / (double)records, "bytes");
    compare_found(report, b);
}

static size_t from_environment(const char *name, size_t otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

static void open_all(bench *b, const char *program)
{
    const test_redis_options options = {.program = program};
    const lc_index_options index_options = {.vector_space = "bench"};
    llmcache_error err;
    test_redis_start(&b->redis, &options);
    if (lc_redis_uri_read(b->redis.unix_uri, &b->uri, &err) || lc_redis_pool_new(&b->uri, 1000, &b->pool, &err) ||
        lc_index_open(test_format("redis:%s", b->redis.unix_uri), &index_options, &b->sets, &err) ||
        lc_index_open("flat:", NULL, &b->flat, &err))
        test_give_up("%s", err.message);
    float *value = lc_zalloc_array(b->dimension, sizeof *value);
    const lc_redis_word words[] = {lc_redis_text("SET"), lc_redis_text("one"), {value, b->dimension * sizeof *value}};
    run(b, words, 3);
    lc_free(value);
    b->queries = lc_alloc_array(QUERIES * b->dimension, sizeof *b->queries);
    for (size_t q = 0; q < QUERIES; q++)
        test_clustered_vector(77770000 + q, CENTRES, SPREAD, b->queries + q * b->dimension, b->dimension);
}

int main(void)
{
    static bench b;
    const char *program = test_redis8();
    b.dimension = from_environment("LLMCACHE_BENCH_DIMENSION", 384);
    if (!program)
        return 77;
    open_all(&b, program);
    size_t limit = from_environment("LLMCACHE_BENCH_RECORDS", bench_quick() ? 1000 : 10000);
    bench_report *report = bench_new("Vector sets in a Redis 8");
    for (size_t records = 1000; records <= limit; records *= 10)
        measure(report, &b, records);
    lc_index_close(&b.flat);
    lc_index_close(&b.sets);
    lc_redis_pool_free(b.pool);
    lc_redis_uri_done(&b.uri);
    lc_free(b.queries);
    return bench_done(report);
}

/*
 * The index against the machine: a search against reading, once, the bytes that it has to read of every row,
 * which no search that looks at every row can beat. Then what is found against brute force, and what a record
 * costs to add, to remove and to hold.
 *
 * LLMCACHE_BENCH_RECORDS is how far the sizes go, from 1,000 in tens; 100,000 if not said.
 * LLMCACHE_BENCH_DIMENSION is the vectors' dimension; 384 if not said.
 */
#include "base/memory.h"
#include "bench.h"
#include "index/codes.h"
#include "index/index.h"
#include "store/store.h"
#include "support.h"
#include "test_vectors.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUERIES 32
#define CENTRES 500
#define SPREAD  0.6

typedef struct bench {
    lc_index index;
    size_t dimension, records;
    float *queries;
    unsigned char *bytes; /* as many as the search has to read */
    size_t byte_count;
    unsigned char partition[32];
    uint64_t next, turn;
    double sum; /* so that no reading is left out */
} bench;

static void add(bench *b, uint64_t number)
{
    float vector[4096];
    unsigned char fingerprint[32];
    llmcache_error err;
    lc_record record = {.space = "default", .fingerprint = fingerprint, .partition = b->partition,
                        .vector = vector, .dimension = b->dimension};
    test_digest(number, fingerprint);
    test_clustered_vector(number, CENTRES, SPREAD, vector, b->dimension);
    if (b->index.ops.add(b->index.self, &record, 1000, &err))
        test_give_up(err.message);
}

static void open_flat(bench *b)
{
    llmcache_error err;
    if (lc_index_open("flat:", NULL, &b->index, &err))
        test_give_up(err.message);
}

/* ---- A search and its bound -------------------------------------------------------------------------- */

static void search(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        lc_neighbour out[4];
        size_t found;
        llmcache_error err;
        lc_query query = {.space = "default", .partition = b->partition, .dimension = b->dimension,
                          .vector = b->queries + b->turn++ % QUERIES * b->dimension};
        if (b->index.ops.search(b->index.self, &query, out, 4, &found, &err) || found != 4)
            test_give_up("nothing found");
        b->sum += out[0].similarity;
    }
}

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t read_all(const uint64_t *words, size_t count)
{
    uint64_t sums[32] = {0};
    for (size_t i = 0; i + 32 <= count; i += 32)
        for (size_t k = 0; k < 32; k++)
            sums[k] += words[i + k];
    uint64_t sum = 0;
    for (size_t k = 0; k < 32; k++)
        sum += sums[k];
    return sum;
}

static void read_bytes(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        b->sum += (double)read_all((const uint64_t *)(const void *)b->bytes, b->byte_count / 8);
}

/* ---- Recall -------------------------------------------------------------------------------------------- */

/* Of how many queries the very nearest was found, by brute force over vectors made anew. */
static double recall(bench *b)
{
    float *vectors = lc_alloc_array(b->records * b->dimension, sizeof *vectors);
    size_t right = 0;
    if (!vectors)
        test_give_up("no memory");
    for (size_t i = 0; i < b->records; i++)
        test_clustered_vector(i, CENTRES, SPREAD, vectors + i * b->dimension, b->dimension);
    for (size_t q = 0; q < QUERIES; q++) {
        const float *vector = b->queries + q * b->dimension;
        lc_query query = {.space = "default", .partition = b->partition, .dimension = b->dimension,
                          .vector = vector};
        lc_neighbour out[1];
        size_t found;
        llmcache_error err;
        double best = -2;
        for (size_t i = 0; i < b->records; i++)
            best = fmax(best, test_cosine(vector, vectors + i * b->dimension, b->dimension));
        right += b->index.ops.search(b->index.self, &query, out, 1, &found, &err) == 0 && found == 1 &&
                 out[0].similarity > best - 1e-5;
    }
    lc_free(vectors);
    return (double)right / QUERIES;
}

/* ---- What a record costs ------------------------------------------------------------------------------- */

static double resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
        test_give_up("no /proc/self/statm");
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static uint64_t counted_bytes(const bench *b)
{
    lc_index_stats stats;
    b->index.ops.stats(b->index.self, &stats);
    return stats.bytes;
}

static void add_more(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        add(b, b->next++);
}

static void add_and_remove(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char fingerprint[32];
        char id[LLMCACHE_ID_SIZE];
        llmcache_error err;
        add(b, b->next);
        test_digest(b->next++, fingerprint);
        lc_entry_id(fingerprint, id);
        b->index.ops.remove(b->index.self, "default", id, 1000, NULL, &err);
    }
}

static void make_vectors(void *user, size_t count)
{
    bench *b = user;
    float vector[4096];
    for (size_t i = 0; i < count; i++) {
        test_clustered_vector(b->next++, CENTRES, SPREAD, vector, b->dimension);
        b->sum += (double)vector[0];
    }
}

/* ---- The sizes ----------------------------------------------------------------------------------------- */

static void fill(bench_report *report, bench *b)
{
    malloc_trim(0);
    double before = resident_bytes();
    open_flat(b);
    for (size_t i = 0; i < b->records; i++)
        add(b, i);
    malloc_trim(0);
    double grown = resident_bytes() - before, counted = (double)counted_bytes(b);
    bench_note(report, test_format("memory a record among %zu", b->records), counted / (double)b->records, "bytes");
    bench_note(report, "  counted, of what the process grew by", counted / grown, "");
}

static void measure(bench_report *report, bench *b, size_t records)
{
    size_t count = 20000000 / records / 20 + 1;
    b->records = records;
    fill(report, b);
    b->byte_count = records * (lc_codes_stride(b->dimension) + 2 * sizeof(float));
    b->bytes = lc_alloc_aligned(4096, b->byte_count);
    if (!b->bytes)
        test_give_up("no memory");
    memset(b->bytes, 1, b->byte_count);
    bench_compare(report, test_format("search among %zu, %zu dimensions", records, b->dimension),
                  test_format("reading %.1f MB", (double)b->byte_count / 1e6), search, read_bytes, b,
                  count > 1000 ? 1000 : count, 15, 1.25);
    lc_free(b->bytes);
    bench_note(report, test_format("recall@1 among %zu", records), recall(b), "of 1");
    lc_index_close(&b->index);
}

/* Each record in a partition of its own, as conversations with their history are. */
static void measure_alone(bench_report *report, bench *b, size_t records)
{
    malloc_trim(0);
    double before = resident_bytes(), start = test_now_us();
    open_flat(b);
    for (size_t i = 0; i < records; i++) {
        test_digest(i, b->partition);
        add(b, i);
    }
    double us = (test_now_us() - start) / (double)records, grown = resident_bytes() - before;
    const char *name = test_format("memory a record, %zu partitions of one", records);
    bench_note(report, name, (double)counted_bytes(b) / (double)records, "bytes");
    bench_note(report, "  counted, of what the process grew by", (double)counted_bytes(b) / grown, "");
    bench_note(report, "  adding one, with making its vector", us, "us");
    lc_index_close(&b->index);
}

static size_t from_environment(const char *name, size_t otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

int main(void)
{
    bench b = {.dimension = from_environment("LLMCACHE_BENCH_DIMENSION", 384)};
    size_t limit = from_environment("LLMCACHE_BENCH_RECORDS", 100000);
    b.queries = lc_alloc_array(QUERIES * b.dimension, sizeof *b.queries);
    for (size_t q = 0; q < QUERIES; q++)
        test_clustered_vector(77770000 + q, CENTRES, SPREAD, b.queries + q * b.dimension, b.dimension);
    bench_report *report = bench_new(test_format("The index, one thread, %s", lc_scan_best()->name));
    for (size_t records = 1000; records <= limit; records *= 10)
        measure(report, &b, records);
    measure_alone(report, &b, limit);
    open_flat(&b);
    bench_compare(report, "adding a record", "making its vector", add_more, make_vectors, &b, 5000, 9, 0);
    bench_compare(report, "adding a record and removing it", "making its vector", add_and_remove, make_vectors, &b,
                  5000, 9, 0);
    lc_index_close(&b.index);
    lc_free(b.queries);
    return bench_done(report);
}

/*
 * The flat index beside FAISS, one question at a time on one thread: FAISS's own exact index, its lists and its
 * graphs, over the same vectors, with what each finds of the nearest. Where a ratio is above 1, FAISS is slower.
 *
 * LLMCACHE_BENCH_RECORDS is how far the sizes go; 10,000 if not said; LLMCACHE_BENCH_FROM the first size. Adding to
 * one structure ends after LLMCACHE_BENCH_SECONDS (300 if not said): how far it came is then all that is told of it.
 * Training is not cut short. LLMCACHE_BENCH_FACTORY and LLMCACHE_BENCH_SEARCH name one structure to be measured
 * instead of the usual ones.
 */
#include "base/memory.h"
#include "bench.h"
#include "index/faiss_shim.h"
#include "index/index.h"
#include "support.h"
#include "test_vectors.h"

#include <stdio.h>
#include <stdlib.h>

#define DIM         384
#define QUERIES     32
#define CENTRES     500
#define SPREAD      0.6
#define SLICE       1000 /* vectors added between two looks at the clock */

typedef struct bench {
    lc_index index;
    lc_faiss *faiss;
    float *vectors, *queries;
    size_t records;
    size_t seconds; /* for adding to one structure */
    uint64_t turn;
    double sum;
} bench;

static const unsigned char partition[32] = {1};

static double flat_best(bench *b, const float *vector)
{
    lc_query query = {.space = "s", .partition = partition, .vector = vector, .dimension = DIM};
    lc_neighbour out[4];
    size_t found;
    llmcache_error err;
    if (b->index.ops.search(b->index.self, &query, out, 4, &found, &err) || found != 4)
        test_give_up("flat found nothing");
    return out[0].similarity;
}

static double faiss_best(bench *b, const float *vector)
{
    float similarities[4];
    int64_t labels[4];
    size_t found;
    llmcache_error err;
    if (lc_faiss_search(b->faiss, vector, 4, similarities, labels, &found, &err))
        test_give_up(err.message);
    return found ? (double)similarities[0] : -2;
}

static void search_flat(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        b->sum += flat_best(b, b->queries + b->turn++ % QUERIES * DIM);
}

static void search_faiss(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        b->sum += faiss_best(b, b->queries + b->turn++ % QUERIES * DIM);
}

static void train(bench *b)
{
    llmcache_error err;
    size_t useful, least = lc_faiss_training(b->faiss, &useful);
    if (least && lc_faiss_train(b->faiss, b->vectors, b->records < useful ? b->records : useful, &err))
        test_give_up(err.message);
}

/* How many were added before time was up. */
static size_t add_all(bench *b)
{
    llmcache_error err;
    double until = test_now_us() + (double)b->seconds * 1e6;
    size_t at = 0;
    while (at < b->records && test_now_us() < until) {
        size_t some = b->records - at < SLICE ? b->records - at : SLICE;
        if (lc_faiss_add(b->faiss, b->vectors + at * DIM, some, &err))
            test_give_up(err.message);
        at += some;
    }
    return at;
}

/* 1 when it is whole. */
static int build(bench_report *report, bench *b, const char *factory, const char *search)
{
    llmcache_error err;
    double start = test_now_us();
    if (lc_faiss_new(factory, search, DIM, &b->faiss, &err))
        test_give_up(err.message);
    train(b);
    bench_note(report, test_format("  training %s", factory), (test_now_us() - start) / 1e6, "s");
    start = test_now_us();
    size_t added = add_all(b);
    bench_note(report, test_format("  adding %zu of %zu to %s", added, b->records, factory),
               (test_now_us() - start) / 1e6, "s");
    return added == b->records;
}

static void tell_memory(bench_report *report, const bench *b, const char *factory)
{
    lc_index_stats stats;
    b->index.ops.stats(b->index.self, &stats);
    double records = (double)b->records;
    bench_note(report, test_format("  memory a record of %s, beside flat's", factory),
               (double)lc_faiss_bytes(b->faiss) / records, "bytes");
    bench_note(report, "  memory a record of flat:", (double)stats.bytes / records, "bytes");
}

static void compare(bench_report *report, bench *b, const char *factory, const char *search, double aim)
{
    size_t right = 0, count = 2000000 / b->records + 1;
    if (!build(report, b, factory, search)) {
        lc_faiss_free(b->faiss);
        return;
    }
    bench_compare(report, test_format("flat: among %zu", b->records), test_format("FAISS %s %s", factory, search),
                  search_flat, search_faiss, b, count > 200 ? 200 : count, 5, aim);
    for (size_t q = 0; q < QUERIES; q++)
        right += faiss_best(b, b->queries + q * DIM) > flat_best(b, b->queries + q * DIM) - 1e-5;
    bench_note(report, test_format("  recall@1 of %s %s", factory, search), (double)right / QUERIES, "of 1");
    tell_memory(report, b, factory);
    lc_faiss_free(b->faiss);
}

static void fill(bench *b)
{
    llmcache_error err;
    b->vectors = lc_alloc_array(b->records * DIM, sizeof *b->vectors);
    if (!b->vectors || lc_index_open("flat:", NULL, &b->index, &err))
        test_give_up("no memory");
    for (size_t i = 0; i < b->records; i++) {
        unsigned char fingerprint[32];
        lc_record record = {.space = "s", .fingerprint = fingerprint, .partition = partition,
                            .vector = b->vectors + i * DIM, .dimension = DIM};
        test_digest(i, fingerprint);
        test_clustered_vector(i, CENTRES, SPREAD, b->vectors + i * DIM, DIM);
        if (b->index.ops.add(b->index.self, &record, 1000, &err))
            test_give_up(err.message);
    }
}

static void compare_usual(bench_report *report, bench *b)
{
    compare(report, b, "Flat", "", 0.1);
    if (b->records < 10000)
        return;
    compare(report, b, "IVF256,Flat", "nprobe=16", 0);
    compare(report, b, b->records >= 1000000 ? "HNSW16" : "HNSW32", "efSearch=64", 0);
}

static void measure(bench_report *report, bench *b, size_t records)
{
    b->records = records;
    fill(b);
    const char *factory = getenv("LLMCACHE_BENCH_FACTORY"), *spends = getenv("LLMCACHE_BENCH_SEARCH");
    if (factory && *factory)
        compare(report, b, factory, spends ? spends : "", 0);
    else
        compare_usual(report, b);
    lc_index_close(&b->index);
    lc_free(b->vectors);
}

static size_t number(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

int main(void)
{
    size_t limit = number("LLMCACHE_BENCH_RECORDS", 10000);
    bench b = {.queries = lc_alloc_array(QUERIES * DIM, sizeof(float)),
               .seconds = number("LLMCACHE_BENCH_SECONDS", 300)};
    for (uint64_t q = 0; q < QUERIES; q++)
        test_clustered_vector(77770000 + q, CENTRES, SPREAD, b.queries + q * DIM, DIM);
    bench_report *report = bench_new("The flat index and FAISS, 384 dimensions, one thread");
    for (size_t records = number("LLMCACHE_BENCH_FROM", 1000); records <= limit; records *= 10)
        measure(report, &b, records);
    lc_free(b.queries);
    return bench_done(report);
}

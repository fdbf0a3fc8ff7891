/*
 * The flat index beside FAISS, one question at a time on one thread: FAISS's own exact index, its lists and its
 * graphs, over the same vectors, with what each finds of the nearest. Where a ratio is above 1, FAISS is slower.
 *
 * LLMCACHE_BENCH_RECORDS is how far the sizes go; 10,000 if not said. Graphs are built up to 100,000, which takes
 * a minute; lists to any size.
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
#define GRAPHS_MOST 100000

typedef struct bench {
    lc_index index;
    lc_faiss *faiss;
    float *vectors, *queries;
    size_t records;
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

static double build(bench *b, const char *factory, const char *search)
{
    llmcache_error err;
    size_t useful;
    double start = test_now_us();
    if (lc_faiss_new(factory, search, DIM, &b->faiss, &err))
        test_give_up(err.message);
    size_t least = lc_faiss_training(b->faiss, &useful);
    if (least && lc_faiss_train(b->faiss, b->vectors, b->records < useful ? b->records : useful, &err))
        test_give_up(err.message);
    if (lc_faiss_add(b->faiss, b->vectors, b->records, &err))
        test_give_up(err.message);
    return (test_now_us() - start) / 1e6;
}

static void compare(bench_report *report, bench *b, const char *factory, const char *search, double aim)
{
    double seconds = build(b, factory, search);
    size_t right = 0, count = 2000000 / b->records + 1;
    bench_compare(report, test_format("flat: among %zu", b->records), test_format("FAISS %s %s", factory, search),
                  search_flat, search_faiss, b, count > 200 ? 200 : count, 5, aim);
    for (size_t q = 0; q < QUERIES; q++)
        right += faiss_best(b, b->queries + q * DIM) > flat_best(b, b->queries + q * DIM) - 1e-5;
    bench_note(report, test_format("  recall@1 of %s %s", factory, search), (double)right / QUERIES, "of 1");
    bench_note(report, test_format("  building %s", factory), seconds, "s");
    lc_faiss_free(b->faiss);
}

static void fill(bench *b)
{
    llmcache_error err;
    b->vectors = lc_alloc_array(b->records * DIM, sizeof *b->vectors);
    if (!b->vectors || lc_index_open("flat:", &b->index, &err))
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

static void measure(bench_report *report, bench *b, size_t records)
{
    b->records = records;
    fill(b);
    compare(report, b, "Flat", "", 0.1);
    if (records >= 10000)
        compare(report, b, records >= 1000000 ? "IVF1024,Flat" : "IVF256,Flat", "nprobe=16", 0);
    if (records >= 10000 && records <= GRAPHS_MOST)
        compare(report, b, "HNSW32", "efSearch=64", 0);
    lc_index_close(&b->index);
    lc_free(b->vectors);
}

int main(void)
{
    const char *most = getenv("LLMCACHE_BENCH_RECORDS");
    size_t limit = most && *most ? strtoull(most, NULL, 10) : 10000;
    bench b = {.queries = lc_alloc_array(QUERIES * DIM, sizeof(float))};
    for (uint64_t q = 0; q < QUERIES; q++)
        test_clustered_vector(77770000 + q, CENTRES, SPREAD, b.queries + q * DIM, DIM);
    bench_report *report = bench_new("The flat index and FAISS, 384 dimensions, one thread");
    for (size_t records = 1000; records <= limit; records *= 10)
        measure(report, &b, records);
    lc_free(b.queries);
    return bench_done(report);
}

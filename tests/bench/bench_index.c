/*
 * The index against the machine: a search against reading the same bytes once, which no exact search can
 * beat; and what a record costs to add, to remove and to hold.
 */
#include "base/memory.h"
#include "bench.h"
#include "index/dot.h"
#include "index/index.h"
#include "store/store.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIM 384

typedef struct bench {
    lc_index *index;
    size_t records;
    float *query;
    float *bytes; /* as many as the search has to read */
    unsigned char partition[32];
    uint64_t next;
    double sum; /* so that no reading is left out */
} bench;

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void random_vector(uint64_t seed, float *vector)
{
    double sum = 0;
    for (size_t i = 0; i < DIM; i++) {
        vector[i] = (float)(next_random(&seed) >> 40) * 0x1p-23f - 1;
        sum += (double)vector[i] * vector[i];
    }
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < DIM; i++)
        vector[i] *= scale;
}

static void add(bench *b, uint64_t number)
{
    float vector[DIM];
    unsigned char fingerprint[32];
    for (int i = 0; i < 4; i++) {
        uint64_t seed = number * 4 + (uint64_t)i, word = next_random(&seed);
        memcpy(fingerprint + 8 * i, &word, 8);
    }
    random_vector(number, vector);
    if (lc_index_add(b->index, "default", fingerprint, b->partition, vector, DIM, 0, NULL))
        test_give_up("a vector was not taken");
}

static void search(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        lc_neighbour out[4];
        size_t found;
        if (lc_index_search(b->index, b->partition, b->query, DIM, 0, out, 4, &found, NULL) || found != 4)
            test_give_up("nothing found");
        b->sum += out[0].similarity;
    }
}

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static float read_all(const float *bytes, size_t count)
{
    float sums[64] = {0};
    for (size_t i = 0; i + 64 <= count; i += 64)
        for (size_t k = 0; k < 64; k++)
            sums[k] += bytes[i + k];
    float sum = 0;
    for (size_t k = 0; k < 64; k++)
        sum += sums[k];
    return sum;
}

static void read_bytes(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        b->sum += (double)read_all(b->bytes, b->records * DIM);
}

static void add_more(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        add(b, b->next++);
}

static void make_vectors(void *user, size_t count)
{
    bench *b = user;
    float vector[DIM];
    for (size_t i = 0; i < count; i++) {
        random_vector(b->next++, vector);
        b->sum += (double)vector[0];
    }
}

static void scale(bench_report *report, bench *b, size_t records)
{
    size_t count = 20000000 / records / 10 + 1;
    if (lc_index_new(&b->index, NULL))
        test_give_up("no index");
    b->records = records;
    b->bytes = lc_alloc_aligned(64, records * DIM * sizeof(float));
    if (!b->bytes)
        test_give_up("no memory");
    for (size_t i = 0; i < records * DIM; i++)
        b->bytes[i] = (float)(i % 7);
    for (size_t i = 0; i < records; i++)
        add(b, i);
    bench_compare(report, test_format("search among %zu, 384 dimensions", records), "reading as many bytes",
                  search, read_bytes, b, count > 1000 ? 1000 : count, 9, 1.25);
    lc_index_stats stats;
    lc_index_stats_read(b->index, &stats);
    bench_note(report, test_format("memory a record among %zu", records), (double)stats.bytes / (double)records,
               "bytes");
    lc_free(b->bytes);
    lc_index_free(b->index);
}

int main(void)
{
    bench b = {.query = lc_alloc_aligned(64, DIM * sizeof(float))};
    const char *most = getenv("LLMCACHE_BENCH_RECORDS");
    size_t limit = most ? strtoull(most, NULL, 10) : 100000;
    random_vector(1234567, b.query);
    bench_report *report = bench_new(test_format("The index, one thread, %s", lc_dot_best().name));
    for (size_t records = 1000; records <= limit; records *= 10)
        scale(report, &b, records);
    if (lc_index_new(&b.index, NULL))
        test_give_up("no index");
    bench_compare(report, "adding a record", "making its vector", add_more, make_vectors, &b, 5000, 9, 0);
    lc_index_free(b.index);
    lc_free(b.query);
    return bench_done(report);
}

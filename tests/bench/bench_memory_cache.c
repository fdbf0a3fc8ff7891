/*
 * The cache in memory: a find against copying the answer once, the same from many threads at once, and the bytes it
 * counts against those the process grows by.
 */
#include "base/clock.h"
#include "bench.h"
#include "store/memory_cache.h"
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY    1024
#define ANSWERS 40000

typedef struct bench {
    lc_memory_cache *cache;
    uint64_t answers; /* asked for in a random order */
    int aliases;      /* asked for by another digest */
    char **bodies;    /* the bound: as many bodies, found by number */
    uint64_t state;
    uint64_t hits;
    char copy[BODY];
} bench;

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void digest_of(uint64_t number, unsigned char digest[32])
{
    for (int i = 0; i < 4; i++) {
        uint64_t seed = number * 4 + (uint64_t)i, word = next_random(&seed);
        memcpy(digest + 8 * i, &word, 8);
    }
}

static lc_entry *make(uint64_t number, size_t size)
{
    char *body = malloc(size + 1);
    memset(body, 'x', size + 1);
    llmcache_entry facts = {.struct_size = sizeof facts, .space = "default", .protocol = "chat",
                            .model = "gpt-4o-mini", .question = "What is a cache?", .tags = "",
                            .embedder = "", .body = body, .body_size = size};
    digest_of(number, facts.fingerprint);
    lc_entry *entry = lc_entry_new(&facts);
    free(body);
    return entry;
}

static void put(lc_memory_cache *cache, uint64_t number, size_t size, int alias)
{
    unsigned char digest[32];
    lc_entry *entry = make(number, size);
    lc_memory_cache_put(cache, entry, UINT64_MAX);
    digest_of(number + 1000000000, digest);
    if (alias)
        lc_memory_cache_alias(cache, digest, entry, 0, 0, 1);
    lc_entry_unref(entry);
}

static void find(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char digest[32];
        lc_memory_hit hit;
        digest_of(next_random(&b->state) % b->answers + (b->aliases ? 1000000000 : 0), digest);
        if (!lc_memory_cache_find(b->cache, digest, 1, &hit))
            continue;
        b->hits += (unsigned char)hit.entry->facts.body[0];
        lc_entry_unref(hit.entry);
    }
}

static void only_digest(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char digest[32];
        digest_of(next_random(&b->state) % b->answers, digest);
        b->hits += digest[0];
    }
}

static void copy(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char digest[32];
        uint64_t number = next_random(&b->state) % b->answers;
        digest_of(number, digest);
        memcpy(b->copy, b->bodies[number], BODY);
        b->hits += (unsigned char)b->copy[digest[0]];
    }
}

static void *find_on(void *user)
{
    find(user, 1000000);
    return NULL;
}

/* Finds a second of `threads` together; hot: all ask for the same few answers. */
static double together(const bench *b, int threads, uint64_t answers)
{
    pthread_t ids[64];
    bench *each = calloc(64, sizeof *each);
    double start = test_now_us();
    for (int i = 0; i < threads; i++) {
        each[i] = *b;
        each[i].state = (uint64_t)i;
        each[i].answers = answers;
        pthread_create(&ids[i], NULL, find_on, &each[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double us = test_now_us() - start;
    free(each);
    return threads * 1e6 / us;
}

static double resident(void)
{
    long pages = 0, all;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &pages) != 2)
        test_give_up("no /proc/self/statm");
    fclose(file);
    return (double)pages * 4096;
}

/* How much the process grows by for a byte that the cache counts, full and after much turnover. */
static void growth(bench_report *report, const char *name, size_t smallest, size_t largest)
{
    lc_memory_cache *cache;
    uint64_t state = 1;
    malloc_trim(0);
    double before = resident();
    if (lc_memory_cache_new((size_t)128 << 20, &cache, NULL))
        test_give_up("no cache");
    uint64_t turnover = 5 * ((uint64_t)128 << 20) / ((smallest + largest) / 2 + 400);
    for (uint64_t n = 0; n < turnover; n++)
        put(cache, n, smallest + next_random(&state) % (largest - smallest + 1), n % 2);
    lc_memory_stats stats;
    lc_memory_cache_stats(cache, &stats);
    bench_value(report, test_format("resident growth for a byte counted, %s", name),
                (resident() - before) / (double)stats.bytes, "bytes", 1.1);
    bench_note(report, test_format("overhead an answer, %s", name),
               (double)stats.bytes / (double)stats.answers - (double)(smallest + largest) / 2, "bytes");
    lc_memory_cache_free(cache);
}

int main(void)
{
    bench b = {.answers = ANSWERS, .bodies = calloc(ANSWERS, sizeof(char *))};
    bench_report *report = bench_new("The cache in memory, answers of 1 KB");
    growth(report, "answers of 1 KB", 1024, 1024);
    growth(report, "answers of 200 B to 20 KB", 200, 20000);
    if (lc_memory_cache_new((size_t)256 << 20, &b.cache, NULL))
        test_give_up("no cache");
    for (uint64_t n = 0; n < ANSWERS; n++) {
        put(b.cache, n, BODY, 1);
        b.bodies[n] = malloc(BODY);
        memset(b.bodies[n], 'x', BODY);
    }
    bench_compare(report, "find, 40,000 answers in random order", "making the digest and copying the answer",
                  find, copy, &b, 200000, 9, 0);
    bench_compare(report, "making the digest (part of both)", NULL, only_digest, NULL, &b, 200000, 9, 0);
    b.aliases = 1;
    bench_compare(report, "find by another digest", "making the digest and copying the answer", find, copy, &b,
                  200000, 9, 0);
    b.aliases = 0;
    for (int threads = 1; threads <= 16; threads *= 2) {
        bench_note(report, test_format("finds a second, %d threads, all answers", threads),
                   together(&b, threads, ANSWERS), "million");
        bench_note(report, test_format("finds a second, %d threads, one answer", threads),
                   together(&b, threads, 1), "million");
    }
    lc_memory_cache_free(b.cache);
    return bench_done(report);
}

/*
 * What is worth keeping: the hit ratio of the memory cache's S3-FIFO on a trace of Zipf-distributed questions
 * with scans in between, beside LRU and Belady's optimum, which knows the future.
 */
#include "bench.h"
#include "store/s3fifo.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS 600000
#define KEYS     50000

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Every 20,000 requests, a scan over 5,000 keys that are never asked for again. */
static uint32_t *make_trace(double exponent, int scans, uint32_t *key_count)
{
    double *upto = malloc(KEYS * sizeof *upto), sum = 0;
    uint32_t *trace = malloc(REQUESTS * sizeof *trace), next_new = KEYS;
    uint64_t state = 7;
    for (int i = 0; i < KEYS; i++)
        upto[i] = sum += 1 / pow(i + 1, exponent);
    for (uint32_t n = 0; n < REQUESTS; n++) {
        if (scans && n % 20000 < 5000) {
            trace[n] = next_new++;
            continue;
        }
        double wanted = (double)(next_random(&state) >> 11) * 0x1p-53 * sum;
        uint32_t low = 0, high = KEYS - 1;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (upto[middle] < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        trace[n] = low;
    }
    free(upto);
    *key_count = next_new;
    return trace;
}

static double s3fifo(const uint32_t *trace, uint32_t room)
{
    lc_s3fifo s3;
    uint32_t hits = 0, held = 0;
    llmcache_entry facts = {.struct_size = sizeof facts, .space = "", .body = ""};
    lc_entry *entry = lc_entry_new(&facts);
    lc_s3fifo_init(&s3);
    for (uint32_t n = 0; n < REQUESTS; n++) {
        unsigned char digest[32] = {0};
        uint64_t seed = trace[n];
        for (int i = 0; i < 2; i++) {
            uint64_t word = next_random(&seed);
            memcpy(digest + 8 * i, &word, 8);
        }
        lc_node *node = lc_s3fifo_find(&s3, digest);
        if (node) {
            lc_s3fifo_touch(node);
            hits++;
            continue;
        }
        if (held == room && lc_s3fifo_evict(&s3))
            held--;
        held += lc_s3fifo_add(&s3, digest, entry) != NULL;
    }
    while (lc_s3fifo_evict(&s3))
        ;
    lc_s3fifo_done(&s3);
    lc_entry_unref(entry);
    return 100.0 * hits / REQUESTS;
}

/* By the time of last use; the oldest is found by walking the trace behind the present. */
static double lru(const uint32_t *trace, uint32_t room, uint32_t keys)
{
    uint32_t *last = malloc(keys * sizeof *last), hits = 0, held = 0, tail = 0;
    unsigned char *in = calloc(keys, 1);
    for (uint32_t n = 0; n < REQUESTS; n++) {
        hits += in[trace[n]];
        held += !in[trace[n]];
        in[trace[n]] = 1;
        last[trace[n]] = n;
        for (; held > room; tail++) {
            uint32_t key = trace[tail];
            if (in[key] && last[key] == tail) {
                in[key] = 0;
                held--;
            }
        }
    }
    free(last);
    free(in);
    return 100.0 * hits / REQUESTS;
}

/* A heap of (next use, key), the farthest first; stale members are passed over. */
typedef struct later {
    uint32_t use, key;
} later;

static void push(later *heap, size_t *size, later value)
{
    size_t at = (*size)++;
    for (; at && heap[(at - 1) / 2].use < value.use; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = value;
}

static later pop(later *heap, size_t *size)
{
    later top = heap[0], last = heap[--*size];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < *size; at = child) {
        if (child + 1 < *size && heap[child + 1].use > heap[child].use)
            child++;
        if (heap[child].use <= last.use)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return top;
}

static double optimum(const uint32_t *trace, uint32_t room, uint32_t keys)
{
    uint32_t *next = malloc(REQUESTS * sizeof *next), *seen = malloc(keys * sizeof *seen);
    uint32_t *use = calloc(keys, sizeof *use), hits = 0, held = 0;
    unsigned char *in = calloc(keys, 1);
    later *heap = malloc(REQUESTS * sizeof *heap);
    size_t size = 0;
    memset(seen, 0xff, keys * sizeof *seen);
    for (uint32_t n = REQUESTS; n-- > 0;) {
        next[n] = seen[trace[n]];
        seen[trace[n]] = n;
    }
    for (uint32_t n = 0; n < REQUESTS; n++) {
        uint32_t key = trace[n];
        hits += in[key];
        held += !in[key];
        in[key] = 1;
        use[key] = next[n];
        push(heap, &size, (later){next[n], key});
        while (held > room) {
            later far = pop(heap, &size);
            if (in[far.key] && use[far.key] == far.use) {
                in[far.key] = 0;
                held--;
            }
        }
    }
    free(next);
    free(seen);
    free(use);
    free(in);
    free(heap);
    return 100.0 * hits / REQUESTS;
}

static void compare(bench_report *report, double exponent, int scans, uint32_t room)
{
    uint32_t keys;
    uint32_t *trace = make_trace(exponent, scans, &keys);
    const char *name = test_format("Zipf %.1f%s, room for %u of %u", exponent, scans ? " with scans" : "", room,
                                   KEYS);
    bench_note(report, test_format("%s: S3-FIFO", name), s3fifo(trace, room), "% hits");
    bench_note(report, test_format("%s: LRU", name), lru(trace, room, keys), "% hits");
    bench_note(report, test_format("%s: optimum", name), optimum(trace, room, keys), "% hits");
    free(trace);
}

int main(void)
{
    bench_report *report = bench_new("What the memory cache keeps");
    for (int scans = 0; scans < 2; scans++) {
        compare(report, 0.8, scans, KEYS / 50);
        compare(report, 0.8, scans, KEYS / 10);
        compare(report, 1.0, scans, KEYS / 50);
        compare(report, 1.0, scans, KEYS / 10);
    }
    return bench_done(report);
}

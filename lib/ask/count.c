/* Atomic counters, histograms with fixed bounds, and counts by word. */
#include "ask/count.h"

#include "base/probes.h"

#include <string.h>

const int64_t lc_bucket_us[LC_BUCKETS] = {
    5,     10,    25,     50,     100,    250,     500,     1000,    2500,     5000,     10000,
    25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000};

const char *const lc_end_names[LC_END_COUNT] = {"model", "exact",  "semantic", "shared",
                                                "stale", "bypass", "error"};
const char *const lc_step_names[LC_STEP_COUNT] = {"store_get", "store_put", "embed", "search",
                                                  "model",     "read",      "decide", "lease"};

void lc_count_add(lc_count *count, uint64_t more)
{
    if (more) /* a write, even of nothing, takes the cache line from the other processors */
        atomic_fetch_add_explicit(count, more, memory_order_relaxed);
}

uint64_t lc_count_read(const lc_count *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

void lc_count_latency(lc_histogram *histogram, int64_t us)
{
    int at = 0;
    while (at < LC_BUCKETS && us > lc_bucket_us[at])
        at++;
    lc_count_add(&histogram->buckets[at], 1);
    lc_count_add(&histogram->sum_us, us > 0 ? (uint64_t)us : 0);
}

void lc_count_step(lc_counts *counts, int step, int64_t us)
{
    LC_PROBE2(step, lc_step_names[step], us);
    lc_count_latency(&counts->steps[step], us);
}

/* A free slot is claimed by compare-and-swap; past the table's end the last word's slot takes the rest. */
void lc_count_word(lc_word_counts *counts, const char *word)
{
    int at = 0;
    for (; at < LC_WORDS - 1; at++) {
        const char *there = atomic_load(&counts->words[at]);
        if (!there && atomic_compare_exchange_strong(&counts->words[at], &there, word))
            break;
        if (strcmp(there, word) == 0)
            break;
    }
    const char *none = NULL;
    if (at == LC_WORDS - 1)
        atomic_compare_exchange_strong(&counts->words[at], &none, "other");
    lc_count_add(&counts->counts[at], 1);
}

uint64_t lc_count_words(const lc_word_counts *counts)
{
    uint64_t sum = 0;
    for (int i = 0; i < LC_WORDS; i++)
        sum += lc_count_read(&counts->counts[i]);
    return sum;
}

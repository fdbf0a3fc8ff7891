/*
 * Counting: every question is counted once, at its end. Plain atomics, no locks; readers see each
 * number on its own, not a snapshot of all.
 */
#ifndef LC_ASK_COUNT_H
#define LC_ASK_COUNT_H

#include <llmcache/llmcache.h>
#include <stdatomic.h>

typedef atomic_uint_least64_t lc_count;

/* How a question ended. The first five are llmcache_source values. */
enum { LC_END_BYPASS = 5, LC_END_ERROR = 6, LC_END_COUNT = 7 };

/* Steps whose time is kept apart. */
enum {
    LC_STEP_STORE_GET,
    LC_STEP_STORE_PUT,
    LC_STEP_EMBED,
    LC_STEP_SEARCH,
    LC_STEP_MODEL,
    LC_STEP_READ,
    LC_STEP_DECIDE,
    LC_STEP_LEASE,
    LC_STEP_COUNT
};

/* Upper bounds in microseconds; the last bucket is +Inf. */
#define LC_BUCKETS 22
extern const int64_t lc_bucket_us[LC_BUCKETS];

typedef struct lc_histogram {
    lc_count buckets[LC_BUCKETS + 1];
    lc_count sum_us;
} lc_histogram;

/* Counts per static word ("length", "number"), up to a few dozen words. */
#define LC_WORDS 48
typedef struct lc_word_counts {
    _Atomic(const char *) words[LC_WORDS];
    lc_count counts[LC_WORDS];
} lc_word_counts;

typedef struct lc_counts {
    lc_count ends[LC_END_COUNT];
    lc_histogram latency[LC_END_COUNT];
    lc_histogram steps[LC_STEP_COUNT];
    lc_count stored, store_errors, embed_errors, embeds, rejected, invalidations, upstream_calls;
    lc_count tokens_saved_input, tokens_saved_output, saved_ms, cost_nano, cost_saved_nano;
    lc_count leases_taken, leases_waited, leases_answered, leases_taken_over, leases_given_up;
    lc_count upstream_status[6]; /* by hundreds; [0]: no reply */
    lc_word_counts not_stored;   /* why an answer was not kept */
    lc_word_counts refused;      /* which rule refused a near candidate */
    lc_word_counts unmatched;    /* why a question was not looked up by meaning */
} lc_counts;

void lc_count_add(lc_count *count, uint64_t more);
uint64_t lc_count_read(const lc_count *count);
void lc_count_latency(lc_histogram *histogram, int64_t us);
void lc_count_step(lc_counts *counts, int step, int64_t us); /* LC_STEP_*; also a probe */
extern const char *const lc_step_names[LC_STEP_COUNT];
extern const char *const lc_end_names[LC_END_COUNT];
void lc_count_word(lc_word_counts *counts, const char *word);
uint64_t lc_count_words(const lc_word_counts *counts); /* of all words */

#endif

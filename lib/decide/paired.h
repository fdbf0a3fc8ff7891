/*
 * Is one score better than another? Both judge the same labelled pairs; each may serve as many wrong ones as
 * the old score does at its threshold, and what is compared is the share of true pairs that then are served.
 *
 * How sure that is: the bootstrap (B. Efron, "Bootstrap methods: another look at the jackknife", Annals of
 * Statistics 7, 1979), with pairs that hang together by their texts drawn together, and the gain's percentiles.
 */
#ifndef LC_DECIDE_PAIRED_H
#define LC_DECIDE_PAIRED_H

#include <stddef.h>
#include <stdint.h>

typedef struct lc_paired {
    double before, after; /* the two scores */
    int right;            /* 1: one answer serves both */
    uint32_t group;
} lc_paired;

typedef struct lc_gain {
    size_t right;                 /* true pairs */
    size_t wrong_hits;            /* what both may serve */
    size_t hits_before, hits_after; /* true pairs served */
    double gain;                  /* in shares of the true pairs */
    double low, high;             /* one-sided limits of it, each at the confidence */
} lc_gain;

#define LC_GAIN_ROUNDS 2000

/* `threshold` is the old score's. The same seed gives the same limits. 0 or LLMCACHE_MEMORY. */
int lc_paired_gain(const lc_paired *list, size_t count, double threshold, double confidence, uint64_t seed,
                   lc_gain *gain);

#endif

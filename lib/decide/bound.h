/*
 * The lowest threshold whose share of wrong hits is bounded: chosen on one half of the labels, confirmed on the
 * other by the exact one-sided limit of Clopper and Pearson (interval.h).
 *
 * On the choosing half the limit is taken at every threshold. From a little above the one where it is smallest
 * down to the lowest where it still holds, a few thresholds are confirmed one after the other, each at the whole confidence,
 * until one fails: a fixed sequence, so the chance that a threshold is confirmed although its true rate is
 * too high stays below 1 - confidence, however many are tried (A. Angelopoulos, S. Bates, E. Candes, M. Jordan,
 * L. Lei, "Learn then Test", arXiv 2110.01052, section 3).
 */
#ifndef LC_DECIDE_BOUND_H
#define LC_DECIDE_BOUND_H

#include "decide/halves.h"

/* One labelled pair that nothing but the threshold can stop. */
typedef struct lc_graded {
    double value; /* what the threshold is compared with */
    int right;    /* 1: one answer serves both */
    lc_half half;
} lc_graded;

/* What a threshold does. */
typedef struct lc_served {
    uint64_t hits, wrong;
} lc_served;

#define LC_BOUND_TESTS 8

typedef struct lc_bound {
    int met;
    double threshold;    /* in steps of 0.0001; without `met` the most promising one */
    lc_served choosing, confirming; /* there */
    double choosing_limit, confirming_limit;
    /* Without `met`: hits that each half needs, at the rate of wrong ones found; 0: no number would do, too
     * many are wrong at every threshold. */
    uint64_t hits_needed;
} lc_bound;

/* 0 or LLMCACHE_MEMORY. Pairs across the halves are passed over. */
int lc_bound_find(const lc_graded *list, size_t count, double max_wrong, double confidence, lc_bound *bound);

/* Of one half, at a threshold. */
lc_served lc_served_from(const lc_graded *list, size_t count, lc_half half, double threshold);

/* The lowest threshold at which this half has no more than `wrong` wrong hits. */
double lc_threshold_with(const lc_graded *list, size_t count, lc_half half, uint64_t wrong);

/* Hits needed for the limit to be at most max_wrong where `wrong` of `hits` were wrong: the same share of
 * a larger number. 0: none would do. */
uint64_t lc_hits_needed(lc_served seen, double max_wrong, double confidence);

#endif

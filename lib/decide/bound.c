#include "decide/bound.h"

#include "base/memory.h"
#include "decide/interval.h"

#include <llmcache/llmcache.h>
#include <math.h>
#include <stdlib.h>

#define STEPS     10000.0 /* of a threshold, a unit */
#define HITS_MOST 100000000u

/* The largest threshold on the grid that is not above the value. */
static double on_grid(double value)
{
    double step = floor(value * STEPS);
    if ((step + 1) / STEPS <= value)
        step++;
    if (step / STEPS > value)
        step--;
    return step / STEPS;
}

lc_served lc_served_from(const lc_graded *list, size_t count, lc_half half, double threshold)
{
    lc_served served = {0, 0};
    for (size_t i = 0; i < count; i++)
        if (list[i].half == half && list[i].value >= threshold) {
            served.hits++;
            served.wrong += !list[i].right;
        }
    return served;
}

/* Wrong hits only grow as the threshold falls, so halving finds the place. */
double lc_threshold_with(const lc_graded *list, size_t count, lc_half half, uint64_t wrong)
{
    double lowest = INFINITY, highest = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (list[i].half != half)
            continue;
        lowest = fmin(lowest, on_grid(list[i].value));
        highest = fmax(highest, on_grid(list[i].value));
    }
    if (highest < lowest)
        return 0;
    long long low = llround(lowest * STEPS) - 1, high = llround(highest * STEPS) + 1;
    while (high - low > 1) { /* at `high` there are few enough; below the lowest nobody looks */
        long long middle = low + (high - low) / 2;
        if (lc_served_from(list, count, half, (double)middle / STEPS).wrong <= wrong)
            high = middle;
        else
            low = middle;
    }
    return (double)high / STEPS;
}

static double limit_of(lc_served served, double confidence)
{
    return lc_interval_upper(served.wrong, served.hits, confidence);
}

uint64_t lc_hits_needed(lc_served seen, double max_wrong, double confidence)
{
    double share = seen.hits ? (double)seen.wrong / (double)seen.hits : 0;
    uint64_t low = 0, high = 1;
    if (share >= max_wrong)
        return 0;
    while (high < HITS_MOST &&
           limit_of((lc_served){high, (uint64_t)ceil(share * (double)high)}, confidence) > max_wrong)
        low = high, high *= 2;
    while (high < HITS_MOST && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t wrong = (uint64_t)ceil(share * (double)middle);
        if (limit_of((lc_served){middle, wrong}, confidence) > max_wrong)
            low = middle;
        else
            high = middle;
    }
    return high < HITS_MOST ? high : 0;
}

/* ---- Choosing ------------------------------------------------------------------------------------ */

/* A threshold and what it does on the choosing half. */
typedef struct level {
    double threshold, limit;
    lc_served served;
} level;

static int falling(const void *x, const void *y)
{
    double a = ((const lc_graded *)x)->value, b = ((const lc_graded *)y)->value;
    return (a < b) - (a > b);
}

/* Every threshold at which something changes, from the highest. */
static size_t find_levels(const lc_graded *sorted, size_t count, double confidence, level *levels)
{
    size_t found = 0;
    lc_served served = {0, 0};
    for (size_t i = 0; i < count; i++) {
        double threshold = on_grid(sorted[i].value);
        served.hits++;
        served.wrong += !sorted[i].right;
        if (i + 1 < count && on_grid(sorted[i + 1].value) == threshold)
            continue;
        levels[found++] = (level){threshold, limit_of(served, confidence), served};
    }
    return found;
}

static size_t best_of(const level *levels, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (levels[i].limit <= levels[best].limit)
            best = i;
    return best;
}

/*
 * Where confirming begins: above the best, as far as half of the slack and three quarters of its hits reach. The
 * best one lies where the choosing half happens to have its first wrong hits; the other half has them a little
 * above or below.
 */
static size_t start_of(const level *levels, size_t best, double max_wrong)
{
    double enough = (levels[best].limit + max_wrong) / 2;
    uint64_t hits = levels[best].served.hits * 3 / 4;
    while (best > 0 && levels[best - 1].limit <= enough && levels[best - 1].served.hits >= hits)
        best--;
    return best;
}

static size_t lowest_of(const level *levels, size_t count, double max_wrong)
{
    size_t last = count;
    while (last > 0 && levels[last - 1].limit > max_wrong)
        last--;
    return last - 1; /* the caller knows that there is one */
}

/* ---- Confirming ---------------------------------------------------------------------------------- */

typedef struct confirming {
    const lc_graded *list;
    size_t count;
    double max_wrong, confidence;
} confirming;

static void note(const confirming *c, const level *at, lc_bound *bound)
{
    bound->threshold = at->threshold;
    bound->choosing = at->served;
    bound->choosing_limit = at->limit;
    bound->confirming = lc_served_from(c->list, c->count, LC_CONFIRMING, at->threshold);
    bound->confirming_limit = limit_of(bound->confirming, c->confidence);
}

/* From level `first` down to `last`; levels fall. */
static void confirm(const confirming *c, const level *levels, size_t first, size_t last, lc_bound *bound)
{
    size_t before = SIZE_MAX;
    for (size_t test = 0; test < LC_BOUND_TESTS; test++) {
        size_t at = first + (last - first) * test / (LC_BOUND_TESTS - 1);
        lc_bound tried = *bound;
        if (at == before)
            continue;
        before = at;
        note(c, &levels[at], &tried);
        tried.met = tried.confirming_limit <= c->max_wrong;
        if (tried.met || test == 0)
            *bound = tried;
        if (!tried.met)
            break;
    }
}

static void find(const confirming *c, const level *levels, size_t count, lc_bound *bound)
{
    size_t best = count ? best_of(levels, count) : 0;
    *bound = (lc_bound){.threshold = 1, .choosing_limit = 1, .confirming_limit = 1};
    if (count)
        note(c, &levels[best], bound);
    if (count && levels[best].limit <= c->max_wrong)
        confirm(c, levels, start_of(levels, best, c->max_wrong), lowest_of(levels, count, c->max_wrong),
                bound);
    lc_served both = {bound->choosing.hits + bound->confirming.hits,
                      bound->choosing.wrong + bound->confirming.wrong};
    if (!bound->met)
        bound->hits_needed = lc_hits_needed(both, c->max_wrong, c->confidence);
}

int lc_bound_find(const lc_graded *list, size_t count, double max_wrong, double confidence, lc_bound *bound)
{
    confirming c = {list, count, max_wrong, confidence};
    lc_graded *sorted = lc_alloc_array(count + 1, sizeof *sorted);
    level *levels = lc_alloc_array(count + 1, sizeof *levels);
    int code = sorted && levels ? 0 : LLMCACHE_MEMORY;
    size_t chosen = 0;
    for (size_t i = 0; !code && i < count; i++)
        if (list[i].half == LC_CHOOSING && isfinite(list[i].value))
            sorted[chosen++] = list[i];
    if (!code) {
        qsort(sorted, chosen, sizeof *sorted, falling);
        find(&c, levels, find_levels(sorted, chosen, confidence, levels), bound);
    }
    lc_free(sorted);
    lc_free(levels);
    return code;
}

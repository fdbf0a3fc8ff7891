#include "decide/paired.h"

#include "base/memory.h"

#include <llmcache/llmcache.h>
#include <stdlib.h>

/* A pair in the order of one score. */
typedef struct ranked {
    double score;
    size_t pair;
    int right;
} ranked;

typedef struct drawing {
    const lc_paired *list;
    size_t count;
    double threshold;
    ranked *before, *after;
    size_t *groups; /* number of each pair's group, from 0 */
    size_t group_count;
    uint32_t *times; /* how often each group was drawn */
    double *gains;
    uint64_t state; /* of the random numbers */
} drawing;

/* SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Falling; of equals the wrong ones first, so that an order by chance gains nothing. */
static int by_score(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    int score = (a->score < b->score) - (a->score > b->score);
    return score ? score : a->right - b->right;
}

static int by_group(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    return (a->score > b->score) - (a->score < b->score);
}

/* Numbers the groups from 0; uses `after` before it is ranked. */
static void number_groups(drawing *d)
{
    for (size_t i = 0; i < d->count; i++)
        d->after[i] = (ranked){d->list[i].group, i, 0};
    qsort(d->after, d->count, sizeof *d->after, by_group);
    for (size_t i = 0; i < d->count; i++) {
        d->group_count += !i || d->after[i].score > d->after[i - 1].score;
        d->groups[d->after[i].pair] = d->group_count - 1;
    }
}

static void rank(drawing *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const lc_paired *one = &d->list[i];
        d->before[i] = (ranked){one->before, i, one->right};
        d->after[i] = (ranked){one->after, i, one->right};
    }
    qsort(d->before, d->count, sizeof *d->before, by_score);
    qsort(d->after, d->count, sizeof *d->after, by_score);
}

/* ---- One sample ---------------------------------------------------------------------------------- */

static size_t times_of(const drawing *d, const ranked *at)
{
    return d->times[d->groups[at->pair]];
}

static size_t wrong_from(const drawing *d)
{
    size_t wrong = 0;
    for (size_t i = 0; i < d->count && d->before[i].score >= d->threshold; i++)
        wrong += d->before[i].right ? 0 : times_of(d, &d->before[i]);
    return wrong;
}

/* True pairs served by the lowest threshold with no more wrong ones. */
static size_t right_with(const drawing *d, const ranked *order, size_t wrong)
{
    size_t right = 0, seen = 0;
    for (size_t i = 0; i < d->count; i++) {
        size_t times = times_of(d, &order[i]);
        if (order[i].right)
            right += times;
        else if ((seen += times) > wrong)
            break;
    }
    return right;
}

static size_t all_right(const drawing *d)
{
    size_t right = 0;
    for (size_t i = 0; i < d->count; i++)
        right += d->before[i].right ? times_of(d, &d->before[i]) : 0;
    return right;
}

static lc_gain gain_of(const drawing *d)
{
    lc_gain gain = {.right = all_right(d), .wrong_hits = wrong_from(d)};
    gain.hits_before = right_with(d, d->before, gain.wrong_hits);
    gain.hits_after = right_with(d, d->after, gain.wrong_hits);
    if (gain.right)
        gain.gain = ((double)gain.hits_after - (double)gain.hits_before) / (double)gain.right;
    return gain;
}

static void draw(drawing *d)
{
    for (size_t i = 0; i < d->group_count; i++)
        d->times[i] = 0;
    for (size_t i = 0; i < d->group_count; i++)
        d->times[next_random(&d->state) % d->group_count]++;
}

static int rising(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void measure(drawing *d, double confidence, lc_gain *gain)
{
    for (size_t i = 0; i < d->group_count; i++)
        d->times[i] = 1;
    *gain = gain_of(d);
    for (size_t round = 0; round < LC_GAIN_ROUNDS; round++) {
        draw(d);
        d->gains[round] = gain_of(d).gain;
    }
    qsort(d->gains, LC_GAIN_ROUNDS, sizeof *d->gains, rising);
    size_t tail = (size_t)((1 - confidence) * LC_GAIN_ROUNDS);
    gain->low = d->gains[tail];
    gain->high = d->gains[LC_GAIN_ROUNDS - 1 - tail];
}

int lc_paired_gain(const lc_paired *list, size_t count, double threshold, double confidence, uint64_t seed,
                   lc_gain *gain)
{
    size_t room = count ? count : 1;
    drawing d = {.list = list, .count = count, .threshold = threshold, .state = seed};
    d.before = lc_alloc_array(room, sizeof *d.before);
    d.after = lc_alloc_array(room, sizeof *d.after);
    d.groups = lc_alloc_array(room, sizeof *d.groups);
    d.times = lc_alloc_array(room, sizeof *d.times);
    d.gains = lc_alloc_array(LC_GAIN_ROUNDS, sizeof *d.gains);
    int code = d.before && d.after && d.groups && d.times && d.gains ? 0 : LLMCACHE_MEMORY;
    if (!code) {
        number_groups(&d);
        rank(&d);
        measure(&d, confidence, gain);
    }
    lc_free(d.before);
    lc_free(d.after);
    lc_free(d.groups);
    lc_free(d.times);
    lc_free(d.gains);
    return code;
}

/*
 * Each input takes its part of what is left, those that occur most often first. Rounding leaves something
 * over, which only an input that occurs once can take without spoiling a sum; so those come last.
 */
#include "protocol/usage_shares.h"

#include "base/memory.h"

#include <llmcache/llmcache.h>
#include <stdlib.h>
#include <string.h>

typedef struct rank {
    const unsigned char *shape;
    size_t at, same; /* how many inputs equal this one, itself included */
} rank;

static int by_shape(const void *left, const void *right)
{
    return memcmp(((const rank *)left)->shape, ((const rank *)right)->shape,
                  LC_SHA256_SIZE);
}

/* Those that occur most often first; equal ones together. */
static int by_same(const void *left, const void *right)
{
    const rank *a = left, *b = right;
    if (a->same != b->same)
        return a->same < b->same ? 1 : -1;
    int order = a->same > 1 ? by_shape(left, right) : 0;
    return order ? order : a->at < b->at ? -1 : 1;
}

static rank *make_ranks(const lc_share *shares, size_t count)
{
    rank *ranks = lc_alloc_array(count, sizeof *ranks);
    if (!ranks)
        return NULL;
    for (size_t i = 0; i < count; i++)
        ranks[i] = (rank){.shape = shares[i].shape, .at = i};
    qsort(ranks, count, sizeof *ranks, by_shape);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && by_shape(&ranks[i], &ranks[end]) == 0; end++)
            ;
        for (size_t j = i; j < end; j++)
            ranks[j].same = end - i;
    }
    qsort(ranks, count, sizeof *ranks, by_same);
    return ranks;
}

/* floor(number * part / whole) without overflow: counts of tokens are far below 2^53. */
static int64_t part_of(int64_t number, uint64_t part, uint64_t whole)
{
    return (int64_t)((long double)number * (long double)part / (long double)whole);
}

static void share_count(const rank *ranks, lc_share *shares, size_t count, int which,
                        int64_t number)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += shares[i].weight;
    for (size_t i = 0; i < count; i += ranks[i].same) {
        uint64_t weight = shares[ranks[i].at].weight;
        int64_t part = part_of(number, weight, sum);
        for (size_t j = i; j < i + ranks[i].same; j++)
            shares[ranks[j].at].counts[which] = part;
        number -= part * (int64_t)ranks[i].same;
        sum -= weight * ranks[i].same;
    }
    shares[ranks[count - 1].at].counts[which] += number;
}

int lc_share_usage(const lc_tree *usage, lc_share *shares, size_t count)
{
    int at = 0;
    int64_t number;
    rank *ranks = make_ranks(shares, count);
    if (!ranks)
        return LLMCACHE_MEMORY;
    for (const lc_tree *member = lc_tree_children(usage); member && at < LC_MOST_COUNTS;
         member = member->next, at++)
        if (lc_tree_integer(member, &number) == 0)
            share_count(ranks, shares, count, at, number);
    lc_free(ranks);
    return 0;
}

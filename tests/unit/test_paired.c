/* Two scores over the same pairs. */
#include "base/memory.h"
#include "decide/paired.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>

enum { MANY = 1200 };

static lc_paired list[MANY];
static uint64_t state = 5;

static double uniform(void)
{
    return test_uniform(&state);
}

/* `told` of a score: how far true pairs stand above false ones. */
static void make(double told_before, double told_after)
{
    for (size_t i = 0; i < MANY; i++) {
        int right = i % 2;
        list[i] = (lc_paired){uniform() + told_before * right, uniform() + told_after * right, right,
                              (uint32_t)(i / 4)};
    }
}

Test(paired, a_better_score_is_seen_to_be_better)
{
    lc_gain gain;
    make(0.3, 0.8);
    cr_assert_eq(lc_paired_gain(list, MANY, 0.95, 0.95, 1, &gain), 0);
    cr_expect_eq(gain.right, MANY / 2);
    cr_expect_gt(gain.hits_after, gain.hits_before);
    cr_expect(gain.gain > 0.3 && gain.low > 0.2 && gain.high > gain.gain, "%g %g %g", gain.low, gain.gain,
              gain.high);
    lc_gain same;
    cr_assert_eq(lc_paired_gain(list, MANY, 0.95, 0.95, 1, &same), 0);
    cr_expect_eq(same.low, gain.low, "the same seed, the same limits");
}

Test(paired, the_same_score_gains_nothing)
{
    lc_gain gain;
    make(0.3, 0.3);
    for (size_t i = 0; i < MANY; i++)
        list[i].after = 10 * list[i].before - 3;
    cr_assert_eq(lc_paired_gain(list, MANY, 0.9, 0.95, 1, &gain), 0);
    cr_expect_eq(gain.gain, 0);
    cr_expect_eq(gain.low, 0);
    cr_expect_eq(gain.hits_before, gain.hits_after);
}

Test(paired, a_worse_score_is_not_better)
{
    lc_gain gain;
    make(0.8, 0.3);
    cr_assert_eq(lc_paired_gain(list, MANY, 0.95, 0.95, 1, &gain), 0);
    cr_expect_lt(gain.high, 0);
}

/* Two scores that are equally good: at most one in twenty may look better. */
Test(paired, chance_is_not_taken_for_gain)
{
    int better = 0;
    for (uint64_t run = 0; run < 60; run++) {
        lc_gain gain;
        make(0.4, 0.4);
        cr_assert_eq(lc_paired_gain(list, MANY, 0.95, 0.95, run, &gain), 0);
        better += gain.low > 0;
    }
    cr_expect_leq(better, 6, "%d of 60", better);
}

Test(paired, little_and_no_memory)
{
    lc_gain gain;
    cr_assert_eq(lc_paired_gain(NULL, 0, 0, 0.95, 1, &gain), 0);
    cr_expect_eq(gain.gain, 0);
    make(0.3, 0.3);
    for (uint64_t n = 1; n <= 5; n++) {
        lc_memory_fail_at(n);
        cr_expect_eq(lc_paired_gain(list, 10, 0, 0.95, 1, &gain), LLMCACHE_MEMORY);
        lc_memory_fail_at(0);
    }
}

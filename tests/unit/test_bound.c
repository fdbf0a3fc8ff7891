/* Halves of labelled pairs, and thresholds whose share of wrong hits is bounded. */
#include "base/memory.h"
#include "decide/bound.h"
#include "decide/interval.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 4000 };

static uint64_t state;

static double uniform(void)
{
    return test_uniform(&state);
}

/* ---- Halves -------------------------------------------------------------------------------------- */

static char texts[2 * MANY][16];
static lc_two_texts pairs[MANY];
static lc_place places[MANY], again[MANY];

static void own_texts(void)
{
    for (size_t i = 0; i < 2 * MANY; i++)
        snprintf(texts[i], sizeof texts[i], "text %zu", i);
    for (size_t i = 0; i < MANY; i++)
        pairs[i] = (lc_two_texts){texts[2 * i], texts[2 * i + 1]};
}

Test(halves, are_about_equal_and_do_not_depend_on_the_order)
{
    size_t confirming = 0, other = 0;
    own_texts();
    cr_assert_eq(lc_halves(pairs, MANY, 0, places), 0);
    for (size_t i = 0; i < MANY; i++) {
        cr_assert_neq(places[i].half, LC_ACROSS);
        confirming += places[i].half == LC_CONFIRMING;
    }
    cr_expect(confirming > MANY * 0.46 && confirming < MANY * 0.54, "%zu", confirming);
    for (size_t i = 0; i < MANY / 2; i++) {
        lc_two_texts kept = pairs[i];
        pairs[i] = pairs[MANY - 1 - i];
        pairs[MANY - 1 - i] = kept;
    }
    cr_assert_eq(lc_halves(pairs, MANY, 0, again), 0);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(again[i].half, places[MANY - 1 - i].half);
    cr_assert_eq(lc_halves(pairs, MANY, 1, again), 0);
    for (size_t i = 0; i < MANY; i++)
        other += again[i].half != places[MANY - 1 - i].half;
    cr_expect(other > MANY * 0.4 && other < MANY * 0.6, "another seed: %zu", other);
}

Test(halves, what_hangs_together_stays_together)
{
    own_texts();
    for (size_t i = 0; i < MANY; i++) /* chains of four pairs */
        pairs[i].b = i % 4 == 3 ? pairs[i].b : pairs[i + 1].a;
    cr_assert_eq(lc_halves(pairs, MANY, 0, places), 0);
    for (size_t i = 0; i < MANY; i++) {
        cr_assert_eq(places[i].half, places[i - i % 4].half);
        cr_assert_eq(places[i].group, places[i - i % 4].group);
        cr_assert_neq(places[i].half, LC_ACROSS);
        if (i % 4 == 0 && i)
            cr_assert_neq(places[i].group, places[i - 1].group);
    }
}

Test(halves, of_one_large_heap_no_text_is_in_both)
{
    own_texts();
    for (size_t i = 0; i + 1 < MANY; i++)
        pairs[i].b = pairs[i + 1].a;
    cr_assert_eq(lc_halves(pairs, MANY, 0, places), 0);
    size_t counts[3] = {0};
    for (size_t i = 0; i < MANY; i++) {
        counts[places[i].half]++;
        if (i && places[i].half != LC_ACROSS && places[i - 1].half != LC_ACROSS)
            cr_assert_eq(places[i].half, places[i - 1].half, "they share a text");
    }
    cr_expect_gt(counts[LC_CHOOSING], MANY / 5);
    cr_expect_gt(counts[LC_CONFIRMING], MANY / 5);
    cr_expect_gt(counts[LC_ACROSS], 0);
}

Test(halves, want_memory)
{
    own_texts();
    for (uint64_t n = 1; n <= 6; n++) {
        lc_memory_fail_at(n);
        cr_expect_eq(lc_halves(pairs, 4, 0, places), LLMCACHE_MEMORY);
        lc_memory_fail_at(0);
    }
    cr_expect_eq(lc_halves(NULL, 0, 0, NULL), 0);
}

/* ---- Thresholds ---------------------------------------------------------------------------------- */

static lc_graded list[MANY];

/* Above 0.5 one in `one_in` is wrong, below it every second one. */
static void make(size_t count, double share)
{
    for (size_t i = 0; i < count; i++) {
        double value = uniform();
        int wrong = uniform() < (value > 0.5 ? share : 0.5);
        list[i] = (lc_graded){value, !wrong, i % 2 ? LC_CONFIRMING : LC_CHOOSING};
    }
}

static double true_share(double threshold, double share)
{
    return threshold >= 0.5 ? share : (0.5 * share + (0.5 - threshold) * 0.5) / (1 - threshold);
}

Test(bound, a_good_threshold_is_found)
{
    lc_bound bound;
    state = 3;
    make(MANY, 0.002);
    cr_assert_eq(lc_bound_find(list, MANY, 0.02, 0.95, &bound), 0);
    cr_assert(bound.met);
    cr_expect(bound.threshold > 0.44 && bound.threshold < 0.56, "%g", bound.threshold);
    lc_served there = lc_served_from(list, MANY, LC_CONFIRMING, bound.threshold);
    cr_expect_eq(there.hits, bound.confirming.hits);
    cr_expect_eq(there.wrong, bound.confirming.wrong);
    cr_expect_float_eq(bound.confirming_limit, lc_interval_upper(there.wrong, there.hits, 0.95), 1e-12);
    cr_expect_leq(bound.confirming_limit, 0.02);
    char shown[32];
    snprintf(shown, sizeof shown, "%.4f", bound.threshold);
    cr_expect_eq(atof(shown), bound.threshold, "what is written is what was tested");
}

/* What a confidence of 95 % promises: of many runs at most one in twenty ends above the bound. */
Test(bound, keeps_its_promise)
{
    enum { RUNS = 200 };
    int met = 0, broken = 0;
    state = 11;
    for (int run = 0; run < RUNS; run++) {
        lc_bound bound;
        make(1500, 0.012);
        cr_assert_eq(lc_bound_find(list, 1500, 0.02, 0.95, &bound), 0);
        met += bound.met;
        broken += bound.met && true_share(bound.threshold, 0.012) > 0.02;
    }
    cr_expect_gt(met, 10, "%d", met);
    cr_expect_leq(broken, RUNS / 20, "%d of %d", broken, met);
}

/* Far below the bound everywhere: the lowest threshold, not one with few hits by which one wrong hit is too many. */
Test(bound, much_slack_is_used)
{
    int met = 0;
    state = 17;
    for (int run = 0; run < 40; run++) {
        lc_bound bound;
        for (size_t i = 0; i < 1600; i++)
            list[i] = (lc_graded){uniform(), uniform() > 0.01, i % 2 ? LC_CONFIRMING : LC_CHOOSING};
        cr_assert_eq(lc_bound_find(list, 1600, 0.05, 0.95, &bound), 0);
        met += bound.met && bound.threshold < 0.01;
        if (!bound.met)
            cr_expect_gt(bound.confirming_limit, 0.05, "what is shown is what failed");
    }
    cr_expect_geq(met, 38, "%d of 40", met);
}

Test(bound, says_how_many_hits_are_missing)
{
    lc_bound bound;
    for (size_t i = 0; i < 200; i++)
        list[i] = (lc_graded){0.5 + 0.001 * (double)i, 1, i % 2 ? LC_CONFIRMING : LC_CHOOSING};
    cr_assert_eq(lc_bound_find(list, 200, 0.01, 0.95, &bound), 0);
    cr_expect_not(bound.met);
    cr_expect_eq(bound.hits_needed, 299, "ln 0.05 / ln 0.99: %llu", (unsigned long long)bound.hits_needed);
    cr_assert_eq(lc_bound_find(list, 200, 0.05, 0.95, &bound), 0);
    cr_expect(bound.met);
    cr_expect_eq(bound.threshold, 0.5, "nothing is wrong anywhere: the lowest");
    for (size_t i = 0; i < 200; i++)
        list[i].right = i % 3 != 0;
    cr_assert_eq(lc_bound_find(list, 200, 0.01, 0.95, &bound), 0);
    cr_expect_not(bound.met);
    cr_assert_eq(lc_bound_find(list, 0, 0.01, 0.95, &bound), 0);
    cr_expect_not(bound.met);
    cr_expect_eq(bound.hits_needed, 299);
}

Test(bound, more_labels_do_not_help_where_too_many_are_wrong)
{
    cr_expect_eq(lc_hits_needed((lc_served){100, 2}, 0.01, 0.95), 0);
    cr_expect_eq(lc_hits_needed((lc_served){100, 1}, 0.01, 0.95), 0);
    uint64_t needed = lc_hits_needed((lc_served){400, 2}, 0.01, 0.95);
    cr_assert_gt(needed, 400);
    cr_expect_leq(lc_interval_upper((uint64_t)ceil(0.005 * (double)needed), needed, 0.95), 0.01);
}

Test(bound, as_many_wrong_ones_as_before)
{
    for (size_t i = 0; i < 100; i++)
        list[i] = (lc_graded){0.5 + 0.001 * (double)i, i % 10 != 5, i % 2 ? LC_CHOOSING : LC_CONFIRMING};
    double threshold = lc_threshold_with(list, 100, LC_CHOOSING, 3);
    cr_expect_eq(lc_served_from(list, 100, LC_CHOOSING, threshold).wrong, 3);
    double lower = (round(threshold * 1e4) - 1) / 1e4;
    cr_expect_eq(lc_served_from(list, 100, LC_CHOOSING, lower).wrong, 4, "and no lower");
    cr_expect_eq(lc_threshold_with(list, 100, LC_CHOOSING, 100), 0.501);
    cr_expect_gt(lc_threshold_with(list, 100, LC_CHOOSING, 0), 0.595);
    cr_expect_eq(lc_threshold_with(list, 0, LC_CHOOSING, 0), 0);
}

Test(bound, one_half_alone_confirms_nothing)
{
    lc_bound bound;
    for (size_t i = 0; i < 2000; i++)
        list[i] = (lc_graded){0.9, 1, LC_CHOOSING};
    cr_assert_eq(lc_bound_find(list, 2000, 0.01, 0.95, &bound), 0);
    cr_expect_not(bound.met);
    cr_expect_eq(bound.confirming.hits, 0);
    for (uint64_t n = 1; n <= 2; n++) {
        lc_memory_fail_at(n);
        cr_expect_eq(lc_bound_find(list, 2000, 0.01, 0.95, &bound), LLMCACHE_MEMORY);
        lc_memory_fail_at(0);
    }
}

/* Fitting the score's numbers: known ones are found again, and what must hold holds whatever the labels. */
#include "base/memory.h"
#include "decide/fit.h"
#include "decide/score.h"
#include "decide/weights.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <llmcache/llmcache.h>
#include <math.h>
#include <stdlib.h>

static uint64_t state;

static double uniform(void)
{
    return test_uniform(&state);
}

/* Candidates such as a search finds, labelled by chance as `numbers` have it; `shift` moves the odds of each
 * source. */
static lc_labelled *labelled(size_t count, const double *numbers, const double *shift, size_t sources)
{
    lc_labelled *list = calloc(count, sizeof *list);
    state = 7;
    for (size_t i = 0; i < count; i++) {
        lc_labelled *one = &list[i];
        for (int k = 0; k < LC_FEATURE_COUNT; k++)
            one->features[k] = uniform() < 0.2;
        one->features[LC_FEATURE_COS] = 0.92 + 0.08 * uniform();
        one->features[LC_FEATURE_LEFTOVER] = 0.6 + 0.4 * uniform();
        one->source = (uint32_t)(i % sources);
        double odds = lc_score(one->features, numbers) + shift[one->source];
        one->right = uniform() < 1 / (1 + exp(-odds));
    }
    return list;
}

static void known_numbers(double *numbers)
{
    for (int k = 0; k < LC_FEATURE_COUNT; k++)
        numbers[k] = -0.4 - 0.2 * k;
    numbers[LC_FEATURE_COS] = 35;
    numbers[LC_FEATURE_LEFTOVER] = 8;
    numbers[LC_FEATURE_COUNT] = -0.5;
    for (int k = 0; k < LC_FEATURE_COUNT; k++) /* odds about even at the mean */
        numbers[LC_FEATURE_COUNT] -= numbers[k] * (k == LC_FEATURE_COS        ? 0.96
                                                   : k == LC_FEATURE_LEFTOVER ? 0.8
                                                                              : 0.2);
}

Test(fit, finds_known_numbers_whatever_the_sources)
{
    static const double shift[] = {2, 0, -2};
    double numbers[LC_FEATURE_COUNT + 1];
    known_numbers(numbers);
    lc_labelled *list = labelled(60000, numbers, shift, 3);
    lc_fit fit;
    cr_assert_eq(lc_fit_numbers(list, 60000, 1e-3, &fit), 0);
    cr_expect_eq(fit.sources, 3);
    cr_expect_eq(fit.right + fit.wrong, 60000);
    for (int k = 0; k < LC_FEATURE_COUNT; k++) {
        double near = k == LC_FEATURE_COS ? 2.0 : k == LC_FEATURE_LEFTOVER ? 0.4 : 0.12;
        cr_expect_float_eq(fit.numbers[k], fmax(numbers[k], k < 2 ? 0 : LC_FLAG_LEAST), near, "%s: %g, not %g",
                           lc_feature_name((lc_feature)k), fit.numbers[k], numbers[k]);
    }
    cr_expect_float_eq(fit.numbers[LC_FEATURE_COUNT], numbers[LC_FEATURE_COUNT], 2.2);
    free(list);
}

Test(fit, labels_that_can_be_told_apart_have_a_finite_answer)
{
    static const double none[] = {0};
    double numbers[LC_FEATURE_COUNT + 1];
    known_numbers(numbers);
    lc_labelled *list = labelled(3000, numbers, none, 1);
    for (size_t i = 0; i < 3000; i++)
        list[i].right = list[i].features[LC_FEATURE_COS] > 0.96;
    lc_fit fit;
    cr_assert_eq(lc_fit_numbers(list, 3000, 1, &fit), 0);
    cr_expect_lt(fit.sweeps, 5000, "it comes to an end: %d", fit.sweeps);
    cr_expect_gt(fit.numbers[LC_FEATURE_COS], lc_feature_weight(LC_FEATURE_COS));
    lc_weights_row row = {.present = 1, .labels = 3000};
    for (int k = 0; k <= LC_FEATURE_COUNT; k++)
        row.numbers[k] = fit.numbers[k];
    cr_expect_null(lc_weights_problem(&row), "%s", lc_weights_problem(&row));
    free(list);
}

/* Labels that say the opposite of what the encoder and the rules mean push weights to zero, never over it. */
Test(fit, signs_hold)
{
    static const double none[] = {0};
    double numbers[LC_FEATURE_COUNT + 1];
    known_numbers(numbers);
    lc_labelled *list = labelled(5000, numbers, none, 1);
    for (size_t i = 0; i < 5000; i++)
        list[i].right = !list[i].right;
    lc_fit fit;
    cr_assert_eq(lc_fit_numbers(list, 5000, 1e-3, &fit), 0);
    cr_expect_eq(fit.numbers[LC_FEATURE_COS], 0);
    cr_expect_eq(fit.numbers[LC_FEATURE_LEFTOVER], 0);
    cr_expect_eq(fit.numbers[LC_FEATURE_ANTONYM], 0);
    for (int k = 0; k < LC_FEATURE_COUNT; k++) {
        double low, high;
        lc_weight_bounds((lc_feature)k, &low, &high);
        cr_expect(fit.numbers[k] >= low && fit.numbers[k] <= high, "%s", lc_feature_name((lc_feature)k));
    }
    free(list);
}

Test(fit, few_labels_change_little)
{
    static const double none[] = {0};
    double numbers[LC_FEATURE_COUNT + 1];
    known_numbers(numbers);
    lc_labelled *list = labelled(12, numbers, none, 1);
    list[0].right = 1;
    list[1].right = 0;
    lc_fit fit;
    cr_assert_eq(lc_fit_numbers(list, 12, 1, &fit), 0);
    for (int k = 0; k < LC_FEATURE_COUNT; k++) {
        double shipped = lc_feature_weight((lc_feature)k);
        cr_expect_float_eq(fit.numbers[k], shipped, fmax(0.35 * fabs(shipped), 0.2), "%s: %g",
                           lc_feature_name((lc_feature)k), fit.numbers[k]);
    }
    free(list);
}

/* A source whose labels are all of one kind tells nothing, and harms nothing. */
Test(fit, a_source_of_one_kind_changes_nothing_much)
{
    static const double shift[] = {0, 0};
    double numbers[LC_FEATURE_COUNT + 1];
    known_numbers(numbers);
    lc_labelled *list = labelled(8000, numbers, shift, 2);
    lc_fit alone, both;
    size_t first = 0;
    for (size_t i = 0; i < 8000; i += 2)
        list[first++] = list[i];
    cr_assert_eq(lc_fit_numbers(list, first, 1, &alone), 0);
    for (size_t i = first; i < 8000; i++) {
        list[i] = list[i - first];
        list[i].source = 1;
        list[i].right = 1;
    }
    cr_assert_eq(lc_fit_numbers(list, 8000, 1, &both), 0);
    cr_expect_float_eq(both.numbers[LC_FEATURE_COS], alone.numbers[LC_FEATURE_COS], 2);
    cr_expect_float_eq(both.numbers[LC_FEATURE_ANTONYM], alone.numbers[LC_FEATURE_ANTONYM], 0.1);
    cr_expect_float_eq(both.numbers[LC_FEATURE_COUNT], alone.numbers[LC_FEATURE_COUNT], 2.5);
    free(list);
}

Test(fit, what_cannot_be_fitted_is_refused)
{
    lc_labelled list[2] = {{.right = 1}, {.right = 1}};
    lc_fit fit;
    cr_expect_eq(lc_fit_numbers(list, 0, 1, &fit), LLMCACHE_INVALID);
    cr_expect_eq(lc_fit_numbers(list, 2, 1, &fit), LLMCACHE_INVALID, "all of one kind");
    list[1].right = 0;
    cr_expect_eq(lc_fit_numbers(list, 2, 1, &fit), 0);
    list[1].source = LC_SOURCES_MAX;
    cr_expect_eq(lc_fit_numbers(list, 2, 1, &fit), LLMCACHE_INVALID);
    list[1].source = 0;
    list[1].features[LC_FEATURE_COS] = NAN;
    cr_expect_eq(lc_fit_numbers(list, 2, 1, &fit), LLMCACHE_INVALID);
    list[1].features[LC_FEATURE_COS] = 0;
    for (uint64_t n = 1; n <= 2; n++) {
        lc_memory_fail_at(n);
        cr_expect_eq(lc_fit_numbers(list, 2, 1, &fit), LLMCACHE_MEMORY);
        lc_memory_fail_at(0);
    }
}

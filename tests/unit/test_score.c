/*
 * The second look: leftovers of states made by hand, the policy that decides who decides,
 * and the worked examples of the reference beside the repository, where it is there.
 */
#include "base/json.h"
#include "decide/case.h"
#include "decide/decide.h"
#include "decide/score.h"
#include "support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define DIM 19 /* not a multiple of the lanes */

/* Pieces whose states are axes, but for what a test sets. */
typedef struct pieces {
    uint32_t ids[LC_PIECES_MAX + 8];
    unsigned char is_word[LC_PIECES_MAX + 8];
    float states[LC_PIECES_MAX + 8][DIM];
} pieces;

static lc_side side_of(const char *text, pieces *p, const uint32_t *ids, size_t count)
{
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < count; i++) {
        p->ids[i] = ids[i];
        p->is_word[i] = 1;
        p->states[i][ids[i] % DIM] = 1;
    }
    return (lc_side){.text = text,
                     .size = strlen(text),
                     .ids = p->ids,
                     .is_word = p->is_word,
                     .states = p->states[0],
                     .piece_count = count,
                     .dim = DIM};
}

Test(score, leftover_is_one_when_nothing_is_left_over)
{
    static const uint32_t ids[] = {1, 2, 3}, shuffled[] = {3, 1, 2};
    pieces a, b;
    lc_side x = side_of("a", &a, ids, 3), y = side_of("b", &b, shuffled, 3);
    cr_assert_float_eq(lc_leftover(&x, &y), 1, 1e-6);
    x.piece_count = y.piece_count = 0;
    cr_assert_float_eq(lc_leftover(&x, &y), 1, 1e-6);
}

/* Side a is left with pieces 4 (met with .6) and 5 (met with .2), side b with none: (.6 +
 * .2) / 2. */
Test(score, leftover_is_the_mean_of_the_best_matches_of_the_worse_side)
{
    static const uint32_t ids[] = {1, 4, 5}, fewer[] = {1, 2};
    pieces a, b;
    lc_side x = side_of("a", &a, ids, 3), y = side_of("b", &b, fewer, 2);
    b.is_word[1] = 0; /* punctuation has states, but is not asked for its match */
    a.states[1][2] = 0.6f;
    a.states[1][4] = 0.8f;
    a.states[2][2] = 0.2f;
    cr_assert_float_eq(lc_leftover(&x, &y), 0.4, 1e-6);
    cr_assert_float_eq(lc_leftover(&y, &x), 0.4, 1e-6);
}

Test(score, leftover_looks_at_the_first_pieces_only)
{
    uint32_t ids[LC_PIECES_MAX + 8];
    for (uint32_t i = 0; i < LC_PIECES_MAX + 8; i++)
        ids[i] = i;
    pieces a, b;
    lc_side x = side_of("a", &a, ids, LC_PIECES_MAX + 8),
            y = side_of("b", &b, ids, LC_PIECES_MAX);
    memset(a.states[LC_PIECES_MAX], 0, sizeof a.states[0]);
    cr_assert_float_eq(lc_leftover(&x, &y), 1, 1e-6);
}

Test(score, who_decides)
{
    static const uint32_t ids[] = {1, 2};
    pieces a, b;
    lc_side x = side_of("What is a cache?", &a, ids, 2),
            y = side_of("what's a cache", &b, ids, 2);
    lc_policy policy;
    lc_verdict verdict;
    lc_policy_init(&policy);
    policy.floor = 0.9, policy.threshold = 0.99;
    policy.score_threshold[LC_ENGLISH] = 1;

    /* -34.442 + 24.568 cos + 13.607: above 1 from cos .889 on, so the floor and the score
     * let .95 pass. */
    cr_assert_eq(lc_decide(&x, &y, 0.95, &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 1);
    cr_assert_eq(verdict.scored, 1);
    cr_assert_float_eq(verdict.score, -34.442 + 24.568 * 0.95 + 13.607, 1e-6);
    cr_assert_eq(lc_decide(&x, &y, 0.899, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "similarity");

    policy.score_threshold[LC_ENGLISH] = 5;
    cr_assert_eq(lc_decide(&x, &y, 0.95, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "score");

    /* Someone's own threshold, or no states: the threshold decides. */
    policy.threshold_is_users = 1, policy.threshold = 0.94;
    cr_assert_eq(lc_decide(&x, &y, 0.95, &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 1);
    cr_assert_eq(verdict.scored, 0);
    policy.threshold_is_users = 0;
    y.states = NULL;
    cr_assert_eq(lc_decide(&x, &y, 0.95, &policy, &verdict), 0);
    cr_assert_eq(verdict.serve, 1);
    cr_assert_eq(verdict.scored, 0);
    policy.threshold = 0.96;
    cr_assert_eq(lc_decide(&x, &y, 0.95, &policy, &verdict), 0);
    cr_assert_str_eq(verdict.why, "similarity");
}

Test(score, weights_of_ones_own)
{
    double features[LC_FEATURE_COUNT], weights[LC_FEATURE_COUNT + 1];
    for (size_t i = 0; i < LC_FEATURE_COUNT; i++)
        features[i] = (double)i, weights[i] = 2;
    weights[LC_FEATURE_COUNT] = 0.5;
    cr_assert_float_eq(lc_score(features, weights),
                       0.5 + LC_FEATURE_COUNT * (LC_FEATURE_COUNT - 1), 1e-9);
    cr_assert_float_eq(lc_feature_weight(LC_FEATURE_COS), 24.568, 1e-9);
    cr_assert_str_eq(lc_feature_name(LC_FEATURE_LEFTOVER), "leftover");
}

static const char *const reference_names[LC_FEATURE_COUNT] = {
    [LC_FEATURE_COS] = "cos",           [LC_FEATURE_LEFTOVER] = "lo",
    [LC_FEATURE_NUMBER] = "lx_numconf", [LC_FEATURE_NEGATION] = "lx_neg",
    [LC_FEATURE_ALIKE] = "lx_neg8",     [LC_FEATURE_ANTONYM] = "lx_ant",
    [LC_FEATURE_NAME] = "lx_capconf",   [LC_FEATURE_QUESTION] = "lx_qconf",
    [LC_FEATURE_DIRECTION] = "lx_dir",
};

static double number_of(const lc_json *object, const char *name)
{
    double value = NAN;
    lc_json_number(lc_json_get(object, name), &value);
    return value;
}

/* The flags are found in the texts; the two similarities are taken as given. */
static void check_example(const lc_json *example)
{
    static const uint32_t ids[] = {1};
    pieces p, q;
    lc_side a = side_of(lc_json_text(lc_json_get(example, "a"), NULL), &p, ids, 1);
    lc_side b = side_of(lc_json_text(lc_json_get(example, "b"), NULL), &q, ids, 1);
    const lc_json *wanted = lc_json_get(example, "features");
    lc_policy policy;
    lc_verdict verdict;
    lc_policy_init(&policy);
    policy.explain = 1;
    cr_assert_eq(lc_decide(&a, &b, number_of(wanted, "cos"), &policy, &verdict), 0);
    cr_assert_eq(verdict.scored, 1);
    verdict.features[LC_FEATURE_LEFTOVER] = number_of(wanted, "lo");
    for (size_t i = 0; i < LC_FEATURE_COUNT; i++)
        cr_expect_float_eq(verdict.features[i], number_of(wanted, reference_names[i]),
                           1e-9, "%s: %s | %s", reference_names[i], a.text, b.text);
    /* The reference rounds its similarities to four places: 24.6 and 13.6 times half a
     * unit. */
    cr_expect_float_eq(lc_score(verdict.features, NULL), number_of(example, "z"), 2e-3,
                       "%s | %s", a.text, b.text);
}

Test(score, worked_examples)
{
    const char *path = test_shared_data("verifier.json");
    if (!path)
        cr_skip("no ../shared/data/verifier.json");
    size_t size;
    const char *text = test_read_file(path, &size);
    lc_json *root;
    cr_assert_eq(lc_json_parse(text, size, &root, NULL), 0);
    const lc_json *weights = lc_json_get(root, "weights");
    for (size_t i = 0; i < LC_FEATURE_COUNT; i++)
        cr_expect_float_eq(lc_feature_weight((lc_feature)i),
                           number_of(weights, reference_names[i]), 1e-9);
    cr_expect_float_eq(LC_SCORE_BIAS, number_of(root, "bias"), 1e-9);
    const lc_json *examples = lc_json_get(root, "examples");
    cr_assert_gt(lc_json_count(examples), 10);
    for (size_t i = 0; i < lc_json_count(examples); i++)
        check_example(lc_json_at(examples, i));
    lc_json_free(root);
}

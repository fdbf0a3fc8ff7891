/* What the tests of the deciding rules share: judging a pair, and checking a rule by a
 * table of pairs. */
#ifndef DECIDE_PAIRS_H
#define DECIDE_PAIRS_H

#include "decide/decide.h"

#include <criterion/criterion.h>
#include <string.h>

static inline lc_side side(const char *text)
{
    return (lc_side){.text = text, .size = strlen(text)};
}

static inline lc_verdict judged(const char *a, const char *b, double similarity)
{
    lc_side question = side(a), candidate = side(b);
    lc_policy policy;
    lc_verdict verdict;
    lc_policy_init(&policy);
    policy.explain = 1;
    cr_assert_eq(lc_decide(&question, &candidate, similarity, &policy, &verdict), 0);
    return verdict;
}

struct pair {
    const char *a, *b;
    int veto;
};

/* Both ways round, because which question came first must not matter. */
static inline void check(lc_rule rule, const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lc_verdict there = judged(pairs[i].a, pairs[i].b, 0.99);
        lc_verdict back = judged(pairs[i].b, pairs[i].a, 0.99);
        lc_outcome wanted = pairs[i].veto ? LC_VETO : LC_PASS;
        cr_expect_eq(there.words[rule].outcome, wanted, "%s: %s | %s: %s",
                     lc_rule_word(rule), pairs[i].a, pairs[i].b,
                     there.words[rule].detail);
        cr_expect_eq(back.words[rule].outcome, wanted, "%s: %s | %s: %s",
                     lc_rule_word(rule), pairs[i].b, pairs[i].a, back.words[rule].detail);
        if (pairs[i].veto)
            cr_expect_eq(there.serve, 0);
    }
}

#define CHECK(rule, pairs) check(rule, pairs, sizeof(pairs) / sizeof((pairs)[0]))

#endif

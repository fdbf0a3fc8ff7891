/*
 * One question negates what the other asks: the negations of both add up to an odd number
 * while the rest of the questions is the same. Where the rest differs, parity tells
 * nothing ("didn't arrive" and "is still missing"). An exchanged opposite makes up for
 * it: "not correct" and "incorrect".
 */
#include "decide/overlap.h"

#include <stdio.h>
#include <string.h>

/* "It failed" and "it did not work": the text without a negation has a word of its own
 * that holds one. */
static int fails_instead(const lc_reading *plain, const lc_reading *negated)
{
    static const char *const failing[] = {
        "broken", "declined", "declines",   "denied",   "fail",    "failed",
        "failing", "fails",   "impossible", "rejected", "refused", "stopped"};
    static const char *const failing_zh[] = {"失敗", "失败", "拒絕", "拒绝", "壞", "坏"};
    for (size_t i = 0; i < plain->term_count; i++)
        if (lc_term_in(plain, i, failing, sizeof failing / sizeof failing[0]) &&
            !lc_reading_shares(negated, plain, i))
            return 1;
    for (size_t i = 0; i < sizeof failing_zh / sizeof failing_zh[0]; i++)
        if (lc_reading_contains(plain, failing_zh[i], strlen(failing_zh[i])) &&
            !lc_reading_contains(negated, failing_zh[i], strlen(failing_zh[i])))
            return 1;
    return 0;
}

int lc_rule_negation(const lc_case *c, char *detail)
{
    int same;
    if (!c->odd_negations || (!c->a_negations && fails_instead(&c->a, &c->b)) ||
        (!c->b_negations && fails_instead(&c->b, &c->a)))
        return 0;
    int code = lc_overlap_same(c, &same);
    if (code || !same)
        return code;
    for (size_t i = 0; i < c->swap_count; i++)
        if (!c->swaps[i].negates)
            return 0;
    if (c->a_negations && c->b_negations)
        snprintf(detail, LC_DETAIL_SIZE, "%zu / %zu", c->a_negations, c->b_negations);
    else
        lc_detail(detail, lc_term_slice(&c->a, c->a_negation),
                  lc_term_slice(&c->b, c->b_negation));
    return 1;
}

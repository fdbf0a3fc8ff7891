/*
 * One question negates what the other asks: the negations of both add up to an odd number
 * while the rest of the questions is the same. Where the rest differs, parity tells
 * nothing ("didn't arrive" and "is still missing"). An exchanged opposite makes up for
 * it: "not correct" and "incorrect".
 */
#include "decide/overlap.h"

#include <stdio.h>

int lc_rule_negation(const lc_case *c, char *detail)
{
    int same;
    if (!c->odd_negations)
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

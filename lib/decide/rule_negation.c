/*
 * One question negates what the other asks: the negations of both add up to an odd number while the
 * rest of the questions is the same. Where the rest differs, parity tells nothing ("didn't arrive" and
 * "is still missing"). An exchanged opposite makes up for it: "not correct" and "incorrect".
 */
#include "decide/case.h"

#include "decide/overlap.h"

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
    int in_a = c->a_negation < c->a.term_count;
    const lc_reading *reading = in_a ? &c->a : &c->b;
    const lc_term *term = &reading->terms[in_a ? c->a_negation : c->b_negation];
    const char *word = reading->text + term->at;
    lc_detail(detail, in_a ? word : "-", in_a ? term->size : 1, in_a ? "-" : word,
              in_a ? 1 : term->size);
    return 1;
}

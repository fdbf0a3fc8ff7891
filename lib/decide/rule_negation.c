/*
 * One question negates what the other asks: the negations of both add up to an odd number while the
 * rest of the questions is the same. Where the rest differs, parity tells nothing ("didn't arrive" and
 * "is still missing"). An exchanged opposite makes up for it: "not correct" and "incorrect".
 */
#include "decide/case.h"

#include "decide/antonyms.h"
#include "decide/negation.h"
#include "decide/ngrams.h"

/* How much of the rest must be the same: characters in a row, or terms. */
#define SAME_LOOKS 0.7
#define SAME_TERMS 0.75
#define SAME_TERMS_ENGLISH 0.8

/* The share of a's terms, negations left out, that b has. */
static double kept(const lc_reading *a, const lc_reading *b)
{
    size_t terms = 0, shared = 0;
    for (size_t i = 0; i < a->term_count; i++) {
        if (lc_negation_at(a, i))
            continue;
        terms++;
        shared += (size_t)lc_reading_shares(b, a, i);
    }
    return terms ? (double)shared / (double)terms : 1;
}

static int same_rest(const lc_case *c, int *same)
{
    double there = kept(&c->a, &c->b), back = kept(&c->b, &c->a), looks;
    double least = c->a.han_count && c->b.han_count ? SAME_TERMS : SAME_TERMS_ENGLISH;
    *same = there >= least && back >= least;
    if (*same)
        return 0;
    int code = lc_ngrams_cosine(&c->a, &c->b, &looks);
    if (!code)
        *same = looks >= SAME_LOOKS;
    return code;
}

int lc_rule_negation(const lc_case *c, char *detail)
{
    size_t in_a, in_b;
    int same;
    lc_swap swap;
    if ((lc_negations_count(&c->a, &in_a) + lc_negations_count(&c->b, &in_b)) % 2 == 0)
        return 0;
    int code = same_rest(c, &same);
    if (code || !same)
        return code;
    if (lc_swaps_find(&c->a, &c->b, &swap, 1) > 0 && !swap.negates)
        return 0;
    const lc_reading *reading = in_a < c->a.term_count ? &c->a : &c->b;
    const lc_term *term = &reading->terms[in_a < c->a.term_count ? in_a : in_b];
    lc_detail(detail, reading == &c->a ? reading->text + term->at : "-",
              reading == &c->a ? term->size : 1, reading == &c->b ? reading->text + term->at : "-",
              reading == &c->b ? term->size : 1);
    return 1;
}

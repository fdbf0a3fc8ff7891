/* Shared terms first, because they are cheap; then n-grams, which forgive other endings
 * of words. */
#include "decide/overlap.h"

#include "decide/negation.h"
#include "decide/ngrams.h"

#define SAME_LOOKS         0.7
#define SAME_TERMS         0.8
#define SAME_TERMS_CHINESE 0.75 /* a word of two characters is two terms */

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

static double least_kept(const lc_case *c)
{
    return c->a.han_count && c->b.han_count ? SAME_TERMS_CHINESE : SAME_TERMS;
}

int lc_overlap_within(const lc_case *c)
{
    return kept(&c->a, &c->b) >= least_kept(c) || kept(&c->b, &c->a) >= least_kept(c);
}

int lc_overlap_same(const lc_case *c, int *same)
{
    double least = least_kept(c), looks;
    *same = kept(&c->a, &c->b) >= least && kept(&c->b, &c->a) >= least;
    if (*same)
        return 0;
    int code = lc_ngrams_cosine(&c->a, &c->b, &looks);
    if (!code)
        *same = looks >= SAME_LOOKS;
    return code;
}

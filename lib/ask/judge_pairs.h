/* What an ask of one question would get if the answer to another alone were kept, for lists of such pairs. */
#ifndef LC_ASK_JUDGE_PAIRS_H
#define LC_ASK_JUDGE_PAIRS_H

#include "decide/decide.h"

#include <llmcache/tune.h>

typedef struct lc_judged {
    size_t pair; /* position in the list */
    int served;
    llmcache_source source; /* MODEL when not served */
    const char *why;        /* static; "" when served */
    int stopped;            /* before the verdict: no ask would have come to it */
    int embedded;           /* both sides have a vector: */
    double similarity;
    lc_verdict verdict; /* every rule's word, whatever stopped it */
} lc_judged;

/* 0 to go on, else an error code that ends the walk and is passed on. */
typedef int (*lc_judged_fn)(void *user, const lc_judged *judged, llmcache_error *err);

/* In the order of the list. Pairs that could not be asked, and an embedder that fails, end it. */
int lc_judge_pairs(llmcache *cache, const llmcache_pair *pairs, size_t count, lc_judged_fn fn, void *user,
                   llmcache_error *err);

/* One pair of a list whose structs may be older and shorter than ours. */
llmcache_pair lc_pair_at(const llmcache_pair *pairs, size_t position);

#endif

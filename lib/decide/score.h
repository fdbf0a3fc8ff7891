/*
 * The second look at a candidate: a logistic score of what the encoder and the texts
 * tell, fitted to tell one-word traps from paraphrases. What the cosine cannot see is the
 * leftover: pieces that one question has and the other lacks, matched against the other's
 * token states. Where a word was exchanged for a synonym its state finds its like there;
 * where it was exchanged for another thing it does not.
 */
#ifndef LC_DECIDE_SCORE_H
#define LC_DECIDE_SCORE_H

#include "decide/decide.h"

struct lc_case;

/*
 * For each side: the mean, over its word pieces whose id the other side lacks, of the
 * largest dot product with any piece of the other side; 1 when there are none. The
 * smaller of the two.
 */
double lc_leftover(const lc_side *a, const lc_side *b);

/* All features but COS and LEFTOVER are 0 or 1. 0 or LLMCACHE_MEMORY. */
int lc_features_find(const struct lc_case *c, double features[LC_FEATURE_COUNT]);

/* bias + sum of weight * feature; `weights` as lc_policy has them, NULL for the shipped
 * ones. */
double lc_score(const double features[LC_FEATURE_COUNT], const double *weights);

#endif

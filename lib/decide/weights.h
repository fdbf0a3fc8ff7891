/*
 * The score's numbers as somebody fitted them to labels of their own, per language, with what they were fitted
 * on; and whether they can be what they claim to be. A language without a row keeps the shipped numbers.
 */
#ifndef LC_DECIDE_WEIGHTS_H
#define LC_DECIDE_WEIGHTS_H

#include "decide/decide.h"

typedef struct lc_weights_row {
    int present;
    double numbers[LC_FEATURE_COUNT + 1]; /* a weight a feature, then the bias */
    int has_threshold;
    double threshold; /* least score to be served, as chosen with these numbers */
    int64_t labels;   /* they were fitted on so many */
} lc_weights_row;

typedef struct lc_weights {
    char made[11];   /* "2026-11-25" */
    char space[192]; /* embedding space the labels were seen in; "" for any */
    lc_weights_row rows[LC_LANGUAGE_COUNT];
} lc_weights;

/* What a weight may be: of the shipped sign or zero; a flag's never below -2.5, so that no single one can
 * outweigh all else. */
#define LC_FLAG_LEAST (-2.5)
void lc_weight_bounds(lc_feature feature, double *low, double *high);

/* NULL, or the static reason why a row's numbers cannot be right. */
const char *lc_weights_problem(const lc_weights_row *row);

#endif

/*
 * Fitting the score's numbers to labels: a logistic regression with
 *  - an intercept of its own for each source of labels, dropped afterwards: sources differ in how many of their
 *    pairs are true, and without it the numbers would learn which source a pair came from;
 *  - weights that keep the shipped sign and stay in the bounds of weights.h;
 *  - a ridge that draws each weight towards its shipped value, so that few labels change little and
 *    labels that can be told apart without an error have a finite answer all the same.
 *
 * A. Genkin, D. Lewis, D. Madigan, "Large-scale Bayesian logistic regression for text categorization",
 * Technometrics 49 (2007): cyclic coordinate descent with a bound on the curvature. Each step goes down, and
 * bounds on a coordinate are kept by cutting the step.
 */
#ifndef LC_DECIDE_FIT_H
#define LC_DECIDE_FIT_H

#include "decide/decide.h"

/* One labelled candidate, as the score sees it. Needs no text. */
typedef struct lc_labelled {
    double features[LC_FEATURE_COUNT];
    int right;       /* 1: one answer serves both */
    uint32_t source; /* whose label: any number below LC_SOURCES_MAX */
} lc_labelled;

#define LC_SOURCES_MAX 256

typedef struct lc_fit {
    double numbers[LC_FEATURE_COUNT + 1]; /* a weight a feature, then the bias */
    size_t right, wrong;                  /* labels of each kind it was fitted on */
    size_t sources;                       /* with labels */
    int sweeps;                           /* over all coordinates, until nothing moved */
} lc_fit;

/*
 * `ridge` 1 lets a weight's own belief be its shipped value with a standard deviation of half of it; larger
 * draws harder. 0, LLMCACHE_MEMORY, or LLMCACHE_INVALID when the labels are all of one kind, a source is out of
 * range or a feature is not finite.
 */
int lc_fit_numbers(const lc_labelled *list, size_t count, double ridge, lc_fit *fit);

#endif

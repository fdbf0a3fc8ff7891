/*
 * How sure a rate is: the exact confidence limits of a proportion by Clopper and Pearson
 * ("The use of confidence or fiducial limits illustrated in the case of the binomial",
 * Biometrika 26, 1934).
 */
#ifndef LC_DECIDE_INTERVAL_H
#define LC_DECIDE_INTERVAL_H

#include <stdint.h>

/* Both limits of hits / trials, each side missed with (1 - confidence) / 2 at most. No
 * trials: 0 to 1. */
void lc_interval(uint64_t hits, uint64_t trials, double confidence, double *low,
                 double *high);

/* The one-sided upper limit: the true rate is above it with 1 - confidence at most. No
 * trials: 1. */
double lc_interval_upper(uint64_t hits, uint64_t trials, double confidence);

/* The regularised incomplete beta function I_x(a, b); a, b > 0, 0 <= x <= 1. */
double lc_beta(double a, double b, double x);

/* The x at which I_x(a, b) is p: the quantile of the beta distribution. */
double lc_beta_quantile(double a, double b, double p);

#endif

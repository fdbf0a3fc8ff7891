/*
 * Rates that are looked at all the time.
 *
 * The interval: for labels of 0 and 1 with a common rate p, the likelihood mixed over a
 * beta prior, divided by the likelihood of p, is a martingale with mean 1, so by Ville's
 * inequality the p at which it ever reaches 1 / (1 - confidence) are wrong with at most
 * that probability, however often one looks (Robbins, "Statistical methods related to the
 * law of the iterated logarithm", Ann. Math. Stat. 41, 1970; Howard, Ramdas, McAuliffe,
 * Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Ann. Stat.
 * 49, 2021). Prior: Jeffreys' Beta(1/2, 1/2).
 *
 * The detector: likelihood ratios of three higher rates against the budget, each restarted
 * at 1 when it falls below (Page's CUSUM), their mean an e-detector in the sense of Shin,
 * Ramdas, Rinaldo ("E-detectors: a nonparametric framework for sequential change
 * detection", 2022): under a rate within the budget it takes 1 / level labels at least, on
 * average, until a false alarm.
 */
#ifndef LC_LEARN_SEQUENCE_H
#define LC_LEARN_SEQUENCE_H

/* Both limits of a rate after `wrong` of `labels` (sums, so they may be fractions). */
void lc_sequence_interval(double wrong, double labels, double confidence, double *low,
                          double *high);

#define LC_DETECTOR_RATES 3

typedef struct lc_detector {
    double log_ratio[LC_DETECTOR_RATES];
} lc_detector;

/* One more label. 1 when it is time for an alarm; the detector has begun anew then. */
int lc_detector_add(lc_detector *detector, int wrong, double budget, double level);

/* The evidence for a rate over the budget so far: a betting gain, 1 for none. */
double lc_detector_value(const lc_detector *detector);

#endif

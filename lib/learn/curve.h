/*
 * One curve: how likely a candidate is wrong at each position, and which estimates may be
 * trusted how far. All of it is sums of weights, so that it fades by multiplication and
 * merges by addition.
 */
#ifndef LC_LEARN_CURVE_H
#define LC_LEARN_CURVE_H

#include "learn/learner.h"
#include "learn/sequence.h"

#define LC_CURVE_BINS 32 /* of position, from the floor to the top */
#define LC_RISK_BANDS 24 /* of the estimated log odds of being wrong */

typedef struct lc_curve {
    char name[LC_CURVE_NAME_SIZE];
    double floor, top;

    /* By position: labels and those that were wrong. */
    double labels[LC_CURVE_BINS], wrong[LC_CURVE_BINS];
    /* By estimate: candidates, and of the labels the same as above. */
    double risk_seen[LC_RISK_BANDS], risk_labels[LC_RISK_BANDS],
        risk_wrong[LC_RISK_BANDS];
    double requests_recent; /* with and without a candidate */
    double share_now, share_lately; /* of candidates in the bands that are served */

    /* Since the last reset, nothing fades. */
    uint64_t band_hits[LC_LEARNER_VIEW_BANDS], band_lots[LC_LEARNER_VIEW_BANDS],
        band_wrong[LC_LEARNER_VIEW_BANDS];
    uint64_t requests, candidates, hits, fixed_hits, explored, audited, told_wrong;

    lc_detector detector;
    uint64_t alarms;
    int alarmed;
    int64_t faded_ms; /* 0: never yet */
    size_t history_count;
    struct lc_learner_step history[LC_LEARNER_HISTORY];

    /* Made of the above; not kept. */
    double at_middle, slope;  /* log odds of being wrong: at the middle, floor to top */
    double covariance[3];     /* of the two: middle, both, slope */
    int limit;                /* risk bands below this one are served */
    int all_proven; /* the bands of all candidates are within what is allowed */
    double needed, upper;
    double set_seen;          /* recent candidates in those bands */
    double fading;            /* candidates since the last fading */
    unsigned changes;         /* since the fit and the limit were made */
} lc_curve;

void lc_curve_init(lc_curve *curve, const char *name, double floor, double top);

/* From 0 at the floor to 1 at the top. */
double lc_curve_place(const lc_curve *curve, double position);

/* The estimated log odds of being wrong at this place; `spread` its standard deviation. */
double lc_curve_risk(const lc_curve *curve, double place, double *spread);

/* The band of such log odds; chance: the upper end of a band as a probability. */
int lc_risk_band(double log_odds);
double lc_risk_chance(int band);

void lc_curve_label(lc_curve *curve, double place, int band, int wrong);
void lc_curve_scale(lc_curve *curve, double factor);

/* The fit, by Newton's steps on the bins' sums. */
void lc_curve_fit(lc_curve *curve);

/*
 * The largest set of bands, from the least risk up, whose share of wrong labels has its
 * upper limit within what is allowed; `ceiling`: no band with a chance above it.
 * Stratified: each band's labels stand for the band's recent candidates, so it does not
 * matter that some bands are labelled more often. The limit is Clopper and Pearson's at
 * the effective number of labels (Korn and Graubard, "Confidence intervals for
 * proportions with small expected number of positive counts estimated from survey data",
 * Survey Methodology 24, 1998).
 */
typedef struct lc_allowance {
    double error;       /* share of the set's labels that may be wrong, as judged */
    int among_requests; /* ... of all requests instead */
    double confidence, ceiling;
} lc_allowance;
void lc_curve_prove(lc_curve *curve, const lc_allowance *allowance);

/* The least position served for a record without a history; above the top: none. */
double lc_curve_threshold(const lc_curve *curve);

#endif

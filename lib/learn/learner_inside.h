/* What the files of the learner share. */
#ifndef LC_LEARN_LEARNER_INSIDE_H
#define LC_LEARN_LEARNER_INSIDE_H

#include "learn/curve.h"
#include "learn/record_table.h"

#define LC_REFRESH_EVERY 32 /* changes, until fit and limit are made anew */

/* The judge's rates as they are to be used. */
typedef struct lc_judge_rates {
    double false_alarm, missed;
    int useless;
} lc_judge_rates;

struct lc_learner {
    lc_learner_options options;
    lc_curve *curves;
    size_t curve_count, curve_room;
    lc_record_table records;
    double controls[2][2]; /* [known right][said right]; they fade too */
    lc_judge_rates rates; /* made of the options and the controls */
    int frozen;
    uint32_t swept_minute; /* records without labels were last looked for */
};

/* The share the judge calls wrong where `error` is wrong. */
double lc_as_judged(lc_judge_rates rates, double error);

lc_curve *lc_learner_find(const lc_learner *learner, const char *name);
/* One more curve, or NULL: no memory, or there are too many. */
lc_curve *lc_learner_add_curve(lc_learner *learner);

/* Makes a curve's fit and limit anew. */
void lc_learner_make(const lc_learner *learner, lc_curve *curve);
/* The judge's rates, then all curves: after options, controls or the state changed. */
void lc_learner_know(lc_learner *learner);

/* The share of would-be hits that is checked. */
double lc_learner_lot(const lc_learner *learner, const lc_curve *curve);

uint32_t lc_minute_of(int64_t now_ms);

#endif

/*
 * Settings chosen by labelled pairs: what lib/ask/tune.c finds and tune_report.c writes; tune_observed.c brings
 * pairs from the store. The statistics are
 * lib/decide's (halves.h, bound.h, fit.h, paired.h) and know nothing of texts.
 */
#ifndef LC_ASK_TUNING_H
#define LC_ASK_TUNING_H

#include "ask/cache.h"
#include "ask/judge_pairs.h"
#include "ask/labels.h"
#include "decide/bound.h"
#include "decide/fit.h"
#include "decide/paired.h"

#include <llmcache/tune.h>

/* One labelled pair, judged. */
typedef struct lc_tuned_pair {
    lc_labelled seen; /* features where the score decides; the label; its source */
    lc_place place;
    lc_language language;
    int exact;    /* the same question: no threshold stands before it */
    int eligible; /* nothing but the threshold can stop it */
    double value; /* what the threshold in force is compared with */
} lc_tuned_pair;

/* Why there is no refit, if there is none. */
typedef enum lc_refit_state {
    LC_REFIT_NOT_ASKED,
    LC_REFIT_NO_SCORE,   /* cosine decides here */
    LC_REFIT_FEW_LABELS,
    LC_REFIT_NOT_BETTER, /* not surely */
    LC_REFIT_BETTER
} lc_refit_state;

/* What one threshold decides: a language where the score does, else all. */
typedef struct lc_tuned_part {
    const char *name;    /* "en", "zh", "all" */
    const char *setting; /* "score-threshold-en", "threshold" */
    double current;
    const char *current_from;
    size_t requests[2], positive[2]; /* of each half; exact ones left out */
    size_t counting; /* labels that a fit could use */
    int too_few;     /* of them: nothing is chosen */
    lc_bound bound;                  /* with the numbers that are to be in force */
    lc_served now;                   /* at the current threshold, on the confirming half */
    lc_refit_state refit;
    lc_fit fit;
    lc_gain gain;
    int changes;      /* a setting is to be written: */
    double threshold;
    lc_served taken;  /* there, with the fitted numbers, on the confirming half */
} lc_tuned_part;

typedef struct lc_tuning {
    llmcache *cache;
    llmcache_tune_options options; /* whole */
    int by_score;
    lc_tuned_pair *pairs;
    size_t count, unlabelled, exact, across, stopped;
    size_t min_labels;       /* of a part */
    const lc_labels *labels; /* NULL: the pairs are a caller's */
    lc_tuned_part parts[LC_LANGUAGE_COUNT];
    size_t part_count;
    lc_graded *graded; /* room for all pairs */
    double part_confidence; /* of each confirmation; higher than asked when old and new numbers both have one */
} lc_tuning;

/* The part's pairs that nothing but a threshold can stop, into tuning->graded, valued by `numbers` (NULL: as
 * judged). How many. */
size_t lc_tuning_grade(const lc_tuning *tuning, size_t part, const double *numbers);

/* tune_refit.c: fits, compares, and when it is surely better takes the new numbers. */
int lc_tuning_refit(lc_tuning *tuning, size_t part);

/* tune_report.c: all of it as one JSON object; free with lc_free. */
int lc_tuning_report(const lc_tuning *tuning, char **json, llmcache_error *err);

/* A whole tuning: open, make room for `count` pairs, see (or fill in) and place each, finish; done at the end whatever
 * happened. */
int lc_tuning_open(lc_tuning *tuning, llmcache *cache, const llmcache_tune_options *given, llmcache_error *err);
int lc_tuning_make_room(lc_tuning *tuning, size_t count, llmcache_error *err);
void lc_tuning_see(const lc_tuning *tuning, const lc_judged *judged, lc_tuned_pair *to);
int lc_tuning_finish(lc_tuning *tuning, char **json, llmcache_error *err);
void lc_tuning_done(lc_tuning *tuning);

/* tune_observed.c */
int lc_tune_observations(llmcache *cache, const llmcache_filter *filter, const llmcache_tune_options *options,
                         char **json, llmcache_error *err);

int lc_tune(llmcache *cache, const llmcache_pair *pairs, size_t count, const llmcache_tune_options *options,
            char **json, llmcache_error *err);

#endif

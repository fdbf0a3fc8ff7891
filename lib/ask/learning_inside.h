/* What the learning*.c files share. */
#ifndef LC_ASK_LEARNING_INSIDE_H
#define LC_ASK_LEARNING_INSIDE_H

#include "ask/learning.h"
#include "learn/learner.h"

/* Observations that were counted: sets of four, the oldest of a set gives way. */
#define LC_SEEN_SETS 65536
#define LC_SEEN_WAYS 4

struct lc_learning {
    int decides; /* policy verified; else a guard of the fixed threshold */
    double floor, top; /* of positions */
    int by_score;

    pthread_mutex_t lock; /* guards all down to the counts; never held over I/O or a callback */
    lc_learner *learner;
    uint64_t *seen;
    uint64_t random;
    uint64_t alarms;      /* of all curves, as last looked */
    uint64_t changes, saved_changes; /* of what observations alone would not bring back */
    uint64_t epoch;       /* of the last freeze, thaw, reset or import; the highest wins */
    int64_t until_ms;     /* observations up to then are in what was taken over */
    int64_t save_ms;      /* monotonic: next time to keep it */
    int is_loaded, loading;

    lc_count same, different, unknown; /* comparisons by their outcome */
    lc_count controls;
    lc_count shadow_calls, shadow_failed, shadow_skipped;
    lc_count shadow_input, shadow_output, shadow_cost_nano;
    atomic_int shadows; /* under way */
};

typedef enum lc_check_kind {
    LC_CHECK_EXPLORED, /* the model was asked instead */
    LC_CHECK_LOT,      /* the same, of a would-be hit drawn by lot */
    LC_CHECK_SHADOW,   /* the model was asked behind a hit's back */
    LC_CHECK_CONTROL   /* a rule had refused it */
} lc_check_kind;

struct lc_check {
    llmcache *cache;
    lc_check_kind kind;
    lc_entry *candidate;
    char *space, *asked;
    lc_observation observation; /* borrows from the above */
};

lc_check *lc_check_new(const lc_job *job, const lc_entry *entry, double similarity,
                       const lc_verdict *verdict, lc_check_kind kind);

#define LC_CURVE_SPACE    40
#define LC_CURVE_EMBEDDER 48
/* What the curves of this cache end in, behind "en <namespace> ". */
void lc_curve_embedder(const llmcache *cache, char out[LC_CURVE_EMBEDDER + 1]);

#endif

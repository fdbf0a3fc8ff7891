/*
 * Judged observations as labels to tune by: one a pair, a person's before a machine's, a later one before an earlier.
 * What is doubtful is none. Pure but for memory: whoever walks the store adds, then settles once.
 */
#ifndef LC_ASK_LABELS_H
#define LC_ASK_LABELS_H

#include "ask/pair.h"
#include "base/buffer.h"
#include "decide/decide.h"
#include "decide/halves.h"

#define LC_OBSERVERS (LLMCACHE_BY_IMPORT + 1)

typedef struct lc_label {
    unsigned char name[LC_PAIR_SIZE];
    uint64_t tenant;       /* digest of the namespace */
    char *asked, *candidate; /* owned; NULL: kept without text */
    lc_two_hashes hashes;  /* of the two questions as they are compared */
    int right, observer;
    int64_t time_ms;
    /* As it was seen then; holds values when `known`, in the embedding space that is asked for. */
    int known;
    double similarity;
    double features[LC_FEATURE_COUNT];
    lc_language language;
} lc_label;

typedef struct lc_labels {
    const char *space;  /* embedding space; borrowed */
    int by_score;       /* what is known must have the score's features */
    unsigned observers; /* whose words count, a bit each; 0: everybody's */
    lc_label *list;
    size_t count, room;
    size_t judged, doubtful, outvoted, not_asked, unusable, unreadable, by_text;
    size_t verdicts[LC_OBSERVERS][2]; /* of those that are left: wrong, right */
    size_t tenants, largest;          /* namespaces, and labels of the one that has most */
} lc_labels;

/* Copies what it needs; what is unjudged is passed over. 0 or LLMCACHE_MEMORY. */
int lc_labels_add(lc_labels *labels, const llmcache_observation *observation);

/* Leaves one a pair, by the observers asked for, and only those with text or with values; in an order that does not
 * depend on how they came. */
void lc_labels_settle(lc_labels *labels);

/* One JSON object: what there was and what is left. */
void lc_labels_report(const lc_labels *labels, lc_buffer *out);

void lc_labels_done(lc_labels *labels);

#endif

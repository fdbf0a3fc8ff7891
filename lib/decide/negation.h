/*
 * How often a text negates: no, not, n't, never, without; 不, 沒, 無, 未, 非, 別, 勿.
 * Idioms in which the word negates nothing (why not, whether or not, 是不是, 不但, 特別)
 * are not counted.
 */
#ifndef LC_DECIDE_NEGATION_H
#define LC_DECIDE_NEGATION_H

#include "decide/reading.h"

/* `first` (may be NULL) gets the first negation's term, or term_count. */
size_t lc_negations_count(const lc_reading *reading, size_t *first);

/* Is term `position` a negation? */
int lc_negation_at(const lc_reading *reading, size_t position);

#endif

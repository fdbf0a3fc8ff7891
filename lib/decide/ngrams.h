/* How alike two texts look: cosine of their counts of 2 to 4 characters in a row. */
#ifndef LC_DECIDE_NGRAMS_H
#define LC_DECIDE_NGRAMS_H

#include "decide/reading.h"

/* 0 to 1 in *cosine: square-rooted counts, one space at each end. 0 or LLMCACHE_MEMORY.
 */
int lc_ngrams_cosine(const lc_reading *a, const lc_reading *b, double *cosine);

#endif

/* Are two questions the same but for a few words? Asked by rules that go by a single
 * word. */
#ifndef LC_DECIDE_OVERLAP_H
#define LC_DECIDE_OVERLAP_H

#include "decide/case.h"

/* Most terms of each side are the other's too, or the texts look alike character by
 * character; negations do not count as terms. 0 with 0 or 1 in *same, or LLMCACHE_MEMORY.
 */
int lc_overlap_same(const lc_case *c, int *same);

/* Most terms of one side are the other's too: the other may say more. */
int lc_overlap_within(const lc_case *c);

#endif

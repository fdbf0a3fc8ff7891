/*
 * Do two answers to one question say the same? Coarse, and on the safe side: what is not clearly the same counts as
 * different. docs/learning.md has what it was measured to tell apart, and what not.
 *
 *   1. Equal but for white space: the same.
 *   2. The judge of the settings, where there is one, is asked (ask/referee.h); its budget is shared.
 *   3. Else their beginnings are embedded by the cache's embedder. Below .94 (.97 where no second look is made), or where a
 *      rule of decide/decide.h speaks against it (a number, a negation, an opposite, a name ...): different.
 */
#ifndef LC_ASK_SAME_ANSWER_H
#define LC_ASK_SAME_ANSWER_H

#include "ask/cache.h"

#define LC_ANSWER_BEGINNING 1000 /* bytes that are compared where they are not equal */

typedef enum lc_sameness {
    LC_SAME_UNKNOWN = -1, /* the embedder failed, or memory: nobody knows */
    LC_SAME_NO = 0,
    LC_SAME_YES = 1
} lc_sameness;

/* Any thread; may wait for judge and embedder, as their time limits say. */
lc_sameness lc_same_answer(llmcache *cache, const char *question, const char *first,
                           const char *second);

/* Pure parts. */
int lc_equal_but_for_space(const char *first, const char *second);
/* Bytes of the beginning: at most `most`, cut where a character ends. */
size_t lc_beginning(const char *text, size_t most);

#endif

/*
 * Opposites that were exchanged: one question has a word, the other its opposite, and
 * neither has both.
 */
#ifndef LC_DECIDE_ANTONYMS_H
#define LC_DECIDE_ANTONYMS_H

#include "decide/reading.h"

typedef struct lc_swap {
    uint32_t a_at, a_size; /* bytes of the one text */
    uint32_t b_at, b_size; /* of the other */
    int listed;            /* a row the score was fitted with, or a negative prefix */
    int negates;           /* one of the words is a negation too */
    int anchored;          /* the word before or behind is the same on both sides */
} lc_swap;

/*
 * Writes up to `room` exchanges, in the order of a's words, and returns how many there
 * are. Of Chinese rows that overlap in the text only the first found counts.
 */
size_t lc_swaps_find(const lc_reading *a, const lc_reading *b, lc_swap *swaps,
                     size_t room);

#endif

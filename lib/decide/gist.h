/*
 * What a text is about: its words without the light ones that questions put around their
 * subject ("how can I", 請問, 是什麼), numbers and negations left out too, because rules
 * of their own compare them. Words that may stand for each other (buy, purchase) are one
 * item, and so are a word and its plain endings (card, cards) and both scripts' forms of a
 * Han character. wordings.def has the lists.
 */
#ifndef LC_DECIDE_GIST_H
#define LC_DECIDE_GIST_H

#include "decide/numbers.h"
#include "decide/reading.h"

#define LC_ITEMS_MAX 64 /* longer texts have no gist */

typedef struct lc_item {
    uint32_t key;      /* the same for items that may stand for each other */
    uint32_t at, size; /* bytes of the reading's text */
    uint32_t term;     /* the term it begins in */
    uint32_t next;     /* the first term behind it */
} lc_item;

typedef struct lc_gist {
    lc_item items[LC_ITEMS_MAX]; /* in order of the text */
    size_t count;
    int whole; /* 0: the text has more than these */
} lc_gist;

void lc_gist_find(const lc_reading *reading, const lc_numbers *numbers, lc_gist *gist);

#endif

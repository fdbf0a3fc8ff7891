/*
 * The numbers a text names, as values: 1,000 and 一千 and "one thousand" are one number;
 * so are 2nd, second and 第二. Versions and times keep their points and colons (3.10 is
 * not 3.1, 9:15 is not 9:45). Found: decimal digits, also inside words (CD-3320, C23),
 * English number words and ordinals, Roman numerals of names (Henry VIII), Chinese
 * numerals of both scripts, alone or mixed with digits (3萬5千).
 */
#ifndef LC_DECIDE_NUMBERS_H
#define LC_DECIDE_NUMBERS_H

#include "decide/reading.h"

typedef enum lc_weight {
    LC_WEAK,  /* a lone one (一, "one"): as often an article as a number */
    LC_PLAIN, /* may be said without a number too: 第一 and 首, "the two of them" */
    LC_FIRM   /* written in digits */
} lc_weight;

typedef struct lc_number {
    uint64_t key;      /* hash of its canonical decimal form */
    uint32_t at, size; /* bytes of the reading's text */
    uint32_t term;     /* the term it begins in */
    uint32_t next;     /* the first term behind it */
    lc_weight weight;
} lc_number;

typedef struct lc_numbers {
    lc_number *list; /* in order of the text */
    size_t count, room;
} lc_numbers;

/* 0 or LLMCACHE_MEMORY. */
int lc_numbers_find(const lc_reading *reading, lc_numbers *numbers);
void lc_numbers_done(lc_numbers *numbers); /* accepts a zeroed one */

/* The first number of `these` of at least this weight that is not among `those` at all;
 * NULL if none. */
const lc_number *lc_numbers_alone(const lc_numbers *these, const lc_numbers *those,
                                  lc_weight weight);

/* The first number that is named here more often than there; NULL if none. */
const lc_number *lc_numbers_more(const lc_numbers *these, const lc_numbers *those);

#endif

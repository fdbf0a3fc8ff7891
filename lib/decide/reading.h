/*
 * One text as the rules read it: Unicode NFKC, lower case, Latin letters without accents,
 * characters that do not show left out, white space folded to single spaces, cut into terms (a Han character, or a
 * run of letters and digits with inner apostrophes). Rules look at these bytes and terms
 * only, so that full-width letters, compatibility forms and zero-width characters cannot
 * hide a difference from them.
 */
#ifndef LC_DECIDE_READING_H
#define LC_DECIDE_READING_H

#include <stddef.h>
#include <stdint.h>

typedef enum lc_term_kind { LC_TERM_WORD, LC_TERM_HAN } lc_term_kind;

typedef struct lc_term {
    uint32_t at, size;     /* bytes of lc_reading.text */
    unsigned char kind;    /* lc_term_kind */
    unsigned char capital; /* began with an upper-case letter */
    unsigned char upper;   /* had no lower-case letter, and an upper-case one */
    unsigned char opens;   /* first of the text or of a sentence */
} lc_term;

typedef struct lc_reading {
    char *text; /* NUL-terminated */
    size_t size;
    lc_term *terms; /* in order of the text */
    size_t term_count;
    uint32_t *sorted; /* indices of terms, by their bytes */
    size_t han_count; /* terms that are Han characters */
} lc_reading;

/* Some bytes of a text; text NULL: none. */
typedef struct lc_slice {
    const char *text;
    size_t size;
} lc_slice;

/* 0 or LLMCACHE_MEMORY; what is not UTF-8 counts as U+FFFD. */
int lc_reading_init(lc_reading *reading, const char *text, size_t size);
void lc_reading_done(lc_reading *reading); /* accepts a zeroed one */

/* Does the text have this term anywhere? */
int lc_reading_has(const lc_reading *reading, const char *term, size_t size);
/* The same for term `position` of another reading. */
int lc_reading_shares(const lc_reading *reading, const lc_reading *other,
                      size_t position);

/* Does the text have these bytes anywhere? */
int lc_reading_contains(const lc_reading *reading, const char *bytes, size_t size);

/* The bytes of term `position`; none past the end. */
lc_slice lc_term_slice(const lc_reading *reading, size_t position);

/* Is term i of a the same as term j of b? False past the end. */
int lc_term_same(const lc_reading *a, size_t i, const lc_reading *b, size_t j);
/* The same for neighbours: two ends are alike, and two beginnings (position SIZE_MAX). */
int lc_border_same(const lc_reading *a, size_t i, const lc_reading *b, size_t j);

/* Is term `position` this word? False past the end. */
int lc_term_is(const lc_reading *reading, size_t position, const char *word);
/* Is it one of these words (sorted by their bytes)? */
int lc_term_in(const lc_reading *reading, size_t position, const char *const *words,
               size_t count);

int lc_is_han(uint32_t cp); /* U+3400-9FFF */

#endif

/*
 * Phrases of a list (a place, a currency, a day) found in a text. A list is sorted by its
 * phrases' bytes; several phrases may stand for one value. English phrases match whole
 * words, the longest phrase wins, and what one has covered is not read again.
 */
#ifndef LC_DECIDE_MARKS_H
#define LC_DECIDE_MARKS_H

#include "decide/case.h"
#include "decide/reading.h"

#define LC_SIGHTINGS_MAX 32

typedef struct lc_mark {
    const char *phrase;
    size_t size;
    const char *value;
} lc_mark;

/* For the rows of a list. */
#define LC_MARK(phrase, value) {phrase, sizeof(phrase) - 1, value},

typedef struct lc_sighting {
    const char *value;
    uint32_t at, size; /* bytes of the text */
} lc_sighting;

typedef struct lc_sightings {
    lc_sighting list[LC_SIGHTINGS_MAX]; /* in order of the text */
    size_t count;
} lc_sightings;

void lc_marks_find(const lc_mark *marks, size_t mark_count, const lc_reading *reading,
                   lc_sightings *found);

/* The longest phrase at byte `at`, or NULL. */
const lc_mark *lc_mark_at(const lc_mark *marks, size_t mark_count,
                          const lc_reading *reading, size_t at);

/* The first of `these` whose value is not among `those`; NULL if none. */
const lc_sighting *lc_sighting_alone(const lc_sightings *these,
                                     const lc_sightings *those);

/* Its bytes; none for NULL. */
lc_slice lc_sighting_slice(const lc_reading *reading, const lc_sighting *sighting);

/* 1 with a detail when each question has a value that the other lacks. */
int lc_marks_differ(const lc_mark *marks, size_t mark_count, const lc_case *c,
                    char *detail);

#endif

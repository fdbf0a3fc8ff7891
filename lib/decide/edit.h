/*
 * How the gist of one question becomes that of the other: left as it is, one place
 * replaced, one place added, two places exchanged, or more than that. Where one place
 * differs, the pair is an edit rather than a paraphrase, and that place decides.
 */
#ifndef LC_DECIDE_EDIT_H
#define LC_DECIDE_EDIT_H

#include "decide/gist.h"

typedef enum lc_edit_kind {
    LC_EDIT_OTHER, /* several places, nothing in common, or too long to compare */
    LC_EDIT_NONE,
    LC_EDIT_REPLACED,
    LC_EDIT_ADDED,
    LC_EDIT_EXCHANGED
} lc_edit_kind;

/* Items of a gist: from `begin` to before `end`. */
typedef struct lc_run {
    uint32_t begin, end;
} lc_run;

/* x is a's, y is b's. REPLACED: y stands where x stood. ADDED: one of them is empty.
 * EXCHANGED: the same, and x stands elsewhere in b, where a has y. */
typedef struct lc_edit {
    lc_edit_kind kind;
    lc_run x, y;
} lc_edit;

void lc_edit_find(const lc_reading *a, const lc_gist *a_gist, const lc_reading *b,
                  const lc_gist *b_gist, lc_edit *edit);

/* From the first item of the run to its last; none for an empty one. */
lc_slice lc_run_slice(const lc_reading *reading, const lc_gist *gist, lc_run run);

#endif

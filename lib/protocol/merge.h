/*
 * Putting an answer together from the pieces of a stream, without knowing its fields.
 * What comes in pieces is text, and pieces of text are joined; what comes whole is taken
 * as it comes; what stands in an array under an `index` goes on where that index is. Only
 * the few names whose text is repeated rather than continued have to be known.
 */
#ifndef LC_PROTOCOL_MERGE_H
#define LC_PROTOCOL_MERGE_H

#include "protocol/json_tree.h"

typedef struct lc_merge {
    lc_arena
        *arena;   /* where the answer lives; the pieces live elsewhere and are copied */
    size_t taken; /* bytes of JSON taken over so far */
    size_t max;
} lc_merge;

/* All return 0, LLMCACHE_MEMORY, LLMCACHE_TOO_LARGE, or LLMCACHE_INVALID: the pieces do
 * not fit. */

/* Joins each member of `piece` to the member of the same name. */
int lc_merge_object(lc_merge *merge, lc_tree *into, const lc_tree *piece);
/* A text that a later piece says again or replaces, such as an id; others are continued. */
int lc_merge_is_repeated(const lc_tree *member);
/* Joins one member. */
int lc_merge_member(lc_merge *merge, lc_tree *into, const lc_tree *member);
/* Takes this member in place of the old one, unless it is null; of two objects, member by
 * member. */
int lc_merge_replace(lc_merge *merge, lc_tree *into, const lc_tree *member);
/* Appends text to a string of the answer. */
int lc_merge_text(lc_merge *merge, lc_tree *string, const lc_tree *piece);
/* A copy of the piece for the answer; NULL: *status says why. */
lc_tree *lc_merge_copy(lc_merge *merge, const lc_tree *piece, int *status);

/* The item of `array` with this `index`, made as {"index": N} at its place when there is
 * none. */
int lc_merge_at(lc_merge *merge, lc_tree *array, int64_t index, lc_tree **item);

/* The member as an object or array, made when it is absent or null. LLMCACHE_INVALID: it
 * is something else. */
int lc_merge_container(lc_merge *merge, lc_tree *object, const char *name,
                       lc_tree_type type, lc_tree **container);

#endif

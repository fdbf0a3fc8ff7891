/*
 * An arena: memory that is given out in small pieces and taken back all at once. Trees of
 * JSON live in one, so that reading a body costs a few allocations and freeing it none
 * that could be forgotten. One owner, no locks.
 */
#ifndef LC_PROTOCOL_ARENA_H
#define LC_PROTOCOL_ARENA_H

#include <stddef.h>

typedef struct lc_arena_block lc_arena_block;

typedef struct lc_arena {
    lc_arena_block *block; /* the newest, with a list of the older ones */
    size_t used;           /* of the newest */
    size_t total;          /* of all */
} lc_arena;

/* A zeroed lc_arena is ready to use. */
void lc_arena_done(lc_arena *arena);
void lc_arena_reset(
    lc_arena *arena); /* takes all pieces back, keeps the newest block for the next use */

/* Aligned for any pointer; uninitialised. NULL: no memory. */
void *lc_arena_take(lc_arena *arena, size_t size);

#endif

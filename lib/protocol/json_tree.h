/*
 * JSON as a tree that loses nothing.
 *
 * A cache key must tell 2^53 from 2^53 + 1, a kept answer must give back a number as it
 * was written, and a member of a request must be cut out without touching the bytes
 * around it. General libraries turn numbers into doubles and forget positions, and
 * allocate outside of base/memory.h, so this room reads JSON by itself: numbers stay the
 * text they were, every value knows where it stood, and a tree lives in one arena. Strict
 * RFC 8259 and UTF-8; also refused: members of the same name, halves of surrogate pairs,
 * nesting deeper than LC_TREE_DEPTH, texts of 4 GiB.
 */
#ifndef LC_PROTOCOL_JSON_TREE_H
#define LC_PROTOCOL_JSON_TREE_H

#include "base/buffer.h"
#include "protocol/arena.h"

#include <llmcache/llmcache.h>

enum {
    LC_TREE_DEPTH = 512,
    LC_TREE_VALUES = 1 << 20 /* in one text; a value costs some 60 bytes of memory */
};

typedef enum lc_tree_type {
    LC_TREE_NULL,
    LC_TREE_FALSE,
    LC_TREE_TRUE,
    LC_TREE_NUMBER,
    LC_TREE_STRING,
    LC_TREE_NUMBERS, /* an array of nothing but numbers, as text: see below */
    LC_TREE_ARRAY,
    LC_TREE_OBJECT
} lc_tree_type;

typedef struct lc_tree lc_tree;
struct lc_tree {
    union {
        const char *text; /* a string decoded, a number or numbers as written; no NUL behind */
        lc_tree *first;   /* child of an array or object */
    };
    lc_tree *last;       /* child of an array or object */
    lc_tree *next;       /* sibling */
    const char *name;    /* of an object's member, decoded; NULL elsewhere */
    uint32_t size;       /* bytes of text, or number of children */
    uint32_t name_size;  /* bytes of name */
    uint32_t name_at;    /* where the name begins in the source, its quote included */
    uint32_t start, end; /* where the value stands in the source */
    uint8_t type;        /* lc_tree_type */
    uint8_t grown;       /* text was made by lc_tree_append and has spare room */
    uint8_t marked;      /* for the caller */
};

/*
 * Reads one JSON text. Strings without escapes and numbers point into `text`, which must
 * stay. LLMCACHE_INVALID names the byte; LLMCACHE_MEMORY.
 */
int lc_tree_read(lc_arena *arena, const char *text, size_t size, lc_tree **root,
                 llmcache_error *err);

/*
 * Vectors and lists of tokens are by far the longest arrays there are, and nearly always only moved. An
 * array with numbers in it and nothing else is therefore one value of its text, brackets included. This
 * walks through it: *at begins as value->text; 1 and the number, 0 at the end.
 */
int lc_tree_next_number(const lc_tree *numbers, const char **at, lc_tree *number);

/* ---- Looking: all take NULL and any type ---- */

/* The member of an object; NULL when there is none. */
lc_tree *lc_tree_find(const lc_tree *object, const char *name);
lc_tree *lc_tree_member(const lc_tree *object, const char *name, size_t name_size);
/* The first child; NULL when it is no container. */
lc_tree *lc_tree_children(const lc_tree *value);
int lc_tree_named(const lc_tree *member, const char *name);
int lc_tree_is_type(const lc_tree *value, lc_tree_type type);
/* A string that says just this? */
int lc_tree_is_text(const lc_tree *value, const char *text);
int lc_tree_is_true(const lc_tree *value);
/* Absent or null? */
int lc_tree_is_nothing(const lc_tree *value);
/* Written alike, members in the same order? */
int lc_tree_same(const lc_tree *a, const lc_tree *b);
/* A whole number that fits, however written (1, 1.0, 1e0); -1 when it is none. */
int lc_tree_integer(const lc_tree *value, int64_t *number);
/* The members by name, an array of object->size for lc_free. NULL: no memory. */
lc_tree **lc_tree_sorted(const lc_tree *object);

/* ---- Making: NULL or LLMCACHE_MEMORY when there is no memory ---- */

lc_tree *lc_tree_new(lc_arena *arena, lc_tree_type type);
lc_tree *lc_tree_string(lc_arena *arena, const char *text, size_t size); /* copies */
lc_tree *lc_tree_number(lc_arena *arena, int64_t number);
lc_tree *lc_tree_copy(lc_arena *arena, const lc_tree *value); /* deep, without its name */
/* Adds a tree that hangs nowhere yet at the end; NULL is one that failed to be made. */
int lc_tree_add(lc_tree *array, lc_tree *value);
/* The same behind `before`, or first when that is NULL. */
void lc_tree_insert(lc_tree *array, lc_tree *before, lc_tree *value);
/* Replaces the member or adds it; copies the name. */
int lc_tree_set(lc_arena *arena, lc_tree *object, const char *name, size_t name_size,
                lc_tree *value);
void lc_tree_drop(lc_tree *object, const char *name);
/* Makes an array with children of numbers, so that something else may be added. */
int lc_tree_unpack(lc_arena *arena, lc_tree *numbers);
/* Appends to a string in amortised constant time a byte. */
int lc_tree_append(lc_arena *arena, lc_tree *string, const char *text, size_t size);

/* Writes compactly; U+0085, U+2028, U+2029 escaped: some clients end a line there. */
int lc_tree_write(const lc_tree *value, lc_buffer *out);
int lc_tree_write_string(const char *text, size_t size, lc_buffer *out);

#endif

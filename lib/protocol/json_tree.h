/*
 * JSON as a tree that loses nothing.
 *
 * A cache key must tell 2^53 from 2^53 + 1, a kept answer must give back a number as it
 * was written, and a member of a request must be cut out without touching the bytes
 * around it. General libraries turn numbers into doubles and forget positions, and
 * allocate outside of base/memory.h, so this room reads JSON by itself: numbers stay the
 * text they were, every value knows where it stood, and a tree lives in one arena. Strict
 * RFC 8259 and UTF-8; also refused: members of the same name, halves of surrogate pairs,
 * nesting deeper than LC_JSON_DEPTH, texts of 4 GiB.
 */
#ifndef LC_PROTOCOL_JSON_TREE_H
#define LC_PROTOCOL_JSON_TREE_H

#include "base/buffer.h"
#include "protocol/arena.h"

#include <llmcache/llmcache.h>

enum { LC_JSON_DEPTH = 512 };

typedef enum lc_json_type {
    LC_JSON_NULL,
    LC_JSON_FALSE,
    LC_JSON_TRUE,
    LC_JSON_NUMBER,
    LC_JSON_STRING,
    LC_JSON_ARRAY,
    LC_JSON_OBJECT
} lc_json_type;

typedef struct lc_json lc_json;
struct lc_json {
    union {
        const char *text; /* of a string, decoded, or of a number, as written; not
                             NUL-terminated */
        lc_json *first;   /* child of an array or object */
    };
    lc_json *next;    /* sibling */
    const char *name; /* of an object's member, decoded; NULL elsewhere */
    uint32_t size;    /* bytes of text, or number of children */
    uint32_t name_size;
    uint32_t
        name_at; /* where the member's name begins in the source, its quote included */
    uint32_t start, end; /* where the value stands in the source */
    uint8_t type;        /* lc_json_type */
    uint8_t grown;  /* text was made by lc_json_append and has spare room behind it */
    uint8_t marked; /* for the caller */
};

/*
 * Reads one JSON text. Strings without escapes and numbers point into `text`, which must
 * stay. LLMCACHE_INVALID names the byte; LLMCACHE_MEMORY.
 */
int lc_json_read(lc_arena *arena, const char *text, size_t size, lc_json **root,
                 llmcache_error *err);

/* ---- Looking: all take NULL and any type
 * ------------------------------------------------------ */

lc_json *lc_json_find(const lc_json *object,
                      const char *name); /* NULL: not there, or no object */
lc_json *
lc_json_children(const lc_json *value); /* the first; NULL when it is no container */
int lc_json_named(const lc_json *member, const char *name);
int lc_json_is_type(const lc_json *value, lc_json_type type); /* 0 for NULL */
int lc_json_is_text(const lc_json *value,
                    const char *text); /* a string that says just this */
int lc_json_is_true(const lc_json *value);
int lc_json_is_nothing(const lc_json *value); /* absent or null */
/* A whole number that fits, however written (1, 1.0, 1e0); -1 when it is none. */
int lc_json_integer(const lc_json *value, int64_t *number);

/* Sorts the members by name into an array of object->size; lc_free it. NULL: no memory.
 */
lc_json **lc_json_sorted(const lc_json *object);

/* ---- Making: NULL or LLMCACHE_MEMORY when there is no memory
 * -------------------------------------- */

lc_json *lc_json_new(lc_arena *arena, lc_json_type type);
lc_json *lc_json_string(lc_arena *arena, const char *text, size_t size); /* copies */
lc_json *lc_json_copy(lc_arena *arena, const lc_json *value); /* deep, without its name */
/* Adds `value` (a tree that hangs nowhere yet; NULL is a failed making) at the end. */
int lc_json_add(lc_json *array, lc_json *value);
/* Replaces the member or adds it; copies the name. */
int lc_json_set(lc_arena *arena, lc_json *object, const char *name, size_t name_size,
                lc_json *value);
void lc_json_drop(lc_json *object, const char *name);
/* Appends to a string in amortised constant time a byte. */
int lc_json_append(lc_arena *arena, lc_json *string, const char *text, size_t size);

/* Writes compactly; U+0085, U+2028 and U+2029 escaped, since some clients end a line
 * there. */
int lc_json_write(const lc_json *value, lc_buffer *out);
int lc_json_write_string(const char *text, size_t size, lc_buffer *out);

#endif

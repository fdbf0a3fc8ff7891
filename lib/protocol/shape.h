/*
 * Shapes: what a request's fields were, in so few bytes that every kept answer can carry them, so that a
 * miss can be told by name: "temperature 0.7 against 1.0". A shape explains; it never decides.
 *
 * It is text, one line a field, PATH and VALUE with a blank between:
 *
 *     model 'gpt-4o                    a short word, as it is: models, roles, names of tools, never prompts
 *     temperature 0.7                  numbers, true, false, null
 *     messages [2                      an array and its length
 *     tools [2=RwPz0q1B                with the digest of all of it, order included
 *     tools[search] =Ye3vB_aa          anything by its digest
 *     messages[0].content ~245=...     a text: its characters, digest, digest without its spots (spots.h),
 *                                      one digest for each step through it, and the spots
 *     messages[1].content ?            what the user asked last: the entry's question, compared there
 *
 * Digests are of the canonical form: equal where the key takes them for equal. Prompts stand in a shape by
 * digests only. One that would grow past LC_SHAPE_BYTES gives the rest of its fields in fewer lines.
 */
#ifndef LC_PROTOCOL_SHAPE_H
#define LC_PROTOCOL_SHAPE_H

#include "protocol/protocol.h"

enum { LC_SHAPE_BYTES = 2048, LC_SHAPE_LINES = 160 };

/* Appends the shape of a body. LLMCACHE_INVALID for one that lc_question_read refuses, LLMCACHE_MEMORY. */
int lc_shape_write(lc_protocol protocol, const char *body, size_t size, unsigned key_fields,
                   lc_buffer *shape, llmcache_error *err);

/* Appends a field that is not in the body; shown 0: as a digest. */
void lc_shape_add(const char *path, const char *value, int shown, lc_buffer *shape);

/* ---- Comparing ----------------------------------------------------------------------- */

typedef struct lc_shape_line {
    const char *path, *value; /* of the shape's own bytes */
    size_t path_size, value_size;
} lc_shape_line;

/* Cuts a shape into lines, up to LC_SHAPE_LINES; how many. What is no line is passed over. */
size_t lc_shape_cut(const char *shape, lc_shape_line lines[LC_SHAPE_LINES]);

/* A line's value without what changes by itself (spots, numbers, the order of tools). */
uint64_t lc_shape_masked(const lc_shape_line *line);

enum { LC_SHAPE_SHOWN = 64 };

typedef struct lc_difference {
    char field[96];
    char here[LC_SHAPE_SHOWN], there[LC_SHAPE_SHOWN]; /* as far as shown; "" where only digests are kept */
    const char *kind; /* "value", "added" (only here), "removed" (only there), "order", "length",
                         "text", "date", "time", "uuid", "random", "number" */
    int64_t from, to; /* the first difference lies in these characters of the text; -1 */
} lc_difference;

/* The differences of two shapes, up to `room` of them written; how many there are. */
size_t lc_shape_compare(const char *here, const char *there, lc_difference *list, size_t room);

#endif

/*
 * Reading small JSON documents: facts, replies of services. A thin cover of jansson, so that rooms which
 * only need to look something up do not depend on it. (The protocol room, which must lose nothing of a body,
 * has trees of its own: protocol/json_tree.h.) Writing is lc_buffer_json.
 */
#ifndef LC_BASE_JSON_H
#define LC_BASE_JSON_H

#include <llmcache/llmcache.h>

typedef struct lc_json lc_json;

/*
 * Reads one object or array, strictly: nothing behind it, no duplicate keys, valid UTF-8. Free the root with
 * lc_json_free; what the functions below return lives as long. LLMCACHE_INVALID, LLMCACHE_MEMORY.
 */
int lc_json_parse(const char *text, size_t size, lc_json **root, llmcache_error *err);
void lc_json_free(lc_json *root);

/* All accept NULL, so that a path needs one check at its end. */
const lc_json *lc_json_get(const lc_json *object, const char *key); /* NULL: no such member, no object */
const lc_json *lc_json_at(const lc_json *array, size_t position);
size_t lc_json_count(const lc_json *array); /* 0 unless it is an array */

/* Calls `fn` for each member of an object, in no order, until it returns something else than 0, which is
 * passed on. 0 for what is no object. */
int lc_json_each(const lc_json *object,
                 int (*fn)(void *user, const char *key, const lc_json *value), void *user);

/* The text with a NUL behind it, NULL unless it is a string. size may be NULL; with it, NULs inside count. */
const char *lc_json_text(const lc_json *value, size_t *size);
int lc_json_integer(const lc_json *value, int64_t *integer); /* 1 if it is one, else 0 and unchanged */
int lc_json_number(const lc_json *value, double *number);    /* the same, of either kind */
int lc_json_is_true(const lc_json *value);
int lc_json_is_boolean(const lc_json *value);

#endif

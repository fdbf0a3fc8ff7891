/*
 * Errors: the lowest layer that knows writes the text, the others pass it on unchanged.
 * `err` may be NULL everywhere.
 */
#ifndef LC_BASE_ERROR_H
#define LC_BASE_ERROR_H

#include <llmcache/llmcache.h>

/* Fills *err (code, message; no upstream status, no retry-after) and returns code. */
int lc_fail(llmcache_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), nonnull(3)));

/* LLMCACHE_MEMORY with its usual text. */
int lc_fail_memory(llmcache_error *err);

/* For who hands a place for errors on to a back end, which is promised one. */
static inline llmcache_error *lc_error_or(llmcache_error *err, llmcache_error *room)
{
    return err ? err : room;
}

/* The code's default text. */
const char *lc_code_text(int code);

#endif

/*
 * Server-sent events (WHATWG HTML, 9.2.6), from any split of bytes. Lines end with LF, CR
 * or CR LF and at nothing else; an event counts only after its blank line; comments, `id`
 * and `retry` say nothing here.
 */
#ifndef LC_PROTOCOL_SSE_H
#define LC_PROTOCOL_SSE_H

#include "base/buffer.h"

typedef struct lc_sse {
    lc_buffer line;   /* the unfinished one */
    lc_buffer name;   /* of the event under way; empty: none was given */
    lc_buffer data;   /* of the event under way, a new line behind each of its lines */
    int begun;        /* a line was seen: a byte order mark may not follow */
    int after_return; /* the last byte was CR: an LF belongs to it */
} lc_sse;

/* One event that has data. The strings are NUL-terminated and live for the call. */
typedef int (*lc_sse_fn)(void *user, const char *name, const char *data, size_t size);

/* An event longer than max_bytes is LLMCACHE_TOO_LARGE. */
void lc_sse_init(lc_sse *sse, size_t max_bytes);
void lc_sse_done(lc_sse *sse);

/* 0, LLMCACHE_MEMORY, LLMCACHE_TOO_LARGE, or what `fn` returned to stop. */
int lc_sse_feed(lc_sse *sse, const char *bytes, size_t size, lc_sse_fn fn, void *user);

#endif

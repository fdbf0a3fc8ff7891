/* Header rules that both directions of an exchange share (RFC 9110, RFC 9112). */
#ifndef LC_NET_HTTP_HEADERS_H
#define LC_NET_HTTP_HEADERS_H

#include "base/buffer.h"

#include <llmcache/llmcache.h>

enum { LC_HEAD_MAX_COUNT = 128, LC_HEAD_MAX_BYTES = 64 * 1024 };

/* The head of one reply while it comes in, a line at a time. Strings live in `text`. */
typedef struct lc_head {
    lc_buffer text; /* "name\0value\0" after another; kept between exchanges */
    size_t name_at[LC_HEAD_MAX_COUNT];
    size_t value_at[LC_HEAD_MAX_COUNT];
    llmcache_header list[LC_HEAD_MAX_COUNT]; /* filled by lc_head_finish */
    size_t count;
    int64_t content_length; /* -1 while not told */
    int encoded;            /* Content-Encoding or Transfer-Encoding: the length says nothing */
} lc_head;

void lc_head_init(lc_head *head);
void lc_head_done(lc_head *head);
void lc_head_clear(lc_head *head); /* before each status line: interim replies are forgotten */

/* Takes "Name: value\r\n". LLMCACHE_TOO_LARGE past the limits, LLMCACHE_MEMORY; nonsense is left out. */
int lc_head_add(lc_head *head, const char *line, size_t size);

/* Fills list and count with the end-to-end headers. */
void lc_head_finish(lc_head *head);

/*
 * Does this header end at the next hop, by its name or because `Connection` among the headers names
 * it? Content-Length counts: each hop frames its own body.
 */
int lc_header_is_hop(const llmcache_header *headers, size_t count, const char *name);

/* May these go on the wire? No line breaks, no other control characters, a name of token characters. */
int lc_header_is_sane(const char *name, const char *value);

/*
 * prefix + key for a header that says who asks, without the white space around the key that files and
 * shells leave. *value is NULL when the key is NULL or empty. 0 or LLMCACHE_MEMORY; free with lc_free.
 */
int lc_credential(const char *prefix, const char *key, char **value);

#endif

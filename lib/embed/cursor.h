/* Reading foreign bytes first to last: a cursor that cannot leave them. */
#ifndef LC_EMBED_CURSOR_H
#define LC_EMBED_CURSOR_H

#include <llmcache/llmcache.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct lc_cursor {
    const char *at;
    size_t left;
} lc_cursor;

/* Moves on by `size` bytes and returns where they start; NULL when fewer are left. */
static inline const char *lc_take(lc_cursor *from, uint64_t size)
{
    const char *at = from->at;
    if (size > from->left)
        return NULL;
    from->at += size;
    from->left -= size;
    return at;
}

/* Copies the next bytes; 0 or LLMCACHE_CORRUPT. */
static inline int lc_take_bytes(lc_cursor *from, void *out, size_t size)
{
    const char *at = lc_take(from, size);
    if (!at)
        return LLMCACHE_CORRUPT;
    memcpy(out, at, size);
    return 0;
}

/* Little-endian numbers, as the machine's own. */
static inline int lc_take_u32(lc_cursor *from, uint32_t *value)
{
    return lc_take_bytes(from, value, sizeof *value);
}

static inline int lc_take_u64(lc_cursor *from, uint64_t *value)
{
    return lc_take_bytes(from, value, sizeof *value);
}

#endif

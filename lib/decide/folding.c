/*
 * utf8proc does the Unicode work in one array of code points. ASCII, the common case,
 * skips the normalisation.
 */
#include "decide/folding.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <llmcache/llmcache.h>
#include <utf8proc.h>

#define FOLDING (UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_IGNORE)

static int is_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x80 || text[i] == 0)
            return 0;
    return 1;
}

/* A copy that is valid UTF-8 and has no NUL. */
static int mend(const char *text, size_t size, lc_buffer *out)
{
    for (size_t at = 0; at < size;) {
        size_t length;
        char bytes[4];
        uint32_t cp = lc_utf8_decode(text + at, size - at, &length);
        lc_buffer_add(out, bytes, lc_utf8_encode(cp ? cp : ' ', bytes));
        at += length;
    }
    return out->broken;
}

static int32_t *widen(const char *text, size_t size)
{
    int32_t *cps = lc_alloc_array(size + 1, sizeof *cps);
    for (size_t i = 0; cps && i < size; i++)
        cps[i] = (unsigned char)text[i];
    return cps;
}

static int32_t *compose(const char *text, size_t size, size_t *count)
{
    *count = size;
    if (is_ascii(text, size))
        return widen(text, size);
    int32_t *cps = NULL;
    lc_buffer mended;
    lc_buffer_init(&mended, 0);
    if (mend(text, size, &mended))
        goto out;
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)mended.data;
    utf8proc_ssize_t room = (utf8proc_ssize_t)mended.size;
    utf8proc_ssize_t need = utf8proc_decompose(bytes, room, NULL, 0, FOLDING);
    if (need < 0 || !(cps = lc_alloc_array((size_t)need + 1, sizeof *cps)))
        goto out;
    need = utf8proc_decompose(bytes, room, cps, need, FOLDING);
    *count = (size_t)utf8proc_normalize_utf32(cps, need, FOLDING);
out:
    lc_buffer_done(&mended);
    return cps;
}

static int is_blank(int32_t cp)
{
    return cp == ' ' || utf8proc_category(cp) == UTF8PROC_CATEGORY_ZS ||
           utf8proc_category(cp) == UTF8PROC_CATEGORY_CC ||
           utf8proc_category(cp) == UTF8PROC_CATEGORY_ZL ||
           utf8proc_category(cp) == UTF8PROC_CATEGORY_ZP;
}

/* Folds white space in place and trims the ends. */
static size_t fold_blanks(int32_t *cps, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_blank(cps[i]))
            cps[kept++] = cps[i];
        else if (kept > 0 && cps[kept - 1] != ' ')
            cps[kept++] = ' ';
    }
    return kept > 0 && cps[kept - 1] == ' ' ? kept - 1 : kept;
}

int32_t *lc_fold_points(const char *text, size_t size, size_t *count)
{
    int32_t *cps = compose(text, size, count);
    if (cps)
        *count = fold_blanks(cps, *count);
    return cps;
}

int lc_fold_text(const char *text, size_t size, lc_buffer *out)
{
    size_t count;
    int32_t *cps = lc_fold_points(text, size, &count);
    if (!cps)
        return out->broken = LLMCACHE_MEMORY;
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        lc_buffer_add(out, bytes, lc_utf8_encode((uint32_t)cps[i], bytes));
    }
    lc_free(cps);
    return out->broken;
}

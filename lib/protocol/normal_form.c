/*
 * utf8proc does the work; this file keeps it away from the many texts that do not need
 * it. The quick check is Unicode's (UAX #15): a text of characters that are starters and
 * have NFC_Quick_Check=Yes is normal. The table below names blocks that hold nothing
 * else; characters outside of them are rare and go the long way, which gives the same
 * bytes back where nothing is to be done.
 */
#include "protocol/normal_form.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <llmcache/llmcache.h>
#include <string.h>
#include <utf8proc.h>

/* utf8proc sorts marks by exchanging neighbours, so long runs of them cost the square of
 * their length. No writing system stacks more than a few; a text with more than this many
 * is left as it is. */
enum { LONGEST_RUN_OF_MARKS = 64 };

/* Sorted. A test compares every code point of it with utf8proc's tables. */
static const struct block {
    uint32_t first, last;
} plain_blocks[] = {
    {0x0000, 0x02ff},                     /* Latin, IPA, spacing modifiers */
    {0x0400, 0x0482},                     /* Cyrillic */
    {0x048a, 0x052f},   {0x2010, 0x2027}, /* dashes, quotation marks, ellipsis */
    {0x2030, 0x205e},   {0x2190, 0x21ff}, /* arrows */
    {0x2500, 0x27bf},                     /* box drawing, shapes, dingbats */
    {0x3000, 0x3029},                     /* CJK punctuation */
    {0x3030, 0x3098},                     /* hiragana */
    {0x309b, 0x31ff},                     /* katakana, bopomofo */
    {0x3400, 0x9fff},                     /* CJK ideographs */
    {0xac00, 0xd7a3},                     /* Hangul syllables */
    {0xfe00, 0xfe0f},                     /* variation selectors */
    {0xfe30, 0xffef},                     /* CJK forms, half and full width */
    {0x1f300, 0x1faff},                   /* emoji */
    {0x20000, 0x2a6df},                   /* more CJK ideographs */
};

static int is_plain(uint32_t cp)
{
    size_t low = 0, high = sizeof plain_blocks / sizeof *plain_blocks;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cp > plain_blocks[middle].last)
            low = middle + 1;
        else if (cp < plain_blocks[middle].first)
            high = middle;
        else
            return 1;
    }
    return 0;
}

/* 1: normal as it is, or to be left so. */
static int needs_nothing(const char *text, size_t size)
{
    int plain = 1, run = 0;
    for (size_t at = 0; at < size;) {
        size_t length;
        if ((unsigned char)text[at] < 0xcc) {
            /* ASCII, and two bytes of what is below U+0300 */
            at += (unsigned char)text[at] < 0x80 ? 1 : 2;
            run = 0;
            continue;
        }
        uint32_t cp = lc_utf8_decode(text + at, size - at, &length);
        at += length;
        if (is_plain(cp)) {
            run = 0;
            continue;
        }
        plain = 0;
        run = utf8proc_get_property((utf8proc_int32_t)cp)->combining_class ? run + 1 : 0;
        if (run > LONGEST_RUN_OF_MARKS)
            return 1;
    }
    return plain;
}

int lc_normal_form(const char *text, size_t size, const char **normal,
                   size_t *normal_size)
{
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    *normal = text;
    *normal_size = size;
    if (needs_nothing(text, size))
        return 0;
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t need =
        utf8proc_decompose(bytes, (utf8proc_ssize_t)size, NULL, 0, options);
    if (need < 0)
        return 0;
    utf8proc_int32_t *points = lc_alloc_array((size_t)need + 1, sizeof *points);
    if (!points)
        return LLMCACHE_MEMORY;
    utf8proc_ssize_t count =
        utf8proc_decompose(bytes, (utf8proc_ssize_t)size, points, need, options);
    count = count < 0 ? count : utf8proc_reencode(points, count, options);
    if (count < 0 || ((size_t)count == size && memcmp(points, text, size) == 0)) {
        lc_free(points);
        return 0;
    }
    *normal = (char *)points;
    *normal_size = (size_t)count;
    return 0;
}

static size_t space_at(const char *text, size_t size)
{
    if (size && (*text == ' ' || (*text >= '\t' && *text <= '\r')))
        return 1;
    if (size >= 2 && memcmp(text, "\xc2\xa0", 2) == 0)
        return 2;
    return size >= 3 && memcmp(text, "\xe3\x80\x80", 3) == 0 ? 3 : 0;
}

void lc_trim_left(const char **text, size_t *size)
{
    size_t length;
    while ((length = space_at(*text, *size)) > 0) {
        *text += length;
        *size -= length;
    }
}

void lc_trim_right(const char **text, size_t *size)
{
    for (size_t length = 1; length <= 3 && length <= *size;) {
        if (space_at(*text + *size - length, length) == length) {
            *size -= length;
            length = 1;
        } else {
            length++;
        }
    }
}

void lc_trim(const char **text, size_t *size)
{
    lc_trim_left(text, size);
    lc_trim_right(text, size);
}

/*
 * A piece is a code point and the marks that follow it, since only these can compose with
 * it or change places with each other. Stretches that NFC leaves alone are copied; only
 * pieces with marks, or letters that decompose, go through utf8proc. A row of more than
 * MAX_MARKS marks is cut (UAX #15's stream-safe format allows 30).
 */
#include "embed/nfc.h"

#include "base/utf8.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#define MAX_MARKS 120
#define MAX_PARTS 4 /* code points that one decomposes into canonically */
#define MAX_PIECE ((MAX_MARKS + 1) * MAX_PARTS * 4)

static int is_han(uint32_t cp)
{
    return cp >= 0x4e00 && cp <= 0x9fff;
}

/* Whether NFC may join it with what stands before: marks, and the second parts of Hangul
 * syllables. */
static int joins(uint32_t cp)
{
    if (cp < 0x300 || is_han(cp))
        return 0;
    if (cp >= 0x1160 && cp <= 0x11ff)
        return 1;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

/* Whether NFC leaves the code point as it is when no mark follows. */
static int is_stable(uint32_t cp)
{
    utf8proc_int32_t parts[MAX_PARTS];
    if (cp < 0xc0 || is_han(cp) || (cp >= 0xac00 && cp <= 0xd7a3))
        return 1;
    return utf8proc_decompose_char((utf8proc_int32_t)cp, parts, MAX_PARTS,
                                   UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, NULL) == 1 &&
           parts[0] == (utf8proc_int32_t)cp;
}

static size_t compose(lc_span piece, char *out)
{
    utf8proc_int32_t parts[(MAX_MARKS + 1) * MAX_PARTS];
    utf8proc_ssize_t count = utf8proc_decompose(
        (const utf8proc_uint8_t *)piece.data, (utf8proc_ssize_t)piece.size, parts,
        (utf8proc_ssize_t)(sizeof parts / sizeof *parts),
        UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
    assert(count > 0 && count <= (utf8proc_ssize_t)(sizeof parts / sizeof *parts));
    count = utf8proc_normalize_utf32(parts, count, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    size_t size = 0;
    for (utf8proc_ssize_t i = 0; i < count; i++)
        size += lc_utf8_encode((uint32_t)parts[i], out + size);
    return size;
}

/* The valid code points at the head of `from` that make one piece; *marks counts those
 * that join. */
static size_t piece_size(lc_span from, uint32_t *first, unsigned *marks)
{
    size_t length, size;
    *first = lc_utf8_decode(from.data, from.size, &size);
    for (*marks = 0; size < from.size && *marks < MAX_MARKS; (*marks)++, size += length) {
        uint32_t cp = lc_utf8_decode(from.data + size, from.size - size, &length);
        if (lc_utf8_length(from.data + size, from.size - size) == 0 || !joins(cp))
            break;
    }
    return size;
}

_Static_assert(MAX_PIECE <= LC_NFC_PIECE, "room for one composed piece");

size_t lc_nfc_next(lc_span *from, char out[LC_NFC_PIECE])
{
    size_t written = 0;
    while (from->size && written <= LC_NFC_PIECE - MAX_PIECE) {
        uint32_t first;
        unsigned marks;
        if (lc_utf8_length(from->data, from->size) == 0) {
            memcpy(out + written, "\xef\xbf\xbd", 3);
            written += 3;
            *from = (lc_span){from->data + 1, from->size - 1};
            continue;
        }
        size_t size = piece_size(*from, &first, &marks);
        if (marks == 0 && is_stable(first)) {
            memcpy(out + written, from->data, size);
            written += size;
        } else {
            written += compose((lc_span){from->data, size}, out + written);
        }
        *from = (lc_span){from->data + size, from->size - size};
    }
    return written;
}

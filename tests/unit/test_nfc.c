/* lib/embed/nfc: composing in pieces gives what composing the whole text gives. */
#include "base/utf8.h"
#include "embed/nfc.h"
#include "support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static size_t in_pieces(const char *text, size_t size, char *out, size_t room)
{
    lc_span from = {text, size};
    size_t written = 0, more;
    do {
        cr_assert(room - written >= LC_NFC_PIECE);
        more = lc_nfc_next(&from, out + written);
        written += more;
    } while (more);
    cr_assert_eq(from.size, 0);
    return written;
}

static void composes(const char *text, const char *expected)
{
    static char out[65536];
    size_t size = in_pieces(text, strlen(text), out, sizeof out);
    cr_assert(size == strlen(expected) && !memcmp(out, expected, size), "%s: %.*s", text,
              (int)size, out);
}

Test(nfc, examples)
{
    composes("", "");
    composes("plain", "plain");
    composes("e\u0301", "\u00e9");
    composes("\u00e9", "\u00e9");
    composes("o\u0323\u0302", "\u1ed9");
    composes("o\u0302\u0323", "\u1ed9"); /* marks in another order */
    composes("\u212b", "\u00c5");        /* a sign that is a letter */
    composes("\u1100\u1161\u11a8", "\uac01");
    composes("\uac00\u11a8", "\uac01");
    composes("\u0344", "\u0308\u0301"); /* a mark that comes apart */
    composes("\u0301a", "\u0301a");
    composes("\u304b\u3099", "\u304c");
    composes("快取", "快取");
    composes("\u0958", "\u0915\u093c"); /* excluded from composition */
}

Test(nfc, bytes_that_are_no_text)
{
    composes("a\xff"
             "b",
             "a\ufffd"
             "b");
    composes("\xed\xa0\x80", "\ufffd\ufffd\ufffd");
    composes("e\xcc", "e\ufffd");
    composes("\xff\u0301", "\ufffd\u0301");
}

/* Random text of letters, marks, jamo and whatever else. */
static size_t random_text(char *text, size_t count, uint32_t *seed)
{
    static const uint32_t ranges[][2] = {
        {0x20, 0x7e},     {0xc0, 0x17f},      {0x300, 0x345},   {0x370, 0x3ff},
        {0x900, 0x97f},   {0x1100, 0x11ff},   {0x1e00, 0x1eff}, {0x1f00, 0x1fff},
        {0x3041, 0x309a}, {0xac00, 0xd7a3},   {0x4e00, 0x9fff}, {0xf900, 0xfad9},
        {0x9be, 0x9d7},   {0x1d15e, 0x1d16f}, {0x340, 0x341},
    };
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        *seed = *seed * 1103515245 + 12345;
        const uint32_t *range = ranges[(*seed >> 8) % (sizeof ranges / sizeof *ranges)];
        *seed = *seed * 1103515245 + 12345;
        size += lc_utf8_encode(range[0] + (*seed >> 8) % (range[1] - range[0] + 1),
                               text + size);
    }
    return size;
}

Test(nfc, agrees_with_the_whole)
{
    static char text[4096], out[65536];
    uint32_t seed = 3;
    for (int i = 0; i < 20000; i++) {
        size_t size = random_text(text, (size_t)i % 40, &seed);
        text[size] = '\0';
        char *whole = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
        size_t made = in_pieces(text, size, out, sizeof out);
        cr_assert(made == strlen(whole) && !memcmp(whole, out, made), "text %d", i);
        free(whole);
    }
}

Test(nfc, a_long_row_of_marks_is_cut_and_kept)
{
    static char text[3000], out[65536];
    size_t size = 0, marks = 0;
    text[size++] = 'x';
    while (size < sizeof text - 1)
        size += lc_utf8_encode(0x300 + size % 5, text + size);
    size_t made = in_pieces(text, size, out, sizeof out);
    for (size_t at = 0, length; at < made; at += length, marks++)
        lc_utf8_decode(out + at, made - at, &length);
    cr_assert_eq(marks, 1 + (size - 1) / 2, "nothing is lost");
}

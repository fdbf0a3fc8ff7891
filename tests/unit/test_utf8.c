/* lib/base/utf8: every code point, and what RFC 3629 forbids. */
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

Test(utf8, every_scalar_value_comes_back)
{
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        if (cp == 0xd800)
            cp = 0xe000;
        char text[4];
        size_t size = lc_utf8_encode(cp, text), length;
        size_t want = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (size != want || lc_utf8_length(text, size) != size ||
            lc_utf8_decode(text, size, &length) != cp || length != size)
            cr_assert_fail("U+%04X", cp);
        for (size_t cut = 0; cut < size; cut++)
            if (lc_utf8_length(text, cut))
                cr_assert_fail("U+%04X cut to %zu bytes was taken", cp, cut);
    }
}

static const struct {
    const char *what, *text;
} forbidden[] = {
    {"lone continuation", "\x80"},
    {"overlong NUL", "\xc0\x80"},
    {"overlong slash", "\xc1\xbf"},
    {"overlong of three", "\xe0\x80\xaf"},
    {"overlong of three", "\xe0\x9f\xbf"},
    {"overlong of four", "\xf0\x80\x80\x80"},
    {"overlong of four", "\xf0\x8f\xbf\xbf"},
    {"high surrogate", "\xed\xa0\x80"},
    {"low surrogate", "\xed\xbf\xbf"},
    {"past the end", "\xf4\x90\x80\x80"},
    {"five bytes", "\xf8\x88\x80\x80\x80"},
    {"0xfe", "\xfe"},
    {"0xff", "\xff"},
    {"second byte plain", "\xe5x\xbf"},
    {"third byte plain", "\xe5\xbfx"},
    {"fourth byte plain", "\xf0\x9f\x98x"},
};

Test(utf8, forbidden_sequences_are_refused_and_stepped_over)
{
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        const char *text = forbidden[i].text;
        size_t length;
        cr_expect_eq(lc_utf8_length(text, strlen(text)), 0, "%s", forbidden[i].what);
        cr_expect_eq(lc_utf8_decode(text, strlen(text), &length), 0xfffd, "%s",
                     forbidden[i].what);
        cr_expect_eq(length, 1, "%s", forbidden[i].what);
        cr_expect_not(lc_utf8_valid(text, strlen(text)), "%s", forbidden[i].what);
    }
}

Test(utf8, a_text_is_valid_when_all_of_it_is)
{
    cr_assert(lc_utf8_valid("", 0));
    cr_assert(lc_utf8_valid("a\0b", 3));
    cr_assert(lc_utf8_valid("什麼是快取？\xf0\x9f\x98\x80", 22));
    cr_assert_not(lc_utf8_valid("什麼是快取？\xf0\x9f\x98\x80", 21));
    cr_assert_not(lc_utf8_valid("abc\xff", 4));
}

/* Normal form C against utf8proc itself, for every code point and for what they combine
 * to. */
#include "base/memory.h"
#include "base/utf8.h"
#include "protocol/normal_form.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static void compare(const char *text, size_t size)
{
    utf8proc_uint8_t *want;
    const char *got;
    size_t got_size;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &want,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    cr_assert_geq(length, 0);
    cr_assert_eq(lc_normal_form(text, size, &got, &got_size), 0);
    cr_assert(got_size == (size_t)length && memcmp(got, want, got_size) == 0, "\"%.*s\"",
              (int)size, text);
    if (got != text)
        lc_free((char *)got);
    free(want);
}

/* Each code point after a letter and before a mark: what composes with either shows. */
Test(normal_form, every_code_point_is_as_utf8proc_says)
{
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        char text[16];
        size_t size = 0;
        if (cp >= 0xd800 && cp <= 0xdfff)
            continue;
        text[size++] = 'a';
        size += lc_utf8_encode(cp, text + size);
        compare(text, size);
        if (cp < 0x3100 || (cp > 0xabff && cp < 0xd7ff)) {
            size += lc_utf8_encode(0x301, text + size);
            compare(text, size);
        }
    }
}

Test(normal_form, composes_and_orders)
{
    compare("e\xcc\x81", 3);
    compare("\xe3\x81\x8b\xe3\x82\x99", 6);             /* ka + voicing mark */
    compare("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", 9); /* three jamo */
    compare("\xea\xb0\x80\xe1\x86\xa8", 6);             /* a syllable and a jamo */
    compare("q\xcc\x87\xcc\xa3", 5);                    /* two marks in the wrong order */
    compare("", 0);
}

Test(normal_form, a_tower_of_marks_costs_nothing)
{
    size_t size = 2000000;
    char *text = lc_alloc(size);
    for (size_t i = 0; i < size; i += 4)
        memcpy(text + i, "\xcc\x87\xcc\xa3", 4);
    const char *got;
    size_t got_size;
    cr_assert_eq(lc_normal_form(text, size, &got, &got_size), 0);
    cr_expect_eq(got, text, "left as it is");
    lc_free(text);
}

Test(normal_form, trims_white_space)
{
    static const char *const rows[][2] = {
        {"a", "a"},
        {" \t\n\v\f\ra\r ", "a"},
        {"\xc2\xa0\xe3\x80\x80 a b \xe3\x80\x80\xc2\xa0", "a b"},
        {"  ", ""},
        {"", ""},
        {"\xe4\xbd\xa0\xe5\xa5\xbd", "\xe4\xbd\xa0\xe5\xa5\xbd"},
        {"\xc3\xa0", "\xc3\xa0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = rows[i][0];
        size_t size = strlen(text);
        lc_trim(&text, &size);
        cr_expect(size == strlen(rows[i][1]) && memcmp(text, rows[i][1], size) == 0,
                  "row %zu", i);
    }
}

/* lib/base/buffer: growth, the cap, the sticky error, JSON escaping. */
#include "base/buffer.h"
#include "base/memory.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <llmcache/llmcache.h>
#include <string.h>

static lc_buffer made(size_t max)
{
    lc_buffer buffer;
    lc_buffer_init(&buffer, max);
    return buffer;
}

Test(buffer, starts_empty_and_takes_as_empty_string)
{
    lc_buffer buffer = made(0);
    cr_assert_null(buffer.data);
    size_t size = 7;
    char *text = lc_buffer_take(&buffer, &size);
    cr_assert_str_eq(text, "");
    cr_assert_eq(size, 0);
    lc_free(text);
}

Test(buffer, every_way_of_appending_keeps_the_nul)
{
    lc_buffer buffer = made(0);
    lc_buffer_text(&buffer, "ab");
    cr_assert_str_eq(buffer.data, "ab");
    lc_buffer_byte(&buffer, 'c');
    cr_assert_str_eq(buffer.data, "abc");
    lc_buffer_add(&buffer, "d\0e", 3);
    cr_assert_eq(buffer.size, 6);
    cr_assert_eq(memcmp(buffer.data, "abcd\0e", 7), 0);
    lc_buffer_format(&buffer, "%d-%s", 5, "x");
    cr_assert_eq(memcmp(buffer.data, "abcd\0e5-x", 10), 0);
    lc_buffer_done(&buffer);
    cr_assert_null(buffer.data);
    lc_buffer_done(&buffer);
}

Test(buffer, long_formats_are_whole)
{
    for (size_t width = 250; width < 262; width++) {
        lc_buffer buffer = made(0);
        cr_assert_eq(lc_buffer_format(&buffer, "%*d", (int)width, 7), 0);
        cr_assert_eq(buffer.size, width);
        cr_assert_eq(buffer.data[width - 1], '7');
        cr_assert_eq(buffer.data[width], '\0');
        lc_buffer_done(&buffer);
    }
}

Test(buffer, holds_exactly_its_cap)
{
    for (size_t max = 1; max < 300; max++) {
        lc_buffer buffer = made(max);
        for (size_t i = 0; i < max; i++)
            cr_assert_eq(lc_buffer_byte(&buffer, 'x'), 0, "byte %zu of %zu", i, max);
        cr_assert_leq(buffer.room, max + 1);
        cr_assert_eq(lc_buffer_byte(&buffer, 'x'), LLMCACHE_TOO_LARGE);
        cr_assert_eq(buffer.size, max);
        lc_buffer_done(&buffer);
    }
}

Test(buffer, stays_broken_until_cleared)
{
    lc_buffer buffer = made(4);
    cr_assert_eq(lc_buffer_text(&buffer, "12345"), LLMCACHE_TOO_LARGE);
    cr_assert_eq(lc_buffer_text(&buffer, "1"), LLMCACHE_TOO_LARGE);
    cr_assert_eq(lc_buffer_format(&buffer, "%d", 1), LLMCACHE_TOO_LARGE);
    cr_assert_eq(buffer.size, 0);
    cr_assert_null(lc_buffer_take(&buffer, NULL));
    lc_buffer_clear(&buffer);
    cr_assert_eq(lc_buffer_text(&buffer, "1234"), 0);
    cr_assert_str_eq(buffer.data, "1234");
    lc_buffer_done(&buffer);
}

Test(buffer, a_size_no_memory_can_hold_is_refused)
{
    lc_buffer buffer = made(0);
    lc_buffer_text(&buffer, "x");
    cr_assert_eq(lc_buffer_reserve(&buffer, SIZE_MAX), LLMCACHE_TOO_LARGE);
    lc_buffer_done(&buffer);
}

Test(buffer, out_of_memory_keeps_what_was_there)
{
    lc_buffer buffer = made(0);
    lc_buffer_text(&buffer, "kept");
    lc_memory_fail_at(1);
    cr_assert_eq(lc_buffer_reserve(&buffer, 1000), LLMCACHE_MEMORY);
    lc_memory_fail_at(0);
    cr_assert_str_eq(buffer.data, "kept");
    lc_buffer_done(&buffer);
}

/* ---- JSON
 * ------------------------------------------------------------------------------------ */

static const char *json_of(lc_buffer *buffer, const char *text, size_t size)
{
    lc_buffer_clear(buffer);
    cr_assert_eq(lc_buffer_json(buffer, text, size), 0);
    return buffer->data;
}

Test(buffer, json_escapes_what_must_be_and_nothing_else)
{
    static const struct {
        const char *text;
        size_t size;
        const char *json;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
        {"\n\r\t", 3, "\"\\n\\r\\t\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\b\f\x1f\x7f", 4, "\"\\u0008\\u000c\\u001f\x7f\""},
        {"快取", 6, "\"快取\""},
        {"\xe2\x80\xa8\xf0\x9f\x98\x80", 7, "\"\xe2\x80\xa8\xf0\x9f\x98\x80\""},
        {"\xff", 1, "\"\xef\xbf\xbd\""},
        {"a\xe5\xbf", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc0\x80x", 3, "\"\xef\xbf\xbd\xef\xbf\xbdx\""},
    };
    lc_buffer buffer = made(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(json_of(&buffer, rows[i].text, rows[i].size), rows[i].json,
                         "row %zu", i);
    lc_buffer_done(&buffer);
}

Test(buffer, json_is_read_back_as_it_was)
{
    lc_buffer buffer = made(0);
    for (int a = 0; a < 128; a++)
        for (int b = 0; b < 128; b++) {
            char text[2] = {(char)a, (char)b};
            json_of(&buffer, text, 2);
            json_t *back = json_loadb(buffer.data, buffer.size,
                                      JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            cr_assert(back && json_string_length(back) == 2 &&
                          memcmp(json_string_value(back), text, 2) == 0,
                      "%d %d", a, b);
            json_decref(back);
        }
    lc_buffer_done(&buffer);
}

Test(buffer, json_of_no_text_is_null)
{
    lc_buffer buffer = made(0);
    lc_buffer_json_text(&buffer, NULL);
    lc_buffer_json_text(&buffer, "x");
    cr_assert_str_eq(buffer.data, "null\"x\"");
    lc_buffer_done(&buffer);
}

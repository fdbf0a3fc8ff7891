/* lib/base/json: strictness, paths through what is absent, kinds. */
#include "base/json.h"

#include <criterion/criterion.h>
#include <string.h>

static int parse(const char *text, lc_json **root)
{
    llmcache_error err;
    return lc_json_parse(text, strlen(text), root, &err);
}

Test(json, refuses_what_is_not_one_whole_object_or_array)
{
    const char *const bad[] = {"", "{", "{} {}", "{\"a\":1,\"a\":2}", "\"text\"", "[\"\xff\"]", "nul"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lc_json *root = NULL;
        cr_assert_eq(parse(bad[i], &root), LLMCACHE_INVALID, "%s", bad[i]);
        cr_assert_null(root);
    }
}

Test(json, looks_up_values_of_each_kind)
{
    lc_json *root;
    cr_assert_eq(parse("{\"list\":[{\"n\":-7},{\"x\":1.5}],\"t\":\"a\\u0000b\",\"yes\":true}", &root), 0);
    const lc_json *list = lc_json_get(root, "list");
    int64_t integer = 0;
    double number = 0;
    size_t size = 0;
    cr_assert_eq(lc_json_count(list), 2);
    cr_assert_eq(lc_json_integer(lc_json_get(lc_json_at(list, 0), "n"), &integer), 1);
    cr_assert_eq(integer, -7);
    cr_assert_eq(lc_json_integer(lc_json_get(lc_json_at(list, 1), "x"), &integer), 0);
    cr_assert_eq(integer, -7);
    cr_assert_eq(lc_json_number(lc_json_get(lc_json_at(list, 1), "x"), &number), 1);
    cr_assert_eq(number, 1.5);
    cr_assert_str_eq(lc_json_text(lc_json_get(root, "t"), &size), "a");
    cr_assert_eq(size, 3);
    cr_assert_eq(lc_json_is_true(lc_json_get(root, "yes")), 1);
    lc_json_free(root);
}

Test(json, what_is_absent_stays_absent_all_along_the_path)
{
    lc_json *root;
    int64_t integer = 5;
    cr_assert_eq(parse("[1]", &root), 0);
    const lc_json *none = lc_json_get(lc_json_at(lc_json_get(root, "a"), 3), "b");
    cr_assert_null(none);
    cr_assert_null(lc_json_at(root, 1));
    cr_assert_null(lc_json_text(none, NULL));
    cr_assert_eq(lc_json_count(none), 0);
    cr_assert_eq(lc_json_integer(none, &integer), 0);
    cr_assert_eq(integer, 5);
    cr_assert_eq(lc_json_is_true(none), 0);
    lc_json_free(root);
    lc_json_free(NULL);
}

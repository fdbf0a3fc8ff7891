/* Trees of JSON: numbers, arrays that stay text, changing, writing, limits. */
#include "base/memory.h"
#include "protocol/json_tree.h"

#include <criterion/criterion.h>
#include <string.h>

static lc_tree *read_tree(lc_arena *arena, const char *text)
{
    lc_tree *root = NULL;
    llmcache_error err;
    cr_assert_eq(lc_tree_read(arena, text, strlen(text), &root, &err), 0, "%s: %s", text,
                 err.message);
    return root;
}

static void expect_written(const lc_tree *tree, const char *want)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    cr_assert_eq(lc_tree_write(tree, &out), 0);
    cr_expect_str_eq(out.data, want);
    lc_buffer_done(&out);
}

Test(json_tree, integers_are_whole_numbers_however_written)
{
    static const struct row {
        const char *text;
        int is;
        int64_t number;
    } rows[] = {
        {"0", 1, 0},
        {"-0", 1, 0},
        {"7", 1, 7},
        {"-7", 1, -7},
        {"1.0", 1, 1},
        {"1e3", 1, 1000},
        {"1.5e1", 1, 15},
        {"120e-1", 1, 12},
        {"0e99", 0, 0},
        {"0.0", 1, 0},
        {"1.5", 0, 0},
        {"1e-1", 0, 0},
        {"1e19", 0, 0},
        {"1e400", 0, 0},
        {"\"1\"", 0, 0},
        {"null", 0, 0},
        {"[1]", 0, 0},
        {"9007199254740993", 1, INT64_C(9007199254740993)},
        {"99999999999999999999", 0, 0},
        {"1e99999999999999999999", 0, 0},
        {"100000000000000000000000000000000000000000000000000000000000000", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_arena arena = {0};
        int64_t number = 0;
        cr_expect_eq(lc_tree_integer(read_tree(&arena, rows[i].text), &number) == 0,
                     rows[i].is, "%s", rows[i].text);
        cr_expect_eq(number, rows[i].number, "%s", rows[i].text);
        lc_arena_done(&arena);
    }
    int64_t number;
    cr_expect_neq(lc_tree_integer(NULL, &number), 0);
}

Test(json_tree, is_written_as_it_was_read)
{
    static const char *const rows[][2] = {
        {" { \"a\" : [ 1 , 2.50 , -0 , 1e400 ] , \"b\" : { } } ",
         "{\"a\":[ 1 , 2.50 , -0 , 1e400 ],\"b\":{}}"},
        {"[\n1,\r2\n]", "[1,2]"},
        {"[1,null,\"x\",[],[[]]]", "[1,null,\"x\",[],[[]]]"},
        {"\"\\u0041\\/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u0000\"",
         "\"A/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u0000\""},
        {"\"\\u2028\\u2029\\u0085\\u2027\"", "\"\\u2028\\u2029\\u0085\xe2\x80\xa7\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"{\"\\u0000\":1,\"\":2}", "{\"\\u0000\":1,\"\":2}"},
        {"true", "true"},
        {"-12.5E+07", "-12.5E+07"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lc_arena arena = {0};
        lc_tree *tree = read_tree(&arena, rows[i][0]);
        expect_written(tree, rows[i][1]);
        expect_written(lc_tree_copy(&arena, tree), rows[i][1]);
        cr_expect(lc_tree_same(tree, lc_tree_copy(&arena, tree)));
        lc_arena_done(&arena);
    }
}

Test(json_tree, lists_of_numbers_stay_text)
{
    lc_arena arena = {0};
    lc_tree *tree = read_tree(&arena, "[ 1, -2.5e3\n,3 ]"), number;
    cr_assert_eq(tree->type, LC_TREE_NUMBERS);
    cr_expect_null(lc_tree_children(tree));
    static const char *const want[] = {"1", "-2.5e3", "3"};
    const char *at = tree->text;
    for (int i = 0; i < 3; i++) {
        cr_assert(lc_tree_next_number(tree, &at, &number));
        cr_expect(number.size == strlen(want[i]) &&
                  memcmp(number.text, want[i], number.size) == 0);
    }
    cr_expect_not(lc_tree_next_number(tree, &at, &number));
    cr_assert_eq(lc_tree_unpack(&arena, tree), 0);
    cr_expect_eq(tree->type, LC_TREE_ARRAY);
    cr_expect_eq(tree->size, 3);
    cr_assert_eq(lc_tree_add(tree, lc_tree_new(&arena, LC_TREE_NULL)), 0);
    expect_written(tree, "[1,-2.5e3,3,null]");
    cr_expect_eq(read_tree(&arena, "[]")->type, LC_TREE_ARRAY);
    cr_expect_eq(read_tree(&arena, "[1,\"2\"]")->type, LC_TREE_ARRAY);
    lc_arena_done(&arena);
}

Test(json_tree, can_be_changed)
{
    lc_arena arena = {0};
    lc_tree *tree = read_tree(&arena, "{\"a\":1,\"b\":2,\"c\":3}");
    cr_assert_eq(lc_tree_set(&arena, tree, "b", 1, lc_tree_string(&arena, "x", 1)), 0);
    cr_assert_eq(lc_tree_set(&arena, tree, "d", 1, lc_tree_number(&arena, -5)), 0);
    expect_written(tree, "{\"a\":1,\"b\":\"x\",\"c\":3,\"d\":-5}");
    lc_tree_drop(tree, "a");
    lc_tree_drop(tree, "d");
    lc_tree_drop(tree, "nobody");
    cr_assert_eq(lc_tree_set(&arena, tree, "e", 1, lc_tree_new(&arena, LC_TREE_TRUE)), 0);
    expect_written(tree, "{\"b\":\"x\",\"c\":3,\"e\":true}");
    cr_expect_eq(tree->size, 3);
    lc_tree *text = lc_tree_find(tree, "b");
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(lc_tree_append(&arena, text, "yz", 2), 0);
    cr_expect_eq(text->size, 2001);
    cr_expect_eq(memcmp(text->text + 1990, "zyzyzyzyzyz", 11), 0);
    cr_expect_eq(lc_tree_add(tree, NULL), LLMCACHE_MEMORY);
    lc_tree *array = lc_tree_new(&arena, LC_TREE_ARRAY), *two = lc_tree_number(&arena, 2);
    lc_tree_insert(array, NULL, two);
    lc_tree_insert(array, NULL, lc_tree_number(&arena, 1));
    lc_tree_insert(array, two, lc_tree_number(&arena, 3));
    lc_tree_add(array, lc_tree_number(&arena, 4));
    expect_written(array, "[1,2,3,4]");
    lc_arena_done(&arena);
}

Test(json_tree, holds_so_many_values_and_no_more)
{
    for (int more = 0; more < 2; more++) {
        lc_arena arena = {0};
        lc_buffer text;
        lc_tree *root;
        llmcache_error err = {0};
        lc_buffer_init(&text, 0);
        lc_buffer_byte(&text, '[');
        for (int i = 1; i < LC_TREE_VALUES - 1 + more; i++)
            lc_buffer_text(&text, "[],");
        lc_buffer_text(&text, "[]]");
        int status = lc_tree_read(&arena, text.data, text.size, &root, &err);
        cr_expect_eq(status, more ? LLMCACHE_INVALID : 0);
        cr_expect(!more || strstr(err.message, "too many values"));
        cr_expect_lt(arena.total, 100u << 20);
        lc_buffer_done(&text);
        lc_arena_done(&arena);
    }
}

Test(json_tree, long_lists_of_numbers_cost_nothing)
{
    lc_arena arena = {0};
    lc_buffer text;
    lc_tree *root;
    lc_buffer_init(&text, 0);
    lc_buffer_text(&text, "[0");
    for (int i = 0; i < 4 * LC_TREE_VALUES; i++)
        lc_buffer_text(&text, ",0");
    lc_buffer_byte(&text, ']');
    cr_assert_eq(lc_tree_read(&arena, text.data, text.size, &root, NULL), 0);
    cr_expect_lt(arena.total, 10000);
    lc_buffer_done(&text);
    lc_arena_done(&arena);
}

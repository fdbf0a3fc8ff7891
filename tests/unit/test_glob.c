/* Patterns over texts, and filters that use them. */
#include "store/glob.h"
#include "store/store.h"

#include <criterion/criterion.h>
#include <string.h>

Test(glob, matches_as_shells_do)
{
    static const struct {
        const char *pattern, *text;
        int matches;
    } rows[] = {{"", "", 1}, {"", "a", 0}, {"*", "", 1}, {"*", "anything\nat all", 1},
                {"a*", "abc", 1}, {"a*", "bac", 0}, {"*c", "abc", 1}, {"*c", "abcd", 0},
                {"a*c*e", "abcde", 1}, {"a*c*e", "abde", 0}, {"*ab*ab*", "xabyabz", 1},
                {"?", "快", 1}, {"?", "快取", 0}, {"什麼是*？", "什麼是快取？", 1}, {"什麼是*?", "什麼是快取？", 1},
                {"[abc]", "b", 1}, {"[abc]", "d", 0}, {"[a-c]x", "bx", 1}, {"[!a-c]", "d", 1},
                {"[!a-c]", "b", 0}, {"[快-慢]", "慢", 1}, {"[]]", "]", 1}, {"[a", "[a", 1}, {"[a", "a", 0},
                {"\\*", "*", 1}, {"\\*", "a", 0}, {"\\", "\\", 1}, {"[\\]]", "]", 1}, {"A*", "abc", 0},
                {"**a**", "bab", 1}, {"a*", "", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(lc_glob_matches(rows[i].pattern, rows[i].text), rows[i].matches, "%s on %s",
                     rows[i].pattern, rows[i].text);
}

Test(glob, many_stars_take_no_time)
{
    char text[2001], pattern[202];
    memset(text, 'a', 2000);
    text[2000] = '\0';
    for (int i = 0; i < 200; i += 2)
        memcpy(pattern + i, "*a", 2);
    strcpy(pattern + 200, "b");
    cr_assert_not(lc_glob_matches(pattern, text));
}

static int matches(llmcache_filter filter)
{
    llmcache_entry entry = {.struct_size = sizeof entry, .space = "key-1/team", .model = "gpt-4o-mini",
                            .question = "什麼是快取？", .tags = "red, green ,blue sky", .created_ms = 1000};
    return lc_filter_matches(&filter, &entry, 5000);
}

Test(glob, filters_have_patterns)
{
    cr_expect(matches((llmcache_filter){.pattern = "什麼*"}));
    cr_expect_not(matches((llmcache_filter){.pattern = "什麼"}));
    cr_expect(matches((llmcache_filter){.space_pattern = "key-*"}));
    cr_expect_not(matches((llmcache_filter){.space_pattern = "default*"}));
    cr_expect(matches((llmcache_filter){.model_pattern = "gpt-4o*"}));
    cr_expect_not(matches((llmcache_filter){.model_pattern = "gpt-4"}));
    cr_expect(matches((llmcache_filter){.tag_pattern = "gr*n"}));
    cr_expect(matches((llmcache_filter){.tag_pattern = "blue*"}));
    cr_expect_not(matches((llmcache_filter){.tag_pattern = "*yellow*"}));
    cr_expect_not(matches((llmcache_filter){.tag = "red", .tag_pattern = "b*"}), "one tag must be both");
    cr_expect(matches((llmcache_filter){.newer_than_ms = 4000}));
    cr_expect_not(matches((llmcache_filter){.newer_than_ms = 3999}));
    cr_expect_not(matches((llmcache_filter){.space = "key-*"}), "names are no patterns");
}

/* lib/embed/charsmap: a built map finds what a plain search finds; a damaged one harms
 * nobody. */
#include "embed/charsmap.h"
#include "support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct pair {
    const char *from;
    const char *to;
} pair;

static lc_buffer built(const pair *pairs, size_t count)
{
    lc_charsmap_builder builder;
    lc_buffer blob;
    llmcache_error err;
    lc_charsmap_builder_init(&builder);
    lc_buffer_init(&blob, 0);
    for (size_t i = 0; i < count; i++)
        lc_charsmap_add(&builder, (lc_span){pairs[i].from, strlen(pairs[i].from)},
                        (lc_span){pairs[i].to, strlen(pairs[i].to)});
    cr_assert_eq(lc_charsmap_finish(&builder, &blob, &err), 0, "%s", err.message);
    lc_charsmap_builder_done(&builder);
    return blob;
}

static lc_charsmap opened(const lc_buffer *blob)
{
    lc_charsmap map;
    llmcache_error err;
    cr_assert_eq(lc_charsmap_open((lc_span){blob->data, blob->size}, &map, &err), 0, "%s",
                 err.message);
    return map;
}

static void finds(const lc_charsmap *map, const char *text, size_t bytes,
                  const char *with)
{
    lc_span found = {"", 0};
    cr_assert_eq(lc_charsmap_match(map, text, strlen(text), &found), bytes, "%s", text);
    cr_assert(bytes == 0 || lc_span_is(found, with), "%s", text);
}

Test(charsmap, longest_match_wins)
{
    static const pair pairs[] = {
        {"a", "1"}, {"ab", "22"}, {"abcd", "4444"}, {"\xe2\x84\xa6", "\xcf\x89"},
        {"x", ""},
    };
    lc_buffer blob = built(pairs, 5);
    lc_charsmap map = opened(&blob);
    finds(&map, "a", 1, "1");
    finds(&map, "abc", 2, "22");
    finds(&map, "abcde", 4, "4444");
    finds(&map, "\xe2\x84\xa6!", 3, "\xcf\x89");
    finds(&map, "\xe2\x84", 0, "");
    finds(&map, "x", 1, "");
    finds(&map, "b", 0, "");
    finds(&map, "", 0, "");
    lc_buffer_done(&blob);
}

Test(charsmap, no_map_matches_nothing)
{
    lc_buffer blob = built(NULL, 0);
    lc_charsmap map = opened(&blob), none;
    lc_span with;
    finds(&map, "a", 0, "");
    cr_assert_eq(lc_charsmap_open((lc_span){0}, &none, NULL), 0);
    cr_assert_eq(lc_charsmap_match(&none, "a", 1, &with), 0);
    cr_assert_eq(lc_charsmap_match(&map, "\0a", 2, &with), 0);
    lc_buffer_done(&blob);
}

Test(charsmap, the_first_rule_for_a_text_counts)
{
    static const pair pairs[] = {{"b", "1"}, {"a", "2"}, {"b", "3"}};
    lc_buffer blob = built(pairs, 3);
    lc_charsmap map = opened(&blob);
    finds(&map, "b", 1, "1");
    lc_buffer_done(&blob);
}

/* ---- Many rules ------------------------------------------------------------------ */

enum { MANY = 3000 };

static uint32_t next(uint32_t *seed)
{
    return (*seed = *seed * 1103515245 + 12345) >> 8;
}

static void random_text(char *text, size_t longest, uint32_t *seed)
{
    size_t size = next(seed) % longest + 1;
    for (size_t i = 0; i < size; i++)
        text[i] = next(seed) % 3 ? "abcd"[next(seed) % 4] : (char)(1 + next(seed) % 255);
    text[size] = '\0';
}

/* The first of the longest keys that `text` starts with; -1 if there is none. */
static int plain_search(char (*keys)[8], const char *text)
{
    int best = -1;
    for (int i = 0; i < MANY; i++)
        if (strncmp(text, keys[i], strlen(keys[i])) == 0 &&
            (best < 0 || strlen(keys[i]) > strlen(keys[best])))
            best = i;
    return best;
}

Test(charsmap, agrees_with_a_plain_search)
{
    static char keys[MANY][8], values[MANY][8];
    pair *pairs = calloc(MANY, sizeof *pairs);
    uint32_t seed = 1;
    for (int i = 0; i < MANY; i++) {
        random_text(keys[i], 6, &seed);
        random_text(values[i], 5, &seed);
        pairs[i] = (pair){keys[i], values[i]};
    }
    lc_buffer blob = built(pairs, MANY);
    lc_charsmap map = opened(&blob);
    for (int i = 0; i < 5000; i++) {
        char text[16];
        random_text(text, 12, &seed);
        int best = plain_search(keys, text);
        finds(&map, text, best < 0 ? 0 : strlen(keys[best]),
              best < 0 ? "" : values[best]);
    }
    lc_buffer_done(&blob);
    free(pairs);
}

/* ---- Damage ---------------------------------------------------------------------- */

Test(charsmap, refuses_what_cannot_be_one)
{
    lc_charsmap map;
    llmcache_error err;
    cr_assert_eq(lc_charsmap_open((lc_span){"abc", 3}, &map, &err), LLMCACHE_CORRUPT);
    cr_assert_eq(lc_charsmap_open((lc_span){"\x08\0\0\0abcd", 8}, &map, &err),
                 LLMCACHE_CORRUPT);
    cr_assert_eq(lc_charsmap_open((lc_span){"\x03\0\0\0abcd", 8}, &map, &err),
                 LLMCACHE_CORRUPT);
}

Test(charsmap, damage_never_leads_out_of_it)
{
    static const pair pairs[] = {{"abc", "x"}, {"ab", "yy"}, {"\xe5\xbf\xab", "z"}};
    lc_buffer blob = built(pairs, 3);
    uint32_t seed = 5;
    for (int i = 0; i < 20000; i++) {
        char *copy = test_keep(blob.data, blob.size);
        lc_charsmap map;
        lc_span with;
        for (int k = 0; k < 8; k++)
            copy[4 + next(&seed) % (blob.size - 4)] = (char)next(&seed);
        cr_assert_eq(lc_charsmap_open((lc_span){copy, blob.size}, &map, NULL), 0);
        if (lc_charsmap_match(&map, "abc", 3, &with) ||
            lc_charsmap_match(&map, "\xe5\xbf\xab", 3, &with))
            cr_assert(with.data >= copy && with.data + with.size <= copy + blob.size);
        test_release(copy);
    }
    lc_buffer_done(&blob);
}

/* lib/store/redis_keys: names there and back, and what is none of ours. */
#include "store/redis_keys.h"
#include "store/redis_slots.h"

#include <criterion/criterion.h>
#include <string.h>

#define HEX64 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX20 "00010203040506070809"

static llmcache_key key_in(const char *space)
{
    llmcache_key key = {.space = space};
    for (int i = 0; i < LLMCACHE_FINGERPRINT_SIZE; i++)
        key.fingerprint[i] = (unsigned char)i;
    return key;
}

Test(redis_keys, names_are_readable_and_their_colons_are_joints)
{
    const struct {
        const char *space, *prompt, *embed;
    } cases[] = {
        {"default", "prompt_cache:default:" HEX64, "embed_cache:default:" HEX20},
        {"", "prompt_cache::" HEX64, "embed_cache::" HEX20},
        {"a:b*?[x]\\ %", "prompt_cache:a%3ab%2a%3f%5bx%5d%5c%20%25:" HEX64,
         "embed_cache:a%3ab%2a%3f%5bx%5d%5c%20%25:" HEX20},
        {"\xe5\xbf\xab", "prompt_cache:%e5%bf%ab:" HEX64, "embed_cache:%e5%bf%ab:" HEX20},
        {"team/a-b_c.d~e@f+g=h,i", "prompt_cache:team/a-b_c.d~e@f+g=h,i:" HEX64,
         "embed_cache:team/a-b_c.d~e@f+g=h,i:" HEX20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int part = LLMCACHE_PART_PROMPT; part <= LLMCACHE_PART_EMBED; part++) {
            llmcache_key key = key_in(cases[i].space);
            lc_buffer name;
            char space[256], id[LLMCACHE_ID_SIZE];
            lc_buffer_init(&name, 0);
            cr_assert_eq(lc_redis_key_name(part, &key, &name), 0);
            cr_expect_str_eq(name.data, part == LLMCACHE_PART_PROMPT ? cases[i].prompt : cases[i].embed);
            cr_assert_eq(lc_redis_key_read(name.data, name.size, space, id), part);
            cr_expect_str_eq(space, cases[i].space);
            cr_expect_str_eq(id, HEX20);
            lc_buffer_done(&name);
        }
}

Test(redis_keys, observations_have_a_prefix_of_their_own)
{
    llmcache_key key = key_in("a:b");
    lc_buffer name;
    char space[256], id[LLMCACHE_ID_SIZE];
    lc_buffer_init(&name, 0);
    cr_assert_eq(lc_redis_key_name(LLMCACHE_PART_OBSERVATION, &key, &name), 0);
    cr_expect_str_eq(name.data, "observation_cache:a%3ab:" HEX20);
    cr_assert_eq(lc_redis_key_read(name.data, name.size, space, id), LLMCACHE_PART_OBSERVATION);
    cr_expect_str_eq(space, "a:b");
    cr_expect_str_eq(id, HEX20);
    lc_buffer_done(&name);
}

/* Only what was given up is told of: who waits for an answer hears of the answer. */
Test(redis_keys, a_lease_stands_in_its_entrys_slot)
{
    static const struct {
        const char *prefix;
        int lane, part;
        const char *name;
    } cases[] = {
        {LC_REDIS_LEASE_PREFIX, 0, 0, "llmcache_lease:{prompt_cache:a%3ab%7bc%7d:" HEX64 "}"},
        {LC_REDIS_LEASE_PREFIX, 1, 0, "llmcache_lease:{prompt_cache:a%3ab%7bc%7d:" HEX64 "}1"},
        {LC_REDIS_GIVEN_UP_PREFIX, 0, LLMCACHE_PART_LEASE, "llmcache_given_up:{prompt_cache:a%3ab%7bc%7d:" HEX64 "}"},
        {LC_REDIS_GIVEN_UP_PREFIX, 1, LLMCACHE_PART_LEASE, "llmcache_given_up:{prompt_cache:a%3ab%7bc%7d:" HEX64 "}1"}};
    llmcache_key key = key_in("a:b{c}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_buffer name;
        char space[256], id[LLMCACHE_ID_SIZE];
        lc_buffer_init(&name, 0);
        cr_assert_eq(lc_redis_lease_name(cases[i].prefix, &key, cases[i].lane, &name), 0);
        cr_expect_str_eq(name.data, cases[i].name);
        cr_assert_eq(lc_redis_key_read(name.data, name.size, space, id), cases[i].part);
        if (cases[i].part) {
            cr_expect_str_eq(space, "a:b{c}");
            cr_expect_str_eq(id, HEX20);
        }
        cr_expect_eq(lc_redis_slot_of(lc_redis_bytes(&name)),
                     lc_redis_slot_of(lc_redis_text("prompt_cache:a%3ab%7bc%7d:" HEX64)));
        lc_buffer_done(&name);
    }
}

Test(redis_keys, what_is_none_of_ours_is_none)
{
    const char *const names[] = {
        "", "prompt_cache:", "prompt_cache:default", "prompt_cache:default:" HEX20,
        "prompt_cache:default" HEX64, "prompt_cache:a:b:" HEX64, "prompt_cache:a%3:" HEX64,
        "prompt_cache:a%3A:" HEX64, "prompt_cache:a%00:" HEX64, "prompt_cache:a*:" HEX64,
        "embed_cache:default:" HEX64, "embed_cache:default:0001020304050607080G",
        "embed_cache:default:0001020304050607080A", "observation_cache:default:" HEX64, "other:default:" HEX64,
        "llmcache_damaged:prompt_cache:default:" HEX64, "llmcache_given_up:prompt_cache:default:" HEX64,
        "llmcache_given_up:{embed_cache:default:" HEX20 "}", "llmcache_given_up:{prompt_cache:default:" HEX64,
        "llmcache_given_up:{}", "llmcache_given_up:{"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char space[256], id[LLMCACHE_ID_SIZE];
        cr_expect_eq(lc_redis_key_read(names[i], strlen(names[i]), space, id), 0, "%s", names[i]);
    }
}

Test(redis_keys, patterns_mean_one_namespace_or_all)
{
    const struct {
        int part;
        const char *space, *head, *pattern;
    } cases[] = {{LLMCACHE_PART_PROMPT, NULL, "", "prompt_cache:*:*"},
                 {LLMCACHE_PART_PROMPT, "a*", HEX20, "prompt_cache:a%2a:" HEX20 "*"},
                 {LLMCACHE_PART_EMBED, "", "", "embed_cache::*"},
                 {LLMCACHE_PART_OBSERVATION, "a", "", "observation_cache:a:*"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_buffer pattern;
        lc_buffer_init(&pattern, 0);
        cr_assert_eq(lc_redis_key_pattern(cases[i].part, cases[i].space, cases[i].head, &pattern), 0);
        cr_expect_str_eq(pattern.data, cases[i].pattern);
        lc_buffer_done(&pattern);
    }
}

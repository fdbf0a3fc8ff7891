/* The tables of the traffic lint stay within their bounds and keep whole groups. */
#include "ask/lint_tables.h"
#include "base/memory.h"

#include <criterion/criterion.h>

static uint64_t key_of(uint64_t number)
{
    return (number + 1) * 0x9e3779b97f4a7c15u;
}

Test(lint_tables, count_groups)
{
    lc_lint_groups groups;
    lc_lint_groups_init(&groups, 1 << 12);
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t i = 0; i < 2000; i++)
            cr_assert_eq(lc_lint_groups_add(&groups, key_of(i), round ? "later" : "first"), 0);
    cr_assert_eq(groups.mask, 0u);
    for (uint64_t i = 0; i < 2000; i++) {
        const lc_lint_group *group = lc_lint_groups_find(&groups, key_of(i));
        cr_assert(group && group->count == 3);
        cr_assert_str_eq(group->id, "first");
    }
    cr_assert_null(lc_lint_groups_find(&groups, key_of(5000)));
    lc_lint_groups_done(&groups);
}

/* Too many for the room: a part of the groups, each with all of its members. */
Test(lint_tables, sample_whole_groups)
{
    enum { MANY = 100000 };
    lc_lint_groups groups;
    lc_lint_groups_init(&groups, 1 << 12);
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 0; i < MANY; i++)
            cr_assert_eq(lc_lint_groups_add(&groups, key_of(i), "x"), 0);
    cr_assert_eq(groups.room, 1u << 12);
    cr_assert_neq(groups.mask, 0u);
    size_t kept = 0, whole = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        const lc_lint_group *group = lc_lint_groups_find(&groups, key_of(i));
        kept += group != NULL;
        whole += group && group->count == 2;
    }
    cr_assert_gt(kept, 500u);
    cr_assert_eq(whole, kept);
    lc_lint_groups_done(&groups);
}

Test(lint_tables, a_set_that_is_full_says_so)
{
    lc_lint_seen seen;
    lc_lint_seen_init(&seen, 1 << 11);
    size_t fresh = 0;
    for (uint64_t i = 0; i < 5000; i++)
        fresh += lc_lint_seen_add(&seen, key_of(i)) == 1;
    cr_assert(seen.full);
    cr_assert_eq(fresh, seen.used);
    cr_assert_leq(seen.room, 1u << 11);
    cr_assert_eq(lc_lint_seen_add(&seen, key_of(0)), 0);
    lc_lint_seen_done(&seen);
}

Test(lint_tables, without_memory)
{
    lc_lint_groups groups;
    lc_lint_seen seen;
    lc_lint_groups_init(&groups, 1 << 12);
    lc_lint_seen_init(&seen, 1 << 12);
    lc_memory_fail_at(1);
    cr_assert_eq(lc_lint_groups_add(&groups, 1, "x"), LLMCACHE_MEMORY);
    lc_memory_fail_at(1);
    cr_assert_eq(lc_lint_seen_add(&seen, 1), LLMCACHE_MEMORY);
    lc_memory_fail_at(0);
    cr_assert_eq(lc_lint_groups_add(&groups, 0, "x"), 0, "zero is a key like others");
    cr_assert_not_null(lc_lint_groups_find(&groups, 0));
    lc_lint_groups_done(&groups);
    lc_lint_seen_done(&seen);
}

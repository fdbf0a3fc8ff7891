/* lib/ask/verdict_table: whose word counts, its bound, and reading anew. */
#include "ask/verdict_table.h"
#include "base/memory.h"

#include <criterion/criterion.h>
#include <string.h>

static lc_verdict_table *table;

static void set_up(void)
{
    cr_assert_eq(lc_verdict_table_new(0, &table, NULL), 0);
}

static void tear_down(void)
{
    lc_verdict_table_free(table);
}

TestSuite(verdict_table, .init = set_up, .fini = tear_down);

/* Pair and observation by number; numbers differ in every byte that matters. */
static lc_known word(uint64_t pair, uint64_t id, int verdict, int observer, int64_t time_ms)
{
    lc_known known = {.verdict = (unsigned char)verdict, .observer = (unsigned char)observer,
                      .time_ms = time_ms};
    pair *= 0x9e3779b97f4a7c15u;
    memcpy(known.pair, &pair, sizeof pair);
    memcpy(known.id, &id, sizeof id);
    return known;
}

static int note(uint64_t pair, uint64_t id, int verdict, int observer, int64_t time_ms)
{
    lc_known known = word(pair, id, verdict, observer, time_ms);
    return lc_verdict_table_note(table, &known);
}

/* The verdict at a time, 0 when there is none. */
static int verdict_at(uint64_t pair, int64_t now_ms)
{
    unsigned char name[LC_PAIR_SIZE] = {0};
    lc_known known = word(pair, 0, 0, 0, 0);
    memcpy(name, known.pair, sizeof known.pair);
    return lc_verdict_table_find(table, name, now_ms, &known) ? known.verdict : 0;
}

enum { RIGHT = LLMCACHE_RIGHT, WRONG = LLMCACHE_WRONG };

Test(verdict_table, the_stronger_word_counts)
{
    const struct {
        int first, by, second, by_second;
        int64_t second_ms;
        int wanted;
    } cases[] = {
        {WRONG, LLMCACHE_BY_FEEDBACK, RIGHT, LLMCACHE_BY_FEEDBACK, 200, RIGHT},
        {WRONG, LLMCACHE_BY_FEEDBACK, RIGHT, LLMCACHE_BY_FEEDBACK, 50, WRONG},
        {WRONG, LLMCACHE_BY_FEEDBACK, RIGHT, LLMCACHE_BY_JUDGE, 200, WRONG},
        {WRONG, LLMCACHE_BY_IMPORT, RIGHT, LLMCACHE_BY_SHADOW, 200, WRONG},
        {WRONG, LLMCACHE_BY_JUDGE, RIGHT, LLMCACHE_BY_FEEDBACK, 50, RIGHT},
        {RIGHT, LLMCACHE_BY_FEEDBACK, WRONG, LLMCACHE_BY_IMPORT, 200, WRONG},
        {RIGHT, LLMCACHE_BY_FEEDBACK, WRONG, LLMCACHE_BY_EXPLORATION, 200, RIGHT},
        {RIGHT, LLMCACHE_BY_JUDGE, WRONG, LLMCACHE_BY_EXPLORATION, 200, WRONG}};
    for (uint64_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(note(i, 1, cases[i].first, cases[i].by, 100), cases[i].first == WRONG);
        note(i, 2, cases[i].second, cases[i].by_second, cases[i].second_ms);
        cr_expect_eq(verdict_at(i, 300), cases[i].wanted, "case %llu", (unsigned long long)i);
    }
}

Test(verdict_table, an_observation_replaces_itself_whatever_the_clocks_say)
{
    note(1, 7, WRONG, LLMCACHE_BY_FEEDBACK, 1000);
    note(1, 7, RIGHT, LLMCACHE_BY_FEEDBACK, 900);
    cr_assert_eq(verdict_at(1, 2000), RIGHT);
}

Test(verdict_table, it_says_once_that_a_pair_became_wrong)
{
    uint64_t turn = lc_verdict_table_turn(table);
    cr_assert_eq(note(1, 1, RIGHT, LLMCACHE_BY_JUDGE, 1), 0);
    cr_assert_eq(lc_verdict_table_turn(table), turn);
    cr_assert_eq(note(1, 1, WRONG, LLMCACHE_BY_JUDGE, 2), 1);
    cr_assert_neq(lc_verdict_table_turn(table), turn);
    cr_assert_eq(note(1, 1, WRONG, LLMCACHE_BY_JUDGE, 3), 0);
}

Test(verdict_table, what_has_expired_says_nothing)
{
    lc_known known = word(1, 1, WRONG, LLMCACHE_BY_FEEDBACK, 100);
    known.expires_ms = 200;
    lc_verdict_table_note(table, &known);
    cr_assert_eq(verdict_at(1, 199), WRONG);
    cr_assert_eq(verdict_at(1, 200), 0);
    note(1, 2, RIGHT, LLMCACHE_BY_JUDGE, 250);
    cr_assert_eq(verdict_at(1, 260), RIGHT, "a machine's word after a person's has expired");
}

Test(verdict_table, forgets_what_an_observation_said)
{
    lc_known gone = word(2, 5, WRONG, LLMCACHE_BY_FEEDBACK, 1);
    note(1, 4, WRONG, LLMCACHE_BY_FEEDBACK, 1);
    lc_verdict_table_note(table, &gone);
    cr_assert_eq(lc_verdict_table_forget(table, gone.id), 1);
    cr_assert_eq(lc_verdict_table_forget(table, gone.id), 0);
    cr_assert_eq(verdict_at(2, 2), 0);
    cr_assert_eq(verdict_at(1, 2), WRONG);
    cr_assert_eq(lc_verdict_table_count(table), 1);
}

Test(verdict_table, reading_anew_leaves_what_was_met)
{
    note(1, 1, WRONG, LLMCACHE_BY_FEEDBACK, 1); /* not in the store any more */
    note(2, 2, WRONG, LLMCACHE_BY_FEEDBACK, 9); /* gone, but another says right */
    note(3, 3, WRONG, LLMCACHE_BY_FEEDBACK, 1);
    cr_assert_eq(lc_verdict_table_begin(table), 0);
    note(2, 20, RIGHT, LLMCACHE_BY_JUDGE, 5);
    note(3, 3, WRONG, LLMCACHE_BY_FEEDBACK, 1);
    note(4, 4, WRONG, LLMCACHE_BY_FEEDBACK, 1);
    cr_assert_eq(verdict_at(1, 10), WRONG, "nothing is lost before the end");
    cr_assert_eq(verdict_at(2, 10), WRONG);
    cr_assert_eq(verdict_at(4, 10), WRONG, "what is new counts at once");
    lc_verdict_table_end(table);
    const int wanted[] = {0, 0, RIGHT, WRONG, WRONG};
    for (uint64_t pair = 1; pair < 5; pair++)
        cr_expect_eq(verdict_at(pair, 10), wanted[pair], "pair %llu", (unsigned long long)pair);
    cr_assert_eq(lc_verdict_table_begin(table), 0);
    lc_verdict_table_drop(table);
    cr_assert_eq(verdict_at(3, 10), WRONG, "a reading that failed changes nothing");
}

Test(verdict_table, grows_and_finds_all)
{
    for (uint64_t pair = 1; pair <= 20000; pair++)
        cr_assert_eq(note(pair, pair, WRONG, LLMCACHE_BY_FEEDBACK, 1), 1);
    cr_assert_eq(lc_verdict_table_count(table), 20000);
    cr_assert_eq(lc_verdict_table_dropped(table), 0);
    for (uint64_t pair = 1; pair <= 20000; pair++)
        cr_assert_eq(verdict_at(pair, 2), WRONG);
}

Test(verdict_table, is_bounded_and_keeps_what_is_worth_most)
{
    lc_verdict_table *small;
    cr_assert_eq(lc_verdict_table_new(64, &small, NULL), 0);
    lc_verdict_table_free(table);
    table = small;
    for (uint64_t pair = 1; pair <= 20; pair++)
        note(pair, pair, WRONG, LLMCACHE_BY_FEEDBACK, 100);
    for (uint64_t pair = 1000; pair < 3000; pair++)
        note(pair, pair, pair % 2 ? RIGHT : WRONG, LLMCACHE_BY_JUDGE, (int64_t)pair);
    cr_assert_leq(lc_verdict_table_count(table), 64);
    cr_assert_gt(lc_verdict_table_dropped(table), 0);
    int kept = 0;
    for (uint64_t pair = 1; pair <= 20; pair++)
        kept += verdict_at(pair, 5000) == WRONG;
    cr_assert_geq(kept, 19, "%d", kept);
}

Test(verdict_table, does_without_memory)
{
    uint64_t wrong = 0;
    for (uint64_t n = 1; n < 40; n++) {
        lc_memory_fail_at(n % 3 + 1);
        for (uint64_t pair = 0; pair < 40; pair++)
            wrong += (uint64_t)note(1000 * n + pair, pair, WRONG, LLMCACHE_BY_FEEDBACK, 1);
        int began = lc_verdict_table_begin(table) == 0;
        lc_memory_fail_at(0);
        if (began)
            lc_verdict_table_drop(table);
    }
    cr_assert_gt(wrong, 0);
    cr_assert_geq(lc_verdict_table_count(table), 128, "%zu", lc_verdict_table_count(table));
}

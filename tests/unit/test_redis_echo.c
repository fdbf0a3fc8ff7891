/* lib/store/redis_echo: whose change it was, in every order in which writes and reports can come. */
#include "store/redis_echo.h"

#include <criterion/criterion.h>
#include <string.h>

static lc_redis_echoes *echoes;

static void start(void)
{
    echoes = lc_redis_echoes_new();
}

static void stop(void)
{
    lc_redis_echoes_free(echoes);
}

TestSuite(redis_echo, .init = start, .fini = stop);

/* "" stands for nothing there. */
static lc_redis_print value(const char *text)
{
    return lc_redis_print_of(text, strlen(text));
}

static void sent(const char *text)
{
    lc_redis_echoes_sent(echoes, lc_redis_text("key"), value(text));
}

static void done(const char *text)
{
    lc_redis_echoes_done(echoes, lc_redis_text("key"), value(text));
}

static lc_redis_look look(void)
{
    lc_redis_look seen;
    cr_assert_eq(lc_redis_echoes_knows(echoes, lc_redis_text("key"), &seen), 1);
    return seen;
}

static lc_redis_origin judge(lc_redis_look seen, const char *text)
{
    return lc_redis_echoes_judge(echoes, lc_redis_text("key"), seen, value(text));
}

Test(redis_echo, a_key_never_written_is_not_known)
{
    lc_redis_look seen;
    sent("a");
    cr_assert_eq(lc_redis_echoes_knows(echoes, lc_redis_text("other"), &seen), 0);
    cr_assert_eq(lc_redis_echoes_judge(echoes, lc_redis_text("other"), seen, value("a")), LC_REDIS_FOREIGN);
}

Test(redis_echo, what_we_wrote_last_is_ours_and_anything_else_is_not)
{
    sent("a");
    done("a");
    sent("b");
    done("b");
    cr_assert_eq(judge(look(), "b"), LC_REDIS_OURS);
    cr_assert_eq(judge(look(), "a"), LC_REDIS_FOREIGN);
    cr_assert_eq(judge(look(), ""), LC_REDIS_FOREIGN);
    cr_assert_eq(judge(look(), "c"), LC_REDIS_FOREIGN);
}

Test(redis_echo, once_others_have_changed_it_the_like_of_ours_is_not_ours)
{
    sent("a");
    done("a");
    cr_assert_eq(judge(look(), "theirs"), LC_REDIS_FOREIGN);
    cr_assert_eq(judge(look(), "a"), LC_REDIS_FOREIGN);
}

/* Others may have put something since, which was read, and have removed it. */
Test(redis_echo, nothing_there_is_no_sign_of_a_removal_of_ours)
{
    sent("a");
    done("a");
    sent("");
    cr_assert_eq(judge(look(), ""), LC_REDIS_OURS, "it is under way, and memory is cleared behind it");
    done("");
    cr_assert_eq(judge(look(), ""), LC_REDIS_FOREIGN);
    sent("b");
    done("b");
    cr_assert_eq(judge(look(), ""), LC_REDIS_FOREIGN, "somebody removed b");
}

Test(redis_echo, while_a_write_is_in_flight_only_its_own_value_is_sure)
{
    sent("");
    done("");
    sent("b");
    cr_assert_eq(judge(look(), "b"), LC_REDIS_OURS);
    cr_assert_eq(judge(look(), ""), LC_REDIS_UNSURE, "still to come, or undone by somebody");
    lc_redis_look before = look();
    done("b");
    cr_assert_eq(judge(before, ""), LC_REDIS_UNSURE, "read before it was known");
    cr_assert_eq(judge(look(), ""), LC_REDIS_FOREIGN);
}

Test(redis_echo, a_write_begun_after_the_look_is_reported_by_itself)
{
    sent("a");
    done("a");
    lc_redis_look before = look();
    sent("b");
    cr_assert_eq(judge(before, "x"), LC_REDIS_OURS);
    done("b");
    cr_assert_eq(judge(before, "x"), LC_REDIS_OURS);
    cr_assert_eq(judge(look(), "x"), LC_REDIS_FOREIGN);
}

Test(redis_echo, two_writes_at_once_are_sure_when_both_are_known)
{
    sent("a");
    sent("b");
    done("b");
    cr_assert_eq(judge(look(), "a"), LC_REDIS_UNSURE);
    done("a");
    cr_assert_eq(judge(look(), "a"), LC_REDIS_OURS);
    cr_assert_eq(judge(look(), "b"), LC_REDIS_FOREIGN);
}

Test(redis_echo, a_failed_write_leaves_nothing)
{
    lc_redis_look seen;
    sent("a");
    lc_redis_echoes_forget(echoes, lc_redis_text("key"), value("a"));
    cr_assert_eq(lc_redis_echoes_knows(echoes, lc_redis_text("key"), &seen), 0);
}

Test(redis_echo, a_print_tells_values_apart_by_their_beginning)
{
    char a[LC_REDIS_PRINT_BYTES + 10], b[sizeof a];
    memset(a, 'x', sizeof a);
    memset(b, 'x', sizeof b);
    b[LC_REDIS_PRINT_BYTES] = 'y';
    lc_redis_print first = lc_redis_print_of(a, sizeof a), second = lc_redis_print_of(b, sizeof b);
    cr_assert_eq(memcmp(&first, &second, sizeof first), 0);
    b[LC_REDIS_PRINT_BYTES - 1] = 'y';
    second = lc_redis_print_of(b, sizeof b);
    cr_assert_neq(memcmp(&first, &second, sizeof first), 0);
}

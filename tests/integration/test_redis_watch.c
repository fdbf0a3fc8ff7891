/*
 * Client tracking of a real Redis: what is told, when nothing can be trusted, and that it comes back by itself.
 * That others' changes are told and one's own are not is in the store contract.
 */
#include "redis_server.h"
#include "store_ear.h"
#include "store_entries.h"

#include <criterion/criterion.h>
#include <string.h>

enum { DEADLINE_MS = 5000, SOON_MS = 30000, AT_ONCE_MS = 500, NOTICED_MS = 1500 };
enum { TRIES = 8 }; /* a busy machine makes one late, not all of them */

static test_redis redis;
static lc_store store;

static store_ear ear = STORE_EAR;

static store_heard heard(void)
{
    return store_ear_heard(&ear);
}

static void watch(void)
{
    store_ear_watch(&ear, &store);
    cr_assert_geq(heard().distrusts, 1, "nothing is trusted before it is heard");
    cr_assert(test_wait_until(heard().trusted, SOON_MS));
}

static void start(void)
{
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, NULL);
    store = store_at(redis.uri, NULL);
    watch();
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(redis_watch, .init = start, .fini = stop, .timeout = 240);

Test(redis_watch, names_part_namespace_and_id)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("team a:b/租戶", 1);
    lc_store other = store_at(redis.uri, NULL);
    cr_assert_eq(put_entry_in(&other, entry, DEADLINE_MS, &err), 0);
    cr_assert(test_wait_until(heard().parts == LLMCACHE_PART_BOTH, SOON_MS));
    store_heard last = heard();
    cr_assert_str_eq(last.space, entry->space);
    cr_assert_str_eq(last.id, entry->id);
    lc_store_close(&other);
}

Test(redis_watch, deleting_by_hand_is_told_within_milliseconds)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    const struct {
        const char *name;
        int part;
    } keys[] = {{prompt_key_name(entry), LLMCACHE_PART_PROMPT}, {embed_key_name(entry), LLMCACHE_PART_EMBED}};
    int quick[2] = {0};
    for (int i = 0; i < 2 * TRIES; i++) {
        if (i % 2 == 0)
            cr_assert_eq(put_entry_in(&store, entry, DEADLINE_MS, &err), 0);
        store_ear_forget(&ear, NULL);
        test_redis_command(&redis, "DEL %s", keys[i % 2].name);
        int64_t start_ms = test_now_ms();
        /* A word about the other part may still be under way from before. */
        cr_assert(test_wait_until(heard().parts & keys[i % 2].part, SOON_MS));
        quick[i % 2] += test_now_ms() - start_ms < AT_ONCE_MS / 5;
        store_heard last = heard();
        cr_assert_str_eq(last.id, entry->id);
    }
    cr_assert(quick[0] && quick[1]);
}

Test(redis_watch, expiry_on_the_server_is_told)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    cr_assert_eq(put_entry_in(&store, entry, DEADLINE_MS, &err), 0);
    test_redis_command(&redis, "PEXPIRE %s 50", prompt_key_name(entry));
    cr_assert(test_wait_until(strcmp(test_redis_command(&redis, "EXISTS %s", prompt_key_name(entry)), "0") == 0,
                              SOON_MS));
    cr_assert(test_wait_until(heard().parts & LLMCACHE_PART_PROMPT, SOON_MS));
}

Test(redis_watch, keys_of_others_are_none_of_our_business)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    lc_store other = store_at(redis.uri, NULL);
    test_redis_command(&redis, "SET session:1 x");
    test_redis_command(&redis, "SET prompt_cache:nonsense x");
    test_redis_command(&redis, "SET embed_cache:a%%:00 x");
    cr_assert_eq(put_entry_in(&other, entry, DEADLINE_MS, &err), 0);
    cr_assert(test_wait_until(heard().parts == LLMCACHE_PART_BOTH, SOON_MS));
    cr_assert_eq(heard().changes, 2);
    lc_store_close(&other);
}

Test(redis_watch, emptying_the_server_distrusts_all_for_a_moment)
{
    const char *const commands[] = {"FLUSHDB", "FLUSHALL"};
    for (int i = 0; i < 2; i++) {
        int distrusts = heard().distrusts, trusts = heard().trusts;
        test_redis_command(&redis, "%s", commands[i]);
        cr_assert(test_wait_until(heard().distrusts == distrusts + 1 && heard().trusts == trusts + 1,
                                  SOON_MS));
    }
}

/* After any loss: trusted again, and changes are heard again. */
static void expect_back(int trusts)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 7);
    cr_assert(test_wait_until(heard().trusts > trusts && heard().trusted, SOON_MS));
    store_ear_forget(&ear, NULL);
    lc_store other = store_at(redis.uri, NULL);
    cr_assert(test_wait_until(put_entry_in(&other, entry, DEADLINE_MS, &err) == 0, SOON_MS));
    cr_assert(test_wait_until(heard().parts == LLMCACHE_PART_BOTH, SOON_MS));
    lc_store_close(&other);
}

Test(redis_watch, the_death_of_data_connections_changes_nothing)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    int distrusts = heard().distrusts;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(put_entry_in(&store, entry, DEADLINE_MS, &err), 0, "%s", err.message);
        test_redis_command(&redis, "CLIENT KILL TYPE normal SKIPME yes");
    }
    store_ear_forget(&ear, NULL);
    test_redis_command(&redis, "DEL %s", prompt_key_name(entry));
    cr_assert(test_wait_until(heard().parts & LLMCACHE_PART_PROMPT, SOON_MS));
    cr_assert_eq(heard().distrusts, distrusts);
}

Test(redis_watch, the_death_of_its_own_connection_is_noticed_at_once)
{
    int quick = 0;
    for (int i = 0; i < TRIES && !quick; i++) {
        int distrusts = heard().distrusts, trusts = heard().trusts;
        int64_t start_ms = test_now_ms();
        test_redis_command(&redis, "CLIENT KILL TYPE pubsub");
        cr_assert(test_wait_until(heard().distrusts > distrusts, SOON_MS));
        quick = test_now_ms() - start_ms < AT_ONCE_MS;
        expect_back(trusts);
    }
    cr_assert(quick);
}

Test(redis_watch, a_server_that_hangs_is_noticed_within_a_second)
{
    int quick = 0;
    for (int i = 0; i < TRIES && !quick; i++) {
        int distrusts = heard().distrusts, trusts = heard().trusts;
        int64_t start_ms = test_now_ms();
        test_redis_pause(&redis);
        cr_assert(test_wait_until(heard().distrusts > distrusts, SOON_MS));
        quick = test_now_ms() - start_ms < NOTICED_MS;
        test_redis_resume(&redis);
        expect_back(trusts);
    }
    cr_assert(quick);
}

Test(redis_watch, a_killed_server_is_noticed_and_found_again)
{
    int quick = 0;
    for (int i = 0; i < TRIES && !quick; i++) {
        int distrusts = heard().distrusts, trusts = heard().trusts;
        test_redis_kill(&redis);
        cr_assert(test_wait_until(heard().distrusts > distrusts, SOON_MS));
        test_redis_restart(&redis);
        int64_t start_ms = test_now_ms();
        cr_assert(test_wait_until(heard().trusted, SOON_MS));
        quick = test_now_ms() - start_ms < NOTICED_MS;
        expect_back(trusts);
    }
    cr_assert(quick);
}

Test(redis_watch, a_server_without_tracking_is_never_trusted_and_still_works)
{
    llmcache_error err;
    const test_redis_options old = {.config = "rename-command CLIENT \"\"\n"};
    const llmcache_entry *entry = numbered_entry("default", 1);
    test_redis other;
    lc_store_close(&store);
    test_redis_start(&other, &old);
    int trusts = heard().trusts;
    store = store_at(other.uri, NULL);
    store_ear_watch(&ear, &store);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(put_entry_in(&store, entry, DEADLINE_MS, &err), 0);
    cr_assert_eq(get_entry_from(&store, LLMCACHE_PART_PROMPT, entry, DEADLINE_MS, &err), 0);
    lc_store_close(&store);
    cr_assert_eq(heard().trusts, trusts);
    cr_assert_eq(heard().trusted, 0);
    test_redis_kill(&other);
}

Test(redis_watch, closing_does_not_wait_for_a_hanging_server)
{
    test_redis_pause(&redis);
    int64_t start_ms = test_own_ms();
    lc_store_close(&store);
    cr_assert_lt(test_own_ms() - start_ms, AT_ONCE_MS);
    test_redis_resume(&redis);
}

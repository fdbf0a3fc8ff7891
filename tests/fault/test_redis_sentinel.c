/*
 * A real Redis with sentinels that loses its primary: the next one is used as soon as the sentinels say so, every operation
 * ends within its deadline, nothing is read from a primary that was replaced, changes are heard, and dead sentinels
 * cost nothing while the Redis lives.
 */
#include "redis_sentinel_server.h"
#include "store_ear.h"
#include "store_load.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

enum {
    DEADLINE_MS = 300,
    SLACK_MS = 300,   /* the deadline itself is kept to the millisecond */
    CLOSE_MS = 900,   /* other threads have to end, whose turn may come late */
    SOON_MS = 15000,  /* "within a second" where the processes get their turn at once; a quarter of PATIENT_MS, which the
                         question under way has */
    PATIENT_MS = 60000,
    ENTRIES = 40
};

static test_redis_sentinel all;
static lc_store store;
static const llmcache_entry *entries[ENTRIES];

static int get_from(lc_store *from, const llmcache_entry *entry, int64_t deadline_ms)
{
    llmcache_error err;
    return get_entry_from(from, LLMCACHE_PART_PROMPT, entry, deadline_ms, &err);
}

static int put_into(lc_store *into, const llmcache_entry *entry, int64_t deadline_ms)
{
    llmcache_error err;
    return put_entry_in(into, entry, deadline_ms, &err);
}

static void start_with(const test_redis_sentinel_options *options)
{
    llmcache_error err;
    const char *lacking = test_redis_lacks_sentinel();
    if (lacking)
        cr_skip_test("%s", lacking);
    test_redis_sentinel_start(&all, options);
    store = store_at(all.uri, all.nodes[0].ca_file);
    for (int i = 0; i < ENTRIES; i++) {
        entries[i] = numbered_entry("default", i);
        cr_assert_eq(put_entry_in(&store, entries[i], PATIENT_MS, &err), 0, "%s", err.message);
    }
}

static void start(void)
{
    start_with(NULL);
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(redis_sentinel, .init = start, .fini = stop, .timeout = 240);

/* Replicas have what was put so far. */
static void expect_replicated(void)
{
    for (int i = 1; i < TEST_SENTINEL_NODES; i++)
        cr_assert(test_wait_until(strcmp(test_redis_command(&all.nodes[i], "DBSIZE"),
                                         test_redis_command(&all.nodes[0], "DBSIZE")) == 0, PATIENT_MS));
}

/* The number of the next primary, once a sentinel names it. */
static int await_switch(int from)
{
    int to = from;
    cr_assert(test_wait_until((to = test_redis_sentinel_primary(&all, 0)) != from && to >= 0, PATIENT_MS));
    return to;
}

static int all_are_had(void)
{
    for (int i = 0; i < ENTRIES; i++)
        if (get_from(&store, entries[i], DEADLINE_MS) != 0)
            return 0;
    return 1;
}

static void expect_used(int node)
{
    const llmcache_entry *fresh = numbered_entry("default", 1000);
    cr_assert(test_wait_until(put_into(&store, fresh, DEADLINE_MS) == 0, PATIENT_MS));
    cr_assert_str_eq(test_redis_command(&all.nodes[node], "EXISTS %s", prompt_key_name(fresh)), "1");
}

/* ---- Failovers ------------------------------------------------------------------------------------- */

/* By command; the number of the next primary. */
static int fail_over(int from)
{
    cr_assert(test_wait_until(test_redis_sentinel_fails_over(&all, from), PATIENT_MS));
    return test_redis_sentinel_primary(&all, 0);
}

static int lose(int node, int signal_number)
{
    test_signal(&all.nodes[node].process, signal_number);
    return await_switch(node);
}

/* By a signal to the primary, or by command: 0. */
static void fail_over_under_load(int signal_number)
{
    store_load load = {.store = &store, .entries = entries, .count = ENTRIES, .deadline_ms = DEADLINE_MS,
                       .slack_ms = SLACK_MS};
    expect_replicated();
    store_load_start(&load);
    cr_expect(test_wait_until(store_load_done(&load) > 20, PATIENT_MS));
    int to = signal_number ? lose(0, signal_number) : fail_over(0);
    cr_expect(test_wait_until(all_are_had(), SOON_MS));
    int before = store_load_done(&load);
    cr_expect(test_wait_until(store_load_done(&load) > before + 20, PATIENT_MS));
    store_load_counts sum = store_load_end(&load);
    cr_expect_eq(sum.wrong, 0);
    cr_expect_eq(sum.late, 0);
    cr_expect_eq(sum.missing, 0);
    expect_used(to);
}

Test(redis_sentinel, a_killed_primary_is_replaced_under_load)
{
    fail_over_under_load(SIGKILL);
    test_redis_restart(&all.nodes[0]);
    cr_assert(test_wait_until(test_redis_says(&all.nodes[0], "ROLE", "slave"), PATIENT_MS));
    cr_assert(all_are_had());
}

Test(redis_sentinel, a_hanging_primary_is_replaced_under_load)
{
    fail_over_under_load(SIGSTOP);
    test_redis_resume(&all.nodes[0]);
    cr_assert(all_are_had());
}

Test(redis_sentinel, a_failover_by_command_under_load)
{
    fail_over_under_load(0);
}

Test(redis_sentinel, two_failovers_one_after_the_other)
{
    expect_replicated();
    test_redis_kill(&all.nodes[0]);
    int second = await_switch(0);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
    expect_used(second);
    test_redis_restart(&all.nodes[0]);
    cr_assert(test_wait_until(test_redis_says(&all.nodes[0], "INFO replication", "master_link_status:up"), PATIENT_MS));
    int third = fail_over(second);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
    expect_used(third);
}

/* ---- A primary that does not know it was replaced ------------------------------------------------------ */

/* The same key with another answer. */
static const llmcache_entry *changed(const llmcache_entry *entry)
{
    llmcache_entry other = *entry;
    other.body = "{\"answer\":\"of the new primary\"}";
    other.body_size = strlen(other.body);
    return (const llmcache_entry *)(const void *)test_keep(&other, sizeof other);
}

static int is_primary(const test_redis *node)
{
    return test_redis_says(node, "ROLE", "master\n");
}

static void start_unhurried(void)
{
    start_with(&(const test_redis_sentinel_options){.unhurried = 1});
}

Test(redis_sentinel_stale, nothing_is_read_from_a_primary_that_was_replaced, .init = start_unhurried, .fini = stop,
     .timeout = 240)
{
    const llmcache_entry *fresh[ENTRIES];
    int stale_reads = 0, reads = 0;
    expect_replicated();
    lc_store second = store_at(all.uri, NULL);
    cr_assert_eq(get_from(&second, entries[0], PATIENT_MS), 0);
    test_redis_pause(&all.nodes[0]);
    await_switch(0);
    for (int i = 0; i < ENTRIES; i++) { /* the first store keeps its connections, and notices nothing */
        fresh[i] = changed(entries[i]);
        cr_assert(test_wait_until(put_into(&second, fresh[i], DEADLINE_MS) == 0, PATIENT_MS));
    }
    test_redis_resume(&all.nodes[0]);
    cr_assert(is_primary(&all.nodes[0]), "it does not know yet");
    lc_store third = store_at(all.uri, NULL); /* whoever comes now is not led to it either */
    while (is_primary(&all.nodes[0])) {
        for (int i = 0; i < ENTRIES; i++) {
            stale_reads += get_from(&store, fresh[i], PATIENT_MS) == WRONG_ANSWER;
            stale_reads += get_from(&third, fresh[i], PATIENT_MS) == WRONG_ANSWER;
        }
        reads++;
    }
    cr_expect_gt(reads, 0);
    cr_expect_eq(stale_reads, 0);
    lc_store_close(&second);
    lc_store_close(&third);
}

static void *get_patiently(void *user)
{
    *(int *)user = get_from(&store, entries[0], PATIENT_MS);
    return NULL;
}

/* Its deadline is far: it is sent again to the new primary, not waited out. */
Test(redis_sentinel, a_question_under_way_is_answered_by_the_next_primary)
{
    pthread_t thread;
    int rc = -1;
    expect_replicated();
    test_redis_pause(&all.nodes[0]);
    pthread_create(&thread, NULL, get_patiently, &rc);
    await_switch(0);
    int64_t start_ms = test_now_ms();
    pthread_join(thread, NULL);
    cr_expect_lt(test_now_ms() - start_ms, SOON_MS);
    cr_expect_eq(rc, 0);
    test_redis_resume(&all.nodes[0]);
}

/* A replica that the sentinels name is not taken for the primary. */
Test(redis_sentinel, a_primary_made_a_replica_by_hand_is_not_used_as_one)
{
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_kill(&all.sentinels[i]);
    test_redis_command(&all.nodes[0], "REPLICAOF 127.0.0.1 %d", test_port());
    cr_assert_neq(put_into(&store, entries[0], DEADLINE_MS), 0);
    cr_assert_neq(get_from(&store, entries[0], DEADLINE_MS), 0, "the switch is open");
    llmcache_store_stats stats;
    cr_assert(test_wait_until((store.ops.stats(store.self, &stats), strstr(stats.detail, "is no primary")), PATIENT_MS),
              "%s", stats.detail);
    test_redis_command(&all.nodes[0], "REPLICAOF NO ONE");
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
}

/* ---- Sentinels lost --------------------------------------------------------------------------------- */

static void expect_to_go_on(void)
{
    for (int round = 0; round < 3; round++) {
        cr_assert(all_are_had());
        cr_assert_eq(put_into(&store, entries[round], DEADLINE_MS), 0);
        test_redis_command(&all.nodes[0], "CLIENT KILL TYPE normal SKIPME yes");
        cr_assert(test_wait_until(all_are_had(), PATIENT_MS), "connected again without them");
    }
}

Test(redis_sentinel, without_sentinels_the_redis_is_used_on)
{
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_kill(&all.sentinels[i]);
    expect_to_go_on();
}

Test(redis_sentinel, with_hanging_sentinels_the_redis_is_used_on)
{
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_pause(&all.sentinels[i]);
    expect_to_go_on();
}

Test(redis_sentinel, one_sentinel_that_hangs_hides_nothing)
{
    expect_replicated();
    test_redis_pause(&all.sentinels[2]);
    test_redis_kill(&all.nodes[0]);
    int to = await_switch(0);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
    expect_used(to);
    test_redis_resume(&all.sentinels[2]);
}

static void expect_failing_start(const char *uri, const char *reason)
{
    llmcache_error err;
    llmcache_store_stats stats;
    int64_t start_ms = test_own_ms();
    lc_store other = store_at(uri, NULL);
    cr_expect_lt(test_own_ms() - start_ms, SLACK_MS, "opening does not wait");
    start_ms = test_own_ms();
    cr_expect_lt(get_entry_from(&other, LLMCACHE_PART_PROMPT, entries[0], DEADLINE_MS, &err), 0);
    cr_expect_lt(test_own_ms() - start_ms, DEADLINE_MS + SLACK_MS);
    cr_expect(test_wait_until((other.ops.stats(other.self, &stats), strstr(stats.detail, reason)), PATIENT_MS), "%s",
              stats.detail);
    cr_expect_eq(stats.connected, 0);
    start_ms = test_own_ms();
    lc_store_close(&other);
    cr_expect_lt(test_own_ms() - start_ms, CLOSE_MS, "closing does not wait");
}

Test(redis_sentinel, a_start_without_sentinels_says_so_and_recovers)
{
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_kill(&all.sentinels[i]);
    expect_failing_start(all.uri, "no sentinel says where the Redis is");
    lc_store other = store_at(all.uri, NULL);
    cr_assert_neq(get_from(&other, entries[0], DEADLINE_MS), 0);
    test_redis_restart(&all.sentinels[1]);
    cr_assert(test_wait_until(get_from(&other, entries[0], DEADLINE_MS) == 0, PATIENT_MS), "one is enough");
    lc_store_close(&other);
}

Test(redis_sentinel, a_start_with_hanging_sentinels_says_so)
{
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_pause(&all.sentinels[i]);
    expect_failing_start(all.uri, "no sentinel says");
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_resume(&all.sentinels[i]);
}

Test(redis_sentinel, a_name_that_no_sentinel_knows_is_said)
{
    expect_failing_start(test_format("redis+sentinel://%s/other", all.hosts), "knows no Redis named other");
}

Test(redis_sentinel, closing_waits_for_nobody)
{
    for (int i = 0; i < TEST_SENTINELS; i++)
        test_redis_pause(&all.sentinels[i]);
    test_redis_pause(&all.nodes[0]);
    cr_assert_neq(get_from(&store, entries[0], DEADLINE_MS), 0);
    int64_t start_ms = test_own_ms();
    lc_store_close(&store);
    cr_assert_lt(test_own_ms() - start_ms, CLOSE_MS);
}

/* ---- Logins ----------------------------------------------------------------------------------------- */

static void expect_failover(void)
{
    expect_replicated();
    cr_assert(all_are_had());
    test_redis_kill(&all.nodes[0]);
    await_switch(0);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
}

Test(redis_sentinel_login, the_redis_has_a_user_the_sentinels_have_none, .fini = stop, .timeout = 240)
{
    start_with(&(const test_redis_sentinel_options){.user = "me", .password = "secret"});
    expect_failover();
}

Test(redis_sentinel_login, all_have_one_password, .fini = stop, .timeout = 240)
{
    start_with(&(const test_redis_sentinel_options){.password = "secret", .sentinel_password = "secret"});
    lc_store_close(&store);
    store = store_at(test_format("redis+sentinel://:secret@%s/mymaster", all.hosts), NULL);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
    expect_failover();
}

Test(redis_sentinel_login, each_has_its_own_over_TLS, .fini = stop, .timeout = 240)
{
    start_with(&(const test_redis_sentinel_options){.password = "secret", .sentinel_password = "other", .tls = 1});
    cr_assert(all_are_had());
}

/* ---- Hearing of changes ------------------------------------------------------------------------------ */

static store_ear ear = STORE_EAR;

static store_heard heard(void)
{
    return store_ear_heard(&ear);
}

static void watch(void)
{
    store_ear_watch(&ear, &store);
    cr_assert(test_wait_until(heard().trusted, PATIENT_MS));
}

static void expect_removal_heard(lc_store *other, const llmcache_entry *entry)
{
    llmcache_error err;
    uint64_t removed = 0;
    llmcache_key key = key_of_entry(entry);
    store_ear_forget(&ear, entry->id);
    cr_assert_eq(other->ops.remove(other->self, LLMCACHE_PART_PROMPT, &key, 1, PATIENT_MS, &removed, &err), 0,
                 "%s", err.message);
    cr_assert_eq(removed, 1u);
    cr_assert(test_wait_until(heard().changes > 0, SOON_MS));
}

static void hear_after(int signal_number)
{
    watch();
    expect_replicated();
    lc_store other = store_at(all.uri, NULL);
    expect_removal_heard(&other, entries[0]);
    int before = heard().distrusts;
    if (signal_number)
        lose(0, signal_number);
    else
        fail_over(0);
    cr_assert(test_wait_until(heard().distrusts > before && heard().trusted, SOON_MS));
    cr_assert(test_wait_until(get_from(&other, entries[1], DEADLINE_MS) == 0, PATIENT_MS));
    for (int i = 1; i < 10; i++)
        expect_removal_heard(&other, entries[i]);
    lc_store_close(&other);
}

Test(redis_sentinel, changes_are_heard_after_a_kill)
{
    hear_after(SIGKILL);
}

Test(redis_sentinel, changes_are_heard_after_a_hang)
{
    hear_after(SIGSTOP);
    test_redis_resume(&all.nodes[0]);
}

/* The old primary lives on and keeps its connections for a while: they are given up all the same. */
Test(redis_sentinel_stale, changes_are_heard_after_a_failover_by_command, .init = start_unhurried, .fini = stop,
     .timeout = 240)
{
    hear_after(0);
}

/*
 * Reads from the replicas of a real Redis Cluster: they are used when asked for, and only then; what was removed is not read
 * from one that lags; one that is dead or hangs costs nothing but the way to the primary.
 */
#include "redis_cluster_server.h"
#include "store_load.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 300, SLACK_MS = 300, PATIENT_MS = 60000, PROMISED_MS = 1000, ENTRIES = 40 };

static test_redis_cluster cluster;
static lc_store store; /* reads replicas */
static const llmcache_entry *entries[ENTRIES];

static llmcache_error why;

static int get_within(lc_store *from, const llmcache_entry *entry, int64_t deadline_ms)
{
    return get_entry_from(from, LLMCACHE_PART_PROMPT, entry, deadline_ms, &why);
}

static int get(lc_store *from, const llmcache_entry *entry)
{
    return get_within(from, entry, DEADLINE_MS);
}

static void start(void)
{
    llmcache_error err;
    const char *lacking = test_redis_lacks_cluster();
    if (lacking)
        cr_skip_test("%s", lacking);
    test_redis_cluster_start(&cluster, &(const test_redis_cluster_options){.node_timeout_ms = 3000});
    store = store_at(test_format("%s?read=replica", cluster.uri), NULL);
    for (int i = 0; i < ENTRIES; i++) {
        entries[i] = numbered_entry("default", i);
        cr_assert_eq(put_entry_in(&store, entries[i], PATIENT_MS, &err), 0, "%s", err.message);
    }
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(redis_replicas, .init = start, .fini = stop, .timeout = 240);

/* How often the replicas were read. */
static int reads(void)
{
    int count = 0;
    for (int i = TEST_CLUSTER_PRIMARIES; i < TEST_CLUSTER_NODES; i++) {
        const char *found = strstr(test_redis_command(&cluster.nodes[i], "INFO commandstats"), "cmdstat_get:calls=");
        count += found ? atoi(found + strlen("cmdstat_get:calls=")) : 0;
    }
    return count;
}

/* Reads all once; how many of these reads replicas have answered. */
static int read_all(lc_store *from)
{
    int before = reads();
    for (int i = 0; i < ENTRIES; i++)
        cr_assert_eq(get_within(from, entries[i], PATIENT_MS), 0, "%s", why.message);
    return reads() - before;
}

static void expect_replicas_used(void)
{
    cr_assert(test_wait_until(read_all(&store) == ENTRIES, PATIENT_MS));
}

Test(redis_replicas, are_read_when_asked_for)
{
    lc_store usual = store_at(cluster.uri, NULL);
    cr_assert_lt(read_all(&store), ENTRIES, "what was just written is not looked for on them");
    expect_replicas_used();
    cr_assert_eq(read_all(&usual), 0);
    cr_assert_eq(put_entry_in(&store, entries[0], PATIENT_MS, &(llmcache_error){0}), 0);
    int before = reads();
    cr_assert_eq(get(&store, entries[0]), 0);
    cr_assert_eq(reads(), before, "nor what is written now");
    lc_store_close(&usual);
}

/* ---- A replica that lags ---------------------------------------------------------------------------- */

/* Replicas lose their primaries for good, and go on saying what they have. */
static void cut_off(void)
{
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++) {
        cr_assert_str_eq(test_redis_command(&cluster.nodes[i], "ACL SETUSER default -psync -sync -replconf"), "OK");
        test_redis_command(&cluster.nodes[i], "CLIENT KILL TYPE replica");
    }
}

static void remove_from(lc_store *from, const llmcache_entry *entry)
{
    llmcache_error err;
    uint64_t removed = 0;
    llmcache_key key = key_of_entry(entry);
    cr_assert_eq(from->ops.remove(from->self, LLMCACHE_PART_BOTH, &key, 1, PATIENT_MS, &removed, &err), 0, "%s",
                 err.message);
    cr_assert_eq(removed, 1u);
}

/* The replicas have it to the end. */
static void expect_gone_for_good(const llmcache_entry *entry)
{
    int64_t start_ms = test_now_ms();
    while (test_now_ms() - start_ms < 3 * PROMISED_MS)
        cr_assert_eq(get_within(&store, entry, PATIENT_MS), LLMCACHE_NOT_FOUND, "%s", why.message);
    int there = 0;
    for (int i = TEST_CLUSTER_PRIMARIES; i < TEST_CLUSTER_NODES; i++)
        there += atoi(test_redis_command(&cluster.nodes[i], "DBSIZE"));
    cr_assert_eq(there, 2 * ENTRIES, "the test is worth something");
}

Test(redis_replicas, what_one_removed_oneself_is_never_read_from_one_that_lags)
{
    expect_replicas_used();
    cut_off();
    remove_from(&store, entries[0]);
    expect_gone_for_good(entries[0]);
}

static atomic_int trusted, changes;

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    if (strcmp(id, entries[0]->id) == 0 && (parts & LLMCACHE_PART_PROMPT))
        atomic_fetch_add(&changes, 1);
}

static void on_distrust(void *user)
{
    atomic_store(&trusted, 0);
}

static void on_trust(void *user)
{
    atomic_store(&trusted, 1);
}

/* From the report on: whoever puts into memory what was read after it would keep it for ever. */
Test(redis_replicas, what_was_reported_as_removed_is_never_read_from_one_that_lags)
{
    llmcache_error err;
    const llmcache_watch listener = {NULL, on_changed, on_distrust, on_trust};
    cr_assert_eq(store.ops.watch(store.self, &listener, &err), 0);
    cr_assert(test_wait_until(atomic_load(&trusted), PATIENT_MS));
    expect_replicas_used();
    lc_store other = store_at(cluster.uri, NULL);
    cut_off();
    remove_from(&other, entries[0]);
    cr_assert(test_wait_until(atomic_load(&changes) > 0, PATIENT_MS));
    expect_gone_for_good(entries[0]);
    lc_store_close(&other);
}

/* Without a watch there is only the bound. */
Test(redis_replicas, what_others_removed_is_not_read_after_a_second)
{
    expect_replicas_used();
    lc_store other = store_at(cluster.uri, NULL);
    cut_off();
    remove_from(&other, entries[0]);
    int64_t start_ms = test_now_ms();
    while (test_now_ms() - start_ms < PROMISED_MS)
        cr_assert(get(&store, entries[0]) != WRONG_ANSWER);
    expect_gone_for_good(entries[0]);
    lc_store_close(&other);
}

Test(redis_replicas, one_that_lags_is_read_again_once_it_follows)
{
    expect_replicas_used();
    cut_off();
    cr_assert(test_wait_until(read_all(&store) == 0, PATIENT_MS), "none is fresh");
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++)
        test_redis_command(&cluster.nodes[i], "ACL SETUSER default +@all");
    expect_replicas_used();
}

/* ---- Lost ones -------------------------------------------------------------------------------------- */

static void expect_work(void)
{
    /* Half of it is enough for a primary whose turn comes late. */
    store_load load = {.store = &store, .entries = entries, .count = ENTRIES, .deadline_ms = 10 * DEADLINE_MS,
                       .slack_ms = SLACK_MS};
    store_load_start(&load);
    cr_expect(test_wait_until(store_load_done(&load) > 300, PATIENT_MS));
    store_load_counts sum = store_load_end(&load);
    cr_expect_eq(sum.wrong, 0);
    cr_expect_eq(sum.late, 0);
    cr_expect_eq(sum.missing, 0);
    cr_expect_eq(sum.failed, 0);
}

Test(redis_replicas, dead_ones_cost_nothing)
{
    expect_replicas_used();
    for (int i = TEST_CLUSTER_PRIMARIES; i < TEST_CLUSTER_NODES; i++)
        test_redis_kill(&cluster.nodes[i]);
    expect_work();
}

Test(redis_replicas, hanging_ones_cost_half_a_deadline_at_most)
{
    expect_replicas_used();
    for (int i = TEST_CLUSTER_PRIMARIES; i < TEST_CLUSTER_NODES; i++)
        test_redis_pause(&cluster.nodes[i]);
    expect_work();
    int64_t start_ms = test_own_ms();
    lc_store_close(&store);
    cr_expect_lt(test_own_ms() - start_ms, DEADLINE_MS + SLACK_MS);
    for (int i = TEST_CLUSTER_PRIMARIES; i < TEST_CLUSTER_NODES; i++)
        test_redis_resume(&cluster.nodes[i]);
}

static int all_are_had(void)
{
    for (int i = 0; i < ENTRIES; i++)
        if (get(&store, entries[i]) != 0)
            return 0;
    return 1;
}

Test(redis_replicas, one_that_becomes_primary_is_used_as_one)
{
    expect_replicas_used();
    test_redis_kill(&cluster.nodes[0]);
    cr_assert(test_wait_until(test_redis_is_primary(&cluster.nodes[3]) && all_are_had(), PATIENT_MS));
    cr_assert(test_wait_until(put_entry_in(&store, entries[0], DEADLINE_MS, &(llmcache_error){0}) == 0, PATIENT_MS));
    expect_work();
}

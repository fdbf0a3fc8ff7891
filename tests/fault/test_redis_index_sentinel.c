/*
 * The index redis: behind sentinels whose primary is lost. Replicas follow after the answer, so the next primary may lack
 * vectors, which are put back from the store, and may hold some that were removed, which answer nobody. The store
 * is SQLite, so that it loses nothing itself.
 */
#include "test_cache.h"

#include "index/index.h"
#include "redis_sentinel_server.h"
#include "support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENT_MS = 60000 };

static test_redis_sentinel all;

static void start(void)
{
    const test_redis_sentinel_options options = {.program = test_redis8()};
    const char *lacking = test_redis_lacks_sentinel();
    if (!options.program || lacking)
        cr_skip_test("%s", lacking ? lacking : TEST_NO_REDIS8);
    test_redis_sentinel_start(&all, &options);
}

TestSuite(redis_index_sentinel, .init = start, .timeout = 240);

/* ---- Who reigns --------------------------------------------------------------------------------------- */

/* Another than `from`, once a sentinel names it and it is one. */
static int await_next(int from)
{
    int to = from;
    cr_assert(test_wait_until((to = test_redis_sentinel_primary(&all, 0)) != from && to >= 0 &&
                                  test_redis_says(&all.nodes[to], "ROLE", "master\n"), PATIENT_MS));
    return to;
}

static int hand_over(int from)
{
    cr_assert(test_wait_until(test_redis_says(&all.sentinels[0], "SENTINEL FAILOVER mymaster", "OK"), PATIENT_MS));
    int to = await_next(from);
    cr_assert(test_wait_until(test_redis_says(&all.nodes[from], "INFO replication", "master_link_status:up"), PATIENT_MS));
    return to;
}

/* Vectors in this node. */
static int kept(int node)
{
    return atoi(test_redis_command(
        &all.nodes[node], "EVAL_RO local\tn=0\tfor\t_,k\tin\tipairs(redis.call('KEYS','vector_cache:*:*:*'))\tdo\t"
                          "n=n+redis.call('VCARD',k)\tend\treturn\tn 0"));
}

static int has_everywhere(int count)
{
    return kept(0) == count && kept(1) == count && kept(2) == count;
}

/* They get nothing from here on: not what a link to them still holds either. */
static void stop_replicas(void)
{
    test_redis_pause(&all.nodes[1]);
    test_redis_pause(&all.nodes[2]);
    test_redis_command(&all.nodes[0], "CLIENT KILL TYPE replica");
}

/* One of them takes over: what was done since they were stopped is lost. */
static int resume_replicas(void)
{
    test_redis_resume(&all.nodes[1]);
    test_redis_resume(&all.nodes[2]);
    return await_next(0);
}

/* ---- Under a cache ------------------------------------------------------------------------------------ */

static llmcache *open_cache(test_mock *mock)
{
    mock_start(mock);
    mock_behave(mock, "{'pairs': [['one', 'uno', 0.99], ['two', 'dos', 0.99]]}");
    return test_cache(mock, "threshold", "0.9", "store", test_format("sqlite:%s/cache.db", test_folder()), "index",
                      all.uri, "store-timeout-ms", "1000", "store-write-timeout-ms", "1000");
}

Test(redis_index_sentinel, what_the_next_primary_lacks_is_put_back)
{
    test_mock mock;
    llmcache *cache = open_cache(&mock);
    cr_assert(test_wait_until((test_ask_source(cache, "one"), has_everywhere(1)), PATIENT_MS));
    stop_replicas();
    test_ask_source(cache, "two");
    cr_assert(test_wait_until(kept(0) == 2, PATIENT_MS));
    cr_assert_str_eq(test_ask_source(cache, "dos"), "semantic");
    test_redis_kill(&all.nodes[0]);
    cr_assert_str_eq(test_ask_source(cache, "three"), "model", "and its vector cannot be added");
    int next = resume_replicas();
    cr_assert(test_wait_until(kept(next) == 3, PATIENT_MS), "%d", kept(next));
    mock_behave(&mock, "{'pairs': [['two', 'zwei', 0.99]]}");
    cr_assert_str_eq(test_ask_source(cache, "zwei"), "semantic");
    llmcache_close(cache);
}

Test(redis_index_sentinel, what_was_removed_and_comes_back_answers_nobody)
{
    test_mock mock;
    uint64_t removed = 0;
    llmcache *cache = open_cache(&mock);
    cr_assert(test_wait_until((test_ask_source(cache, "one"), has_everywhere(1)), PATIENT_MS));
    stop_replicas();
    cr_assert_eq(llmcache_purge(cache, NULL, &removed, NULL), 0);
    cr_assert_eq(removed, 1u);
    cr_assert_eq(kept(0), 0);
    test_redis_kill(&all.nodes[0]);
    int next = resume_replicas();
    cr_assert_eq(kept(next), 1, "it is there again");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "model");
    cr_assert(test_wait_until(kept(next) == 1, PATIENT_MS), "the one of \"uno\"");
    cr_assert_str_eq(test_ask_source(cache, "one"), "semantic", "by the answer to \"uno\"");
    llmcache_close(cache);
}

/* ---- The mark ----------------------------------------------------------------------------------------- */

static lc_index open_index(void)
{
    lc_index index;
    llmcache_error err;
    lc_index_options options = {.store = all.uri, .vector_space = "v", .connect_ms = 1000};
    cr_assert_eq(lc_index_open("redis:", &options, &index, &err), 0, "%s", err.message);
    return index;
}

static lc_index_fill fill_of(const lc_index *index)
{
    lc_index_fill fill = LC_FILL_OWN;
    llmcache_error err;
    cr_assert(test_wait_until(index->ops.fill_state(index->self, 1000, &fill, &err) == 0, PATIENT_MS), "%s", err.message);
    return fill;
}

static void mark(const lc_index *index)
{
    llmcache_error err;
    cr_assert(test_wait_until(index->ops.set_filled(index->self, 1000, &err) == 0, PATIENT_MS), "%s", err.message);
}

/* The pool follows the sentinels by itself; here it has. */
static void expect_asked(const lc_index *index, int node)
{
    lc_index_fill fill;
    llmcache_error err;
    cr_assert(test_wait_until((test_redis_command(&all.nodes[node], "CONFIG RESETSTAT"),
                               index->ops.fill_state(index->self, 1000, &fill, &err) == 0 &&
                                   test_redis_says(&all.nodes[node], "INFO commandstats", "cmdstat_eval:")), PATIENT_MS));
}

/* Only the other two take over from each other. */
static void keep_out(int node)
{
    test_redis_command(&all.nodes[node], "CONFIG SET replica-priority 0");
    for (int i = 0; i < TEST_SENTINELS; i++)
        cr_assert(test_wait_until(test_redis_says(&all.sentinels[i], "SENTINEL REPLICAS mymaster", "slave-priority\n0\n"),
                                  PATIENT_MS));
}

Test(redis_index_sentinel, each_reign_is_filled_anew)
{
    keep_out(2);
    lc_index index = open_index();
    cr_assert_eq(fill_of(&index), LC_FILL_WANTED);
    mark(&index);
    cr_assert_eq(fill_of(&index), LC_FILL_DONE);
    int second = hand_over(0);
    expect_asked(&index, second);
    cr_assert_eq(fill_of(&index), LC_FILL_WANTED, "it may lack what was added last");
    cr_assert_eq(hand_over(second), 0);
    expect_asked(&index, 0);
    cr_assert_eq(fill_of(&index), LC_FILL_WANTED, "also where the first one reigns again");
    mark(&index);
    cr_assert_eq(fill_of(&index), LC_FILL_DONE);
    lc_index_close(&index);
}

Test(redis_index_sentinel, what_was_filled_in_two_reigns_is_not_marked)
{
    lc_index index = open_index();
    cr_assert_eq(fill_of(&index), LC_FILL_WANTED);
    int second = hand_over(0);
    cr_assert(test_wait_until(test_redis_says(&all.nodes[0], "ROLE", "slave"), PATIENT_MS));
    mark(&index);
    expect_asked(&index, second);
    cr_assert_eq(fill_of(&index), LC_FILL_WANTED, "the first part of it may be lost");
    mark(&index);
    cr_assert_eq(fill_of(&index), LC_FILL_DONE);
    lc_index_close(&index);
}

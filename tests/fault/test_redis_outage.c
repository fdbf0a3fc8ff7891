/*
 * A real Redis that is stopped, paused, killed and started again: every operation ends within its deadline, a
 * dead server costs nothing once it is known, no answer is ever another's, and it is used again by itself.
 */
#include "redis_server.h"
#include "store_entries.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    DEADLINE_MS = 50,
    SLACK_MS = 200,   /* the deadline itself is kept to the millisecond */
    CLOSE_MS = 900,   /* other threads have to end, whose turn may come late; what is not waited for takes longer */
    PATIENT_MS = 20000
};

static test_redis redis;
static lc_store store;
static const llmcache_entry *entry;

static void start(void)
{
    llmcache_error err;
    const test_redis_options options = {.durable = 1};
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, &options);
    store = store_at(redis.uri, NULL);
    entry = numbered_entry("default", 1);
    cr_assert_eq(put_entry_in(&store, entry, PATIENT_MS, &err), 0, "%s", err.message);
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(redis_outage, .init = start, .fini = stop, .timeout = 120);

static int get(int64_t deadline_ms)
{
    llmcache_error err;
    return get_entry_from(&store, LLMCACHE_PART_PROMPT, entry, deadline_ms, &err);
}

static int one_more(void *user, const llmcache_entry *found)
{
    return 0;
}

/* One operation; its time. */
static int64_t time_of(int number, int *rc)
{
    llmcache_error err;
    uint64_t removed;
    llmcache_key key = key_of_entry(entry);
    int64_t start_ms = test_own_ms();
    switch (number) {
    case 0:
        *rc = get(DEADLINE_MS);
        break;
    case 1:
        *rc = put_entry_in(&store, entry, DEADLINE_MS, &err);
        break;
    case 2:
        *rc = store.ops.remove(store.self, LLMCACHE_PART_BOTH, &key, 1, DEADLINE_MS, &removed, &err);
        break;
    case 3:
        *rc = store.ops.ping(store.self, DEADLINE_MS, &err);
        break;
    default:
        *rc = store.ops.each(store.self, LLMCACHE_PART_PROMPT, NULL, 0, one_more, NULL, NULL, &err);
    }
    return test_own_ms() - start_ms;
}

static void expect_all_fail_in_time(void)
{
    for (int i = 0; i < 10; i++) {
        int rc;
        int64_t took_ms = time_of(i % 5, &rc);
        cr_expect_lt(rc, 0, "operation %d", i % 5);
        cr_expect_lt(took_ms, DEADLINE_MS + SLACK_MS, "operation %d took %lld ms", i % 5, (long long)took_ms);
    }
}

/* Once it is known, a dead server costs less than a look at a dead one's socket would. */
static void expect_to_cost_nothing(void)
{
    enum { TIMES = 1000 };
    double start_us = test_own_us();
    for (int i = 0; i < TIMES; i++)
        cr_assert_lt(get(DEADLINE_MS), 0);
    double each_us = (test_own_us() - start_us) / TIMES;
    cr_assert_lt(each_us, 100, "%.1f us each", each_us);
}

static void expect_back(void)
{
    llmcache_store_stats stats;
    cr_assert(test_wait_until(get(DEADLINE_MS) == 0, PATIENT_MS));
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.connected, 1);
}

static void expect_known_as_lost(void)
{
    llmcache_store_stats stats;
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.connected, 0);
    cr_assert_not_null(strstr(stats.detail, "127.0.0.1"), "%s", stats.detail);
}

/* ---- A walk --------------------------------------------------------------------------------------- */

static int seen;

static int restart_at_first(void *user, const llmcache_entry *found)
{
    if (!seen++)
        test_redis_restart(&redis);
    return 0;
}

/* The one started anew hashes its keys otherwise: a cursor of before would pass over some. */
Test(redis_outage, a_walk_passes_over_nothing_when_the_server_is_started_anew)
{
    enum { ENTRIES = 1500 };
    llmcache_error err;
    int rc = -1;
    for (int i = 2; i <= ENTRIES; i++)
        cr_assert_eq(put_entry_in(&store, numbered_entry("default", i), PATIENT_MS, &err), 0, "%s", err.message);
    for (int i = 0; i < 10 && rc; i++) {
        seen = 0;
        rc = store.ops.each(store.self, LLMCACHE_PART_PROMPT, NULL, 0, restart_at_first, NULL, NULL, &err);
        expect_back();
    }
    cr_assert_eq(rc, 0, "%s", err.message);
    cr_assert_eq(seen, ENTRIES);
}

/* ---- The server goes -------------------------------------------------------------------------------- */

Test(redis_outage, stopped_and_started)
{
    test_redis_kill(&redis);
    expect_all_fail_in_time();
    expect_to_cost_nothing();
    expect_known_as_lost();
    test_redis_restart(&redis);
    expect_back();
}

Test(redis_outage, paused_and_resumed)
{
    int rc;
    test_redis_pause(&redis);
    int64_t start_ms = test_now_ms(), took_ms = time_of(0, &rc);
    cr_assert_eq(rc, LLMCACHE_TIMEOUT);
    cr_assert_geq(test_now_ms() - start_ms, DEADLINE_MS - 1);
    cr_assert_lt(took_ms, DEADLINE_MS + SLACK_MS, "%lld ms", (long long)took_ms);
    expect_all_fail_in_time();
    expect_to_cost_nothing();
    expect_known_as_lost();
    test_redis_resume(&redis);
    expect_back();
}

Test(redis_outage, down_from_the_beginning)
{
    lc_store_close(&store);
    test_redis_kill(&redis);
    store = store_at(redis.uri, NULL);
    expect_all_fail_in_time();
    expect_to_cost_nothing();
    test_redis_restart(&redis);
    expect_back();
}

Test(redis_outage, restarted_between_two_questions_is_not_even_noticed)
{
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(get(PATIENT_MS), 0);
        test_redis_restart(&redis);
        cr_assert_eq(get(PATIENT_MS), 0, "round %d: kept connections are dead, the server is not", i);
    }
}

Test(redis_outage, closing_does_not_wait_for_a_hanging_server)
{
    test_redis_pause(&redis);
    cr_assert_eq(get(DEADLINE_MS), LLMCACHE_TIMEOUT);
    int64_t start_ms = test_own_ms();
    lc_store_close(&store);
    cr_assert_lt(test_own_ms() - start_ms, CLOSE_MS);
    test_redis_resume(&redis);
}

/* ---- In the middle of work ------------------------------------------------------------------------- */

enum { THREADS = 6, KEYS = 20 };

typedef struct worker {
    pthread_t thread;
    lc_store *store;
    const llmcache_entry *const *entries;
    atomic_int *over;
    int number, failed, wrong, late;
    atomic_int done;
} worker;

static void *work(void *user)
{
    worker *w = user;
    for (int i = w->number; !atomic_load(w->over); i++) {
        llmcache_error err;
        const llmcache_entry *e = w->entries[i % KEYS];
        int64_t start_ms = test_own_ms();
        int rc = i % 4 == 0 ? put_entry_in(w->store, e, DEADLINE_MS, &err)
                            : get_entry_from(w->store, i % 2 ? LLMCACHE_PART_PROMPT : LLMCACHE_PART_EMBED, e,
                                             DEADLINE_MS, &err);
        w->late += test_own_ms() - start_ms > DEADLINE_MS + SLACK_MS;
        w->wrong += rc == WRONG_ANSWER;
        w->failed += rc < 0 && rc != LLMCACHE_NOT_FOUND;
        atomic_fetch_add(&w->done, rc == 0);
        if (rc < 0)
            test_nap();
    }
    return NULL;
}

/* Has every worker had an answer since the counts were taken? */
static int all_went_on(worker *workers, const int *before)
{
    for (int i = 0; i < THREADS; i++)
        if (atomic_load(&workers[i].done) <= before[i])
            return 0;
    return 1;
}

static void expect_work(worker *workers)
{
    int before[THREADS];
    for (int i = 0; i < THREADS; i++)
        before[i] = atomic_load(&workers[i].done);
    cr_expect(test_wait_until(all_went_on(workers, before), PATIENT_MS));
}

Test(redis_outage, no_answer_is_anothers_while_the_server_comes_and_goes)
{
    const llmcache_entry *entries[KEYS];
    worker workers[THREADS] = {0};
    atomic_int over = 0;
    for (int i = 0; i < KEYS; i++)
        entries[i] = numbered_entry("default", i);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.store = &store, .entries = entries, .over = &over, .number = i};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (int round = 0; round < 3; round++) {
        expect_work(workers);
        test_redis_pause(&redis);
        cr_expect(test_wait_until(get(DEADLINE_MS) == LLMCACHE_STORE, PATIENT_MS));
        test_redis_resume(&redis);
        expect_work(workers);
        test_redis_kill(&redis);
        cr_expect(test_wait_until(get(DEADLINE_MS) == LLMCACHE_STORE, PATIENT_MS));
        test_redis_restart(&redis);
    }
    expect_work(workers);
    atomic_store(&over, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_expect_eq(workers[i].wrong, 0);
        cr_expect_eq(workers[i].late, 0);
        cr_expect_gt(workers[i].failed, 0);
    }
    expect_back();
}

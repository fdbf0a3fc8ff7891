/*
 * The index redis: while its Redis is killed, paused, full, emptied, or away from the beginning: every operation ends
 * within its deadline, nothing of another partition is ever found, a cache's questions go on to the model, and what
 * could not be added gets in when the server is back.
 */
#include "test_cache.h"

#include "index/index.h"
#include "redis_server.h"
#include "store/store.h"
#include "support.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIM = 32,
    NUMBERS = 200,
    PARTITIONS = 8,
    DEADLINE_MS = 50,
    SLACK_MS = 250,
    CLOSE_MS = 900, /* other threads have to end, whose turn may come late */
    PATIENT_MS = 10000
};

static test_redis redis;

static lc_index open_index(void)
{
    lc_index index;
    llmcache_error err;
    lc_index_options options = {.store = redis.uri, .vector_space = "v", .connect_ms = 50};
    cr_assert_eq(lc_index_open("redis:", &options, &index, &err), 0, "%s", err.message);
    return index;
}

static void start(void)
{
    const test_redis_options options = {.program = test_redis8(), .durable = 1};
    if (!options.program)
        cr_skip_test(TEST_NO_REDIS8);
    test_redis_start(&redis, &options);
}

TestSuite(redis_index_faults, .init = start, .timeout = 120);

static int add_in(const lc_index *index, uint64_t number, int64_t deadline_ms)
{
    float vector[DIM];
    unsigned char fingerprint[32], digest[32];
    llmcache_error err = {0};
    lc_record record = {.space = "s", .fingerprint = fingerprint, .partition = digest, .vector = vector,
                        .dimension = DIM};
    test_vector(number, vector, DIM);
    test_digest(number, fingerprint);
    test_digest(1000 + number % PARTITIONS, digest);
    return index->ops.add(index->self, &record, deadline_ms, &err);
}

static int take_in(const lc_index *index, uint64_t number, int64_t deadline_ms, int *removed)
{
    unsigned char fingerprint[32];
    char id[LLMCACHE_ID_SIZE];
    llmcache_error err = {0};
    test_digest(number, fingerprint);
    lc_entry_id(fingerprint, id);
    return index->ops.remove(index->self, "s", id, deadline_ms, removed, &err);
}

#define WRONG 1

/* WRONG: something else was found first than what is there; LLMCACHE_NOT_FOUND: nothing. */
static int find_in(const lc_index *index, uint64_t number, int64_t deadline_ms)
{
    float vector[DIM];
    unsigned char fingerprint[32], digest[32];
    lc_neighbour out[2];
    size_t count;
    llmcache_error err = {0};
    lc_query query = {.space = "s", .partition = digest, .vector = vector, .dimension = DIM,
                      .deadline_ms = deadline_ms};
    test_vector(number, vector, DIM);
    test_digest(number, fingerprint);
    test_digest(1000 + number % PARTITIONS, digest);
    int code = index->ops.search(index->self, &query, out, 2, &count, &err);
    if (code)
        return code;
    if (!count)
        return LLMCACHE_NOT_FOUND;
    return memcmp(out[0].fingerprint, fingerprint, 32) == 0 && out[0].similarity > 0.9999 ? 0 : WRONG;
}

static void add_all(const lc_index *index)
{
    for (uint64_t n = 0; n < NUMBERS; n++)
        cr_assert_eq(add_in(index, n, PATIENT_MS), 0);
}

/* One operation of each kind; their results are errors, and in time. */
static void expect_all_fail_in_time(const lc_index *index)
{
    lc_index_fill fill;
    llmcache_error err;
    for (int i = 0; i < 10; i++) {
        int64_t start_ms = test_own_ms();
        int code = i % 5 == 0   ? find_in(index, 1, DEADLINE_MS)
                   : i % 5 == 1 ? add_in(index, 1, DEADLINE_MS)
                   : i % 5 == 2 ? take_in(index, 1, DEADLINE_MS, NULL)
                   : i % 5 == 3 ? index->ops.clear(index->self, DEADLINE_MS, &err)
                                : index->ops.fill_state(index->self, DEADLINE_MS, &fill, &err);
        int64_t took_ms = test_own_ms() - start_ms;
        cr_expect(code < 0 && code != LLMCACHE_NOT_FOUND, "operation %d: %d", i % 5, code);
        cr_expect_lt(took_ms, DEADLINE_MS + SLACK_MS, "operation %d took %lld ms", i % 5, (long long)took_ms);
    }
}

static int is_lost(const lc_index *index)
{
    lc_index_stats stats;
    index->ops.stats(index->self, &stats);
    return stats.lost && *stats.detail;
}

Test(redis_index_faults, killed_and_started)
{
    lc_index index = open_index();
    add_all(&index);
    test_redis_kill(&redis);
    expect_all_fail_in_time(&index);
    cr_assert(is_lost(&index));
    test_redis_restart(&redis);
    cr_assert(test_wait_until(find_in(&index, 7, PATIENT_MS) == 0, PATIENT_MS));
    cr_assert(!is_lost(&index));
    for (uint64_t n = 0; n < NUMBERS; n++)
        cr_assert_eq(find_in(&index, n, PATIENT_MS), 0, "%llu", (unsigned long long)n);
    lc_index_close(&index);
}

Test(redis_index_faults, a_redis_that_was_started_again_is_filled_again)
{
    lc_index index = open_index();
    lc_index_fill fill;
    llmcache_error err;
    cr_assert_eq(index.ops.fill_state(index.self, PATIENT_MS, &fill, &err), 0, "%s", err.message);
    cr_assert_eq(index.ops.set_filled(index.self, PATIENT_MS, &err), 0);
    cr_assert_eq(index.ops.fill_state(index.self, PATIENT_MS, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_DONE);
    test_redis_restart(&redis);
    cr_assert(test_wait_until(index.ops.fill_state(index.self, PATIENT_MS, &fill, &err) == 0, PATIENT_MS));
    cr_assert_eq(fill, LC_FILL_WANTED, "it may have lost its last writes");
    lc_index_close(&index);
}

Test(redis_index_faults, paused_and_resumed)
{
    lc_index index = open_index();
    add_all(&index);
    test_redis_pause(&redis);
    expect_all_fail_in_time(&index);
    cr_assert(is_lost(&index));
    test_redis_resume(&redis);
    cr_assert(test_wait_until(find_in(&index, 7, PATIENT_MS) == 0, PATIENT_MS));
    lc_index_close(&index);
}

/* A partition may be large, and a question's time short. */
Test(redis_index_faults, a_late_search_is_no_lost_server)
{
    lc_index index = open_index();
    add_all(&index);
    for (int i = 0; i < 3; i++) {
        test_redis_pause(&redis);
        cr_expect_eq(find_in(&index, 7, DEADLINE_MS), LLMCACHE_TIMEOUT);
        cr_expect_eq(find_in(&index, 7, DEADLINE_MS), LLMCACHE_TIMEOUT);
        cr_expect_not(is_lost(&index), "two in a row");
        test_redis_resume(&redis);
        cr_expect_eq(find_in(&index, 7, PATIENT_MS), 0);
    }
    test_redis_pause(&redis);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(find_in(&index, 7, DEADLINE_MS), LLMCACHE_TIMEOUT);
    cr_expect(is_lost(&index), "three in a row");
    test_redis_resume(&redis);
    lc_index_close(&index);
}

Test(redis_index_faults, away_from_the_beginning)
{
    test_redis_kill(&redis);
    lc_index index = open_index();
    expect_all_fail_in_time(&index);
    cr_assert(is_lost(&index));
    test_redis_restart(&redis);
    cr_assert(test_wait_until(add_in(&index, 7, PATIENT_MS) == 0, PATIENT_MS));
    cr_assert_eq(find_in(&index, 7, PATIENT_MS), 0);
    cr_assert(!is_lost(&index));
    lc_index_close(&index);
}

Test(redis_index_faults, closing_does_not_wait_for_a_hanging_server)
{
    lc_index index = open_index();
    add_all(&index);
    test_redis_pause(&redis);
    cr_assert_eq(find_in(&index, 1, DEADLINE_MS), LLMCACHE_TIMEOUT);
    int64_t start_ms = test_own_ms();
    lc_index_close(&index);
    cr_assert_lt(test_own_ms() - start_ms, CLOSE_MS);
    test_redis_resume(&redis);
}

/* Full, it takes nothing more, finds all it has and lets go of what is removed. */
Test(redis_index_faults, a_full_redis_still_finds_and_removes)
{
    lc_index index = open_index();
    lc_index_stats stats;
    int removed;
    add_all(&index);
    test_redis_command(&redis, "CONFIG SET maxmemory-policy noeviction");
    test_redis_command(&redis, "CONFIG SET maxmemory 1");
    cr_assert_eq(add_in(&index, NUMBERS, PATIENT_MS), LLMCACHE_STORE);
    cr_assert_eq(find_in(&index, 7, PATIENT_MS), 0);
    cr_assert_eq(take_in(&index, 7, PATIENT_MS, &removed), 0);
    cr_assert_eq(removed, 1);
    cr_assert_neq(find_in(&index, 7, PATIENT_MS), 0);
    index.ops.stats(index.self, &stats);
    cr_assert_eq(stats.records, NUMBERS - 1);
    test_redis_command(&redis, "CONFIG SET maxmemory 0");
    cr_assert_eq(add_in(&index, 7, PATIENT_MS), 0);
    cr_assert_eq(find_in(&index, 7, PATIENT_MS), 0);
    lc_index_close(&index);
}

/* A user who may not use scripts or vector sets: said so, and well once he may. */
Test(redis_index_faults, a_user_who_may_not_is_told)
{
    lc_index_stats stats;
    test_redis_command(&redis, "ACL SETUSER default -VCARD");
    lc_index index = open_index();
    cr_assert(test_wait_until(find_in(&index, 1, PATIENT_MS) == LLMCACHE_STORE &&
                                  (index.ops.stats(index.self, &stats), strstr(stats.detail, "does not allow")),
                              PATIENT_MS));
    cr_assert(stats.lost && !stats.fell_back);
    test_redis_command(&redis, "ACL SETUSER default +VCARD");
    cr_assert_eq(add_in(&index, 1, PATIENT_MS), 0);
    cr_assert(!is_lost(&index));
    lc_index_close(&index);
}

/* ---- In the middle of work --------------------------------------------------------------------------------- */

enum { THREADS = 4 };

typedef struct worker {
    pthread_t thread;
    const lc_index *index;
    atomic_int *over;
    int number, wrong, late;
    atomic_int done, failed;
} worker;

/* Each adds and removes numbers of its own, and looks for those that stay. */
static void *work(void *user)
{
    worker *w = user;
    for (uint64_t i = (uint64_t)w->number; !atomic_load(w->over); i++) {
        uint64_t loose = NUMBERS + (uint64_t)w->number;
        int64_t start_ms = test_own_ms();
        int code = i % 4 == 0   ? add_in(w->index, loose, DEADLINE_MS)
                   : i % 4 == 1 ? take_in(w->index, loose, DEADLINE_MS, NULL)
                                : find_in(w->index, i % NUMBERS, DEADLINE_MS);
        w->late += test_own_ms() - start_ms > DEADLINE_MS + SLACK_MS;
        w->wrong += code == WRONG || code == LLMCACHE_NOT_FOUND;
        atomic_fetch_add(&w->done, code == 0);
        atomic_fetch_add(&w->failed, code < 0);
        if (code < 0)
            test_nap();
    }
    return NULL;
}

static int all_went_on(worker *workers, const int *before)
{
    for (int i = 0; i < THREADS; i++)
        if (atomic_load(&workers[i].done) < before[i] + 5)
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

static void expect_failure(worker *workers)
{
    int before = atomic_load(&workers[0].failed);
    cr_expect(test_wait_until(atomic_load(&workers[0].failed) > before, PATIENT_MS));
}

Test(redis_index_faults, nothing_else_is_found_while_the_server_comes_and_goes)
{
    lc_index index = open_index();
    worker workers[THREADS] = {0};
    atomic_int over = 0;
    add_all(&index);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.index = &index, .over = &over, .number = i};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    for (int round = 0; round < 3; round++) {
        expect_work(workers);
        test_redis_pause(&redis);
        expect_failure(workers);
        test_redis_resume(&redis);
        expect_work(workers);
        test_redis_kill(&redis);
        expect_failure(workers);
        test_redis_restart(&redis);
    }
    expect_work(workers);
    atomic_store(&over, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_expect_eq(workers[i].wrong, 0);
        cr_expect_eq(workers[i].late, 0);
    }
    lc_index_close(&index);
}

/* ---- Under a cache ------------------------------------------------------------------------------------------- */

static int kept(void)
{
    return atoi(test_redis_command(
        &redis, "EVAL local\tn=0\tfor\t_,k\tin\tipairs(redis.call('KEYS','vector_cache:*:*:*'))\tdo\t"
                "n=n+redis.call('VCARD',k)\tend\treturn\tn 0"));
}

/* The index has a Redis of its own, the store goes on: only matching by meaning is missing meanwhile. */
Test(redis_index_faults, questions_go_on_without_it_and_it_catches_up)
{
    test_mock mock;
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['two', 'dos', 0.99]]}");
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "store", store, "index", test_format("redis:%s", redis.uri),
                                 "store-timeout-ms", "500", "store-write-timeout-ms", "500");
    cr_assert(test_wait_until((test_ask_source(cache, "one"), kept() == 1), PATIENT_MS));
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    test_redis_kill(&redis);
    cr_assert_str_eq(test_ask_source(cache, "one"), "exact");
    cr_assert_str_eq(test_ask_source(cache, "eine"), "model");
    cr_assert_str_eq(test_ask_source(cache, "two"), "model");
    cr_assert_str_eq(test_ask_source(cache, "dos"), "model", "without candidates");
    cr_assert_gt(test_counters(cache).store_errors, 0u);
    test_redis_restart(&redis);
    cr_assert(test_wait_until(kept() == 4, PATIENT_MS), "one, eine, two, dos: what was missed is read from the store");
    mock_behave(&mock, "{'pairs': [['two', 'zwei', 0.99]]}");
    cr_assert_str_eq(test_ask_source(cache, "zwei"), "semantic");
    llmcache_close(cache);
}

/* Whoever removes everything may be the first to meet it dead. */
Test(redis_index_faults, all_is_removed_while_it_is_dead)
{
    test_mock mock;
    uint64_t removed = 0;
    mock_start(&mock);
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = test_cache(&mock, "store", store, "index", test_format("redis:%s", redis.uri),
                                 "store-write-timeout-ms", "500");
    cr_assert(test_wait_until((test_ask_source(cache, "one"), kept() == 1), PATIENT_MS));
    test_redis_kill(&redis);
    cr_assert_eq(llmcache_purge(cache, NULL, &removed, NULL), 0);
    cr_assert_eq(removed, 1u);
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    llmcache_close(cache);
}

/* Killed while it is being filled: not marked, and filled when it is back. */
Test(redis_index_faults, killed_while_it_is_filled)
{
    enum { MANY = 300 };
    test_mock mock;
    llmcache_error err;
    mock_start(&mock);
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = test_cache(&mock, "store", store);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(llmcache_put(cache, test_format("what is number %d", i), "a number", NULL, &err), 0, "%s",
                     err.message);
    llmcache_close(cache);
    cache = test_cache(&mock, "store", store, "index", test_format("redis:%s", redis.uri), "store-write-timeout-ms",
                       "500");
    cr_assert(test_wait_until(kept() > 0, PATIENT_MS));
    test_redis_restart(&redis);
    cr_assert(test_wait_until(kept() == MANY, PATIENT_MS));
    llmcache_close(cache);
}

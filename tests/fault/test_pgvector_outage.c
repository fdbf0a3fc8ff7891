/*
 * The index pgvector: on a server that is killed, paused, and started again while it is searched: a search ends soon, a dead
 * server fails at once, every answer that comes is right, and it is used again by itself.
 */
#include "postgres_server.h"

#include "index/index.h"
#include "store/store.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 32, RECORDS = 300, DEADLINE_MS = 100, HANG_MS = 5000, PATIENT_MS = 30000, CROWD = 32 };

static test_postgres server;
static lc_index index_;

static void describe(uint64_t n, unsigned char fingerprint[32], unsigned char partition[32], float vector[DIM])
{
    test_digest(n, fingerprint);
    test_digest(1000000 + n % 3, partition);
    test_vector(n, vector, DIM);
}

static int add(uint64_t n, int64_t deadline_ms, llmcache_error *err)
{
    unsigned char fingerprint[32], partition[32];
    float vector[DIM];
    lc_record record = {.space = "default", .fingerprint = fingerprint, .partition = partition, .vector = vector,
                        .dimension = DIM};
    describe(n, fingerprint, partition, vector);
    return index_.ops.add(index_.self, &record, deadline_ms, err);
}

/* 1 when the record itself was found, 0 when another was, or the code. */
static int finds(uint64_t n, int64_t deadline_ms)
{
    unsigned char fingerprint[32], partition[32];
    float vector[DIM];
    lc_neighbour out[1];
    size_t count = 0;
    llmcache_error err;
    lc_query query = {.space = "default", .partition = partition, .vector = vector, .dimension = DIM,
                      .deadline_ms = deadline_ms};
    describe(n, fingerprint, partition, vector);
    int code = index_.ops.search(index_.self, &query, out, 1, &count, &err);
    return code ? code : count == 1 && memcmp(out[0].fingerprint, fingerprint, 32) == 0;
}

static lc_index_stats stats(void)
{
    lc_index_stats stats;
    index_.ops.stats(index_.self, &stats);
    return stats;
}

static void start(void)
{
    llmcache_error err;
    lc_index_fill state;
    const char *missing = test_pgvector_missing();
    if (missing)
        cr_skip_test("%s", missing);
    test_pgvector_start(&server);
    const lc_index_options options = {.vector_space = "outage", .connect_ms = PATIENT_MS};
    cr_assert_eq(lc_index_open(test_format("pgvector:%s", server.uri), &options, &index_, &err), 0, "%s", err.message);
    cr_assert_eq(index_.ops.fill_state(index_.self, PATIENT_MS, &state, &err), 0, "%s", err.message);
    for (uint64_t n = 0; n < RECORDS; n++)
        cr_assert_eq(add(n, PATIENT_MS, &err), 0, "%s", err.message);
    cr_assert_eq(index_.ops.set_filled(index_.self, PATIENT_MS, &err), 0, "%s", err.message);
}

static void stop(void)
{
    lc_index_close(&index_);
}

TestSuite(pgvector_outage, .init = start, .fini = stop, .timeout = 240);

static void expect_failures_without_a_hang(void)
{
    for (int i = 0; i < 6; i++) {
        llmcache_error err;
        lc_index_fill state;
        int64_t start_ms = test_own_ms();
        cr_expect_lt(finds(1, DEADLINE_MS), 0);
        cr_expect_lt(add(1, DEADLINE_MS, &err), 0);
        cr_expect_lt(index_.ops.remove(index_.self, "default", "0123456789abcdef0123", DEADLINE_MS, NULL, &err), 0);
        cr_expect_lt(index_.ops.fill_state(index_.self, DEADLINE_MS, &state, &err), 0);
        cr_expect_lt(test_own_ms() - start_ms, HANG_MS);
    }
    cr_expect(stats().lost);
    cr_expect_not_null(strstr(stats().detail, "127.0.0.1"), "%s", stats().detail);
    cr_expect_null(strstr(stats().detail, "secret"), "%s", stats().detail);
}

static void expect_back(void)
{
    cr_assert(test_wait_until(finds(7, PATIENT_MS) == 1, PATIENT_MS));
    cr_expect_not(stats().lost);
}

Test(pgvector_outage, killed_and_started)
{
    llmcache_error err;
    lc_index_fill state;
    cr_assert_eq(add(RECORDS, PATIENT_MS, &err), 0, "%s", err.message);
    test_postgres_kill(&server);
    expect_failures_without_a_hang();
    test_postgres_restart(&server);
    expect_back();
    /* What was marked as filled, and what was added since, outlives it. */
    for (uint64_t n = 0; n <= RECORDS; n++)
        cr_expect_eq(finds(n, PATIENT_MS), 1, "%d", (int)n);
    cr_assert_eq(index_.ops.fill_state(index_.self, PATIENT_MS, &state, &err), 0, "%s", err.message);
    cr_assert_eq(state, LC_FILL_DONE);
}

Test(pgvector_outage, paused_and_resumed)
{
    test_postgres_pause(&server);
    expect_failures_without_a_hang();
    test_postgres_resume(&server);
    expect_back();
}

/* ---- Under way ---------------------------------------------------------------------------------------------- */

static atomic_int over, wrong, right, failed, slow;

static void *search_on(void *user)
{
    uint64_t n = (uint64_t)(uintptr_t)user;
    while (!atomic_load(&over)) {
        int64_t start_ms = test_own_ms();
        int found = finds(n++ % RECORDS, DEADLINE_MS);
        atomic_fetch_add(found < 0 ? &failed : found ? &right : &wrong, 1);
        if (test_own_ms() - start_ms > HANG_MS)
            atomic_fetch_add(&slow, 1);
    }
    return NULL;
}

static int more(atomic_int *count, int than)
{
    return atomic_load(count) > than;
}

static int connections_there(void)
{
    return atoi(test_postgres_ask(&server, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'llmcache'"));
}

Test(pgvector_outage, a_crowd_searches_through_it_all)
{
    pthread_t threads[CROWD];
    for (size_t i = 0; i < CROWD; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, search_on, (void *)i), 0);
    cr_assert(test_wait_until(more(&right, 100), PATIENT_MS));
    /* None for a moment, where searches on a slow machine made the index give up, or more: PostgreSQL shows those that were
     * given up until it notices. */
    int connections = 0;
    cr_assert(test_wait_until((connections = connections_there()) > 0 && connections <= 9, PATIENT_MS), "%d", connections);
    for (int round = 0; round < 2; round++) {
        int before = atomic_load(&failed);
        round ? test_postgres_kill(&server) : test_postgres_pause(&server);
        cr_assert(test_wait_until(more(&failed, before + CROWD), PATIENT_MS));
        round ? test_postgres_restart(&server) : test_postgres_resume(&server);
        before = atomic_load(&right);
        cr_assert(test_wait_until(more(&right, before + 100), PATIENT_MS));
    }
    atomic_store(&over, 1);
    for (size_t i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(wrong, 0);
    cr_expect_eq(slow, 0);
}

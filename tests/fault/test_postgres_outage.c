/*
 * A real PostgreSQL that is killed, paused, started again and crowded: every operation ends soon, a dead server is
 * known as lost, no answer is ever another's, it is used again by itself, and a watch says when it may have missed
 * something.
 */
#include "postgres_server.h"
#include "store_entries.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEADLINE_MS = 100,
    HANG_MS = 5000, /* far from any deadline here: whoever takes longer hangs */
    PATIENT_MS = 30000
};

static test_postgres server;
static lc_store store;
static const llmcache_entry *entry;

static void start(void)
{
    llmcache_error err;
    const char *missing = test_postgres_missing();
    if (missing)
        cr_skip_test("%s", missing);
    test_postgres_start(&server);
    store = store_at(server.uri, NULL);
    entry = numbered_entry("default", 1);
    cr_assert_eq(put_entry_in(&store, entry, PATIENT_MS, &err), 0, "%s", err.message);
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(postgres_outage, .init = start, .fini = stop, .timeout = 240);

static int get(int64_t deadline_ms)
{
    llmcache_error err;
    return get_entry_from(&store, LLMCACHE_PART_PROMPT, entry, deadline_ms, &err);
}

static void expect_failures_without_a_hang(void)
{
    llmcache_error err;
    uint64_t removed;
    llmcache_key key = key_of_entry(entry);
    for (int i = 0; i < 5; i++) {
        int64_t start_ms = test_own_ms();
        cr_expect_lt(get(DEADLINE_MS), 0);
        cr_expect_lt(put_entry_in(&store, entry, DEADLINE_MS, &err), 0);
        cr_expect_lt(store.ops.remove(store.self, LLMCACHE_PART_BOTH, &key, 1, DEADLINE_MS, &removed, &err), 0);
        cr_expect_lt(store.ops.ping(store.self, DEADLINE_MS, &err), 0);
        cr_expect_lt(test_own_ms() - start_ms, HANG_MS);
    }
    llmcache_store_stats stats;
    store.ops.stats(store.self, &stats);
    cr_expect_eq(stats.connected, 0);
    cr_expect_not_null(strstr(stats.detail, "127.0.0.1"), "%s", stats.detail);
    cr_expect_null(strstr(stats.detail, "secret"), "%s", stats.detail);
}

static void expect_back(void)
{
    llmcache_store_stats stats;
    cr_assert(test_wait_until(get(PATIENT_MS) == 0, PATIENT_MS));
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.connected, 1);
}

Test(postgres_outage, killed_and_started)
{
    test_postgres_kill(&server);
    expect_failures_without_a_hang();
    test_postgres_restart(&server);
    expect_back();
}

Test(postgres_outage, paused_and_resumed)
{
    test_postgres_pause(&server);
    cr_assert_eq(get(DEADLINE_MS), LLMCACHE_TIMEOUT);
    expect_failures_without_a_hang();
    test_postgres_resume(&server);
    expect_back();
}

/* ---- A crowd ------------------------------------------------------------------------------------- */

enum { CROWD = 64, EACH = 20 };
static atomic_int failures;

static void *one_of_many(void *user)
{
    size_t number = (size_t)user;
    llmcache_error err;
    for (size_t i = 0; i < EACH; i++) {
        const llmcache_entry *mine = numbered_entry("default", 100 + number * EACH + i);
        if (put_entry_in(&store, mine, PATIENT_MS, &err) ||
            get_entry_from(&store, LLMCACHE_PART_PROMPT, mine, PATIENT_MS, &err))
            atomic_fetch_add(&failures, 1);
    }
    return NULL;
}

Test(postgres_outage, a_crowd_shares_a_few_connections)
{
    pthread_t threads[CROWD];
    for (size_t i = 0; i < CROWD; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, one_of_many, (void *)i), 0);
    for (size_t i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(failures, 0);
    int connections =
        atoi(test_postgres_ask(&server, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'llmcache'"));
    cr_expect(connections > 0 && connections <= 17, "%d", connections);
}

/* ---- Refusals ------------------------------------------------------------------------------------ */

/* A store whose user may have so many connections, and do with the tables what the superuser's can. */
static lc_store store_of_user_with(int connections)
{
    llmcache_error err;
    const char *uri = test_format("postgresql://few:secret@127.0.0.1:%d/postgres", server.port);
    test_postgres_ask(&server, "CREATE ROLE few LOGIN PASSWORD 'secret' CONNECTION LIMIT %d;"
                               " GRANT ALL ON ALL TABLES IN SCHEMA public TO few", connections);
    lc_store few = store_at(uri, NULL);
    cr_assert(test_wait_until(get_entry_from(&few, LLMCACHE_PART_PROMPT, entry, PATIENT_MS, &err) == 0, PATIENT_MS), "%s",
              err.message);
    return few;
}

static int is_connected(const lc_store *some)
{
    llmcache_store_stats stats;
    some->ops.stats(some->self, &stats);
    return stats.connected;
}

static void *one_of_few(void *user)
{
    lc_store *few = user;
    llmcache_error err;
    for (int i = 0; i < EACH / 4; i++)
        if (get_entry_from(few, LLMCACHE_PART_PROMPT, entry, PATIENT_MS, &err))
            atomic_fetch_add(&failures, 1);
    return NULL;
}

/* Others have the server's connections: what this store has must do, and is no reason to believe the server lost. */
Test(postgres_outage, at_the_connection_limit_all_share_what_there_is)
{
    pthread_t threads[CROWD];
    llmcache_error err;
    lc_store few = store_of_user_with(2);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, one_of_few, &few), 0);
    for (int i = 0; i < 10; i++) {
        few.ops.ping(few.self, PATIENT_MS, &err);
        cr_expect(is_connected(&few));
    }
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(failures, 0);
    cr_expect(is_connected(&few));
    lc_store_close(&few);
}

Test(postgres_outage, without_a_single_connection_it_is_lost_until_there_is_one)
{
    llmcache_error err;
    lc_store few = store_of_user_with(1), none = store_at(test_format("postgresql://few:secret@127.0.0.1:%d/postgres",
                                                                      server.port), NULL);
    cr_expect_lt(none.ops.ping(none.self, PATIENT_MS, &err), 0);
    cr_expect_not_null(strstr(err.message, "53300"), "%s", err.message);
    cr_expect_not(is_connected(&none));
    lc_store_close(&few);
    cr_expect(test_wait_until(get_entry_from(&none, LLMCACHE_PART_PROMPT, entry, PATIENT_MS, &err) == 0, PATIENT_MS));
    lc_store_close(&none);
}

Test(postgres_outage, a_refused_statement_is_no_lost_server)
{
    llmcache_error err;
    lc_store few = store_of_user_with(-1);
    test_postgres_ask(&server, "REVOKE INSERT ON llmcache_prompt FROM few");
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(put_entry_in(&few, numbered_entry("default", 2), PATIENT_MS, &err), LLMCACHE_STORE);
        cr_expect(is_connected(&few));
        cr_expect_eq(get_entry_from(&few, LLMCACHE_PART_PROMPT, entry, PATIENT_MS, &err), 0, "%s", err.message);
    }
    lc_store_close(&few);
}

Test(postgres_outage, what_met_another_transaction_is_tried_again)
{
    llmcache_error err;
    test_postgres_ask(&server,
                      "CREATE SEQUENCE met; CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                      " IF nextval('met') %% 2 = 1 THEN RAISE EXCEPTION 'met' USING ERRCODE = '40001'; END IF;"
                      " RETURN NEW; END $$;"
                      " CREATE TRIGGER meet BEFORE INSERT ON llmcache_prompt FOR EACH ROW EXECUTE FUNCTION meet()");
    for (int i = 2; i < 5; i++)
        cr_expect_eq(put_entry_in(&store, numbered_entry("default", i), PATIENT_MS, &err), 0, "%s", err.message);
}

/* ---- Watching ------------------------------------------------------------------------------------ */

static atomic_int distrusted, trusted, changed;

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    atomic_fetch_add(&changed, strcmp(id, entry->id) == 0 && strcmp(space, "default") == 0);
}

static void on_distrust(void *user)
{
    atomic_fetch_add(&distrusted, 1);
}

static void on_trust(void *user)
{
    atomic_fetch_add(&trusted, 1);
}

Test(postgres_outage, a_watch_says_what_it_may_have_missed)
{
    const llmcache_watch watch = {NULL, on_changed, on_distrust, on_trust};
    llmcache_error err;
    cr_assert_eq(store.ops.watch(store.self, &watch, &err), 0);
    cr_assert(test_wait_until(trusted == 1, PATIENT_MS));
    test_postgres_ask(&server, "DELETE FROM llmcache_prompt"); /* somebody with psql */
    cr_assert(test_wait_until(changed > 0, PATIENT_MS));
    test_postgres_ask(&server, "TRUNCATE llmcache_embed");
    cr_assert(test_wait_until(distrusted == 2 && trusted == 2, PATIENT_MS));
    test_postgres_kill(&server);
    cr_assert(test_wait_until(distrusted == 3, PATIENT_MS));
    test_postgres_restart(&server);
    cr_assert(test_wait_until(trusted == 3, PATIENT_MS));
}

/* All the connections that its user may have are the pool's, and one of them makes room for hearing. */
Test(postgres_outage, at_the_connection_limit_the_watch_comes_first)
{
    pthread_t threads[CROWD];
    const llmcache_watch watch = {NULL, on_changed, on_distrust, on_trust};
    llmcache_error err;
    lc_store few = store_of_user_with(2);
    for (int i = 0; i < CROWD; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, one_of_few, &few), 0);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(few.ops.watch(few.self, &watch, &err), 0);
    cr_expect(test_wait_until(trusted == 1, PATIENT_MS));
    cr_expect_eq(get_entry_from(&few, LLMCACHE_PART_PROMPT, entry, PATIENT_MS, &err), 0, "%s", err.message);
    lc_store_close(&few);
}

/* ---- Opening ------------------------------------------------------------------------------------- */

Test(postgres_outage, bad_uris_and_bad_secrets_are_told_without_the_secret)
{
    llmcache_error err;
    lc_store_options options = {.connect_ms = 1000};
    lc_store other = {0};
    cr_expect_eq(lc_store_open("postgresql://u:hidden@[::1", &options, &other, &err), LLMCACHE_SETTING);
    cr_expect_null(strstr(err.message, "hidden"), "%s", err.message);
    const char *uri = test_format("postgresql://tester:hidden@127.0.0.1:%d/postgres", server.port);
    cr_assert_eq(lc_store_open(uri, &options, &other, &err), 0);
    cr_expect_lt(other.ops.ping(other.self, PATIENT_MS, &err), 0);
    cr_expect_null(strstr(err.message, "hidden"), "%s", err.message);
    lc_store_close(&other);
}

Test(postgres_outage, tables_of_a_later_version_are_left_alone)
{
    llmcache_error err;
    lc_store_options options = {.connect_ms = 1000};
    lc_store other = {0};
    test_postgres_ask(&server, "INSERT INTO llmcache_schema VALUES (99)");
    cr_assert_eq(lc_store_open(server.uri, &options, &other, &err), 0);
    cr_expect_eq(other.ops.ping(other.self, PATIENT_MS, &err), LLMCACHE_STORE);
    cr_expect_not_null(strstr(err.message, "99"), "%s", err.message);
    lc_store_close(&other);
}

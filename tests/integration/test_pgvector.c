/*
 * The index pgvector: on a real server: who fills it, who need not, what becomes of a record that is removed, of a
 * server without the extension, and of tables that went.
 */
#include "postgres_server.h"
#include "test_cache.h"

#include "api/options.h"
#include "index/index.h"
#include "support.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SOON_MS = 10000 };

static test_mock mock;
static test_postgres server;

static void start_with(int vector)
{
    const char *missing = vector ? test_pgvector_missing() : test_postgres_missing();
    if (missing)
        cr_skip_test("%s", missing);
    if (vector)
        test_pgvector_start(&server);
    else
        test_postgres_start(&server);
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['two', 'dos', 0.99]]}");
}

static void set_up(void)
{
    start_with(1);
}

TestSuite(pgvector, .init = set_up, .timeout = 120);

/* Over the store's database. Patient: the machine may be busy. */
static llmcache *open_as(const char *store, const char *index)
{
    return test_cache(&mock, "threshold", "0.9", "store", store, "index", index, "store-timeout-ms", "5000",
                      "store-write-timeout-ms", "5000");
}

static llmcache *open_cache(void)
{
    return open_as(server.uri, "pgvector:");
}

static const char *asked(const char *sql)
{
    return test_postgres_ask(&server, "%s", sql);
}

static int filled(void)
{
    return strcmp(asked("SELECT to_regclass('llmcache_vectors') IS NOT NULL"), "t") == 0 &&
           strcmp(asked("SELECT count(*) FROM llmcache_vectors WHERE filled"), "1") == 0;
}

/* The table of vectors; "" when there is none. */
static const char *table(void)
{
    return asked("SELECT name FROM llmcache_vectors WHERE dimension > 0");
}

static int vectors_in(const test_postgres *postgres)
{
    const char *table = test_postgres_ask(postgres, "SELECT name FROM llmcache_vectors WHERE dimension > 0");
    return *table ? atoi(test_postgres_ask(postgres, "SELECT count(*) FROM %s", table)) : 0;
}

static int vectors(void)
{
    return vectors_in(&server);
}

static const char *health_of(llmcache *cache)
{
    char *text;
    llmcache_status status;
    cr_assert_eq(llmcache_health(cache, &status, &text, NULL), 0);
    const char *kept = test_format("%s", text);
    llmcache_free(text);
    return kept;
}

/* Two answers whose vectors are in no index. */
static void keep_two(void)
{
    llmcache *cache = open_as(server.uri, "flat:");
    test_ask_source(cache, "one");
    test_ask_source(cache, "two");
    llmcache_close(cache);
}

/* ---- Filling ---------------------------------------------------------------------------------------------- */

Test(pgvector, the_first_fills_it_and_the_second_reads_no_vector)
{
    keep_two();
    llmcache *first = open_cache();
    cr_assert(test_wait_until(filled(), SOON_MS));
    cr_assert_eq(vectors(), 2);
    test_postgres_ask(&server, "DELETE FROM %s WHERE ctid IN (SELECT ctid FROM %s LIMIT 1)", table(), table());
    llmcache *second = open_cache();
    int uno = strcmp(test_ask_source(second, "uno"), "semantic") == 0;
    int dos = strcmp(test_ask_source(second, "dos"), "semantic") == 0;
    cr_assert_eq(uno + dos, 1, "one is gone from the index, and nobody put it back");
    cr_assert_not_null(strstr(health_of(second), "\"shared\":true"), "%s", health_of(second));
    llmcache_close(second);
    llmcache_close(first);
}

Test(pgvector, another_process_finds_what_this_one_kept)
{
    llmcache *cache = open_cache();
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    const char *const cli[] = {test_build_path("cli/llmcache-cli"),
                               "ask", "uno", "--json",
                               "--store", server.uri,
                               "--index", "pgvector:",
                               "--embedder", "openai:text-embedding-3-small",
                               "--openai-base-url", mock.openai,
                               "--openai-api-key", "sk-test-openai",
                               "--threshold", "0.9",
                               "--store-timeout-ms", "5000",
                               NULL};
    test_run_result result = test_run(cli, NULL, NULL);
    cr_assert_eq(result.status, 0, "%s", result.err);
    cr_assert_not_null(strstr(result.out, "\"semantic\""), "%s", result.out);
    llmcache_close(cache);
}

Test(pgvector, what_one_removes_nobody_finds)
{
    llmcache *first = open_cache(), *second = open_cache();
    cr_assert_str_eq(test_ask_source(first, "one"), "model");
    cr_assert_str_eq(test_ask_source(second, "uno"), "semantic");
    cr_assert_eq(llmcache_purge(first, NULL, NULL, NULL), 0);
    cr_assert_eq(vectors(), 0);
    cr_assert(test_wait_until(strcmp(test_ask_source(second, "one again"), "model") == 0, SOON_MS));
    cr_assert_str_eq(test_ask_source(second, "eine"), "model");
    llmcache_close(second);
    llmcache_close(first);
}

/* Nobody's cache is told, no cache is there: the trigger does it. */
Test(pgvector, a_record_removed_with_psql_takes_its_vector_along)
{
    llmcache *cache = open_cache();
    test_ask_source(cache, "one");
    test_ask_source(cache, "two");
    llmcache_close(cache);
    cr_assert_eq(vectors(), 2);
    asked("DELETE FROM llmcache_embed WHERE facts->>'question' = 'one'");
    cr_assert_eq(vectors(), 1);
    asked("TRUNCATE llmcache_embed");
    cr_assert_eq(vectors(), 0);
}

Test(pgvector, a_rebuild_fills_it_again)
{
    llmcache *cache = open_cache();
    llmcache_rebuild_report report = {0};
    llmcache_error err;
    test_ask_source(cache, "one");
    test_postgres_ask(&server, "DELETE FROM %s", table());
    cr_assert_eq(llmcache_rebuild(cache, &report, &err), 0, "%s", err.message);
    cr_assert_eq(vectors(), 1);
    cr_assert(filled());
    llmcache_close(cache);
}

Test(pgvector, an_index_in_another_database_is_kept_in_step)
{
    asked("CREATE DATABASE other");
    const char *index =
        test_format("pgvector:postgresql://tester:secret@127.0.0.1:%d/other#ef=50&from=10", server.port);
    llmcache *first = open_as(server.uri, index), *second = open_as(server.uri, index);
    cr_assert_str_eq(test_ask_source(first, "one"), "model");
    cr_assert_str_eq(test_ask_source(second, "uno"), "semantic");
    test_postgres other = server;
    other.uri = test_format("postgresql://tester:secret@127.0.0.1:%d/other", server.port);
    const char *table = test_postgres_ask(&other, "SELECT name FROM llmcache_vectors WHERE dimension > 0");
    const char *vector = test_postgres_ask(&other, "SELECT encode(fingerprint, 'hex') FROM %s", table);
    cr_assert_eq(vectors_in(&other), 1);
    asked("DELETE FROM llmcache_embed");
    asked("DELETE FROM llmcache_prompt");
    /* By the store's report, or by the next search, should a load under way have added it once more. */
    cr_assert(test_wait_until(strcmp(test_ask_source(second, "uno"), "model") == 0, SOON_MS));
    cr_assert(test_wait_until(*test_postgres_ask(&other, "SELECT 1 FROM %s WHERE encode(fingerprint, 'hex') = '%s'", table,
                                                 vector) == '\0', SOON_MS));
    llmcache_close(second);
    llmcache_close(first);
}

Test(pgvector, tables_that_somebody_dropped_are_made_and_filled_again)
{
    llmcache *cache = open_cache();
    test_ask_source(cache, "one");
    test_postgres_ask(&server, "DROP TABLE %s", table());
    /* Nothing is found and nothing fails, until a cache has noticed and filled it, which may be at once. */
    int asked_again = strcmp(test_ask_source(cache, "uno"), "semantic") != 0;
    cr_assert_str_eq(test_ask_source(cache, "two"), "model");
    llmcache *second = open_cache();
    cr_assert(test_wait_until(filled(), SOON_MS));
    cr_assert_eq(vectors(), 2 + asked_again);
    cr_assert_str_eq(test_ask_source(second, "dos"), "semantic");
    llmcache_close(second);
    llmcache_close(cache);
}

/* ---- Without the extension -------------------------------------------------------------------------------------- */

static void set_up_without(void)
{
    start_with(0);
}

TestSuite(without_pgvector, .init = set_up_without, .timeout = 120);

Test(without_pgvector, vectors_are_searched_here_and_it_is_told)
{
    llmcache *cache = open_cache();
    if (strcmp(asked("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"), "0"))
        cr_skip_test("this PostgreSQL has pgvector");
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    const char *health = health_of(cache);
    cr_assert_not_null(strstr(health, "no extension vector"), "%s", health);
    cr_assert_not_null(strstr(health, "\"fell_back\":true"), "%s", health);
    char *doctor;
    llmcache_error err;
    cr_assert_eq(llmcache_doctor(cache, &doctor, &err), 0, "%s", err.message);
    cr_assert_not_null(strstr(doctor, "no extension vector"), "%s", doctor);
    llmcache_free(doctor);
    llmcache_close(cache);
}

Test(pgvector, a_user_who_may_not_make_the_extension_falls_back_until_it_is_there)
{
    asked("CREATE ROLE plain LOGIN PASSWORD 'plain'");
    asked("GRANT CREATE ON SCHEMA public TO plain");
    const char *store = test_format("postgresql://plain:plain@127.0.0.1:%d/postgres", server.port);
    llmcache *cache = open_as(store, "pgvector:");
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    cr_assert_not_null(strstr(health_of(cache), "CREATE EXTENSION"), "%s", health_of(cache));
    asked("CREATE SCHEMA extensions");
    asked("GRANT USAGE ON SCHEMA extensions TO plain");
    asked("CREATE EXTENSION vector SCHEMA extensions"); /* as some hosts have it */
    char *doctor;
    cr_assert_eq(llmcache_doctor(cache, &doctor, NULL), 0); /* looks again */
    llmcache_free(doctor);
    cr_assert_not_null(strstr(health_of(cache), "\"fell_back\":false"), "%s", health_of(cache));
    cr_assert_str_eq(test_ask_source(cache, "two"), "model");
    cr_assert_str_eq(test_ask_source(cache, "dos"), "semantic");
    cr_assert_geq(vectors(), 1); /* two, if it was filled from the store meanwhile */
    llmcache_close(cache);
}

/* ---- Many at once ------------------------------------------------------------------------------------------------ */

enum { SERVERS = 20 };

static void *open_and_ask(void *user)
{
    size_t number = (size_t)user;
    llmcache *cache = open_as("memory:", test_format("pgvector:%s", server.uri));
    test_ask_source(cache, test_format("question %zu", number));
    return cache;
}

Test(pgvector, twenty_that_start_together_make_one_table_over_few_connections)
{
    pthread_t threads[SERVERS];
    void *caches[SERVERS];
    for (size_t i = 0; i < SERVERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, open_and_ask, (void *)i), 0);
    for (size_t i = 0; i < SERVERS; i++)
        pthread_join(threads[i], &caches[i]);
    cr_assert(test_wait_until(vectors() == SERVERS, SOON_MS), "%d", vectors()); /* what came too late is added again */
    cr_assert_str_eq(asked("SELECT count(*) FROM llmcache_vectors"), "1");
    int connections = atoi(asked("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'llmcache'"));
    cr_assert(connections > 0 && connections <= SERVERS * 2, "%d", connections);
    for (size_t i = 0; i < SERVERS; i++)
        llmcache_close(caches[i]);
}

/* ---- What is refused ---------------------------------------------------------------------------------------------- */

Test(pgvector, settings_that_make_no_sense_are_told)
{
    static const struct {
        const char *uri, *store, *says;
    } cases[] = {
        {"pgvector:", "sqlite:", "postgresql://"},
        {"pgvector:", NULL, "postgresql://"},
        {"pgvector:redis://localhost", "sqlite:", "postgresql://"},
        {"pgvector:postgresql://u:hidden@[::1", "sqlite:", "pgvector:postgresql://user"},
        {"pgvector:#ef=0", "postgresql://localhost/x", "from 1 to 1000"},
        {"pgvector:#iterative=often", "postgresql://localhost/x", "relaxed"},
        {"pgvector:#lists=3", "postgresql://localhost/x", "none of"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_index index;
        llmcache_error err;
        lc_index_options options = {.store = cases[i].store, .vector_space = "space"};
        cr_expect_eq(lc_index_open(cases[i].uri, &options, &index, &err), LLMCACHE_SETTING, "%zu", i);
        cr_expect_not_null(strstr(err.message, cases[i].says), "%s", err.message);
        cr_expect_null(strstr(err.message, "hidden"), "%s", err.message);
    }
}

/* One PostgreSQL; each server has a relay of its own before it. */
#include "kept_true_book.h"
#include "kept_true_engine.h"
#include "postgres_server.h"
#include "tcp_relay.h"

#include <libpq-fe.h>
#include <stdio.h>

static test_postgres postgres;
static test_relay *relays[KEPT_SERVERS];

static const char *missing(void)
{
    return test_postgres_missing();
}

static void start(void)
{
    test_postgres_start(&postgres);
    for (int i = 0; i < KEPT_SERVERS; i++)
        relays[i] = test_relay_new(postgres.port);
}

static const char *uri(int server)
{
    return test_format("postgresql://tester:secret@127.0.0.1:%d/postgres",
                       kept_is_calm() ? postgres.port : test_relay_port(relays[server]));
}

/* 1 when it was committed. */
static int say(const char *sql)
{
    char where[256];
    snprintf(where, sizeof where, "%s?connect_timeout=5", postgres.uri);
    PGconn *conn = PQconnectdb(where);
    PGresult *result = PQstatus(conn) == CONNECTION_OK ? PQexec(conn, sql) : NULL;
    int fine = result && PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    PQfinish(conn);
    return fine;
}

static int remove_one(const char *id, int parts)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "BEGIN;"
             "DELETE FROM llmcache_prompt WHERE %s AND encode(substr(fingerprint, 1, 10), 'hex') = '%s';"
             "DELETE FROM llmcache_embed WHERE %s AND encode(substr(fingerprint, 1, 10), 'hex') = '%s'; COMMIT",
             parts & BOOK_EXACT ? "true" : "false", id, parts & BOOK_SEMANTIC ? "true" : "false", id);
    return say(sql);
}

static int remove_all(void)
{
    return say("TRUNCATE llmcache_prompt, llmcache_embed");
}

static int overwrite(const char *id, int number)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "UPDATE llmcache_prompt SET body = convert_to(regexp_replace(convert_from(body, 'UTF8'),"
             " '\\(call [0-9]+\\)', '(call %d)'), 'UTF8')"
             " WHERE encode(substr(fingerprint, 1, 10), 'hex') = '%s'",
             number, id);
    return say(sql);
}

static void hold(int server)
{
    test_relay_hold(relays[server]);
}

static void release(int server)
{
    test_relay_release(relays[server]);
}

static void cut(int server)
{
    test_relay_cut(relays[server]);
}

static void lose_ears(uint64_t random)
{
    (void)random;
    test_postgres_ask(&postgres, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> "
                                 "pg_backend_pid() AND query IN ('SELECT 1', 'LISTEN llmcache_changes')");
}

static void lose_all(uint64_t random)
{
    (void)random;
    test_postgres_ask(&postgres, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> "
                                 "pg_backend_pid() AND backend_type = 'client backend'");
}

static void die(uint64_t random)
{
    (void)random;
    test_postgres_kill(&postgres);
}

static void come_back(void)
{
    test_postgres_restart(&postgres);
}

static void pause_it(uint64_t random)
{
    (void)random;
    test_postgres_pause(&postgres);
}

static void resume_it(void)
{
    test_postgres_resume(&postgres);
}

static const kept_trouble troubles[] = {
    {"report links lost", lose_ears, NULL, 0},
    {"all links lost", lose_all, NULL, 0},
    {"postgres killed", die, come_back, 0},
    {"postgres paused", pause_it, resume_it, 0},
    {0},
};

const kept_engine kept_engine_here = {
    .name = "postgres", .missing = missing, .start = start, .uri = uri, .remove = remove_one,
    .remove_all = remove_all, .overwrite = overwrite, .hold = hold, .release = release, .cut = cut,
    .troubles = troubles};

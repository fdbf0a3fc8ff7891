/*
 * The tables, made at the first use and migrated from version to version, each step in a transaction of its own under
 * an advisory lock, so that servers that start together do not trip over each other. A trigger tells of every
 * change to a row, whoever makes it, psql included (LISTEN and NOTIFY); rows that have expired go without a word.
 */
#include "store/postgres_inside.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <string.h>

#define TABLE(name, part)                                                                           \
    "CREATE TABLE " name " (space text COLLATE \"C\" NOT NULL, fingerprint bytea NOT NULL,"          \
    " expires_ms bigint NOT NULL, facts json NOT NULL, body bytea NOT NULL, vector bytea,"           \
    " damaged boolean NOT NULL DEFAULT false, PRIMARY KEY (space, fingerprint));"                    \
    "ALTER TABLE " name " ALTER body SET STORAGE EXTERNAL;"                                          \
    "CREATE INDEX " name "_expiry ON " name " (expires_ms) WHERE expires_ms > 0;"                    \
    "CREATE TRIGGER " name "_tell AFTER INSERT OR UPDATE OR DELETE ON " name                         \
    " FOR EACH ROW EXECUTE FUNCTION llmcache_tell('" part "');"                                      \
    "CREATE TRIGGER " name "_tell_all AFTER TRUNCATE ON " name                                       \
    " FOR EACH STATEMENT EXECUTE FUNCTION llmcache_tell('" part "');"

static const char *const migrations[] = {
    "CREATE OR REPLACE FUNCTION llmcache_tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n"
    " IF TG_OP = 'TRUNCATE' THEN PERFORM pg_notify('" LC_PG_CHANNEL "', 'all'); RETURN NULL; END IF;\n"
    " IF TG_OP = 'DELETE' AND OLD.expires_ms > 0 AND OLD.expires_ms <="
    " extract(epoch FROM now()) * 1000 THEN RETURN NULL; END IF;\n"
    " IF TG_OP <> 'INSERT' THEN PERFORM pg_notify('" LC_PG_CHANNEL "', TG_ARGV[0] || ' ' ||"
    " encode(substr(OLD.fingerprint, 1, 10), 'hex') || ' ' || OLD.space); END IF;\n"
    " IF TG_OP <> 'DELETE' THEN PERFORM pg_notify('" LC_PG_CHANNEL "', TG_ARGV[0] || ' ' ||"
    " encode(substr(NEW.fingerprint, 1, 10), 'hex') || ' ' || NEW.space); END IF;\n"
    " RETURN NULL; END $$;" TABLE("llmcache_prompt", "1") TABLE("llmcache_embed", "2")
        TABLE("llmcache_observation", "4"),
};
enum { VERSION = sizeof migrations / sizeof *migrations };

static const lc_pg_statement find_schema = {
    60, "SELECT to_regclass('llmcache_schema') IS NOT NULL"};
static const lc_pg_statement read_version = {61, "SELECT max(version) FROM llmcache_schema"};

static int ask(lc_pg_link *link, const lc_pg_statement *statement, int64_t until_ms, PGresult **result,
               llmcache_error *err)
{
    const lc_pg_values none = {0};
    return lc_pg_run(link, statement, &none, until_ms, result, err);
}

/* 0 when there is no schema yet. */
static int version_of(lc_pg_link *link, int64_t until_ms, int *version, llmcache_error *err)
{
    PGresult *result = NULL;
    uint32_t number = 0;
    int rc = ask(link, &find_schema, until_ms, &result, err);
    int there = !rc && PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 1;
    PQclear(result);
    result = NULL;
    if (!rc && there)
        rc = ask(link, &read_version, until_ms, &result, err);
    if (!rc && there && PQntuples(result) == 1 && PQgetlength(result, 0, 0) == sizeof number)
        memcpy(&number, PQgetvalue(result, 0, 0), sizeof number);
    PQclear(result);
    *version = (int)ntohl(number);
    return rc;
}

static int migrate(lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    lc_buffer sql;
    int version = 0;
    int rc = lc_pg_script(link,
                          "BEGIN; SELECT pg_advisory_xact_lock(7812734601);"
                          "CREATE TABLE IF NOT EXISTS llmcache_schema (version integer NOT NULL)",
                          until_ms, err);
    if (!rc)
        rc = version_of(link, until_ms, &version, err);
    lc_buffer_init(&sql, 0);
    for (int next = version; next < VERSION && !rc; next++) {
        lc_buffer_clear(&sql);
        lc_buffer_text(&sql, migrations[next]);
        lc_buffer_format(&sql, "INSERT INTO llmcache_schema VALUES (%d)", next + 1);
        rc = sql.broken ? lc_fail_memory(err) : lc_pg_script(link, sql.data, until_ms, err);
    }
    lc_buffer_done(&sql);
    if (!rc)
        rc = lc_pg_script(link, "COMMIT", until_ms, err);
    return rc; /* else the connection is closed, which rolls back */
}

int lc_pg_schema_ensure(lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    int version;
    int rc = version_of(link, until_ms, &version, err);
    if (!rc && version > VERSION)
        rc = lc_fail(err, LLMCACHE_STORE, "the store's tables are of version %d, this program knows %d",
                     version, VERSION);
    else if (!rc && version < VERSION)
        rc = migrate(link, until_ms, err);
    return rc;
}

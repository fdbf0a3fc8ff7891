/* Making and migrating tables: see the header. */
#include "net/postgres_migrate.h"

#include "base/buffer.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <string.h>

static int ask(lc_pg_link *link, const lc_pg_statement *statement, int64_t until_ms, PGresult **result,
               llmcache_error *err)
{
    const lc_pg_values none = {0};
    return lc_pg_run(link, statement, &none, until_ms, result, err);
}

/* 0 when there is no schema yet. */
static int version_of(lc_pg_link *link, const lc_pg_schema *schema, int64_t until_ms, int *version,
                      llmcache_error *err)
{
    PGresult *result = NULL;
    uint32_t number = 0;
    int rc = ask(link, &schema->find, until_ms, &result, err);
    int there = !rc && PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 1;
    PQclear(result);
    result = NULL;
    if (!rc && there)
        rc = ask(link, &schema->read, until_ms, &result, err);
    if (!rc && there && PQntuples(result) == 1 && PQgetlength(result, 0, 0) == sizeof number)
        memcpy(&number, PQgetvalue(result, 0, 0), sizeof number);
    PQclear(result);
    *version = (int)ntohl(number);
    return rc;
}

static int take_steps(lc_pg_link *link, const lc_pg_schema *schema, int64_t until_ms, llmcache_error *err)
{
    lc_buffer sql;
    int version = 0;
    lc_buffer_init(&sql, 0);
    lc_buffer_format(&sql, "BEGIN;" LC_PG_LOCK "CREATE TABLE IF NOT EXISTS %s (version integer NOT NULL)",
                     schema->versions);
    int rc = sql.broken ? lc_fail_memory(err) : lc_pg_script(link, sql.data, until_ms, err);
    if (!rc)
        rc = version_of(link, schema, until_ms, &version, err);
    for (int next = version; next < schema->count && !rc; next++) {
        lc_buffer_clear(&sql);
        lc_buffer_text(&sql, schema->steps[next]);
        lc_buffer_format(&sql, "INSERT INTO %s VALUES (%d)", schema->versions, next + 1);
        rc = sql.broken ? lc_fail_memory(err) : lc_pg_script(link, sql.data, until_ms, err);
    }
    lc_buffer_done(&sql);
    if (!rc)
        rc = lc_pg_script(link, "COMMIT", until_ms, err);
    return rc; /* else the connection is closed, which rolls back */
}

int lc_pg_migrate(lc_pg_link *link, const lc_pg_schema *schema, int64_t until_ms, llmcache_error *err)
{
    int version;
    int rc = version_of(link, schema, until_ms, &version, err);
    if (!rc && version > schema->count)
        rc = lc_fail(err, LLMCACHE_STORE, "%s tables are of version %d, this program knows %d", schema->of,
                     version, schema->count);
    else if (!rc && version < schema->count)
        rc = take_steps(link, schema, until_ms, err);
    return rc;
}

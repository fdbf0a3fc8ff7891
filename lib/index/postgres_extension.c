/*
 * Looking for the extension vector, and what a connection is told before it searches.
 *
 * The graph is only ever used by the statement that means it (postgres_vectors.c): with sorting and reading whole tables
 * made dear, the planner has one way for each. Compiling a plan (jit) costs more than a search. A server asks now and
 * then whether its client is still there, so that what we gave up waiting for ends.
 */
#include "index/postgres_index_inside.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const lc_pg_statement find_version = {
    40, "SELECT extversion FROM pg_extension WHERE extname = 'vector'"};
static const lc_pg_statement find_available = {
    41, "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"};

/* The first column of the first row, as 700 for "0.7.0"; 0 when there is none. */
static int version_of(lc_pg_link *link, const lc_pg_statement *statement, int64_t until_ms, int *version,
                      llmcache_error *err)
{
    const lc_pg_values none = {0};
    PGresult *result = NULL;
    int major = 0, minor = 0, patch = 0;
    int rc = lc_pg_run(link, statement, &none, until_ms, &result, err);
    if (!rc && PQntuples(result) == 1) {
        sscanf(PQgetvalue(result, 0, 0), "%d.%d.%d", &major, &minor, &patch);
        *version = major * 10000 + minor * 100 + patch;
    } else {
        *version = 0;
    }
    PQclear(result);
    return rc;
}

/* Two may look at once: who began later knows better. */
static void say(lc_pgi *index, uint64_t turn, int version, const char *why)
{
    pthread_mutex_lock(&index->lock);
    if (turn > index->probed) {
        index->probed = turn;
        snprintf(index->why, sizeof index->why, "%s", why);
        atomic_store(&index->version, version);
        atomic_store(&index->missing, *why != '\0');
    }
    pthread_mutex_unlock(&index->lock);
}

/* It is there: so are the tables, before anybody hears of it. */
static int found(lc_pgi *index, lc_pg_link *link, uint64_t turn, int version, int64_t until_ms, llmcache_error *err)
{
    int rc = lc_pgi_make_schema(link, until_ms, err);
    if (!rc)
        say(index, turn, version, "");
    return rc;
}

int lc_pgi_probe(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    int version, available;
    uint64_t turn = atomic_fetch_add(&index->probes, 1) + 1;
    int rc = version_of(link, &find_version, until_ms, &version, err);
    if (rc || version)
        return rc ? rc : found(index, link, turn, version, until_ms, err);
    rc = version_of(link, &find_available, until_ms, &available, err);
    if (!rc && !available) {
        say(index, turn, 0, "the PostgreSQL server has no extension vector (pgvector); vectors are searched here");
        return 0;
    }
    if (!rc)
        rc = lc_pg_script(link, "CREATE EXTENSION IF NOT EXISTS vector", until_ms, err);
    if (rc && rc != LLMCACHE_STORE)
        return rc;
    rc = version_of(link, &find_version, until_ms, &version, err); /* another server may have made it just now */
    if (rc || version)
        return rc ? rc : found(index, link, turn, version, until_ms, err);
    say(index, turn, 0,
        "the database user may not CREATE EXTENSION vector (pgvector): an administrator has to, once; "
        "vectors are searched here");
    return 0;
}

static const char *const scan_names[] = {"off", "strict_order", "relaxed_order"};

int lc_pgi_greet(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    char script[900];
    int version = atomic_load(&index->version), size = 0;
    if (lc_pg_tag(link) || atomic_load(&index->missing))
        return 0;
    size += snprintf(script, sizeof script,
                     "SELECT set_config('search_path', current_setting('search_path') || ', ' || quote_ident(nspname),"
                     " false) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
                     " WHERE extname = 'vector' AND NOT nspname = ANY (current_schemas(true));"
                     "SET jit = off; SET enable_sort = off; SET enable_seqscan = off;"
                     "SET plan_cache_mode = force_generic_plan; SELECT '[1]'::vector;");
    if (version >= LC_PGI_HNSW) /* its library is loaded by now, so that it knows its settings */
        size += snprintf(script + size, sizeof script - (size_t)size, "SET hnsw.ef_search = %lld;",
                         (long long)index->ef);
    if (version >= LC_PGI_ITERATIVE)
        snprintf(script + size, sizeof script - (size_t)size, "SET hnsw.iterative_scan = %s;",
                 scan_names[index->scan]);
    int rc = lc_pg_script(link, script, until_ms, err);
    lc_pg_set_tag(link, !rc);
    if (rc || lc_pg_server(link) < 140000)
        return rc;
    rc = lc_pg_script(link, "SET client_connection_check_interval = 250", until_ms, err);
    return rc == LLMCACHE_STORE ? 0 : rc; /* not on every system */
}

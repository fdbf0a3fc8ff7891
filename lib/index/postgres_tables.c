/*
 * The table of tables, llmcache_vectors, and a table for the vectors of each embedding space: their type has the
 * dimension in it, which a graph needs. The table of tables says whether the store was read into one (filled), and
 * of which life it is (generation): who filled it before it was emptied must not say that it is full. The store's own
 * trigger looks there when records are removed (postgres_schema.c), should both be in one database.
 *
 * What makes and drops tables runs in one transaction under the lock of all such changes.
 */
#include "index/postgres_index_inside.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "net/postgres_migrate.h"

#include <stdio.h>
#include <string.h>

enum { FULL_GRAPH = 2000, HALF_GRAPH = 4000 }; /* dimensions that the extension makes graphs of */

/* Twice the usual care at adding, which no question waits for: of 100,000 a search then misses half as many. */
#define BUILD "WITH (ef_construction = 128)"

static const char *const migrations[] = {
    "CREATE SEQUENCE llmcache_vectors_generation;"
    "CREATE TABLE llmcache_vectors (embedder text COLLATE \"C\" PRIMARY KEY, name text NOT NULL,"
    " dimension integer NOT NULL DEFAULT 0, form text NOT NULL DEFAULT '', filled boolean NOT NULL DEFAULT false,"
    " generation bigint NOT NULL DEFAULT nextval('llmcache_vectors_generation'));",
};

static const lc_pg_schema schema = {
    .of = "the index's",
    .versions = "llmcache_vectors_schema",
    .find = {60, "SELECT to_regclass('llmcache_vectors_schema') IS NOT NULL"},
    .read = {61, "SELECT max(version) FROM llmcache_vectors_schema"},
    .steps = migrations,
    .count = sizeof migrations / sizeof *migrations,
};

static const lc_pg_statement look_up = {
    42, "SELECT dimension, form, filled, generation, to_regclass(name) IS NOT NULL FROM llmcache_vectors"
        " WHERE embedder = $1"};
static const lc_pg_statement enter_row = {
    43, "INSERT INTO llmcache_vectors (embedder, name) VALUES ($1, $2) ON CONFLICT DO NOTHING"};
static const lc_pg_statement mark_filled = {
    44, "UPDATE llmcache_vectors SET filled = true WHERE embedder = $1 AND generation = $2"};
static const lc_pg_statement set_table = {
    45, "UPDATE llmcache_vectors SET name = $2, dimension = $3::bigint, form = $4 WHERE embedder = $1"};
static const lc_pg_statement forget_table = {
    46, "UPDATE llmcache_vectors SET dimension = 0, filled = false,"
        " generation = nextval('llmcache_vectors_generation') WHERE embedder = $1"};

static void add_text(lc_pg_values *values, const char *text)
{
    lc_pg_add(values, text, strlen(text));
}

static int run(lc_pg_link *link, const lc_pg_statement *statement, const lc_pg_values *values, int64_t until_ms,
               llmcache_error *err)
{
    PGresult *result = NULL;
    int rc = lc_pg_run(link, statement, values, until_ms, &result, err);
    PQclear(result);
    return rc;
}

int lc_pgi_make_schema(lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    return lc_pg_migrate(link, &schema, until_ms, err);
}

/* ---- Tables as we know them -------------------------------------------------------------------------------- */

static void free_table(lc_pgi_table *table)
{
    for (int i = 0; table && i < LC_PGI_VERBS; i++)
        lc_free(table->sql[i]);
    lc_free(table);
}

void lc_pgi_free_tables(lc_pgi *index)
{
    for (lc_pgi_table *table = index->tables, *next; table; table = next) {
        next = table->next;
        free_table(table);
    }
}

static void name_table(const lc_pgi *index, size_t dimension, char name[64])
{
    snprintf(name, 64, "%.39s_%zu", index->stem, dimension);
}

/* The one with this dimension and form, made where it is not known yet; NULL without memory. */
static lc_pgi_table *table_for(lc_pgi *index, size_t dimension, const char *form)
{
    pthread_mutex_lock(&index->lock);
    lc_pgi_table *table = index->tables;
    while (table && (table->dimension != dimension || strcmp(table->form, form) != 0))
        table = table->next;
    if (!table && (table = lc_zalloc(sizeof *table))) {
        table->dimension = dimension;
        snprintf(table->form, sizeof table->form, "%s", form);
        name_table(index, dimension, table->name);
        if (lc_pgi_write_sql(index, table)) {
            free_table(table);
            table = NULL;
        } else {
            table->next = index->tables;
            index->tables = table;
        }
    }
    pthread_mutex_unlock(&index->lock);
    return table;
}

/* ---- The table of tables ------------------------------------------------------------------------------------ */

int lc_pgi_look(lc_pgi *index, lc_pg_link *link, int64_t until_ms, lc_pgi_state *state, llmcache_error *err)
{
    lc_pg_values values = {0};
    PGresult *result = NULL;
    *state = (lc_pgi_state){0};
    add_text(&values, index->embedder);
    int rc = lc_pg_run(link, &look_up, &values, until_ms, &result, err);
    if (!rc && PQntuples(result) == 1) {
        int there = lc_pgi_truth(result, 0, 4);
        size_t dimension = there ? (size_t)lc_pgi_number(result, 0, 0) : 0;
        char form[8];
        snprintf(form, sizeof form, "%.*s", PQgetlength(result, 0, 1), PQgetvalue(result, 0, 1));
        state->known = 1;
        state->generation = lc_pgi_number(result, 0, 3);
        state->lost = !there && lc_pgi_number(result, 0, 0); /* somebody dropped it */
        state->filled = lc_pgi_truth(result, 0, 2) && !state->lost;
        if (dimension && !(state->table = table_for(index, dimension, form)))
            rc = lc_fail_memory(err);
    }
    PQclear(result);
    if (!rc)
        atomic_store(&index->table, state->table);
    return rc;
}

int lc_pgi_enter(lc_pgi *index, lc_pg_link *link, int64_t until_ms, lc_pgi_state *state, llmcache_error *err)
{
    lc_pg_values values = {0};
    int rc = lc_pgi_look(index, link, until_ms, state, err);
    if (rc || state->known)
        return rc;
    add_text(&values, index->embedder);
    add_text(&values, index->stem);
    rc = run(link, &enter_row, &values, until_ms, err);
    return rc ? rc : lc_pgi_look(index, link, until_ms, state, err);
}

int lc_pgi_mark(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    lc_pg_values values = {0};
    unsigned char generation[8];
    add_text(&values, index->embedder);
    lc_pg_add_number(&values, atomic_load(&index->generation), generation);
    return run(link, &mark_filled, &values, until_ms, err);
}

/* ---- Making and dropping ------------------------------------------------------------------------------------- */

static const char *form_for(const lc_pgi *index, size_t dimension)
{
    int version = atomic_load(&index->version);
    if (version >= LC_PGI_HALFVEC && dimension <= HALF_GRAPH)
        return "half";
    return version >= LC_PGI_HNSW && dimension <= FULL_GRAPH ? "full" : "none";
}

/* Vectors stay in their rows as long as these fit a page: reading them one by one is what small partitions need. */
static int create(lc_pgi *index, lc_pg_link *link, size_t dimension, int64_t until_ms, llmcache_error *err)
{
    char script[1400], name[64], graph[200] = "";
    const char *form = form_for(index, dimension);
    lc_pg_values values = {0};
    unsigned char number[8];
    name_table(index, dimension, name);
    if (strcmp(form, "half") == 0)
        snprintf(graph, sizeof graph, "CREATE INDEX ON %s USING hnsw ((vector::halfvec(%zu)) halfvec_ip_ops) " BUILD ";",
                 name, dimension);
    else if (strcmp(form, "full") == 0)
        snprintf(graph, sizeof graph, "CREATE INDEX ON %s USING hnsw (vector vector_ip_ops) " BUILD ";", name);
    snprintf(script, sizeof script,
             "DROP TABLE IF EXISTS %s;"
             "CREATE TABLE %s (space text COLLATE \"C\" NOT NULL, fingerprint bytea NOT NULL,"
             " partition bytea NOT NULL, expires_ms bigint NOT NULL, vector vector(%zu) NOT NULL,"
             " PRIMARY KEY (space, fingerprint)) WITH (toast_tuple_target = 8160);"
             "CREATE INDEX ON %s (partition, space);"
             "CREATE INDEX ON %s (expires_ms) WHERE expires_ms > 0;%s",
             name, name, dimension, name, name, graph);
    int rc = lc_pg_script(link, script, until_ms, err);
    add_text(&values, index->embedder);
    add_text(&values, name);
    lc_pg_add_number(&values, (int64_t)dimension, number);
    add_text(&values, form);
    return rc ? rc : run(link, &set_table, &values, until_ms, err);
}

static int begin(lc_pgi *index, lc_pg_link *link, int64_t until_ms, lc_pgi_state *state, llmcache_error *err)
{
    int rc = lc_pg_script(link, "BEGIN;" LC_PG_LOCK, until_ms, err);
    return rc ? rc : lc_pgi_enter(index, link, until_ms, state, err);
}

int lc_pgi_make_table(lc_pgi *index, lc_pg_link *link, size_t dimension, int64_t until_ms, llmcache_error *err)
{
    lc_pgi_state state;
    int rc = begin(index, link, until_ms, &state, err);
    if (!rc && !state.table) {
        lc_pg_values values = {0};
        add_text(&values, index->embedder);
        if (state.lost) /* who filled it must not say of the new one that it is full */
            rc = run(link, &forget_table, &values, until_ms, err);
        if (!rc)
            rc = create(index, link, dimension, until_ms, err);
    }
    if (!rc)
        rc = lc_pg_script(link, "COMMIT", until_ms, err);
    return rc ? rc : lc_pgi_look(index, link, until_ms, &state, err);
}

int lc_pgi_drop_table(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    lc_pgi_state state;
    char script[128];
    lc_pg_values values = {0};
    int rc = begin(index, link, until_ms, &state, err);
    if (!rc && state.table) {
        snprintf(script, sizeof script, "DROP TABLE IF EXISTS %s", state.table->name);
        rc = lc_pg_script(link, script, until_ms, err);
    }
    add_text(&values, index->embedder);
    if (!rc)
        rc = run(link, &forget_table, &values, until_ms, err);
    if (!rc)
        rc = lc_pg_script(link, "COMMIT", until_ms, err);
    if (!rc)
        atomic_store(&index->table, NULL);
    return rc;
}

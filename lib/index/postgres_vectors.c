/*
 * The statements over a table of vectors.
 *
 * A search is one statement and one round trip. It counts the partition up to a bound. At most that many vectors are
 * looked at one by one, which is exact; more are searched by the HNSW graph with the partition as a filter, and should
 * the graph give too few (it stops after hnsw.max_scan_tuples), the partition is looked at all the same. The graph has to
 * meet k * N / n of N records to find k of a partition of n, so small parts of a large table are better looked at:
 * the bound grows with the root of N. `+ 0` keeps the exact half off the graph.
 *
 * Adding what is there already writes nothing, as every cache does it that hears of a record.
 */
#include "index/postgres_index_inside.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <string.h>

#define LIVE "partition = $2 AND space = $1 AND (expires_ms = 0 OR expires_ms > $4::bigint)"
#define NEAR "fingerprint, -(vector <#> $3::vector) AS similarity"

/* ---- Texts ------------------------------------------------------------------------------------------------ */

static void write_add(lc_buffer *sql, const char *name)
{
    lc_buffer_format(
        sql,
        "WITH seen AS (SELECT EXISTS (SELECT 1 FROM %s WHERE partition = $3 AND space < $1)"
        " OR EXISTS (SELECT 1 FROM %s WHERE partition = $3 AND space > $1) AS foreign_),"
        " done AS (INSERT INTO %s AS t (space, fingerprint, partition, expires_ms, vector)"
        " SELECT $1, $2, $3, $4::bigint, $5::vector FROM seen WHERE NOT foreign_"
        " AND ($6::bigint = 0 OR set_config('synchronous_commit', 'off', true) IS NOT NULL)"
        " ON CONFLICT (space, fingerprint) DO UPDATE SET partition = EXCLUDED.partition,"
        " expires_ms = EXCLUDED.expires_ms, vector = EXCLUDED.vector"
        " WHERE (t.partition, t.expires_ms, t.vector) IS DISTINCT FROM"
        " (EXCLUDED.partition, EXCLUDED.expires_ms, EXCLUDED.vector) RETURNING xmax = 0 AS fresh)"
        " SELECT foreign_, (SELECT fresh FROM done) FROM seen",
        name, name, name);
}

static void write_remove(lc_buffer *sql, const char *name)
{
    lc_buffer_format(sql, "DELETE FROM %s WHERE space = $1 AND fingerprint >= $2 AND fingerprint <= $3", name);
}

/* What the graph's nodes are made of; the table itself keeps all of a vector's bits. */
static void write_key(lc_buffer *sql, const lc_pgi_table *table, const char *of)
{
    if (strcmp(table->form, "half") == 0)
        lc_buffer_format(sql, "(%s::halfvec(%zu))", of, table->dimension);
    else
        lc_buffer_text(sql, of);
}

static void write_graph_search(const lc_pgi *index, lc_buffer *sql, const lc_pgi_table *table)
{
    const char *name = table->name;
    int goes_on = atomic_load(&index->version) >= LC_PGI_ITERATIVE && index->scan != LC_PGI_OFF;
    lc_buffer_format(sql,
                     "WITH bound AS MATERIALIZED (SELECT greatest($6::bigint, %s::bigint) AS most"
                     " FROM pg_class WHERE oid = '%s'::regclass),"
                     " few AS MATERIALIZED (SELECT count(*) <= (SELECT most FROM bound) AS few FROM"
                     " (SELECT 1 FROM %s WHERE partition = $2 AND space = $1"
                     " LIMIT (SELECT most + 1 FROM bound)) part),"
                     " near AS MATERIALIZED (SELECT " NEAR " FROM %s WHERE " LIVE
                     " AND NOT (SELECT few FROM few) ORDER BY ",
                     goes_on ? "sqrt(16.0 * greatest(reltuples, 0))" : "greatest(reltuples, 0) / 20", name, name,
                     name);
    write_key(sql, table, "vector");
    lc_buffer_text(sql, " <#> ");
    write_key(sql, table, "$3::vector");
    lc_buffer_format(sql,
                     " LIMIT $5::bigint)"
                     " SELECT fingerprint, similarity FROM near WHERE (SELECT count(*) FROM near) = $5"
                     " UNION ALL (SELECT " NEAR " FROM %s WHERE " LIVE
                     " AND (SELECT count(*) FROM near) < $5 ORDER BY (vector <#> $3) + 0 LIMIT $5)",
                     name);
}

static void write_search(const lc_pgi *index, lc_buffer *sql, const lc_pgi_table *table)
{
    if (strcmp(table->form, "none") != 0)
        write_graph_search(index, sql, table);
    else
        lc_buffer_format(sql,
                         "SELECT " NEAR " FROM %s WHERE " LIVE " AND $6::bigint IS NOT NULL"
                         " ORDER BY (vector <#> $3) + 0 LIMIT $5::bigint",
                         table->name);
}

static void write_sweep(lc_buffer *sql, const char *name)
{
    lc_buffer_format(sql,
                     "DELETE FROM %s WHERE ctid = ANY (ARRAY (SELECT ctid FROM %s WHERE expires_ms > 0"
                     " AND expires_ms <= $1::bigint LIMIT 1000 FOR UPDATE SKIP LOCKED))",
                     name, name);
}

/* Large tables are not counted row by row each minute. */
static void write_count(lc_buffer *sql, const char *name)
{
    lc_buffer_format(sql,
                     "SELECT CASE WHEN reltuples < 20000 THEN (SELECT count(*) FROM %s) ELSE reltuples::bigint END,"
                     " CASE WHEN reltuples < 20000 THEN (SELECT count(DISTINCT partition) FROM %s) ELSE"
                     " (SELECT CASE WHEN n_distinct < 0 THEN -n_distinct * reltuples ELSE n_distinct END::bigint"
                     " FROM pg_stats WHERE tablename = relname AND schemaname = relnamespace::regnamespace::text"
                     " AND attname = 'partition') END, pg_total_relation_size(pg_class.oid)"
                     " FROM pg_class WHERE oid = '%s'::regclass",
                     name, name, name);
}

int lc_pgi_write_sql(const lc_pgi *index, lc_pgi_table *table)
{
    for (int verb = 0; verb < LC_PGI_VERBS; verb++) {
        lc_buffer sql;
        lc_buffer_init(&sql, 0);
        switch (verb) {
        case LC_PGI_ADD: write_add(&sql, table->name); break;
        case LC_PGI_REMOVE: write_remove(&sql, table->name); break;
        case LC_PGI_SEARCH: write_search(index, &sql, table); break;
        case LC_PGI_SWEEP: write_sweep(&sql, table->name); break;
        case LC_PGI_COUNT: write_count(&sql, table->name); break;
        }
        table->sql[verb] = lc_buffer_take(&sql, NULL);
        lc_buffer_done(&sql);
        if (!table->sql[verb])
            return LLMCACHE_MEMORY;
    }
    return 0;
}

/* ---- Values ----------------------------------------------------------------------------------------------- */

void *lc_pgi_vector(const float *vector, size_t dimension, size_t *size)
{
    uint16_t head[2] = {htons((uint16_t)dimension), 0};
    unsigned char *bytes = lc_alloc(sizeof head + dimension * sizeof(uint32_t));
    if (!bytes)
        return NULL;
    memcpy(bytes, head, sizeof head);
    for (size_t i = 0; i < dimension; i++) {
        uint32_t word;
        memcpy(&word, &vector[i], sizeof word);
        word = htonl(word);
        memcpy(bytes + sizeof head + i * sizeof word, &word, sizeof word);
    }
    *size = sizeof head + dimension * sizeof(uint32_t);
    return bytes;
}

int64_t lc_pgi_number(const PGresult *result, int row, int column)
{
    const unsigned char *bytes = (const unsigned char *)PQgetvalue(result, row, column);
    uint64_t number = 0;
    for (int i = 0; i < PQgetlength(result, row, column); i++)
        number = number << 8 | bytes[i];
    return (int64_t)number;
}

int lc_pgi_truth(const PGresult *result, int row, int column)
{
    return PQgetlength(result, row, column) == 1 && *PQgetvalue(result, row, column) == 1;
}

int lc_pgi_run(lc_pg_link *link, const lc_pgi_table *table, enum lc_pgi_verb verb, const lc_pg_values *values,
               int64_t until_ms, PGresult **result, llmcache_error *err)
{
    const lc_pg_statement statement = {(int)verb, table->sql[verb]};
    return lc_pg_run(link, &statement, values, until_ms, result, err);
}

int lc_pgi_is_gone(const lc_pg_link *link, int rc)
{
    return rc == LLMCACHE_STORE && strcmp(lc_pg_refusal(link), "42P01") == 0; /* undefined_table */
}

int lc_pgi_count(lc_pgi *index, lc_pg_link *link, const lc_pgi_table *table, int64_t until_ms,
                 llmcache_error *err)
{
    const lc_pg_values none = {0};
    PGresult *result = NULL;
    int rc = lc_pgi_run(link, table, LC_PGI_COUNT, &none, until_ms, &result, err);
    if (!rc && PQntuples(result) == 1) {
        atomic_store(&index->records, (uint64_t)lc_pgi_number(result, 0, 0));
        atomic_store(&index->partitions, (uint64_t)lc_pgi_number(result, 0, 1));
        atomic_store(&index->bytes, (uint64_t)lc_pgi_number(result, 0, 2));
    }
    PQclear(result);
    return rc;
}

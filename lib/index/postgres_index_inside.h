/* The inside of the index pgvector:, shared by its files: postgres_index*.c. */
#ifndef LC_INDEX_POSTGRES_INDEX_INSIDE_H
#define LC_INDEX_POSTGRES_INDEX_INSIDE_H

#include "index/flat_index.h"
#include "net/postgres_pool.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LC_PGI_HALFVEC = 700, LC_PGI_HNSW = 500, LC_PGI_ITERATIVE = 800 }; /* since which version: 0.7.0 is 700 */

enum lc_pgi_verb { LC_PGI_ADD, LC_PGI_REMOVE, LC_PGI_SEARCH, LC_PGI_SWEEP, LC_PGI_COUNT, LC_PGI_VERBS };

/* The vectors of an embedding space, and how they are asked for. Immutable; lives as long as the index. */
typedef struct lc_pgi_table {
    struct lc_pgi_table *next;
    size_t dimension;
    char form[8]; /* what the graph is made of: "half", "full", or "none" where there is no graph */
    char name[64];
    char *sql[LC_PGI_VERBS];
} lc_pgi_table;

enum lc_pgi_scan { LC_PGI_OFF, LC_PGI_STRICT, LC_PGI_RELAXED };

typedef struct lc_pgi {
    lc_pg_pool *pool;
    lc_flat *flat;      /* used while the server lacks the extension */
    char *embedder;     /* the embedding space */
    char stem[40];      /* of the tables' names */
    int64_t from, ef;
    enum lc_pgi_scan scan;
    atomic_int version; /* of the extension: 800 for 0.8.0; 0 while not known */
    atomic_int missing; /* the extension: vectors are kept and searched here */
    atomic_int filling; /* between LC_FILL_WANTED and the mark: what is lost in a crash is filled in again */
    atomic_int_least64_t generation; /* of what was last said to be wanted */
    atomic_uint_least64_t records, partitions, bytes; /* as last counted, and since */
    _Atomic(lc_pgi_table *) table; /* NULL: none, or not known */
    atomic_uint_least64_t probes; /* for the extension, begun */
    pthread_mutex_t lock; /* guards those below */
    uint64_t probed;      /* of them, the last that was heeded */
    lc_pgi_table *tables; /* all there ever were */
    char why[160];        /* it is missing */
} lc_pgi;

/* ---- The extension (postgres_extension.c) ------------------------------------------------------------------- */

/* Looks for the extension, makes it where that may be done, and with it the table of tables: sets version or
 * missing. */
int lc_pgi_probe(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err);
/* Prepares a connection for searches, once. Those made while the extension was missing are prepared later. */
int lc_pgi_greet(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err);

/* ---- Tables (postgres_tables.c) ----------------------------------------------------------------------------- */

/* The table of tables. */
int lc_pgi_make_schema(lc_pg_link *link, int64_t until_ms, llmcache_error *err);

/* What the table of tables says of our embedding space; `table` NULL: no vectors yet. */
typedef struct lc_pgi_state {
    lc_pgi_table *table;
    int known; /* it says something */
    int filled;
    int lost; /* a table that is not there */
    int64_t generation;
} lc_pgi_state;

/* Reads it, and keeps the table as the index's. */
int lc_pgi_look(lc_pgi *index, lc_pg_link *link, int64_t until_ms, lc_pgi_state *state, llmcache_error *err);
/* The same, and enters our embedding space where it was not known. */
int lc_pgi_enter(lc_pgi *index, lc_pg_link *link, int64_t until_ms, lc_pgi_state *state, llmcache_error *err);
int lc_pgi_mark(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err);
/* Makes the table for vectors of this dimension where there is none of ours, and looks again which there is. */
int lc_pgi_make_table(lc_pgi *index, lc_pg_link *link, size_t dimension, int64_t until_ms, llmcache_error *err);
int lc_pgi_drop_table(lc_pgi *index, lc_pg_link *link, int64_t until_ms, llmcache_error *err);

void lc_pgi_free_tables(lc_pgi *index);

/* ---- Statements (postgres_vectors.c) --------------------------------------------------------------------------- */

/* The texts for a table whose dimension, form and name are set. */
int lc_pgi_write_sql(const lc_pgi *index, lc_pgi_table *table);
/* The vector as the extension reads it: allocated; NULL without memory. */
void *lc_pgi_vector(const float *vector, size_t dimension, size_t *size);

/* One of the table's statements. */
int lc_pgi_run(lc_pg_link *link, const lc_pgi_table *table, enum lc_pgi_verb verb, const lc_pg_values *values,
               int64_t until_ms, PGresult **result, llmcache_error *err);

int64_t lc_pgi_number(const PGresult *result, int row, int column); /* of 8 bytes, or 4; 0 for NULL */
int lc_pgi_truth(const PGresult *result, int row, int column);

/* Counts the table anew: for the statistics. */
int lc_pgi_count(lc_pgi *index, lc_pg_link *link, const lc_pgi_table *table, int64_t until_ms,
                 llmcache_error *err);

/* Was the statement refused because the table is not there? */
int lc_pgi_is_gone(const lc_pg_link *link, int rc);

/* ---- The setting (postgres_setting.c) --------------------------------------------------------------------------- */

/* Reads what follows "pgvector:" into the index, and the database's URI, allocated. */
int lc_pgi_read_setting(lc_pgi *index, const char *rest, const char *store, char **uri, llmcache_error *err);

#endif

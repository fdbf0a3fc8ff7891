/* The PostgreSQL store's inside, shared by its files: postgres_*.c. */
#ifndef LC_STORE_POSTGRES_INSIDE_H
#define LC_STORE_POSTGRES_INSIDE_H

#include "base/buffer.h"
#include "net/postgres_pool.h"

#include <llmcache/backend.h>
#include <stdatomic.h>

struct lc_pg_watch;

enum { LC_PG_OWN_MAX = 256 };

typedef struct lc_pg_store {
    lc_pg_pool *pool;
    _Atomic(struct lc_pg_watch *) watch;
    atomic_int ready; /* the schema is there */
    atomic_int own[LC_PG_OWN_MAX]; /* server processes of our connections, 0 where none: whose news is ours */
    atomic_uint_least64_t entries, records, observations; /* as counted by the last each, and since */
    atomic_uint_least64_t damaged;                        /* set aside */
} lc_pg_store;

atomic_uint_least64_t *lc_pg_count_of(lc_pg_store *store, int part);

enum lc_pg_verb {
    LC_PG_GET,
    LC_PG_GET_HEAD,
    LC_PG_PUT,
    LC_PG_REMOVE,
    LC_PG_REMOVE_HEAD,
    LC_PG_EACH,
    LC_PG_EACH_SPACE,
    LC_PG_EACH_VECTOR,
    LC_PG_SWEEP,
    LC_PG_ASIDE,
    LC_PG_VERBS
};

/* ---- Running (postgres_run.c) ---------------------------------------------------------------------- */

extern const lc_pg_pool_kind lc_pg_pool_store; /* whose user is the store */

/* As lc_pg_run_many and lc_pg_run, on a connection of the pool. Statements must bear being run twice. */
int lc_pg_store_run_many(lc_pg_store *store, const lc_pg_statement *const *statements,
                         const lc_pg_values *values, size_t count, int64_t until_ms, PGresult **results,
                         llmcache_error *err);
int lc_pg_store_run(lc_pg_store *store, enum lc_pg_verb verb, int part, const lc_pg_values *values,
                    int64_t until_ms, PGresult **result, llmcache_error *err);

/* ---- Rows (postgres_rows.c) ------------------------------------------------------------------------------ */

const lc_pg_statement *lc_pg_statement_of(enum lc_pg_verb verb, int part);

/* Room for what the values of a key point at: the ends of its range when only its head is known. */
typedef struct lc_pg_range {
    unsigned char low[LLMCACHE_FINGERPRINT_SIZE], high[LLMCACHE_FINGERPRINT_SIZE];
} lc_pg_range;
void lc_pg_add_key(lc_pg_values *values, const llmcache_key *key, lc_pg_range *room);

/* One row read: the entry points into the result and `memory`. */
typedef struct lc_pg_row {
    llmcache_entry entry;
    char *memory;
    float *vector;
} lc_pg_row;

/* LLMCACHE_CORRUPT when it is damaged or not what its key says; the key's columns can be read even then. A row that
 * was read for its vector has the body's size in place of the body, and gives none. */
int lc_pg_row_read(const PGresult *result, int row, int part, lc_pg_row *out, llmcache_error *err);
int lc_pg_row_read_vector(const PGresult *result, int row, lc_pg_row *out, llmcache_error *err);
void lc_pg_row_done(lc_pg_row *row);
/* The key's columns of a row. */
void lc_pg_row_key(const PGresult *result, int row, const char **space, size_t *space_size,
                   const unsigned char **fingerprint, size_t *fingerprint_size);

/* ---- Schema (postgres_schema.c) ---------------------------------------------------------------------------- */

/* Makes or migrates the tables; LLMCACHE_STORE when they are of a later version. */
int lc_pg_schema_ensure(lc_pg_link *link, int64_t until_ms, llmcache_error *err);
#define LC_PG_CHANNEL "llmcache_changes"

/* ---- Leases (postgres_lease.c) ---------------------------------------------------------------------------- */

/* As in llmcache_store_ops. */
int lc_pg_lease(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                int64_t *others_ms, llmcache_error *err);
int lc_pg_release(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                  int64_t deadline_ms, llmcache_error *err);
int lc_pg_sweep_leases(lc_pg_store *store, llmcache_error *err); /* those that ran out */

/* ---- Watching (postgres_watch.c) ---------------------------------------------------------------------------- */

typedef struct lc_pg_watch lc_pg_watch;
int lc_pg_watch_new(lc_pg_store *store, const llmcache_watch *listener, lc_pg_watch **watch,
                    llmcache_error *err);
void lc_pg_watch_free(lc_pg_watch *watch); /* accepts NULL; cancel the pool first */
/* Tells the listener of a change that the store knows of by itself. Accepts NULL. */
void lc_pg_watch_tell(lc_pg_watch *watch, int part, const char *space, const char *id);

#endif

/*
 * Connections to one PostgreSQL server (conn_pool.h), and work done over one of them: what the store postgresql://
 * and the index pgvector: have in common. Every operation has a deadline; what goes wrong by the network on a
 * connection that was kept is tried once more on a new one, and what met another transaction on the same one, so work must
 * bear being done twice. Only a server that is lost is closed to all: see postgres_refusal.h.
 */
#ifndef LC_NET_POSTGRES_POOL_H
#define LC_NET_POSTGRES_POOL_H

#include "net/conn_pool.h"
#include "net/postgres_link.h"

typedef struct lc_pg_pool lc_pg_pool;

typedef struct lc_pg_pool_kind {
    /* On a connection of the pool's own thread, or a ping: makes what has to be there, such as tables. No other
     * connection is made before it has worked once. */
    int (*prepare)(void *user, lc_pg_link *link, int64_t until_ms, llmcache_error *err);
    /* On every connection before its first use. May be NULL. */
    int (*greet)(void *user, lc_pg_link *link, int64_t until_ms, llmcache_error *err);
    /* Connections come and go. May be NULL. */
    void (*opened)(void *user, const lc_pg_link *link);
    void (*closing)(void *user, const lc_pg_link *link);
} lc_pg_pool_kind;

typedef struct lc_pg_pool_options {
    const char *ca_file; /* "" or NULL: the URI's */
    int64_t probe_ms;    /* how long one try to reach a lost server may take */
    size_t most;         /* connections at once */
    int patience;        /* this many times in a row too late, and the server counts as lost; 0 is 1 */
} lc_pg_pool_options;

/* `kind` and `user` are borrowed for the pool's life. Starts reaching at once, from its own thread. */
int lc_pg_pool_new(const char *uri, const lc_pg_pool_options *options, const lc_pg_pool_kind *kind, void *user,
                   lc_pg_pool **pool, llmcache_error *err);
void lc_pg_pool_cancel(lc_pg_pool *pool);
void lc_pg_pool_free(lc_pg_pool *pool); /* accepts NULL */

/* The place, for connections beside the pool, and what their waits end with. */
lc_pg_place *lc_pg_pool_place(const lc_pg_pool *pool);
int lc_pg_pool_cancel_fd(const lc_pg_pool *pool);

/*
 * Does something over a connection. The work returns 0, LLMCACHE_NOT_FOUND or LLMCACHE_CORRUPT when the connection is
 * good; after anything else it is closed. `until_ms` is an instant of lc_mono_ms.
 */
typedef int (*lc_pg_work)(void *work, lc_pg_link *link, int64_t until_ms, llmcache_error *err);
int lc_pg_pool_do(lc_pg_pool *pool, lc_pg_work fn, void *work, int64_t until_ms, llmcache_error *err);

/* As lc_pg_run_many, on a connection of the pool; one statement goes without a transaction of several. */
int lc_pg_pool_run(lc_pg_pool *pool, const lc_pg_statement *const *statements, const lc_pg_values *values,
                   size_t count, int64_t until_ms, PGresult **results, llmcache_error *err);

/* See lc_conn_pool_spare_one. */
void lc_pg_pool_spare_one(lc_pg_pool *pool);
int lc_pg_pool_ping(lc_pg_pool *pool, int64_t until_ms, llmcache_error *err);
void lc_pg_pool_look(lc_pg_pool *pool, lc_conn_pool_state *state);

#endif

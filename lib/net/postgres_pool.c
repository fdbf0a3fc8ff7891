/* Connections to a PostgreSQL server, and work over one of them: see the header. */
#include "net/postgres_pool.h"

#include "net/postgres_refusal.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <string.h>

struct lc_pg_pool {
    lc_pg_place *place;
    lc_conn_pool *pool;
    const lc_pg_pool_kind *kind;
    void *user;
    int patience;
    atomic_int late; /* times in a row */
};

static void close_link(void *user, void *conn)
{
    lc_pg_pool *pool = user;
    if (!conn)
        return;
    if (pool->kind->closing)
        pool->kind->closing(pool->user, conn);
    lc_pg_disconnect(conn);
}

/* A connection that was made is greeted, or closed. */
static int greet(lc_pg_pool *pool, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    int rc = pool->kind->greet ? pool->kind->greet(pool->user, link, until_ms, err) : 0;
    if (rc)
        lc_pg_disconnect(link);
    else if (pool->kind->opened)
        pool->kind->opened(pool->user, link);
    return rc;
}

/* From the pool's own thread, or a ping: looks the name up, makes what has to be there. */
static int reach(void *user, int64_t until_ms, int cancel_fd, void **conn, llmcache_error *err)
{
    lc_pg_pool *pool = user;
    lc_pg_link *link = NULL;
    int rc = lc_pg_place_resolve(pool->place, err);
    if (!rc)
        rc = lc_pg_connect(pool->place, until_ms, cancel_fd, &link, err);
    if (!rc && (rc = pool->kind->prepare(pool->user, link, until_ms, err)))
        lc_pg_disconnect(link);
    if (!rc)
        rc = greet(pool, link, until_ms, err);
    if (!rc) {
        atomic_store(&pool->late, 0);
        *conn = link;
    }
    return rc;
}

/* The server did not do its part. One that is late once may have had a lot to do. */
static void lose(lc_pg_pool *pool, int rc, const llmcache_error *err)
{
    if (rc == LLMCACHE_TIMEOUT && atomic_fetch_add(&pool->late, 1) + 1 < pool->patience)
        return;
    if (lc_conn_is_loss(rc))
        lc_conn_pool_lose(pool->pool, err);
}

/* A question does not wait for tables to be made. */
static int connect_new(lc_pg_pool *pool, int64_t until_ms, lc_pg_link **link, llmcache_error *err)
{
    int rc = lc_pg_connect(pool->place, until_ms, -1, link, err);
    return rc ? rc : greet(pool, *link, until_ms, err);
}

/* An idle connection or a new one; when the server has no room for that, one that others give back. */
static int borrow(lc_pg_pool *pool, int64_t until_ms, lc_pg_link **link, llmcache_error *err)
{
    for (;;) {
        void *idle;
        int rc = lc_conn_pool_take(pool->pool, until_ms, &idle, err);
        *link = idle;
        if (rc || idle || !(rc = connect_new(pool, until_ms, link, err)))
            return rc;
        if (rc == LLMCACHE_BUSY && lc_conn_pool_make_do(pool->pool))
            continue;
        if (rc != LLMCACHE_BUSY)
            lc_conn_pool_forget(pool->pool);
        lose(pool, rc, err);
        return rc;
    }
}

/* A statement that was refused for reasons of its own says nothing about the server. */
static int is_loss(const lc_pg_link *link, int rc)
{
    const char *sqlstate = rc == LLMCACHE_STORE ? lc_pg_refusal(link) : "";
    return !*sqlstate || lc_pg_blame_of(sqlstate) == LC_PG_SERVER;
}

static int is_chance(const lc_pg_link *link, int rc)
{
    return rc == LLMCACHE_STORE && lc_pg_blame_of(lc_pg_refusal(link)) == LC_PG_CHANCE;
}

/* A refused statement leaves a good connection; it is closed all the same, since what the server is (a
 * replica, say) may have changed. */
static void give_back(lc_pg_pool *pool, lc_pg_link *link, int rc, const llmcache_error *err)
{
    if (!rc || rc == LLMCACHE_NOT_FOUND || rc == LLMCACHE_CORRUPT) {
        atomic_store(&pool->late, 0);
        lc_conn_pool_give(pool->pool, link);
        return;
    }
    int lost = is_loss(link, rc);
    close_link(pool, link);
    lc_conn_pool_forget(pool->pool);
    if (lost)
        lose(pool, rc, err);
}

/* A kept connection may have died idle: what goes wrong on it by the network is tried again on a new one. */
int lc_pg_pool_do(lc_pg_pool *pool, lc_pg_work fn, void *work, int64_t until_ms, llmcache_error *err)
{
    lc_pg_link *link;
    int rc = borrow(pool, until_ms, &link, err);
    if (rc)
        return rc;
    rc = fn(work, link, until_ms, err);
    if (rc == LLMCACHE_NETWORK) {
        close_link(pool, link);
        lc_conn_pool_forget(pool->pool);
        lc_conn_pool_drop_idle(pool->pool);
        rc = borrow(pool, until_ms, &link, err);
        if (rc)
            return rc;
        rc = fn(work, link, until_ms, err);
    }
    if (is_chance(link, rc))
        rc = fn(work, link, until_ms, err);
    give_back(pool, link, rc, err);
    return rc;
}

typedef struct batch {
    const lc_pg_statement *const *statements;
    const lc_pg_values *values;
    size_t count;
    PGresult **results;
} batch;

static int run_batch(void *work, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    const batch *b = work;
    return b->count == 1 ? lc_pg_run(link, b->statements[0], b->values, until_ms, b->results, err)
                         : lc_pg_run_many(link, b->statements, b->values, b->count, until_ms, b->results, err);
}

int lc_pg_pool_run(lc_pg_pool *pool, const lc_pg_statement *const *statements, const lc_pg_values *values,
                   size_t count, int64_t until_ms, PGresult **results, llmcache_error *err)
{
    batch b = {statements, values, count, results};
    return lc_pg_pool_do(pool, run_batch, &b, until_ms, err);
}

/* ---- State and life ------------------------------------------------------------------------------------ */

lc_pg_place *lc_pg_pool_place(const lc_pg_pool *pool)
{
    return pool->place;
}

int lc_pg_pool_cancel_fd(const lc_pg_pool *pool)
{
    return lc_conn_pool_cancel_fd(pool->pool);
}

void lc_pg_pool_spare_one(lc_pg_pool *pool)
{
    lc_conn_pool_spare_one(pool->pool);
}

int lc_pg_pool_ping(lc_pg_pool *pool, int64_t until_ms, llmcache_error *err)
{
    return lc_conn_pool_ping(pool->pool, until_ms, err);
}

void lc_pg_pool_look(lc_pg_pool *pool, lc_conn_pool_state *state)
{
    lc_conn_pool_look(pool->pool, state);
}

void lc_pg_pool_cancel(lc_pg_pool *pool)
{
    lc_conn_pool_cancel(pool->pool);
}

void lc_pg_pool_free(lc_pg_pool *pool)
{
    if (!pool)
        return;
    lc_conn_pool_free(pool->pool);
    lc_pg_place_free(pool->place);
    lc_free(pool);
}

int lc_pg_pool_new(const char *uri, const lc_pg_pool_options *options, const lc_pg_pool_kind *kind, void *user,
                   lc_pg_pool **out, llmcache_error *err)
{
    static const lc_conn_kind conn_kind = {reach, close_link};
    const lc_conn_options conn = {.probe_ms = options->probe_ms, .most = options->most, .after_reach = 1};
    lc_pg_pool *pool = lc_zalloc(sizeof *pool);
    if (!pool)
        return lc_fail_memory(err);
    pool->kind = kind;
    pool->user = user;
    pool->patience = options->patience;
    int rc = lc_pg_place_new(uri, options->ca_file, &pool->place, err);
    if (!rc)
        rc = lc_conn_pool_new(&conn_kind, pool, &conn, &pool->pool, err);
    if (rc) {
        lc_pg_pool_free(pool);
        return rc;
    }
    *out = pool;
    return 0;
}

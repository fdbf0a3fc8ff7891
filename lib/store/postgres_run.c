/* The PostgreSQL store's connections, and statements run over one of them. */
#include "base/clock.h"
#include "base/error.h"
#include "store/postgres_inside.h"

/* ---- Connections --------------------------------------------------------------------------------------- */

static void own_add(lc_pg_store *store, int pid)
{
    for (int i = 0; i < LC_PG_OWN_MAX; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&store->own[i], &none, pid))
            return;
    }
}

static void close_link(void *user, void *conn)
{
    lc_pg_store *store = user;
    if (!conn)
        return;
    for (int i = 0, pid = lc_pg_pid(conn); i < LC_PG_OWN_MAX; i++) {
        int own = pid;
        if (atomic_compare_exchange_strong(&store->own[i], &own, 0))
            break;
    }
    lc_pg_disconnect(conn);
}

/* From the pool's own thread, or a ping: looks the name up, makes the schema. */
static int reach(void *user, int64_t until_ms, int cancel_fd, void **conn, llmcache_error *err)
{
    lc_pg_store *store = user;
    lc_pg_link *link = NULL;
    int rc = lc_pg_place_resolve(store->place, err);
    if (!rc)
        rc = lc_pg_connect(store->place, until_ms, cancel_fd, &link, err);
    if (!rc)
        rc = lc_pg_schema_ensure(link, until_ms, err);
    if (rc) {
        lc_pg_disconnect(link);
        return rc;
    }
    own_add(store, lc_pg_pid(link));
    atomic_store(&store->ready, 1);
    *conn = link;
    return 0;
}

/* An idle connection or a new one. A question does not wait for tables to be made. */
static int borrow(lc_pg_store *store, int64_t until_ms, lc_pg_link **link, llmcache_error *err)
{
    void *idle;
    int rc = lc_conn_pool_take(store->pool, until_ms, &idle, err);
    *link = idle;
    if (rc || idle)
        return rc;
    rc = lc_pg_connect(store->place, until_ms, -1, link, err);
    if (!rc) {
        own_add(store, lc_pg_pid(*link));
        return 0;
    }
    lc_conn_pool_forget(store->pool);
    if (lc_conn_is_loss(rc))
        lc_conn_pool_lose(store->pool, err);
    return rc;
}

/* A refused statement leaves a good connection; it is closed all the same, since what the server is (a
 * replica, say) may have changed. */
static void give_back(lc_pg_store *store, lc_pg_link *link, int rc, const llmcache_error *err)
{
    if (!rc || rc == LLMCACHE_NOT_FOUND || rc == LLMCACHE_CORRUPT) {
        lc_conn_pool_give(store->pool, link);
        return;
    }
    close_link(store, link);
    lc_conn_pool_forget(store->pool);
    if (lc_conn_is_loss(rc))
        lc_conn_pool_lose(store->pool, err);
}

static int run_on(lc_pg_link *link, const lc_pg_statement *const *statements, const lc_pg_values *values,
                  size_t count, int64_t until_ms, PGresult **results, llmcache_error *err)
{
    return count == 1 ? lc_pg_run(link, statements[0], values, until_ms, results, err)
                      : lc_pg_run_many(link, statements, values, count, until_ms, results, err);
}

/* A kept connection may have died idle: what goes wrong on it by the network is tried again on a new one. */
int lc_pg_store_run_many(lc_pg_store *store, const lc_pg_statement *const *statements,
                         const lc_pg_values *values, size_t count, int64_t until_ms, PGresult **results,
                         llmcache_error *err)
{
    lc_pg_link *link;
    int rc = borrow(store, until_ms, &link, err);
    if (rc)
        return rc;
    rc = run_on(link, statements, values, count, until_ms, results, err);
    if (rc == LLMCACHE_NETWORK) {
        close_link(store, link);
        lc_conn_pool_forget(store->pool);
        lc_conn_pool_drop_idle(store->pool);
        rc = borrow(store, until_ms, &link, err);
        if (rc)
            return rc;
        rc = run_on(link, statements, values, count, until_ms, results, err);
    }
    give_back(store, link, rc, err);
    return rc;
}

int lc_pg_store_run(lc_pg_store *store, enum lc_pg_verb verb, int part, const lc_pg_values *values,
                    int64_t until_ms, PGresult **result, llmcache_error *err)
{
    const lc_pg_statement *statement = lc_pg_statement_of(verb, part);
    return lc_pg_store_run_many(store, &statement, values, 1, until_ms, result, err);
}

const lc_conn_kind lc_pg_conn_kind = {reach, close_link};

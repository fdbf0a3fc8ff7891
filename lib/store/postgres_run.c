/* The PostgreSQL store's connections, and statements run over one of them. */
#include "store/postgres_inside.h"

/* What news comes from them is known already. */
static void opened(void *user, const lc_pg_link *link)
{
    lc_pg_store *store = user;
    for (int i = 0; i < LC_PG_OWN_MAX; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&store->own[i], &none, lc_pg_pid(link)))
            return;
    }
}

static void closing(void *user, const lc_pg_link *link)
{
    lc_pg_store *store = user;
    for (int i = 0, pid = lc_pg_pid(link); i < LC_PG_OWN_MAX; i++) {
        int own = pid;
        if (atomic_compare_exchange_strong(&store->own[i], &own, 0))
            return;
    }
}

static int prepare(void *user, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    lc_pg_store *store = user;
    int rc = lc_pg_schema_ensure(link, until_ms, err);
    if (!rc)
        atomic_store(&store->ready, 1);
    return rc;
}

int lc_pg_store_run_many(lc_pg_store *store, const lc_pg_statement *const *statements,
                         const lc_pg_values *values, size_t count, int64_t until_ms, PGresult **results,
                         llmcache_error *err)
{
    return lc_pg_pool_run(store->pool, statements, values, count, until_ms, results, err);
}

int lc_pg_store_run(lc_pg_store *store, enum lc_pg_verb verb, int part, const lc_pg_values *values,
                    int64_t until_ms, PGresult **result, llmcache_error *err)
{
    const lc_pg_statement *statement = lc_pg_statement_of(verb, part);
    return lc_pg_store_run_many(store, &statement, values, 1, until_ms, result, err);
}

const lc_pg_pool_kind lc_pg_pool_store = {.prepare = prepare, .opened = opened, .closing = closing};

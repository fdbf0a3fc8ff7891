/* What is PostgreSQL's alone: rows made and looked at with SQL, beside the store. */
#include "postgres_server.h"
#include "store_entries.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static test_postgres server;
static lc_store store;

static void start(void)
{
    llmcache_error err;
    const char *missing = test_postgres_missing();
    if (missing)
        cr_skip_test("%s", missing);
    test_postgres_start(&server);
    store = store_at(server.uri, NULL);
    cr_assert_eq(put_entry_in(&store, numbered_entry("default", 1), 30000, &err), 0, "%s", err.message);
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(postgres_store, .init = start, .fini = stop, .timeout = 120);

static int rows(const char *table)
{
    return atoi(test_postgres_ask(&server, "SELECT count(*) FROM %s", table));
}

/* So many rows that expired at 5, and one that has not. */
static void expire(const char *table, int count)
{
    test_postgres_ask(&server,
                      "INSERT INTO %s (space, fingerprint, expires_ms, facts, body)"
                      " SELECT 'old', decode(lpad(to_hex(n), 64, '0'), 'hex'), 5, '{}', ''"
                      " FROM generate_series(1, %d) n",
                      table, count);
}

Test(postgres_store, a_sweep_takes_several_batches_and_leaves_the_rest_for_the_next)
{
    llmcache_error err;
    expire("llmcache_embed", 3500);
    expire("llmcache_prompt", 33500);
    cr_assert_eq(store.ops.sweep(store.self, 4, &err), 0, "%s", err.message);
    cr_assert_eq(rows("llmcache_embed"), 3501);
    cr_assert_eq(store.ops.sweep(store.self, 5, &err), 0, "%s", err.message);
    cr_assert_eq(rows("llmcache_embed"), 1);
    cr_assert_eq(rows("llmcache_prompt"), 1501, "bounded");
    cr_assert_eq(store.ops.sweep(store.self, 5, &err), 0, "%s", err.message);
    cr_assert_eq(rows("llmcache_prompt"), 1);
}

Test(postgres_store, a_text_that_it_refuses_takes_it_from_nobody)
{
    llmcache_error err;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(put_entry_in(&store, numbered_entry("not UTF-8: \xff", 2), 30000, &err), LLMCACHE_STORE);
        cr_assert_eq(put_entry_in(&store, numbered_entry("default", 3), 30000, &err), 0, "%s", err.message);
    }
}

Test(postgres_store, what_has_expired_is_found_by_an_index)
{
    test_postgres_ask(&server, "INSERT INTO llmcache_embed (space, fingerprint, expires_ms, facts, body)"
                               " SELECT 'young', decode(lpad(to_hex(n), 64, '0'), 'hex'), 1000000 + n, '{}', ''"
                               " FROM generate_series(1, 20000) n");
    test_postgres_ask(&server, "ANALYZE llmcache_embed");
    const char *plan = test_postgres_ask(&server, "EXPLAIN (FORMAT JSON) SELECT ctid FROM llmcache_embed"
                                                  " WHERE expires_ms > 0 AND expires_ms <= 5 LIMIT 1000");
    cr_assert_not_null(strstr(plan, "llmcache_embed_expiry"), "%s", plan);
}

static int look(void *user, const llmcache_entry *entry)
{
    llmcache_entry *seen = user;
    *seen = *entry;
    cr_assert_arr_eq(entry->vector, numbered_entry("default", 1)->vector, entry->dimension * sizeof(float));
    return 0;
}

Test(postgres_store, vectors_are_read_without_answers_and_checked_all_the_same)
{
    llmcache_error err;
    llmcache_entry seen = {0};
    uint64_t damaged = 9;
    cr_assert_not_null(store.ops.each_vector);
    cr_assert_eq(store.ops.each_vector(store.self, 1, look, &seen, &damaged, &err), 0, "%s", err.message);
    cr_assert_eq(damaged, 0u);
    cr_assert_eq(seen.body_size, 0u);
    cr_assert_gt(seen.dimension, 0u);
    test_postgres_ask(&server, "UPDATE llmcache_embed SET body = body || 'x'");
    cr_assert_eq(store.ops.each_vector(store.self, 1, look, &seen, &damaged, &err), 0, "%s", err.message);
    cr_assert_eq(damaged, 1u, "a body of another size, seen without reading it");
}

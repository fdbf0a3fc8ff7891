/* The suite over pgvector, on a server of the test's own, emptied for each index that is opened: */
#include "index_fixture.h"
#include "postgres_server.h"

static const char *fresh(void)
{
    static test_postgres server;
    if (test_pgvector_missing())
        return NULL;
    if (!server.uri)
        test_pgvector_start(&server);
    else
        test_postgres_ask(&server,
                          "DO $$ DECLARE one record; BEGIN FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE"
                          " relkind = 'r' AND relname ~ '^llmcache_vectors_[0-9a-f]{16}_' LOOP"
                          " EXECUTE 'DROP TABLE ' || one.name; END LOOP;"
                          " IF to_regclass('llmcache_vectors') IS NOT NULL THEN DELETE FROM llmcache_vectors; END IF;"
                          " END $$");
    return test_format("pgvector:%s", server.uri);
}

const index_fixture index_fixture_used = {.fresh = fresh, .recall = 0.99, .shorter = 5};

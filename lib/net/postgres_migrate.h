/*
 * Tables made at the first use and migrated from version to version, each step in the transaction of all, under an
 * advisory lock, so that servers that start together do not trip over each other. Whose tables they are says
 * where their versions are kept.
 */
#ifndef LC_NET_POSTGRES_MIGRATE_H
#define LC_NET_POSTGRES_MIGRATE_H

#include "net/postgres_link.h"

typedef struct lc_pg_schema {
    const char *of;       /* "the store's", for a message */
    const char *versions; /* the table of the versions */
    lc_pg_statement find, read; /* to_regclass of it is not null; max(version) in it */
    const char *const *steps; /* from version n to n + 1; each ends in a semicolon */
    int count;
} lc_pg_schema;

/* The lock of all such changes, held until the transaction ends; a statement to put into a script. */
#define LC_PG_LOCK "SELECT pg_advisory_xact_lock(7812734601);"

/* Makes or migrates the tables; LLMCACHE_STORE when they are of a later version. */
int lc_pg_migrate(lc_pg_link *link, const lc_pg_schema *schema, int64_t until_ms, llmcache_error *err);

#endif

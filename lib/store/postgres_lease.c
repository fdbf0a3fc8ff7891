/*
 * Leases in PostgreSQL: a row of llmcache_lease, unlogged, since a lease need not outlive the server. Its expiry is by
 * the server's clock: an end further ahead than the lease lasts is of a time before that was set back. Its holder is
 * empty when the last one gave up. Taking a lease, saying whose it is and reading
 * the entry are three statements, one transaction and one round trip; the row that was met stays locked between
 * them. A trigger tells of rows given up (postgres_schema.c).
 */
#include "store/postgres_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/store.h"

#include <string.h>

enum { SWEEP_MS = 10000 };

#define NOW_MS "(extract(epoch from clock_timestamp()) * 1000)::bigint"
#define ROW    " WHERE space = $1 AND fingerprint = $2 AND lane = $3"

#define OVER   "(l.expires_ms <= " NOW_MS " OR l.expires_ms > " NOW_MS " + l.lasts_ms)"

static const lc_pg_statement take = {
    40, "INSERT INTO llmcache_lease AS l (space, fingerprint, lane, holder, expires_ms, lasts_ms)"
        " VALUES ($1, $2, $3, $4, " NOW_MS " + $5, $5) ON CONFLICT (space, fingerprint, lane) DO UPDATE"
        " SET holder = EXCLUDED.holder, expires_ms = EXCLUDED.expires_ms, lasts_ms = EXCLUDED.lasts_ms"
        " WHERE l.holder = EXCLUDED.holder OR " OVER};
static const lc_pg_statement renew = {
    41, "UPDATE llmcache_lease SET expires_ms = " NOW_MS " + $5, lasts_ms = $5" ROW " AND holder = $4"};
static const lc_pg_statement look = {
    42, "SELECT CASE WHEN holder = $4 THEN 0::bigint WHEN holder = '' THEN -1::bigint"
        " ELSE least(lasts_ms, greatest(1, expires_ms - " NOW_MS ")) END FROM llmcache_lease" ROW};
static const lc_pg_statement release = {43, "DELETE FROM llmcache_lease" ROW " AND holder = $4"};
static const lc_pg_statement give_up = {
    44, "UPDATE llmcache_lease SET holder = '', expires_ms = " NOW_MS " + $5, lasts_ms = $5" ROW " AND holder = $4"};
static const lc_pg_statement sweep = {45, "DELETE FROM llmcache_lease AS l WHERE " OVER};

/* Room for the numbers among the values. */
typedef struct numbers {
    unsigned char lane[8], lasts[8];
} numbers;

static void add_row(lc_pg_values *values, const llmcache_key *key, const llmcache_lease *lease, numbers *room)
{
    lc_pg_add(values, key->space, strlen(key->space));
    lc_pg_add(values, key->fingerprint, sizeof key->fingerprint);
    lc_pg_add_number(values, lease->lane, room->lane);
    lc_pg_add(values, lease->holder, strlen(lease->holder));
}

static int64_t read_number(const PGresult *result)
{
    uint64_t number = 0;
    const unsigned char *bytes = (const unsigned char *)PQgetvalue(result, 0, 0);
    for (int i = 0; i < 8; i++)
        number = number << 8 | bytes[i];
    return (int64_t)number;
}

/* No row: what was to be renewed is gone. */
static int read_others(const PGresult *result, int64_t *others_ms, llmcache_error *err)
{
    if (PQntuples(result) == 0) {
        *others_ms = -1;
        return 0;
    }
    if (PQgetlength(result, 0, 0) != 8)
        return lc_fail(err, LLMCACHE_STORE, "the store's leases are not as they were made");
    *others_ms = read_number(result);
    return 0;
}

/* What cannot be read is as good as not there: whoever gets it by its key sets it aside. */
static void show_entry(const llmcache_lease *lease, const PGresult *result)
{
    lc_pg_row row = {0};
    llmcache_error err;
    if (PQntuples(result) && !lc_pg_row_read(result, 0, LLMCACHE_PART_PROMPT, &row, &err) &&
        (!row.entry.expires_ms || row.entry.expires_ms > lease->now_ms))
        lease->fn(lease->user, &row.entry);
    lc_pg_row_done(&row);
}

int lc_pg_lease(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                int64_t *others_ms, llmcache_error *err)
{
    const lc_pg_statement *statements[] = {lease->renew ? &renew : &take, &look,
                                           lc_pg_statement_of(LC_PG_GET, LLMCACHE_PART_PROMPT)};
    lc_pg_values values[3] = {0};
    numbers rooms[2];
    lc_pg_range range;
    PGresult *results[3] = {0};
    add_row(&values[0], key, lease, &rooms[0]);
    lc_pg_add_number(&values[0], lease->lease_ms, rooms[0].lasts);
    add_row(&values[1], key, lease, &rooms[1]);
    lc_pg_add_key(&values[2], key, &range);
    int rc = lc_pg_store_run_many(self, statements, values, lease->fn ? 3 : 2, lc_mono_ms() + deadline_ms,
                                  results, err);
    if (!rc)
        rc = read_others(results[1], others_ms, err);
    if (!rc && lease->fn)
        show_entry(lease, results[2]);
    for (size_t i = 0; i < 3; i++)
        PQclear(results[i]);
    return rc;
}

int lc_pg_release(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                  int64_t deadline_ms, llmcache_error *err)
{
    const lc_pg_statement *statement = given_up_ms > 0 ? &give_up : &release;
    lc_pg_values values = {0};
    numbers room;
    PGresult *result = NULL;
    add_row(&values, key, lease, &room);
    if (given_up_ms > 0)
        lc_pg_add_number(&values, given_up_ms, room.lasts);
    int rc = lc_pg_store_run_many(self, &statement, &values, 1, lc_mono_ms() + deadline_ms, &result, err);
    PQclear(result);
    return rc;
}

int lc_pg_sweep_leases(lc_pg_store *store, llmcache_error *err)
{
    const lc_pg_statement *statement = &sweep;
    const lc_pg_values none = {0};
    PGresult *result = NULL;
    int rc = lc_pg_store_run_many(store, &statement, &none, 1, lc_mono_ms() + SWEEP_MS, &result, err);
    PQclear(result);
    return rc;
}

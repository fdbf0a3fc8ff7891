/*
 * The store postgresql://: a table for each part of stored data (postgres_schema.c), rows readable with psql
 * (postgres_rows.c), over a pool with a switch (postgres_pool.h). Reading is one round trip; what one call writes is one
 * transaction and one round trip. Nothing is kept here but a few counters.
 */
#include "store/store.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/postgres_inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* PostgreSQL starts a process for each connection and has 100 by default, for all servers together. */
enum { CONNECTIONS = 16 };
enum { PROBE_MS = 3000, EACH_MS = 30000, SWEEP_MS = 10000, REMOVE_AT_ONCE = 256 };
enum { SWEEP_BATCH = 1000 /* as its statement says */, SWEEP_BATCHES = 32 };

static const int parts_known[] = {LLMCACHE_PART_PROMPT, LLMCACHE_PART_EMBED, LLMCACHE_PART_OBSERVATION};
enum { PARTS = sizeof parts_known / sizeof *parts_known };

atomic_uint_least64_t *lc_pg_count_of(lc_pg_store *store, int part)
{
    return part == LLMCACHE_PART_EMBED         ? &store->records
           : part == LLMCACHE_PART_OBSERVATION ? &store->observations
                                               : &store->entries;
}

static void clear(PGresult **results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        PQclear(results[i]);
}

static uint64_t touched(PGresult *result)
{
    unsigned long long rows = 0;
    return sscanf(PQcmdTuples(result), "%llu", &rows) == 1 ? rows : 0;
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

static int is_expired(const llmcache_entry *entry, int64_t now_ms)
{
    return entry->expires_ms && entry->expires_ms <= now_ms;
}

/* Marks a damaged row, where nobody reads it and people can look at it. Best effort. */
static void set_aside(lc_pg_store *store, int part, const PGresult *result, int row, int64_t until_ms)
{
    const char *space;
    const unsigned char *fingerprint;
    size_t space_size, fingerprint_size;
    lc_pg_values values = {0};
    PGresult *done = NULL;
    llmcache_error err;
    lc_pg_row_key(result, row, &space, &space_size, &fingerprint, &fingerprint_size);
    lc_pg_add(&values, space, space_size);
    lc_pg_add(&values, fingerprint, fingerprint_size);
    if (lc_pg_store_run(store, LC_PG_ASIDE, part, &values, until_ms, &done, &err) == 0)
        atomic_fetch_add(&store->damaged, 1);
    PQclear(done);
}

static int get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
               llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    lc_pg_store *store = self;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    lc_pg_values values = {0};
    lc_pg_range range;
    lc_pg_row row = {0};
    PGresult *result = NULL;
    lc_pg_add_key(&values, key, &range);
    int rc = lc_pg_store_run(store, key->head_only ? LC_PG_GET_HEAD : LC_PG_GET, part, &values, until_ms, &result, err);
    if (!rc && PQntuples(result) == 0)
        rc = LLMCACHE_NOT_FOUND;
    if (!rc) {
        rc = lc_pg_row_read(result, 0, part, &row, err);
        if (rc == LLMCACHE_CORRUPT)
            set_aside(store, part, result, 0, until_ms);
    }
    if (!rc && is_expired(&row.entry, now_ms))
        rc = LLMCACHE_NOT_FOUND;
    if (!rc)
        fn(user, &row.entry);
    else if (rc == LLMCACHE_NOT_FOUND)
        lc_fail(err, rc, "no such entry");
    lc_pg_row_done(&row);
    PQclear(result);
    return rc;
}

/* ---- Walking ------------------------------------------------------------------------------------------- */

typedef struct walk {
    lc_pg_store *store;
    int part;
    const char *space; /* NULL: all */
    int64_t now_ms;
    int vectors; /* only */
    llmcache_entry_fn fn;
    void *user;
    lc_buffer last_space, last_fingerprint; /* of the row before */
    uint64_t met, damaged;
    int stopped;
} walk;

static int visit(walk *w, const PGresult *result, int at, llmcache_error *err)
{
    lc_pg_row row;
    int rc = w->vectors ? lc_pg_row_read_vector(result, at, &row, err)
                        : lc_pg_row_read(result, at, w->part, &row, err);
    if (rc == LLMCACHE_CORRUPT) {
        w->damaged++;
        set_aside(w->store, w->part, result, at, lc_mono_ms() + EACH_MS);
        rc = 0;
    } else if (!rc) {
        w->met++;
        w->stopped = w->fn(w->user, &row.entry) != 0;
    }
    lc_pg_row_done(&row);
    return rc;
}

static int remember_last(walk *w, const PGresult *result, int row)
{
    const char *space;
    const unsigned char *fingerprint;
    size_t space_size, fingerprint_size;
    lc_pg_row_key(result, row, &space, &space_size, &fingerprint, &fingerprint_size);
    lc_buffer_clear(&w->last_space);
    lc_buffer_clear(&w->last_fingerprint);
    lc_buffer_add(&w->last_space, space, space_size);
    lc_buffer_add(&w->last_fingerprint, fingerprint, fingerprint_size);
    return w->last_space.broken || w->last_fingerprint.broken ? LLMCACHE_MEMORY : 0;
}

/* The rows behind the last one; *more is 0 at the end. */
static int walk_on(walk *w, int *more, llmcache_error *err)
{
    unsigned char now[8];
    lc_pg_values values = {0};
    PGresult *result = NULL;
    const char *empty = "";
    lc_pg_add(&values, w->last_space.data ? w->last_space.data : empty, w->last_space.size);
    lc_pg_add(&values, w->last_fingerprint.data ? w->last_fingerprint.data : empty, w->last_fingerprint.size);
    lc_pg_add_number(&values, w->now_ms, now);
    enum lc_pg_verb verb = w->vectors ? LC_PG_EACH_VECTOR : w->space ? LC_PG_EACH_SPACE : LC_PG_EACH;
    int rc = lc_pg_store_run(w->store, verb, w->part, &values,
                 lc_mono_ms() + EACH_MS, &result, err);
    int rows = rc ? 0 : PQntuples(result);
    *more = rows > 0;
    if (rows && remember_last(w, result, rows - 1))
        rc = lc_fail_memory(err);
    for (int i = 0; i < rows && !rc && !w->stopped; i++)
        rc = visit(w, result, i, err);
    PQclear(result);
    return rc;
}

static int go(walk *w, uint64_t *damaged, llmcache_error *err)
{
    int more = 1, rc = 0;
    lc_buffer_init(&w->last_space, 0);
    lc_buffer_init(&w->last_fingerprint, 0);
    if (w->space)
        lc_buffer_text(&w->last_space, w->space);
    while (more && !rc && !w->stopped)
        rc = walk_on(w, &more, err);
    if (!rc && !w->space && !w->stopped)
        atomic_store(lc_pg_count_of(w->store, w->part), w->met);
    lc_buffer_done(&w->last_space);
    lc_buffer_done(&w->last_fingerprint);
    if (!rc && damaged)
        *damaged = w->damaged;
    return rc;
}

static int each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn, void *user,
                uint64_t *damaged, llmcache_error *err)
{
    walk w = {.store = self, .part = part, .space = space, .now_ms = now_ms, .fn = fn, .user = user};
    return go(&w, damaged, err);
}

static int each_vector(void *self, int64_t now_ms, llmcache_entry_fn fn, void *user, uint64_t *damaged,
                       llmcache_error *err)
{
    walk w = {.store = self, .part = LLMCACHE_PART_EMBED, .now_ms = now_ms, .vectors = 1, .fn = fn, .user = user};
    return go(&w, damaged, err);
}

/* ---- Writing ------------------------------------------------------------------------------------------- */

static void count(lc_pg_store *store, int part, int64_t more)
{
    atomic_uint_least64_t *count = lc_pg_count_of(store, part);
    uint64_t seen = atomic_load(count), fewer = more < 0 ? (uint64_t)-more : 0;
    while (!atomic_compare_exchange_weak(count, &seen,
                                         more >= 0 ? seen + (uint64_t)more : seen > fewer ? seen - fewer : 0))
        ;
}

/* A write of ours failed: what stands under the key now is anybody's guess. */
static void tell_watch(lc_pg_store *store, int parts, const char *space, const unsigned char *fingerprint)
{
    char id[LLMCACHE_ID_SIZE];
    lc_entry_id(fingerprint, id);
    for (int i = 0; i < PARTS; i++)
        if (parts & parts_known[i])
            lc_pg_watch_tell(atomic_load(&store->watch), parts_known[i], space, id);
}

typedef struct put_room {
    lc_buffer facts;
    unsigned char expires[8];
} put_room;

static int fill_put(int part, const llmcache_entry *entry, put_room *room, lc_pg_values *values)
{
    int record = part == LLMCACHE_PART_EMBED;
    lc_buffer_init(&room->facts, 0);
    if (lc_facts_write(entry, record, &room->facts))
        return LLMCACHE_MEMORY;
    lc_pg_add(values, entry->space, strlen(entry->space));
    lc_pg_add(values, entry->fingerprint, sizeof entry->fingerprint);
    lc_pg_add_number(values, entry->expires_ms, room->expires);
    lc_pg_add(values, room->facts.data, room->facts.size);
    lc_pg_add(values, entry->body ? entry->body : "", entry->body_size);
    lc_pg_add(values, record ? (const void *)entry->vector : NULL, record ? entry->dimension * sizeof(float) : 0);
    return 0;
}

static int put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms, llmcache_error *err)
{
    lc_pg_store *store = self;
    const lc_pg_statement *statements[PARTS];
    lc_pg_values values[PARTS] = {0};
    put_room rooms[PARTS] = {0};
    PGresult *results[PARTS] = {0};
    int which[PARTS], rc = 0;
    size_t n = 0;
    if ((parts & LLMCACHE_PART_EMBED) && (!entry->vector || !entry->dimension))
        return lc_fail(err, LLMCACHE_INVALID, "a record needs a vector");
    for (int i = 0; i < PARTS && !rc; i++) {
        if (!(parts & parts_known[i]))
            continue;
        which[n] = parts_known[i];
        statements[n] = lc_pg_statement_of(LC_PG_PUT, parts_known[i]);
        if (fill_put(parts_known[i], entry, &rooms[n], &values[n]))
            rc = lc_fail_memory(err);
        n++;
    }
    if (!rc && n)
        rc = lc_pg_store_run_many(store, statements, values, n, lc_mono_ms() + deadline_ms, results, err);
    for (size_t i = 0; i < n; i++) {
        if (!rc && PQntuples(results[i]) == 1 && *PQgetvalue(results[i], 0, 0))
            count(store, which[i], 1);
        lc_buffer_done(&rooms[i].facts);
    }
    clear(results, PARTS);
    if (rc)
        tell_watch(store, parts, entry->space, entry->fingerprint);
    return rc;
}

typedef struct removal {
    const lc_pg_statement *statements[REMOVE_AT_ONCE];
    lc_pg_values values[REMOVE_AT_ONCE];
    lc_pg_range ranges[REMOVE_AT_ONCE];
    PGresult *results[REMOVE_AT_ONCE];
} removal;

/* Up to REMOVE_AT_ONCE / PARTS keys. */
static int remove_some(lc_pg_store *store, removal *r, int parts, const llmcache_key *keys, size_t key_count,
                       int64_t until_ms, uint64_t *removed, llmcache_error *err)
{
    size_t n = 0, at = 0;
    memset(r, 0, sizeof *r);
    for (size_t k = 0; k < key_count; k++)
        for (int i = 0; i < PARTS; i++) {
            if (!(parts & parts_known[i]))
                continue;
            r->statements[n] =
                lc_pg_statement_of(keys[k].head_only ? LC_PG_REMOVE_HEAD : LC_PG_REMOVE, parts_known[i]);
            lc_pg_add_key(&r->values[n], &keys[k], &r->ranges[n]);
            n++;
        }
    int rc = lc_pg_store_run_many(store, r->statements, r->values, n, until_ms, r->results, err);
    for (size_t k = 0; k < key_count && !rc; k++) {
        int any = 0;
        for (int i = 0; i < PARTS; i++) {
            if (!(parts & parts_known[i]))
                continue;
            uint64_t gone = touched(r->results[at++]);
            count(store, parts_known[i], -(int64_t)gone);
            any |= gone > 0;
        }
        *removed += (uint64_t)any;
    }
    clear(r->results, n);
    for (size_t k = 0; rc && k < key_count; k++)
        tell_watch(store, parts, keys[k].space, keys[k].fingerprint);
    return rc;
}

static int remove_keys(void *self, int parts, const llmcache_key *keys, size_t key_count, int64_t deadline_ms,
                       uint64_t *removed, llmcache_error *err)
{
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    uint64_t gone = 0;
    int rc = 0;
    removal *r = lc_alloc(sizeof *r);
    if (!r)
        return lc_fail_memory(err);
    for (size_t at = 0; at < key_count && !rc; at += REMOVE_AT_ONCE / PARTS) {
        size_t some = key_count - at < REMOVE_AT_ONCE / PARTS ? key_count - at : REMOVE_AT_ONCE / PARTS;
        rc = remove_some(self, r, parts, keys + at, some, until_ms, &gone, err);
    }
    lc_free(r);
    if (!rc && removed)
        *removed = gone;
    return rc;
}

/* One batch, found by the index over expiries; each is a transaction of its own. */
static int sweep_batch(lc_pg_store *store, int part, int64_t now_ms, uint64_t *gone, llmcache_error *err)
{
    unsigned char now[8];
    lc_pg_values values = {0};
    PGresult *result = NULL;
    lc_pg_add_number(&values, now_ms, now);
    int rc = lc_pg_store_run(store, LC_PG_SWEEP, part, &values, lc_mono_ms() + SWEEP_MS, &result, err);
    *gone = rc ? 0 : touched(result);
    count(store, part, -(int64_t)*gone);
    PQclear(result);
    return rc;
}

/* As many batches as a busy store fills between two calls, and not so many that others wait for the caller. */
static int sweep(void *self, int64_t now_ms, llmcache_error *err)
{
    lc_pg_store *store = self;
    int64_t until_ms = lc_mono_ms() + SWEEP_MS;
    int rc = 0;
    for (int i = 0; i < PARTS && !rc; i++) {
        uint64_t gone = SWEEP_BATCH;
        for (int batch = 0; batch < SWEEP_BATCHES && gone == SWEEP_BATCH && lc_mono_ms() < until_ms && !rc; batch++)
            rc = sweep_batch(store, parts_known[i], now_ms, &gone, err);
    }
    return rc ? rc : lc_pg_sweep_leases(store, err);
}

/* ---- State --------------------------------------------------------------------------------------------- */

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return lc_pg_pool_ping(((lc_pg_store *)self)->pool, lc_mono_ms() + deadline_ms, err);
}

static void stats(void *self, llmcache_store_stats *stats)
{
    lc_pg_store *store = self;
    lc_conn_pool_state state;
    uint64_t damaged = atomic_load(&store->damaged);
    const char *name = lc_pg_place_name(lc_pg_pool_place(store->pool));
    lc_pg_pool_look(store->pool, &state);
    *stats = (llmcache_store_stats){.entries = atomic_load(&store->entries),
                                    .records = atomic_load(&store->records),
                                    .observations = atomic_load(&store->observations),
                                    .connected = state.ever_worked && !state.lost};
    if (state.lost)
        snprintf(stats->detail, sizeof stats->detail, "%.120s", state.reason);
    else if (damaged)
        snprintf(stats->detail, sizeof stats->detail, "%.80s; damaged set aside: %" PRIu64, name, damaged);
    else
        snprintf(stats->detail, sizeof stats->detail, "%.120s", name);
}

static int watch(void *self, const llmcache_watch *listener, llmcache_error *err)
{
    lc_pg_store *store = self;
    lc_pg_watch *fresh;
    int rc = lc_pg_watch_new(store, listener, &fresh, err);
    if (!rc)
        atomic_store(&store->watch, fresh);
    return rc;
}

/* ---- Life ---------------------------------------------------------------------------------------------- */

static void close_store(void *self)
{
    lc_pg_store *store = self;
    if (store->pool)
        lc_pg_pool_cancel(store->pool);
    lc_pg_watch_free(atomic_load(&store->watch));
    lc_pg_pool_free(store->pool);
    lc_free(store);
}

int lc_store_open_postgres(const char *uri, const lc_store_options *options, lc_store *store,
                           llmcache_error *err)
{
    lc_pg_store *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    int64_t probe_ms = options->connect_ms > PROBE_MS ? options->connect_ms : PROBE_MS;
    const lc_pg_pool_options pool = {.ca_file = options->ca_file, .probe_ms = probe_ms, .most = CONNECTIONS};
    int rc = lc_pg_pool_new(uri, &pool, &lc_pg_pool_store, self, &self->pool, err);
    if (rc) {
        close_store(self);
        return rc;
    }
    *store = (lc_store){.self = self,
                        .ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "postgresql", .get = get,
                                .put = put, .remove = remove_keys, .each = each, .sweep = sweep,
                                .ping = ping, .stats = stats, .watch = watch, .close = close_store,
                                .lease = lc_pg_lease, .release = lc_pg_release,
                                .each_vector = each_vector}};
    return 0;
}

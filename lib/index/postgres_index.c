/*
 * The index pgvector: (postgres_index.h). A table of vectors for each embedding space (postgres_tables.c), searched and
 * changed by one statement each (postgres_vectors.c), over a pool with a switch (postgres_pool.h). Nothing is kept
 * here but counts, unless the server lacks the extension: then vectors are this cache's own, in a flat index.
 *
 * A table may be dropped by whoever empties the index. Who then meets it gone looks again which there is.
 */
#include "index/postgres_index.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "index/postgres_index_inside.h"
#include "index/vector_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PostgreSQL has 100 connections by default, for all servers and their stores together. */
enum { CONNECTIONS = 8, PROBE_MS = 3000, PATIENCE = 3, SWEEP_MS = 10000, SWEEPS_MOST = 100 };
enum { HEAD_SIZE = (LLMCACHE_ID_SIZE - 1) / 2, MOST_DIMENSIONS = 16000, K_MOST = 1000 };

/* ---- Connections -------------------------------------------------------------------------------------------- */

static int prepare(void *user, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    lc_pgi *index = user;
    lc_pgi_state state;
    int rc = lc_pgi_probe(index, link, until_ms, err);
    if (rc || atomic_load(&index->missing))
        return rc;
    rc = lc_pgi_look(index, link, until_ms, &state, err);
    if (!rc && state.table)
        rc = lc_pgi_count(index, link, state.table, until_ms, err);
    return lc_pgi_is_gone(link, rc) ? 0 : rc;
}

static int greet(void *user, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    return lc_pgi_greet(user, link, until_ms, err);
}

static int is_missing(lc_pgi *index)
{
    return atomic_load(&index->missing);
}

/* ---- Statements over whichever table there is ----------------------------------------------------------------- */

typedef struct task {
    lc_pgi *index;
    enum lc_pgi_verb verb;
    lc_pg_values values;
    size_t dimension; /* of the vector at hand; 0: none */
    int makes;        /* the table, where there is none */
    int in_dimension; /* out: 0 when the table's is another */
    PGresult *result; /* out; NULL when there is no table */
} task;

/* The table there is: as known, else as the server says, else a new one. */
static int have_table(task *t, lc_pg_link *link, int look, int64_t until_ms, lc_pgi_table **table,
                      llmcache_error *err)
{
    lc_pgi *index = t->index;
    lc_pgi_state state;
    int rc = 0;
    *table = atomic_load(&index->table);
    if (look || !*table || (t->dimension && (*table)->dimension != t->dimension)) {
        rc = lc_pgi_look(index, link, until_ms, &state, err);
        *table = rc ? NULL : state.table;
    }
    if (!rc && !*table && t->makes) {
        rc = lc_pgi_make_table(index, link, t->dimension, until_ms, err);
        *table = rc ? NULL : atomic_load(&index->table);
    }
    return rc;
}

static int do_task(void *work, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    task *t = work;
    lc_pgi_table *table = NULL;
    int rc = lc_pgi_greet(t->index, link, until_ms, err);
    for (int look = 0; look < 2 && !rc; look++) {
        rc = have_table(t, link, look, until_ms, &table, err);
        if (rc || !table)
            break;
        t->in_dimension = !t->dimension || table->dimension == t->dimension;
        if (!t->in_dimension)
            return 0;
        rc = lc_pgi_run(link, table, t->verb, &t->values, until_ms, &t->result, err);
        if (!lc_pgi_is_gone(link, rc))
            break;
        rc = 0; /* dropped meanwhile: once more, with what there is now */
    }
    return rc;
}

static int run(task *t, int64_t deadline_ms, llmcache_error *err)
{
    t->in_dimension = 1;
    int rc = lc_pg_pool_do(t->index->pool, do_task, t, lc_mono_ms() + deadline_ms, err);
    if (!rc && !t->in_dimension)
        rc = lc_fail(err, LLMCACHE_INVALID, "index: a vector of dimension %zu among others", t->dimension);
    return rc;
}

static uint64_t touched(PGresult *result) /* NULL: nothing was asked */
{
    return result ? strtoull(PQcmdTuples(result), NULL, 10) : 0;
}

static void take_away(atomic_uint_least64_t *count, uint64_t less)
{
    uint64_t seen = atomic_load(count);
    while (!atomic_compare_exchange_weak(count, &seen, seen > less ? seen - less : 0))
        ;
}

/* ---- Changing ------------------------------------------------------------------------------------------------- */

static int check(const float *vector, size_t dimension, llmcache_error *err)
{
    if (dimension > MOST_DIMENSIONS)
        return lc_fail(err, LLMCACHE_INVALID, "index: pgvector takes %d dimensions at most, not %zu", MOST_DIMENSIONS,
                       dimension);
    return lc_vector_check(vector, dimension, 0, err);
}

static int take_added(task *t, llmcache_error *err)
{
    lc_pgi *index = t->index;
    if (!t->result || PQntuples(t->result) != 1)
        return lc_fail(err, LLMCACHE_STORE, "index: its table went while a vector was added");
    if (lc_pgi_truth(t->result, 0, 0))
        return lc_fail(err, LLMCACHE_INVALID, "index: a partition belongs to another namespace");
    if (lc_pgi_truth(t->result, 0, 1))
        atomic_fetch_add(&index->records, 1);
    return 0;
}

static int add(void *self, const lc_record *record, int64_t deadline_ms, llmcache_error *err)
{
    lc_pgi *index = self;
    if (is_missing(index))
        return lc_flat_ops.add(index->flat, record, deadline_ms, err);
    task t = {.index = index, .verb = LC_PGI_ADD, .dimension = record->dimension, .makes = 1};
    unsigned char expires[8], eases[8];
    size_t size = 0;
    int rc = check(record->vector, record->dimension, err);
    if (rc)
        return rc;
    void *bytes = lc_pgi_vector(record->vector, record->dimension, &size);
    if (!bytes)
        return lc_fail_memory(err);
    lc_pg_add(&t.values, record->space, strlen(record->space));
    lc_pg_add(&t.values, record->fingerprint, LLMCACHE_FINGERPRINT_SIZE);
    lc_pg_add(&t.values, record->partition, LLMCACHE_FINGERPRINT_SIZE);
    lc_pg_add_number(&t.values, record->expires_ms, expires);
    lc_pg_add(&t.values, bytes, size);
    lc_pg_add_number(&t.values, atomic_load(&index->filling), eases);
    rc = run(&t, deadline_ms, err);
    if (!rc)
        rc = take_added(&t, err);
    PQclear(t.result);
    lc_free(bytes);
    return rc;
}

static int remove_id(void *self, const char *space, const char *id, int64_t deadline_ms, int *removed,
                     llmcache_error *err)
{
    lc_pgi *index = self;
    if (is_missing(index))
        return lc_flat_ops.remove(index->flat, space, id, deadline_ms, removed, err);
    task t = {.index = index, .verb = LC_PGI_REMOVE};
    unsigned char low[LLMCACHE_FINGERPRINT_SIZE] = {0}, high[LLMCACHE_FINGERPRINT_SIZE];
    memset(high, 0xff, sizeof high);
    int rc = 0;
    uint64_t gone = 0;
    if (strlen(id) == 2 * HEAD_SIZE && lc_unhex(id, low, HEAD_SIZE) == 0) {
        memcpy(high, low, HEAD_SIZE);
        lc_pg_add(&t.values, space, strlen(space));
        lc_pg_add(&t.values, low, sizeof low);
        lc_pg_add(&t.values, high, sizeof high);
        rc = run(&t, deadline_ms, err);
    }
    if (!rc)
        gone = touched(t.result);
    take_away(&index->records, gone);
    PQclear(t.result);
    if (!rc && removed)
        *removed = gone > 0;
    return rc;
}

static int drop_table(void *work, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    return lc_pgi_drop_table(work, link, until_ms, err);
}

static int clear(void *self, int64_t deadline_ms, llmcache_error *err)
{
    lc_pgi *index = self;
    if (is_missing(index))
        return lc_flat_ops.clear(index->flat, deadline_ms, err);
    int rc = lc_pg_pool_do(index->pool, drop_table, index, lc_mono_ms() + deadline_ms, err);
    if (!rc) {
        atomic_store(&index->records, 0);
        atomic_store(&index->partitions, 0);
        atomic_store(&index->bytes, 0);
    }
    return rc;
}

static int count_anew(void *work, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    lc_pgi *index = work;
    lc_pgi_table *table = atomic_load(&index->table);
    int rc = table ? lc_pgi_count(index, link, table, until_ms, err) : 0;
    return lc_pgi_is_gone(link, rc) ? 0 : rc;
}

/* In batches, each a transaction, and not for longer than others may wait for the thread that does it. */
static uint64_t sweep(void *self, int64_t now_ms)
{
    lc_pgi *index = self;
    llmcache_error err;
    if (is_missing(index))
        return lc_flat_ops.sweep(index->flat, now_ms);
    int64_t until_ms = lc_mono_ms() + SWEEP_MS;
    uint64_t all = 0, gone = 1000;
    for (int i = 0; gone == 1000 && i < SWEEPS_MOST && lc_mono_ms() < until_ms; i++) {
        task t = {.index = index, .verb = LC_PGI_SWEEP};
        unsigned char now[8];
        lc_pg_add_number(&t.values, now_ms, now);
        gone = run(&t, SWEEP_MS, &err) == 0 ? touched(t.result) : 0;
        PQclear(t.result);
        all += gone;
    }
    lc_pg_pool_do(index->pool, count_anew, index, until_ms, &err);
    return all;
}

/* ---- Searching ------------------------------------------------------------------------------------------------- */

static int nearer(const void *a, const void *b)
{
    double left = ((const lc_neighbour *)a)->similarity, right = ((const lc_neighbour *)b)->similarity;
    return (left < right) - (left > right);
}

static double real(const PGresult *result, int row, int column)
{
    int64_t bits = lc_pgi_number(result, row, column);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value > 1 ? 1 : value;
}

/* The graph goes on in about the right order: it is put right here. */
static size_t take_found(const PGresult *result, lc_neighbour *out, size_t k)
{
    size_t count = 0;
    for (int row = 0; result && row < PQntuples(result) && count < k; row++) {
        if (PQgetlength(result, row, 0) != LLMCACHE_FINGERPRINT_SIZE)
            continue;
        memcpy(out[count].fingerprint, PQgetvalue(result, row, 0), LLMCACHE_FINGERPRINT_SIZE);
        out[count++].similarity = real(result, row, 1);
    }
    if (count)
        qsort(out, count, sizeof *out, nearer);
    return count;
}

static int search(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                  llmcache_error *err)
{
    lc_pgi *index = self;
    if (is_missing(index))
        return lc_flat_ops.search(index->flat, query, out, k, count, err);
    task t = {.index = index, .verb = LC_PGI_SEARCH, .dimension = query->dimension};
    unsigned char now[8], most[8], from[8];
    size_t size = 0;
    int rc = check(query->vector, query->dimension, err);
    if (!rc && !k)
        *count = 0;
    if (rc || !k)
        return rc;
    void *bytes = lc_pgi_vector(query->vector, query->dimension, &size);
    if (!bytes)
        return lc_fail_memory(err);
    lc_pg_add(&t.values, query->space, strlen(query->space));
    lc_pg_add(&t.values, query->partition, LLMCACHE_FINGERPRINT_SIZE);
    lc_pg_add(&t.values, bytes, size);
    lc_pg_add_number(&t.values, query->now_ms, now);
    lc_pg_add_number(&t.values, (int64_t)(k < K_MOST ? k : K_MOST), most);
    lc_pg_add_number(&t.values, index->from, from);
    rc = run(&t, query->deadline_ms, err);
    if (!rc)
        *count = take_found(t.result, out, k);
    PQclear(t.result);
    lc_free(bytes);
    return rc;
}

/* ---- State ------------------------------------------------------------------------------------------------------- */

static void stats(void *self, lc_index_stats *out)
{
    lc_pgi *index = self;
    lc_conn_pool_state state;
    const char *name = lc_pg_place_name(lc_pg_pool_place(index->pool));
    lc_pg_pool_look(index->pool, &state);
    *out = (lc_index_stats){.records = atomic_load(&index->records), .partitions = atomic_load(&index->partitions),
                            .bytes = atomic_load(&index->bytes)};
    if (is_missing(index)) {
        lc_flat_ops.stats(index->flat, out);
        pthread_mutex_lock(&index->lock);
        snprintf(out->detail, sizeof out->detail, "%s: %s", name, index->why);
        pthread_mutex_unlock(&index->lock);
        out->fell_back = 1;
        return;
    }
    out->shared = 1;
    out->lost = state.lost || !state.ever_worked;
    snprintf(out->detail, sizeof out->detail, "%s",
             state.lost ? state.reason : state.ever_worked ? name : "not connected yet");
}

typedef struct filling {
    lc_pgi *index;
    lc_pgi_state state;
} filling;

/* Where the extension was missing it may have been made by now. */
static int look(void *work, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    filling *f = work;
    lc_pgi *index = f->index;
    int rc = 0;
    if (is_missing(index)) {
        rc = lc_pgi_probe(index, link, until_ms, err);
        if (rc || is_missing(index))
            return rc;
        lc_flat_ops.clear(index->flat, 0, err);
        rc = lc_pgi_greet(index, link, until_ms, err);
    }
    return rc ? rc : lc_pgi_enter(index, link, until_ms, &f->state, err);
}

static int fill_state(void *self, int64_t deadline_ms, lc_index_fill *state, llmcache_error *err)
{
    lc_pgi *index = self;
    filling f = {.index = index};
    int rc = lc_pg_pool_do(index->pool, look, &f, lc_mono_ms() + deadline_ms, err);
    if (rc)
        return rc;
    *state = is_missing(index) ? LC_FILL_OWN : f.state.filled ? LC_FILL_DONE : LC_FILL_WANTED;
    atomic_store(&index->generation, f.state.generation);
    atomic_store(&index->filling, *state == LC_FILL_WANTED);
    return 0;
}

static int mark(void *work, lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    return lc_pgi_mark(work, link, until_ms, err);
}

static int set_filled(void *self, int64_t deadline_ms, llmcache_error *err)
{
    lc_pgi *index = self;
    if (is_missing(index))
        return 0;
    int rc = lc_pg_pool_do(index->pool, mark, index, lc_mono_ms() + deadline_ms, err);
    if (!rc)
        atomic_store(&index->filling, 0);
    return rc;
}

/* ---- Opening and closing ------------------------------------------------------------------------------------------- */

static void close_index(void *self)
{
    lc_pgi *index = self;
    lc_pg_pool_free(index->pool);
    lc_pgi_free_tables(index);
    lc_flat_free(index->flat);
    pthread_mutex_destroy(&index->lock);
    lc_free(index->embedder);
    lc_free(index);
}

static int name_stem(lc_pgi *index, const char *vector_space)
{
    unsigned char digest[32];
    char hex[17];
    index->embedder = lc_strdup(vector_space);
    lc_sha256_once(vector_space, strlen(vector_space), digest);
    lc_hex(digest, 8, hex);
    snprintf(index->stem, sizeof index->stem, "llmcache_vectors_%s", hex);
    return index->embedder ? 0 : LLMCACHE_MEMORY;
}

static int open_pool(lc_pgi *index, const char *uri, const lc_index_options *options, llmcache_error *err)
{
    static const lc_pg_pool_kind kind = {.prepare = prepare, .greet = greet};
    int64_t probe_ms = options->connect_ms > PROBE_MS ? options->connect_ms : PROBE_MS;
    const lc_pg_pool_options pool = {.ca_file = options->ca_file, .probe_ms = probe_ms, .most = CONNECTIONS,
                                     .patience = PATIENCE};
    int rc = lc_pg_pool_new(uri, &pool, &kind, index, &index->pool, err);
    if (rc == LLMCACHE_SETTING) /* its words are the store's */
        rc = lc_fail(err, rc,
                     "setting index: not a URI that PostgreSQL takes: "
                     "pgvector:postgresql://user:password@host:port/database");
    return rc;
}

int lc_postgres_index_open(const char *rest, const lc_index_options *options, lc_index *out, llmcache_error *err)
{
    static const lc_index_ops ops = {.name = "pgvector", .add = add, .remove = remove_id, .clear = clear,
                                     .sweep = sweep, .search = search, .stats = stats, .close = close_index,
                                     .fill_state = fill_state, .set_filled = set_filled};
    char *uri = NULL;
    lc_pgi *index = lc_zalloc(sizeof *index);
    if (!index)
        return lc_fail_memory(err);
    pthread_mutex_init(&index->lock, NULL);
    int rc = name_stem(index, options->vector_space) ? lc_fail_memory(err) : 0;
    if (!rc)
        rc = lc_pgi_read_setting(index, rest, options->store, &uri, err);
    if (!rc)
        rc = lc_flat_new(&index->flat, err);
    if (!rc)
        rc = open_pool(index, uri, options, err);
    lc_free(uri);
    if (rc) {
        close_index(index);
        return rc;
    }
    *out = (lc_index){ops, index};
    return 0;
}

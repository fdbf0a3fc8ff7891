/*
 * One batch of changes in one transaction. A job that fails by itself fails alone; what fails the
 * transaction fails all in it. Before it commits, the lines it adds to `changes` are booked as this process's own, so that
 * the keeper does not tell them back to the cache they came from.
 */
#include "base/error.h"
#include "base/memory.h"
#include "store/sqlite_store.h"

#define SWEEP_ROWS   500
#define CHANGES_KEPT 16384 /* lines other processes may be behind */
#define PRUNE_ROWS   8192

static const int parts[] = {LLMCACHE_PART_PROMPT, LLMCACHE_PART_EMBED, LLMCACHE_PART_OBSERVATION};
enum { PARTS = sizeof parts / sizeof parts[0] };

/* ---- Small reads ------------------------------------------------------------------------------- */

int lc_sqlite_last_change(lc_sqlite_connection *connection, int64_t *seq)
{
    *seq = 0;
    return lc_sqlite_run(connection, LC_SQL_LAST_CHANGE, LLMCACHE_PART_PROMPT, seq);
}

int lc_sqlite_read_totals(lc_sqlite_connection *connection, lc_sqlite_totals *totals)
{
    lc_sqlite_totals read = {0};
    int rc = lc_sqlite_run(connection, LC_SQL_TOTAL, LLMCACHE_PART_PROMPT, &read.entries);
    if (rc == SQLITE_OK)
        rc = lc_sqlite_run(connection, LC_SQL_TOTAL, LLMCACHE_PART_EMBED, &read.records);
    if (rc == SQLITE_OK)
        rc = lc_sqlite_run(connection, LC_SQL_TOTAL, LLMCACHE_PART_OBSERVATION, &read.observations);
    if (rc == SQLITE_OK)
        rc = lc_sqlite_run(connection, LC_SQL_PAGES, LLMCACHE_PART_PROMPT, &read.bytes);
    read.bytes *= LC_SQLITE_PAGE_SIZE;
    if (rc == SQLITE_OK)
        *totals = read;
    return rc;
}

/* ---- What a job does --------------------------------------------------------------------------- */

/* Runs the statement to its end. */
static int finish(lc_sqlite_connection *connection, sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int put(lc_sqlite_connection *connection, lc_sqlite_job *job, int part)
{
    int rc;
    sqlite3_stmt *statement = lc_sqlite_statement(connection, LC_SQL_PUT, part, &rc);
    if (!statement)
        return rc;
    lc_sqlite_bind_entry(statement, part, &job->entry->facts);
    rc = finish(connection, statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

static int remove_keys(lc_sqlite_connection *connection, lc_sqlite_job *job)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < job->key_count && rc == SQLITE_OK; i++) {
        const llmcache_key *key = &job->keys[i];
        int any = 0;
        for (size_t p = 0; p < PARTS && rc == SQLITE_OK; p++) {
            if (!(job->parts & parts[p]))
                continue;
            sqlite3_stmt *statement = lc_sqlite_statement(
                connection, key->head_only ? LC_SQL_REMOVE_HEAD : LC_SQL_REMOVE, parts[p], &rc);
            if (!statement)
                break;
            lc_sqlite_bind_key(statement, key);
            rc = finish(connection, statement);
            any |= sqlite3_changes(connection->db) > 0;
        }
        job->removed += any != 0;
    }
    return rc;
}

static int remove_row(lc_sqlite_connection *connection, lc_sqlite_job *job)
{
    int rc;
    sqlite3_stmt *statement = lc_sqlite_statement(connection, LC_SQL_DROP, job->parts, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 1, job->row.id);
    sqlite3_bind_int64(statement, 2, job->row.checksum);
    return finish(connection, statement);
}

static int sweep(lc_sqlite_connection *connection, lc_sqlite_job *job, int part)
{
    int rc;
    sqlite3_stmt *statement = lc_sqlite_statement(connection, LC_SQL_SWEEP, part, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 1, job->now_ms);
    sqlite3_bind_int(statement, 2, SWEEP_ROWS);
    rc = finish(connection, statement);
    job->removed += (uint64_t)sqlite3_changes(connection->db);
    return rc;
}

static int run_job(lc_sqlite_connection *connection, lc_sqlite_job *job)
{
    int rc = SQLITE_OK;
    switch (job->work) {
    case LC_WORK_PUT:
        for (size_t p = 0; p < PARTS && rc == SQLITE_OK; p++)
            rc = job->parts & parts[p] ? put(connection, job, parts[p]) : rc;
        break;
    case LC_WORK_REMOVE:
        rc = remove_keys(connection, job);
        break;
    case LC_WORK_SWEEP:
        for (size_t p = 0; p < PARTS && rc == SQLITE_OK; p++)
            rc = sweep(connection, job, parts[p]);
        if (rc == SQLITE_OK)
            rc = lc_sqlite_sweep_leases(connection);
        break;
    case LC_WORK_DROP:
        rc = remove_row(connection, job);
        break;
    case LC_WORK_PING:
        /* Rewriting a number in place is a real write that changes nothing. */
        rc = sqlite3_exec(connection->db, "UPDATE totals SET rows = rows WHERE part = 1", NULL, NULL,
                          NULL);
        break;
    case LC_WORK_LEASE:
    case LC_WORK_RELEASE:
        rc = lc_sqlite_run_lease(connection, job);
        break;
    }
    return rc;
}

/* ---- Our own changes --------------------------------------------------------------------------- */

/* Books the lines as our own before they can be seen. */
static void own_up(lc_sqlite *self, const lc_sqlite_batch *b)
{
    pthread_mutex_lock(&self->lock);
    if (self->watching && b->after > b->before) {
        lc_own_range *last = self->own_count ? &self->own[self->own_count - 1] : NULL;
        if (last && last->last == b->before) {
            last->last = b->after;
        } else {
            if (self->own_count == self->own_room) {
                size_t room = self->own_room ? 2 * self->own_room : 16;
                lc_own_range *own = lc_realloc_array(self->own, room, sizeof *own);
                if (own) {
                    self->own = own;
                    self->own_room = room;
                }
            }
            /* Without room our own changes look like another's, which costs memory hits, not truth. */
            if (self->own_count < self->own_room)
                self->own[self->own_count++] = (lc_own_range){b->before + 1, b->after, b->before};
        }
    }
    pthread_mutex_unlock(&self->lock);
}

/* They are in the file. */
static void confirm(lc_sqlite *self, const lc_sqlite_batch *b)
{
    pthread_mutex_lock(&self->lock);
    lc_own_range *last = self->own_count ? &self->own[self->own_count - 1] : NULL;
    if (last && last->last == b->after)
        last->committed = b->after;
    pthread_mutex_unlock(&self->lock);
}

/* The lines did not come to be; another process may use their numbers. */
static void disown(lc_sqlite *self)
{
    pthread_mutex_lock(&self->lock);
    self->own_count = 0;
    self->lost = 1;
    pthread_mutex_unlock(&self->lock);
    lc_sqlite_wake_keeper(self);
}

/* ---- The transaction --------------------------------------------------------------------------- */

/* Drops old lines of `changes`, some at a time. */
static int prune(lc_sqlite_connection *connection, int64_t last)
{
    int rc;
    sqlite3_stmt *statement =
        lc_sqlite_statement(connection, LC_SQL_PRUNE, LLMCACHE_PART_PROMPT, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 1, last - CHANGES_KEPT);
    sqlite3_bind_int(statement, 2, PRUNE_ROWS);
    return finish(connection, statement);
}

/* Runs the jobs within the transaction that is open. Not OK: the transaction is lost. */
static int run_jobs(lc_sqlite *self, lc_sqlite_connection *connection, const lc_sqlite_batch *b)
{
    for (lc_sqlite_job *job = b->first; job; job = job->next) {
        int rc = run_job(connection, job);
        if (rc == SQLITE_OK)
            continue;
        if (sqlite3_get_autocommit(connection->db) || lc_sqlite_is_damage(rc) ||
            (rc & 0xff) == SQLITE_FULL || (rc & 0xff) == SQLITE_IOERR)
            return rc;
        lc_sqlite_fail(rc, "writing", self->path, &job->err);
    }
    return SQLITE_OK;
}

int lc_sqlite_commit(lc_sqlite *self, lc_sqlite_connection *connection, lc_sqlite_batch *b, int pruning)
{
    connection->patience.until_ms = b->until_ms;
    int rc = lc_sqlite_run(connection, LC_SQL_BEGIN, LLMCACHE_PART_PROMPT, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = lc_sqlite_last_change(connection, &b->before);
    if (rc == SQLITE_OK)
        rc = run_jobs(self, connection, b);
    if (rc == SQLITE_OK)
        rc = lc_sqlite_last_change(connection, &b->after);
    if (rc == SQLITE_OK && pruning)
        rc = prune(connection, b->after);
    if (rc == SQLITE_OK)
        rc = lc_sqlite_read_totals(connection, &b->totals);
    if (rc == SQLITE_OK) {
        own_up(self, b);
        rc = lc_sqlite_run(connection, LC_SQL_COMMIT, LLMCACHE_PART_PROMPT, NULL);
        if (rc == SQLITE_OK)
            confirm(self, b);
        else
            disown(self);
    }
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(connection->db))
        sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/*
 * Leases in the file, for processes that share it: a row each, changed by the writer in the transaction that is due.
 * Their clock is the machine's monotonic one, which nobody sets; it begins anew with the machine, so that an end further
 * ahead than the lease lasts is of a time before. A row given up leaves a line in `changes`, which the keepers of the other processes
 * read; one that runs out stays until somebody takes it or the sweep comes.
 */
#include "store/sqlite_store.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

/* ---- The writer's side ----------------------------------------------------------------------------- */

static sqlite3_stmt *statement_for(lc_sqlite_connection *connection, enum lc_sqlite_statement which,
                                   const lc_sqlite_job *job, int *rc)
{
    sqlite3_stmt *statement = lc_sqlite_statement(connection, which, LLMCACHE_PART_PROMPT, rc);
    if (statement) {
        lc_sqlite_bind_key(statement, &job->keys[0]);
        sqlite3_bind_int(statement, 3, job->lane);
    }
    return statement;
}

/* Runs it and lets go of what it points at. */
static int finish(sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* From now on, for the job's time. */
static int set_row(lc_sqlite_connection *connection, const lc_sqlite_job *job, const char *holder)
{
    int rc;
    sqlite3_stmt *statement = statement_for(connection, LC_SQL_LEASE_SET, job, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_text(statement, 4, holder, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 5, lc_mono_ms() + job->lease_ms);
    sqlite3_bind_int64(statement, 6, job->lease_ms);
    return finish(statement);
}

/* Whose the lease is. */
typedef struct row {
    int own, given_up;   /* the job's holder's; nobody's, as it was given up */
    int64_t left_ms; /* 0: it is over, or there is none */
} row;

static int read_row(lc_sqlite_connection *connection, const lc_sqlite_job *job, row *found)
{
    int rc;
    *found = (row){0};
    sqlite3_stmt *statement = statement_for(connection, LC_SQL_LEASE_LOOK, job, &rc);
    if (!statement)
        return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const char *holder = (const char *)sqlite3_column_text(statement, 0);
        found->own = holder && strcmp(holder, job->holder) == 0;
        found->given_up = holder && !*holder;
        int64_t left_ms = sqlite3_column_int64(statement, 1) - lc_mono_ms();
        found->left_ms = left_ms > 0 && left_ms <= sqlite3_column_int64(statement, 2) ? left_ms : 0;
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int take(lc_sqlite_connection *connection, lc_sqlite_job *job)
{
    row found;
    int rc = read_row(connection, job, &found);
    if (rc != SQLITE_OK)
        return rc;
    int taken = found.left_ms && !found.own;
    job->others_ms = !taken ? 0 : found.given_up ? -1 : found.left_ms;
    if (!taken && job->renew && !found.own)
        job->others_ms = -1;
    return job->others_ms ? SQLITE_OK : set_row(connection, job, job->holder);
}

static int give_back(lc_sqlite_connection *connection, lc_sqlite_job *job)
{
    row found;
    int rc = read_row(connection, job, &found);
    if (rc != SQLITE_OK || !found.own)
        return rc;
    if (job->lease_ms)
        return set_row(connection, job, "");
    sqlite3_stmt *statement = statement_for(connection, LC_SQL_LEASE_DROP, job, &rc);
    return statement ? finish(statement) : rc;
}

int lc_sqlite_run_lease(lc_sqlite_connection *connection, lc_sqlite_job *job)
{
    return job->work == LC_WORK_LEASE ? take(connection, job) : give_back(connection, job);
}

int lc_sqlite_sweep_leases(lc_sqlite_connection *connection)
{
    int rc;
    sqlite3_stmt *statement = lc_sqlite_statement(connection, LC_SQL_LEASE_SWEEP, LLMCACHE_PART_PROMPT, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 1, lc_mono_ms());
    return finish(statement);
}

/* ---- The operations -------------------------------------------------------------------------------- */

static lc_sqlite_job *new_job(enum lc_sqlite_work work, const llmcache_key *key, const llmcache_lease *lease,
                              int64_t lease_ms, llmcache_error *err)
{
    lc_sqlite_job *job = lc_sqlite_job_new(work, 0, err);
    if (!job)
        return NULL;
    job->keys = lc_sqlite_copy_keys(key, 1, &job->bytes);
    job->key_count = 1;
    job->lane = lease->lane;
    job->renew = lease->renew;
    job->lease_ms = lease_ms;
    strncpy(job->holder, lease->holder, sizeof job->holder - 1);
    if (job->keys)
        return job;
    lc_sqlite_job_free(job);
    lc_fail_memory(err);
    return NULL;
}

/* The entry is read behind the transaction: what was put before the last lease went is there. */
int lc_sqlite_lease(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                    int64_t *others_ms, llmcache_error *err)
{
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    llmcache_error none;
    uint64_t outcome;
    lc_sqlite_job *job = new_job(LC_WORK_LEASE, key, lease, lease->lease_ms, err);
    if (!job)
        return LLMCACHE_MEMORY;
    int rc = lc_sqlite_submit(self, job, deadline_ms, &outcome, err);
    if (rc)
        return rc;
    if (lease->fn)
        lc_sqlite_get(self, LLMCACHE_PART_PROMPT, key, lease->now_ms, until_ms - lc_mono_ms(), lease->fn,
                      lease->user, &none);
    *others_ms = (int64_t)outcome;
    return 0;
}

int lc_sqlite_release(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                      int64_t deadline_ms, llmcache_error *err)
{
    lc_sqlite_job *job = new_job(LC_WORK_RELEASE, key, lease, given_up_ms > 0 ? given_up_ms : 0, err);
    return job ? lc_sqlite_submit(self, job, deadline_ms, NULL, err) : LLMCACHE_MEMORY;
}

/*
 * The writer: a thread with the only connection that writes. What is waiting when it looks becomes one
 * transaction, so the more threads put, the more puts share a commit, and none waits for more than the commit
 * under way and its own. A job that fails by itself fails alone; what fails the transaction fails
 * all in it. In WAL mode with synchronous=NORMAL a commit is in the hands of the operating system when it
 * returns: it outlives the process, and may be lost only if the machine itself stops.
 *
 * It also opens the file, sets a damaged one aside, and tries again when it could not be opened: only when
 * somebody asks for the store, and not more than once a second.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/sqlite_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MS         1000
#define QUEUE_BYTES      ((size_t)64 << 20)
#define BATCH_JOBS       512
#define BATCH_BYTES      ((size_t)16 << 20)
#define SWEEP_ROWS       500
#define CHANGES_KEPT     16384 /* lines other processes may be behind */
#define CHECKPOINT_PAGES 1000
#define STALLED_PAGES    32768 /* the keeper does not come round to it: the writer does it itself */
#define PRUNE_EVERY      64

/* ---- Jobs -------------------------------------------------------------------------------------- */

lc_sqlite_job *lc_sqlite_job_new(enum lc_sqlite_work work, int parts, llmcache_error *err)
{
    lc_sqlite_job *job = lc_zalloc(sizeof *job);
    if (!job) {
        lc_fail_memory(err);
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&job->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    job->work = work;
    job->parts = parts;
    job->bytes = sizeof *job;
    return job;
}

void lc_sqlite_job_free(lc_sqlite_job *job)
{
    if (!job)
        return;
    pthread_cond_destroy(&job->done);
    lc_entry_unref(job->entry);
    lc_free(job->keys);
    lc_free(job);
}

/* All with the lock held. */
static int enqueue(lc_sqlite *self, lc_sqlite_job *job, llmcache_error *err)
{
    if (!self->ready)
        return lc_sqlite_not_ready(self, err);
    if (self->queued_bytes && self->queued_bytes + job->bytes > QUEUE_BYTES)
        return lc_fail(err, LLMCACHE_BUSY, "sqlite: too much is waiting to be written");
    *self->last = job;
    self->last = &job->next;
    self->queued_bytes += job->bytes;
    pthread_cond_signal(&self->work);
    return 0;
}

/* Takes a job out that has not been begun; 0 when it has. */
static int withdraw(lc_sqlite *self, lc_sqlite_job *job)
{
    for (lc_sqlite_job **link = &self->first; *link; link = &(*link)->next) {
        if (*link != job)
            continue;
        *link = job->next;
        if (self->last == &job->next)
            self->last = link;
        self->queued_bytes -= job->bytes;
        return 1;
    }
    return 0;
}

int lc_sqlite_submit(lc_sqlite *self, lc_sqlite_job *job, int64_t deadline_ms, uint64_t *removed,
                     llmcache_error *err)
{
    struct timespec until = lc_mono_after(deadline_ms);
    job->until_ms = lc_mono_ms() + deadline_ms;
    pthread_mutex_lock(&self->lock);
    int code = enqueue(self, job, err), waited = 0;
    while (!code && !job->finished && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&job->done, &self->lock, &until);
    int leave = !code && !job->finished && !withdraw(self, job);
    int timeout = !code && !job->finished;
    job->abandoned = leave;
    pthread_mutex_unlock(&self->lock);
    if (timeout)
        code = lc_fail(err, LLMCACHE_TIMEOUT, "sqlite: writing %s took too long", self->path);
    if (leave)
        return code;
    if (!code && job->err.code) {
        if (err)
            *err = job->err;
        code = job->err.code;
    }
    if (!code && removed)
        *removed = job->removed;
    lc_sqlite_job_free(job);
    return code;
}

void lc_sqlite_post(lc_sqlite *self, lc_sqlite_job *job)
{
    job->abandoned = 1;
    job->until_ms = lc_mono_ms() + RETRY_MS;
    pthread_mutex_lock(&self->lock);
    int code = enqueue(self, job, NULL);
    pthread_mutex_unlock(&self->lock);
    if (code)
        lc_sqlite_job_free(job);
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
    static const int parts[] = {LLMCACHE_PART_PROMPT, LLMCACHE_PART_EMBED};
    int rc = SQLITE_OK;
    for (size_t i = 0; i < job->key_count && rc == SQLITE_OK; i++) {
        const llmcache_key *key = &job->keys[i];
        int any = 0;
        for (int p = 0; p < 2 && rc == SQLITE_OK; p++) {
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
        if (job->parts & LLMCACHE_PART_PROMPT)
            rc = put(connection, job, LLMCACHE_PART_PROMPT);
        if (rc == SQLITE_OK && (job->parts & LLMCACHE_PART_EMBED))
            rc = put(connection, job, LLMCACHE_PART_EMBED);
        break;
    case LC_WORK_REMOVE:
        rc = remove_keys(connection, job);
        break;
    case LC_WORK_SWEEP:
        rc = sweep(connection, job, LLMCACHE_PART_PROMPT);
        if (rc == SQLITE_OK)
            rc = sweep(connection, job, LLMCACHE_PART_EMBED);
        break;
    case LC_WORK_DROP:
        rc = remove_row(connection, job);
        break;
    case LC_WORK_PING:
        /* Rewriting a number in place is a real write that changes nothing. */
        rc = sqlite3_exec(connection->db, "UPDATE totals SET rows = rows WHERE part = 1", NULL, NULL,
                          NULL);
        break;
    }
    return rc;
}

/* ---- One batch --------------------------------------------------------------------------------- */

typedef struct batch {
    lc_sqlite_job *first;
    int64_t until_ms;      /* the latest of its callers waits until then */
    int64_t before, after; /* last line of `changes` */
    int64_t entries, records;
} batch;

/* Takes what waits; lock held. */
static batch take_batch(lc_sqlite *self)
{
    batch b = {.first = self->first};
    size_t bytes = 0, count = 0;
    lc_sqlite_job **link = &self->first;
    while (*link && count < BATCH_JOBS && (!count || bytes + (*link)->bytes <= BATCH_BYTES)) {
        bytes += (*link)->bytes;
        count++;
        if (b.until_ms < (*link)->until_ms)
            b.until_ms = (*link)->until_ms;
        link = &(*link)->next;
    }
    self->first = *link;
    *link = NULL;
    if (!self->first)
        self->last = &self->first;
    self->queued_bytes -= bytes;
    return b;
}

static int number(lc_sqlite_connection *connection, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int last_change(lc_sqlite_connection *connection, int64_t *seq)
{
    *seq = 0;
    return number(connection, "SELECT seq FROM changes ORDER BY seq DESC LIMIT 1", seq);
}

static int read_totals(lc_sqlite_connection *connection, int64_t *entries, int64_t *records)
{
    int rc = number(connection, "SELECT rows FROM totals WHERE part = 1", entries);
    return rc == SQLITE_OK ? number(connection, "SELECT rows FROM totals WHERE part = 2", records) : rc;
}

/* Drops old lines of `changes`, some at a time. */
static int prune(lc_sqlite_connection *connection, int64_t last)
{
    char sql[160];
    snprintf(sql, sizeof sql,
             "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE seq <= %lld"
             " ORDER BY seq LIMIT 8192)", (long long)(last - CHANGES_KEPT));
    return sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
}

static void own_up(lc_sqlite *self, const batch *b);
static void disown(lc_sqlite *self);

/* Runs the jobs within the transaction that is open. Not OK: the transaction is lost. */
static int run_jobs(lc_sqlite *self, lc_sqlite_connection *connection, const batch *b)
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

/* One transaction for all. */
static int commit_batch(lc_sqlite *self, lc_sqlite_connection *connection, batch *b, int pruning)
{
    connection->patience.until_ms = b->until_ms;
    int rc = sqlite3_exec(connection->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = last_change(connection, &b->before);
    if (rc == SQLITE_OK)
        rc = run_jobs(self, connection, b);
    if (rc == SQLITE_OK)
        rc = last_change(connection, &b->after);
    if (rc == SQLITE_OK && pruning)
        rc = prune(connection, b->after);
    if (rc == SQLITE_OK)
        rc = read_totals(connection, &b->entries, &b->records);
    if (rc == SQLITE_OK) {
        own_up(self, b);
        rc = sqlite3_exec(connection->db, "COMMIT", NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            disown(self);
    }
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(connection->db))
        sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* Books the lines as our own before they can be seen. */
static void own_up(lc_sqlite *self, const batch *b)
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
                self->own[self->own_count++] = (lc_own_range){b->before + 1, b->after};
        }
    }
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

/* Tells everybody how it went. Lock held. */
static void complete(lc_sqlite *self, lc_sqlite_job *job, int rc)
{
    while (job) {
        lc_sqlite_job *next = job->next;
        if (rc != SQLITE_OK)
            lc_sqlite_fail(rc, "writing", self->path, &job->err);
        if (job->abandoned) {
            lc_sqlite_job_free(job);
        } else {
            job->finished = 1;
            pthread_cond_signal(&job->done);
        }
        job = next;
    }
}

/* Pages that removal left empty go back to the system while nobody waits. */
static void give_back_pages(lc_sqlite *self, lc_sqlite_connection *connection)
{
    int64_t unused = 0, all = 0;
    for (int waiting = 0; !waiting;) {
        if (number(connection, "PRAGMA freelist_count", &unused) != SQLITE_OK ||
            number(connection, "PRAGMA page_count", &all) != SQLITE_OK || unused < 1024 ||
            unused * 4 < all ||
            sqlite3_exec(connection->db, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL) != SQLITE_OK)
            return;
        pthread_mutex_lock(&self->lock);
        waiting = self->first || self->closing;
        pthread_mutex_unlock(&self->lock);
    }
}

/* ---- Opening and mending ------------------------------------------------------------------------- */

/* After each commit, with the pages the WAL has. */
static int after_commit(void *user, sqlite3 *db, const char *name, int pages)
{
    lc_sqlite *self = user;
    if (pages >= STALLED_PAGES) {
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    } else if (pages >= CHECKPOINT_PAGES) {
        pthread_mutex_lock(&self->lock);
        int told = self->checkpoint_due;
        self->checkpoint_due = 1;
        pthread_mutex_unlock(&self->lock);
        if (!told)
            lc_sqlite_wake_keeper(self);
    }
    return SQLITE_OK;
}

static int64_t bytes_of_file(lc_sqlite_connection *connection)
{
    int64_t pages = 0, size = 0;
    if (number(connection, "PRAGMA page_count", &pages) != SQLITE_OK ||
        number(connection, "PRAGMA page_size", &size) != SQLITE_OK)
        return 0;
    return pages * size;
}

static int open_once(lc_sqlite *self, lc_sqlite_connection *connection, struct stat *damaged,
                     llmcache_error *err)
{
    connection->patience.until_ms = lc_mono_ms() + self->connect_ms;
    int code = lc_sqlite_open_writer(self->path, &connection->patience, &connection->db, damaged, err);
    if (code)
        return code;
    struct stat file;
    int64_t seq, entries = 0, records = 0;
    int rc = last_change(connection, &seq);
    if (rc == SQLITE_OK)
        rc = read_totals(connection, &entries, &records);
    if (rc == SQLITE_OK && stat(self->path, &file))
        rc = SQLITE_CANTOPEN;
    if (rc != SQLITE_OK)
        return lc_sqlite_fail(rc, "reading", self->path, err);
    sqlite3_wal_hook(connection->db, after_commit, self);
    int64_t bytes = bytes_of_file(connection);
    pthread_mutex_lock(&self->lock);
    connection->epoch = ++self->epoch;
    self->file = file;
    self->entries = entries;
    self->records = records;
    self->file_bytes = bytes;
    self->own_count = 0;
    self->seen = seq;
    self->lost = self->epoch > 1;
    self->ready = 1;
    self->damaged = self->vanished = 0;
    pthread_mutex_unlock(&self->lock);
    return 0;
}

static int set_aside(lc_sqlite *self, const struct stat *damaged, llmcache_error *err)
{
    char name[LLMCACHE_MESSAGE_SIZE];
    int code = lc_sqlite_set_aside(self->path, damaged, name, sizeof name, err);
    if (code || !*name)
        return code;
    const char *slash = strrchr(name, '/');
    pthread_mutex_lock(&self->lock);
    snprintf(self->note, sizeof self->note, "a damaged file was set aside as %.90s",
             slash ? slash + 1 : name);
    pthread_mutex_unlock(&self->lock);
    return 0;
}

lc_sqlite_connection *lc_sqlite_open(lc_sqlite *self, llmcache_error *err)
{
    for (int tries = 0;; tries++) {
        struct stat damaged = {0};
        lc_sqlite_connection *connection = lc_sqlite_connection_new();
        int code = connection ? open_once(self, connection, &damaged, err) : lc_fail_memory(err);
        if (!code)
            return connection;
        lc_sqlite_connection_free(connection);
        if (code != LLMCACHE_CORRUPT || !damaged.st_ino || tries >= 2 || set_aside(self, &damaged, err))
            return NULL;
    }
}

/* The reason the file cannot be used, for all who ask. */
static void close_down(lc_sqlite *self, const llmcache_error *reason)
{
    pthread_mutex_lock(&self->lock);
    self->ready = 0;
    self->reason = *reason;
    self->attempts++;
    self->retry_wanted = 0;
    self->retry_at_ms = lc_mono_ms() + RETRY_MS;
    complete(self, self->first, SQLITE_CANTOPEN);
    self->first = NULL;
    self->last = &self->first;
    self->queued_bytes = 0;
    pthread_cond_broadcast(&self->news);
    pthread_mutex_unlock(&self->lock);
}

static void free_readers(lc_sqlite *self, lc_sqlite_connection *idle)
{
    unsigned count = 0;
    for (lc_sqlite_connection *next; idle; idle = next, count++) {
        next = idle->next;
        lc_sqlite_connection_free(idle);
    }
    pthread_mutex_lock(&self->lock);
    self->readers -= count;
    pthread_mutex_unlock(&self->lock);
}

/* Closes what is open and opens anew. */
static lc_sqlite_connection *mend(lc_sqlite *self, lc_sqlite_connection *connection)
{
    llmcache_error err = {0};
    pthread_mutex_lock(&self->lock);
    struct stat file = self->file;
    int damaged = self->damaged;
    lc_sqlite_connection *idle = self->idle;
    self->idle = NULL;
    self->ready = 0;
    lc_fail(&self->reason, LLMCACHE_STORE, "sqlite: %s is being opened again", self->path);
    pthread_mutex_unlock(&self->lock);
    lc_sqlite_connection_free(connection);
    free_readers(self, idle);
    if (damaged && set_aside(self, &file, &err)) {
        close_down(self, &err);
        return NULL;
    }
    connection = lc_sqlite_open(self, &err);
    if (!connection) {
        close_down(self, &err);
        return NULL;
    }
    pthread_mutex_lock(&self->lock);
    self->attempts++;
    self->retry_wanted = 0;
    pthread_cond_broadcast(&self->news);
    pthread_mutex_unlock(&self->lock);
    lc_sqlite_wake_keeper(self);
    return connection;
}

/* ---- The thread ---------------------------------------------------------------------------------- */

/* After these the connection itself is not to be trusted. */
static int needs_new_connection(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return 1;
    default:
        return rc == SQLITE_READONLY_DBMOVED;
    }
}

/* Lock held on entry and exit. */
static void run_batch(lc_sqlite *self, lc_sqlite_connection *connection, unsigned *batches)
{
    batch b = take_batch(self);
    pthread_mutex_unlock(&self->lock);
    int rc = commit_batch(self, connection, &b, ++*batches % PRUNE_EVERY == 0);
    int64_t bytes = rc == SQLITE_OK ? bytes_of_file(connection) : 0;
    int removing = 0;
    for (lc_sqlite_job *job = b.first; job; job = job->next)
        removing |= job->removed > 100;
    lc_sqlite_report(self, connection, rc);
    pthread_mutex_lock(&self->lock);
    if (rc == SQLITE_OK) {
        self->entries = b.entries;
        self->records = b.records;
        self->file_bytes = bytes;
    } else if (needs_new_connection(rc)) {
        self->vanished = 1;
    }
    complete(self, b.first, rc);
    pthread_mutex_unlock(&self->lock);
    if (removing)
        give_back_pages(self, connection);
    pthread_mutex_lock(&self->lock);
}

void *lc_sqlite_writer_run(void *argument)
{
    lc_sqlite_writer_start start = *(lc_sqlite_writer_start *)argument;
    lc_sqlite *self = start.self;
    lc_sqlite_connection *connection = start.connection;
    unsigned batches = 0;
    lc_free(argument);
    pthread_mutex_lock(&self->lock);
    for (;;) {
        int broken = connection && (self->damaged || self->vanished);
        int retry = !connection && self->retry_wanted && lc_mono_ms() >= self->retry_at_ms;
        if (!self->closing && (broken || retry)) {
            pthread_mutex_unlock(&self->lock);
            connection = mend(self, connection);
            pthread_mutex_lock(&self->lock);
        } else if (connection && self->first) {
            run_batch(self, connection, &batches);
        } else if (self->closing) {
            break;
        } else {
            pthread_cond_wait(&self->work, &self->lock);
        }
    }
    pthread_mutex_unlock(&self->lock);
    lc_sqlite_connection_free(connection);
    return NULL;
}

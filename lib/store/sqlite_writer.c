/*
 * The writer: a thread with the only connection that writes. What is waiting when it looks becomes one
 * transaction, so the more threads put, the more puts share a commit, and none waits for more than the commit
 * under way and its own. In WAL mode with synchronous=NORMAL a commit is in the hands of the operating
 * system when it returns: it outlives the process, and may be lost only if the machine itself stops.
 *
 * It also opens the file, sets a damaged one aside, and tries again when it could not be opened: only when
 * somebody asks for the store, and not more than once a second.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/sqlite_store.h"

#include <stdio.h>
#include <string.h>

#define RETRY_MS         1000
#define CHECKPOINT_PAGES 1000
#define STALLED_PAGES    4096
#define PRUNE_EVERY      64    /* batches */
#define MANY_REMOVED     100   /* worth a look at the empty pages */

/* ---- Opening and mending ------------------------------------------------------------------------- */

static void leave_to_keeper(lc_sqlite *self, int wake)
{
    pthread_mutex_lock(&self->lock);
    self->checkpoint_due = 1;
    pthread_mutex_unlock(&self->lock);
    if (wake)
        lc_sqlite_wake_keeper(self);
}

/*
 * After each commit, with the pages the WAL has. The keeper moves them into the file, but as long as commits
 * follow each other it never gets the last ones, without which the WAL cannot begin anew: from some size
 * on, the writer moves these few itself between two commits, unless the keeper is still at it or a reader in
 * the way; then the next commit tries again.
 */
static int after_commit(void *user, sqlite3 *db, const char *name, int pages)
{
    lc_sqlite *self = user;
    if (pages < CHECKPOINT_PAGES)
        self->keeper_pages = self->writer_pages = 0;
    if (pages >= self->writer_pages + STALLED_PAGES) {
        int all = -1, moved = 0;
        int rc = sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, &all, &moved);
        if (rc == SQLITE_OK && moved == all)
            self->writer_pages = pages;
        else
            leave_to_keeper(self, 0);
    } else if (pages >= self->keeper_pages + CHECKPOINT_PAGES) {
        self->keeper_pages = pages;
        leave_to_keeper(self, 1);
    }
    return SQLITE_OK;
}

static int open_once(lc_sqlite *self, lc_sqlite_connection *connection, struct stat *damaged,
                     llmcache_error *err)
{
    connection->patience.until_ms = lc_mono_ms() + self->connect_ms;
    int code = lc_sqlite_open_writer(self->path, &connection->patience, &connection->db, damaged, err);
    if (code)
        return code;
    struct stat file;
    int64_t seq;
    lc_sqlite_totals totals = {0};
    int rc = lc_sqlite_last_change(connection, &seq);
    if (rc == SQLITE_OK)
        rc = lc_sqlite_read_totals(connection, &totals);
    if (stat(self->path, &file))
        rc = SQLITE_CANTOPEN;
    if (lc_sqlite_is_damage(rc))
        *damaged = file;
    if (rc != SQLITE_OK)
        return lc_sqlite_fail(rc, "reading", self->path, err);
    sqlite3_wal_hook(connection->db, after_commit, self);
    pthread_mutex_lock(&self->lock);
    connection->epoch = ++self->epoch;
    self->file = file;
    self->totals = totals;
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
    lc_sqlite_complete(self, self->first, SQLITE_CANTOPEN);
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
    if (self->ready)
        lc_fail(&self->reason, LLMCACHE_STORE, "sqlite: %s is being opened again", self->path);
    self->ready = 0;
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

/* Pages that removal left empty go back to the system while nobody waits. */
static void give_back_pages(lc_sqlite *self, lc_sqlite_connection *connection)
{
    int64_t unused = 0, all = 0;
    for (int waiting = 0; !waiting;) {
        if (lc_sqlite_run(connection, LC_SQL_FREE_PAGES, LLMCACHE_PART_PROMPT, &unused) != SQLITE_OK ||
            lc_sqlite_run(connection, LC_SQL_PAGES, LLMCACHE_PART_PROMPT, &all) != SQLITE_OK || unused < 1024 ||
            unused * 4 < all ||
            sqlite3_exec(connection->db, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL) != SQLITE_OK)
            return;
        pthread_mutex_lock(&self->lock);
        waiting = self->first || self->closing;
        pthread_mutex_unlock(&self->lock);
    }
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
    lc_sqlite_batch b = lc_sqlite_take_batch(self);
    pthread_mutex_unlock(&self->lock);
    int rc = lc_sqlite_commit(self, connection, &b, ++*batches % PRUNE_EVERY == 0);
    int removing = 0;
    for (lc_sqlite_job *job = b.first; job; job = job->next)
        removing |= job->removed > MANY_REMOVED;
    lc_sqlite_report(self, connection, rc);
    pthread_mutex_lock(&self->lock);
    if (rc == SQLITE_OK) {
        self->totals = b.totals;
    } else if (needs_new_connection(rc)) {
        self->vanished = 1;
    }
    lc_sqlite_complete(self, b.first, rc);
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

/*
 * The store sqlite: operations over readers of a pool and the writer's queue. See sqlite_store.h for how its
 * parts play together. This process's state is in lc_sqlite; the file is the truth and may be changed by
 * other processes at any time.
 */
#include "store/sqlite_store.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_READERS 16
#define CONNECT_MS  1000

/* ---- The state --------------------------------------------------------------------------------- */

int lc_sqlite_not_ready(lc_sqlite *self, llmcache_error *err)
{
    if (!self->retry_wanted && lc_mono_ms() >= self->retry_at_ms) {
        self->retry_wanted = 1;
        pthread_cond_signal(&self->work);
    }
    if (err)
        *err = self->reason;
    return self->reason.code;
}

void lc_sqlite_report(lc_sqlite *self, const lc_sqlite_connection *connection, int rc)
{
    if (!lc_sqlite_is_damage(rc))
        return;
    pthread_mutex_lock(&self->lock);
    if (self->ready && connection->epoch == self->epoch) {
        self->damaged = 1;
        self->ready = 0;
        lc_sqlite_fail(rc, "reading", self->path, &self->reason);
        pthread_cond_signal(&self->work);
    }
    pthread_mutex_unlock(&self->lock);
}

/* ---- Readers ----------------------------------------------------------------------------------- */

/* An idle reader or the right to make one; lock held. */
static int take_seat(lc_sqlite *self, int64_t until_ms, lc_sqlite_connection **idle, llmcache_error *err)
{
    int waited = 0;
    struct timespec until = lc_mono_after(until_ms - lc_mono_ms());
    while (self->ready && !self->idle && self->readers >= MAX_READERS && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&self->news, &self->lock, &until);
    if (!self->ready)
        return lc_sqlite_not_ready(self, err);
    if (!self->idle && self->readers >= MAX_READERS)
        return lc_fail(err, LLMCACHE_TIMEOUT, "sqlite: all readers of %s are busy", self->path);
    *idle = self->idle;
    if (self->idle)
        self->idle = self->idle->next;
    else
        self->readers++;
    return 0;
}

static void leave_seat(lc_sqlite *self)
{
    pthread_mutex_lock(&self->lock);
    self->readers--;
    pthread_cond_signal(&self->news);
    pthread_mutex_unlock(&self->lock);
}

/* A new reader for the file that was open when it was asked for. */
static int make_reader(lc_sqlite *self, int64_t until_ms, uint64_t epoch, lc_sqlite_connection **out,
                       llmcache_error *err)
{
    lc_sqlite_connection *made = lc_sqlite_connection_new();
    if (!made)
        return lc_fail_memory(err);
    made->epoch = epoch;
    made->patience.until_ms = until_ms;
    int code = lc_sqlite_connect(self->path, &made->patience, &made->db, err);
    int rc = code ? SQLITE_OK : sqlite3_exec(made->db, "PRAGMA query_only=ON", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        code = lc_sqlite_fail(rc, "opening", self->path, err);
    if (code) {
        lc_sqlite_connection_free(made);
        return code;
    }
    *out = made;
    return 0;
}

int lc_sqlite_lend(lc_sqlite *self, int64_t until_ms, lc_sqlite_connection **connection,
                   llmcache_error *err)
{
    lc_sqlite_connection *idle = NULL;
    pthread_mutex_lock(&self->lock);
    int code = take_seat(self, until_ms, &idle, err);
    uint64_t epoch = self->epoch;
    pthread_mutex_unlock(&self->lock);
    if (code)
        return code;
    if (idle && idle->epoch != epoch) {
        lc_sqlite_connection_free(idle);
        idle = NULL;
    }
    if (!idle && (code = make_reader(self, until_ms, epoch, &idle, err))) {
        leave_seat(self);
        return code;
    }
    idle->patience.until_ms = until_ms;
    *connection = idle;
    return 0;
}

void lc_sqlite_give_back(lc_sqlite *self, lc_sqlite_connection *connection)
{
    pthread_mutex_lock(&self->lock);
    int stale = connection->epoch != self->epoch || !self->ready;
    if (stale) {
        self->readers--;
    } else {
        connection->next = self->idle;
        self->idle = connection;
    }
    pthread_cond_signal(&self->news);
    pthread_mutex_unlock(&self->lock);
    if (stale)
        lc_sqlite_connection_free(connection);
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static void drop_row(lc_sqlite *self, int part, const lc_sqlite_row *row)
{
    lc_sqlite_job *job = lc_sqlite_job_new(LC_WORK_DROP, part, NULL);
    if (!job)
        return;
    job->row = *row;
    lc_sqlite_post(self, job);
}

/* The row the statement stands on. */
static int take_row(lc_sqlite *self, lc_sqlite_connection *connection, sqlite3_stmt *statement,
                    int part, int64_t now_ms, llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    llmcache_entry entry;
    lc_sqlite_row row;
    int code = lc_sqlite_read(connection, statement, part, &entry, &row);
    if (code == LLMCACHE_MEMORY)
        return lc_fail_memory(err);
    if (code) {
        drop_row(self, part, &row);
        return lc_fail(err, code, "sqlite: a damaged entry of %s was dropped", self->path);
    }
    if (entry.expires_ms && entry.expires_ms <= now_ms)
        return lc_fail(err, LLMCACHE_NOT_FOUND, "no such entry");
    fn(user, &entry);
    return 0;
}

int lc_sqlite_get(void *user_self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
                  llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    lc_sqlite *self = user_self;
    lc_sqlite_connection *connection;
    int rc, code = lc_sqlite_lend(self, lc_mono_ms() + deadline_ms, &connection, err);
    if (code)
        return code;
    sqlite3_stmt *statement = lc_sqlite_statement(
        connection, key->head_only ? LC_SQL_GET_HEAD : LC_SQL_GET, part, &rc);
    if (statement) {
        lc_sqlite_bind_key(statement, key);
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW)
        code = take_row(self, connection, statement, part, now_ms, fn, user, err);
    else if (rc == SQLITE_DONE)
        code = lc_fail(err, LLMCACHE_NOT_FOUND, "no such entry");
    else
        code = lc_sqlite_fail(rc, "reading", self->path, err);
    sqlite3_reset(statement);
    lc_sqlite_report(self, connection, rc);
    lc_sqlite_give_back(self, connection);
    return code;
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static int put(void *user_self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
               llmcache_error *err)
{
    if ((parts & LLMCACHE_PART_EMBED) && (!entry->vector || !entry->dimension))
        return lc_fail(err, LLMCACHE_INVALID, "a record needs a vector");
    lc_sqlite_job *job = lc_sqlite_job_new(LC_WORK_PUT, parts, err);
    if (!job)
        return LLMCACHE_MEMORY;
    job->entry = parts & LLMCACHE_PART_EMBED ? lc_entry_new_record(entry) : lc_entry_new(entry);
    if (!job->entry) {
        lc_sqlite_job_free(job);
        return lc_fail_memory(err);
    }
    job->bytes += job->entry->bytes;
    return lc_sqlite_submit(user_self, job, deadline_ms, NULL, err);
}

llmcache_key *lc_sqlite_copy_keys(const llmcache_key *keys, size_t count, size_t *bytes)
{
    size_t size;
    if (__builtin_mul_overflow(count, sizeof *keys, &size))
        return NULL;
    for (size_t i = 0; i < count; i++)
        size += strlen(keys[i].space) + 1;
    llmcache_key *copy = lc_alloc(size);
    if (!copy)
        return NULL;
    char *at = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(keys[i].space) + 1;
        copy[i] = keys[i];
        copy[i].space = memcpy(at, keys[i].space, length);
        at += length;
    }
    *bytes += size;
    return copy;
}

static int remove_keys(void *user_self, int parts, const llmcache_key *keys, size_t count,
                       int64_t deadline_ms, uint64_t *removed, llmcache_error *err)
{
    lc_sqlite_job *job = lc_sqlite_job_new(LC_WORK_REMOVE, parts, err);
    if (!job)
        return LLMCACHE_MEMORY;
    job->keys = lc_sqlite_copy_keys(keys, count, &job->bytes);
    job->key_count = count;
    if (!job->keys) {
        lc_sqlite_job_free(job);
        return lc_fail_memory(err);
    }
    return lc_sqlite_submit(user_self, job, deadline_ms, removed, err);
}

static int sweep(void *user_self, int64_t now_ms, llmcache_error *err)
{
    lc_sqlite *self = user_self;
    lc_sqlite_job *job = lc_sqlite_job_new(LC_WORK_SWEEP, LLMCACHE_PART_BOTH, err);
    if (!job)
        return LLMCACHE_MEMORY;
    job->now_ms = now_ms;
    return lc_sqlite_submit(self, job, self->connect_ms, NULL, err);
}

/* Waits for the end of an attempt to open the file, when it is not open. */
static void wait_for_attempt(lc_sqlite *self, int64_t deadline_ms)
{
    struct timespec until = lc_mono_after(deadline_ms);
    int waited = 0;
    pthread_mutex_lock(&self->lock);
    uint64_t attempts = self->attempts;
    while (!self->ready && self->attempts == attempts && waited != ETIMEDOUT) {
        lc_sqlite_not_ready(self, NULL);
        waited = pthread_cond_timedwait(&self->news, &self->lock, &until);
    }
    pthread_mutex_unlock(&self->lock);
}

static int ping(void *user_self, int64_t deadline_ms, llmcache_error *err)
{
    lc_sqlite *self = user_self;
    int64_t start_ms = lc_mono_ms();
    wait_for_attempt(self, deadline_ms);
    lc_sqlite_job *job = lc_sqlite_job_new(LC_WORK_PING, 0, err);
    if (!job)
        return LLMCACHE_MEMORY;
    return lc_sqlite_submit(self, job, deadline_ms - (lc_mono_ms() - start_ms), NULL, err);
}

/* ---- The rest ---------------------------------------------------------------------------------- */

static void stats(void *user_self, llmcache_store_stats *out)
{
    lc_sqlite *self = user_self;
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&self->lock);
    out->entries = (uint64_t)self->totals.entries;
    out->records = (uint64_t)self->totals.records;
    out->observations = (uint64_t)self->totals.observations;
    out->bytes = (uint64_t)self->totals.bytes;
    out->connected = self->ready;
    if (!self->ready)
        snprintf(out->detail, sizeof out->detail, "%.127s", self->reason.message);
    else if (*self->note)
        snprintf(out->detail, sizeof out->detail, "%s", self->note);
    else
        snprintf(out->detail, sizeof out->detail, "%.127s", self->path);
    pthread_mutex_unlock(&self->lock);
}

static int watch(void *user_self, const llmcache_watch *table, llmcache_error *err)
{
    lc_sqlite *self = user_self;
    pthread_mutex_lock(&self->lock);
    self->watch = *table;
    self->watching = 1;
    pthread_mutex_unlock(&self->lock);
    lc_sqlite_wake_keeper(self);
    return 0;
}

static void free_state(lc_sqlite *self)
{
    while (self->idle) {
        lc_sqlite_connection *next = self->idle->next;
        lc_sqlite_connection_free(self->idle);
        self->idle = next;
    }
    if (self->wake_keeper >= 0)
        close(self->wake_keeper);
    pthread_cond_destroy(&self->work);
    pthread_cond_destroy(&self->news);
    pthread_mutex_destroy(&self->lock);
    lc_free(self->own);
    lc_free(self->path);
    lc_free(self);
}

static void stop_thread(lc_sqlite *self, pthread_t thread)
{
    pthread_mutex_lock(&self->lock);
    self->closing = 1;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
    lc_sqlite_wake_keeper(self);
    pthread_join(thread, NULL);
}

static void close_store(void *user_self)
{
    lc_sqlite *self = user_self;
    stop_thread(self, self->keeper);
    stop_thread(self, self->writer);
    free_state(self);
}

static lc_sqlite *new_state(const lc_store_options *options)
{
    lc_sqlite *self = lc_zalloc(sizeof *self);
    if (!self)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->work, NULL);
    pthread_cond_init(&self->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    self->connect_ms = options->connect_ms > 0 ? options->connect_ms : CONNECT_MS;
    self->last = &self->first;
    self->wake_keeper = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return self;
}

/* Opens the file and starts the threads; a file that cannot be opened is tried again later. */
static int start(lc_sqlite *self, llmcache_error *err)
{
    lc_sqlite_writer_start *writer = lc_alloc(sizeof *writer);
    if (!writer)
        return lc_fail_memory(err);
    *writer = (lc_sqlite_writer_start){self, lc_sqlite_open(self, &self->reason)};
    lc_sqlite_connection *connection = writer->connection;
    if (self->wake_keeper < 0 || pthread_create(&self->writer, NULL, lc_sqlite_writer_run, writer)) {
        lc_sqlite_connection_free(connection);
        lc_free(writer);
        return lc_fail(err, LLMCACHE_BUSY, "sqlite: no thread could be started");
    }
    if (pthread_create(&self->keeper, NULL, lc_sqlite_keeper_run, self)) {
        stop_thread(self, self->writer);
        return lc_fail(err, LLMCACHE_BUSY, "sqlite: no thread could be started");
    }
    return 0;
}

int lc_store_open_sqlite(const char *path, const lc_store_options *options, lc_store *store,
                         llmcache_error *err)
{
    static const llmcache_store_ops ops = {
        .version = LLMCACHE_BACKEND_VERSION, .name = "sqlite", .get = lc_sqlite_get, .put = put,
        .remove = remove_keys, .each = lc_sqlite_each, .sweep = sweep, .ping = ping, .stats = stats,
        .watch = watch, .close = close_store, .each_vector = lc_sqlite_each_vector,
        .lease = lc_sqlite_lease, .release = lc_sqlite_release};
    if (!sqlite3_threadsafe())
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "sqlite: the library was built without threads");
    lc_sqlite *self = new_state(options);
    if (!self)
        return lc_fail_memory(err);
    int code = lc_sqlite_path(path, &self->path, err);
    if (!code)
        code = start(self, err);
    if (code) {
        free_state(self);
        return code;
    }
    *store = (lc_store){.ops = ops, .self = self};
    return 0;
}

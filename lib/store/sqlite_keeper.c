/*
 * The keeper: a thread that tells the cache what other processes have changed, and moves the WAL into the
 * file when it has grown, so that no ask ever does.
 *
 * A write by anyone to the WAL wakes it at once (inotify). The write is seen a moment before the commit can be
 * read, so it looks a few more times, further and further apart. Looking is one PRAGMA data_version
 * while nothing has changed; then it reads the new lines of `changes` and passes over those this
 * process has written itself. Without inotify it looks every 50 ms. A few times a second it sees to it that the file is
 * still the one at the path, looks, and says that all is told up to then.
 */
#include "base/clock.h"
#include "base/error.h"
#include "store/sqlite_store.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LINES        256  /* read at once */
#define SLOW_LOOK_MS 250  /* is the file still ours? can it be opened now? is all told? */
#define BLIND_MS     50   /* between looks without inotify */
#define LAST_GAP_MS  64   /* looks after a write come 1, 2, 4, ... ms apart, up to this */
#define REST_MS      2    /* between looks while one write follows another */

/* A change, as its line says. */
typedef struct line {
    int64_t seq;
    int parts;
    char id[LLMCACHE_ID_SIZE];
    char space[256];
} line;

typedef struct keeper {
    lc_sqlite *self;
    lc_sqlite_connection *connection; /* NULL while the file is not open */
    sqlite3_stmt *version, *read_lines;
    int64_t last_version;
    int events;   /* inotify descriptor, -1 for none */
    int gap_ms;   /* 0: nothing was written lately */
    int busy;     /* something was written when it last looked */
    int64_t slow_look_ms;
    line line[LINES];
} keeper;

void lc_sqlite_wake_keeper(lc_sqlite *self)
{
    ssize_t size = write(self->wake_keeper, &(uint64_t){1}, sizeof(uint64_t));
    (void)size; /* full means that it will wake anyway */
}

/* ---- The connection ---------------------------------------------------------------------------- */

static void close_connection(keeper *k)
{
    sqlite3_finalize(k->version);
    sqlite3_finalize(k->read_lines);
    k->version = k->read_lines = NULL;
    if (k->connection)
        lc_sqlite_give_back(k->self, k->connection);
    k->connection = NULL;
    if (k->events >= 0)
        close(k->events);
    k->events = -1;
}

static void watch_files(keeper *k)
{
    char wal[PATH_MAX];
    int size = snprintf(wal, sizeof wal, "%s-wal", k->self->path);
    k->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (k->events < 0)
        return;
    int file = inotify_add_watch(k->events, k->self->path,
                                 IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF);
    if (file < 0 || size >= (int)sizeof wal || inotify_add_watch(k->events, wal, IN_MODIFY) < 0) {
        close(k->events);
        k->events = -1;
    }
}

/* A connection to the file that is open now; without one it tries again when it is woken. */
static void open_connection(keeper *k)
{
    lc_sqlite_connection *connection;
    if (lc_sqlite_lend(k->self, lc_mono_ms() + k->self->connect_ms, &connection, NULL))
        return;
    k->connection = connection;
    int rc = sqlite3_prepare_v2(connection->db, "PRAGMA data_version", -1, &k->version, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(connection->db,
                                "SELECT seq, part, space, fingerprint FROM changes WHERE seq > ?1"
                                " ORDER BY seq LIMIT ?2", -1, &k->read_lines, NULL);
    if (rc != SQLITE_OK) {
        lc_sqlite_report(k->self, connection, rc);
        close_connection(k);
        return;
    }
    k->last_version = -1;
    watch_files(k);
}

/* ---- Changes ----------------------------------------------------------------------------------- */

/* Steps over what this process wrote itself; says from where to read, and forgets what is behind. */
static int64_t start_of_reading(lc_sqlite *self)
{
    size_t done = 0;
    pthread_mutex_lock(&self->lock);
    for (; done < self->own_count && self->own[done].first <= self->seen + 1; done++) {
        const lc_own_range *range = &self->own[done];
        if (self->seen < range->committed)
            self->seen = range->committed;
        if (self->seen < range->last)
            break;
    }
    self->own_count -= done;
    if (done)
        memmove(self->own, self->own + done, self->own_count * sizeof *self->own);
    int64_t from = self->seen;
    pthread_mutex_unlock(&self->lock);
    return from;
}

static int is_own(lc_sqlite *self, int64_t seq)
{
    for (size_t i = 0; i < self->own_count; i++)
        if (seq >= self->own[i].first && seq <= self->own[i].last)
            return 1;
    return 0;
}

/* One line as read; 0 when it cannot be told by name. */
static int take_line(sqlite3_stmt *statement, line *out)
{
    const char *space = (const char *)sqlite3_column_text(statement, 2);
    const void *fingerprint = sqlite3_column_blob(statement, 3);
    out->seq = sqlite3_column_int64(statement, 0);
    out->parts = sqlite3_column_int(statement, 1);
    if (!space || !fingerprint || strlen(space) >= sizeof out->space ||
        sqlite3_column_bytes(statement, 3) != LLMCACHE_FINGERPRINT_SIZE)
        return 0;
    memcpy(out->space, space, strlen(space) + 1);
    lc_entry_id(fingerprint, out->id);
    return 1;
}

static void distrust(lc_sqlite *self)
{
    self->watch.distrust(self->watch.user);
    self->watch.trust(self->watch.user);
}

/* Keeps the lines that are not our own; how many. */
static size_t others_only(lc_sqlite *self, line *lines, size_t count)
{
    size_t kept = 0;
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < count; i++)
        if (!is_own(self, lines[i].seq))
            lines[kept++] = lines[i];
    pthread_mutex_unlock(&self->lock);
    return kept;
}

/* Reads up to LINES lines past `from`. -1 when something in between is missing or cannot be read. */
static int read_lines(keeper *k, int64_t from, int64_t *last, int *rc)
{
    int count = 0, whole = 1;
    *last = from;
    sqlite3_bind_int64(k->read_lines, 1, from);
    sqlite3_bind_int(k->read_lines, 2, LINES);
    while ((*rc = sqlite3_step(k->read_lines)) == SQLITE_ROW) {
        line *next = &k->line[count];
        int good = take_line(k->read_lines, next);
        /* Lines follow one another; where one is missing, old ones were dropped before we came. */
        whole &= good && next->seq == *last + 1;
        *last = next->seq;
        count++;
    }
    sqlite3_reset(k->read_lines);
    *rc = *rc == SQLITE_DONE ? SQLITE_OK : *rc;
    return whole ? count : -1;
}

/* Nothing past `from`: is the end where we were, or did someone empty the table? */
static int check_end(keeper *k, int64_t from, int64_t *last)
{
    int64_t end;
    int rc = lc_sqlite_last_change(k->connection, &end);
    *last = rc == SQLITE_OK && end < from ? end : from;
    return rc;
}

/* Tells of the next lines; how many there were. *others is set when one of them was not our own. */
static int tell(keeper *k, int *others_too, int *rc)
{
    lc_sqlite *self = k->self;
    int64_t last, from = start_of_reading(self);
    int count = read_lines(k, from, &last, rc);
    if (*rc != SQLITE_OK)
        return 0;
    if (count == 0 && (*rc = check_end(k, from, &last)) != SQLITE_OK)
        return 0;
    if (count < 0 || last < from) {
        pthread_mutex_lock(&self->lock);
        self->lost = 1;
        pthread_mutex_unlock(&self->lock);
        *others_too = 1;
        count = LINES;
    } else {
        size_t others = others_only(self, k->line, (size_t)count);
        *others_too |= others > 0;
        for (const line *at = k->line; at < k->line + others; at++)
            self->watch.changed(self->watch.user, at->parts, at->space, at->id);
    }
    pthread_mutex_lock(&self->lock);
    if (self->seen < last || last < from)
        self->seen = last;
    pthread_mutex_unlock(&self->lock);
    return last != from ? count : 0;
}

static int read_totals(keeper *k)
{
    lc_sqlite_totals totals;
    int rc = lc_sqlite_read_totals(k->connection, &totals);
    if (rc != SQLITE_OK)
        return rc;
    pthread_mutex_lock(&k->self->lock);
    k->self->totals = totals;
    pthread_mutex_unlock(&k->self->lock);
    return SQLITE_OK;
}

/* What the file says now, by one PRAGMA data_version: 1 when another connection has committed since. */
static int has_changed(keeper *k, int64_t *version, int *rc)
{
    *rc = sqlite3_step(k->version);
    *version = *rc == SQLITE_ROW ? sqlite3_column_int64(k->version, 0) : k->last_version;
    sqlite3_reset(k->version);
    *rc = *rc == SQLITE_ROW ? SQLITE_OK : *rc;
    return *version != k->last_version;
}

/* Reads and tells what is new. */
static int take_in(keeper *k)
{
    int rc = SQLITE_OK, others = 0;
    pthread_mutex_lock(&k->self->lock);
    int watching = k->self->watching;
    pthread_mutex_unlock(&k->self->lock);
    while (watching && tell(k, &others, &rc) == LINES && rc == SQLITE_OK)
        ;
    /* The writer counts what it does itself. */
    return rc == SQLITE_OK && (others || !watching) ? read_totals(k) : rc;
}

/* 1 when the file has changed since the last look; *fine when all that it says was taken in. */
static int look(keeper *k, int *fine)
{
    int64_t version;
    int rc, changed = has_changed(k, &version, &rc);
    if (changed && rc == SQLITE_OK && (rc = take_in(k)) == SQLITE_OK)
        k->last_version = version;
    lc_sqlite_report(k->self, k->connection, rc);
    *fine = rc == SQLITE_OK;
    return changed;
}

/* ---- The round --------------------------------------------------------------------------------- */

/* Is the file at the path still the one that is open? Another one is opened by the writer. */
static int check_file(lc_sqlite *self)
{
    struct stat now;
    int there = stat(self->path, &now) == 0;
    pthread_mutex_lock(&self->lock);
    int same = there && now.st_ino == self->file.st_ino && now.st_dev == self->file.st_dev;
    if (self->ready && !same) {
        self->vanished = 1;
        pthread_cond_signal(&self->work);
    }
    int use = self->ready && self->watching;
    pthread_mutex_unlock(&self->lock);
    return same && use;
}

/* Empties the event queues; 1 if there was anything. */
static int drain(int fd)
{
    _Alignas(struct inotify_event) char bytes[4096];
    int any = 0;
    while (fd >= 0 && read(fd, bytes, sizeof bytes) > 0)
        any = 1;
    return any;
}

/* What cannot be moved now, because somebody reads or moves it, is due again at the next look. */
static void checkpoint(keeper *k)
{
    lc_sqlite *self = k->self;
    pthread_mutex_lock(&self->lock);
    int due = self->checkpoint_due;
    self->checkpoint_due = 0;
    pthread_mutex_unlock(&self->lock);
    if (!due)
        return;
    int all = -1, moved = 0;
    int rc = sqlite3_wal_checkpoint_v2(k->connection->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &all, &moved);
    if (rc == SQLITE_OK && moved == all)
        return;
    pthread_mutex_lock(&self->lock);
    self->checkpoint_due = 1;
    pthread_mutex_unlock(&self->lock);
}

static int wait_ms(const keeper *k)
{
    if (k->gap_ms)
        return k->gap_ms;
    return k->events < 0 && k->connection ? BLIND_MS : SLOW_LOOK_MS;
}

/* Lets go of a connection to a file that is not the one now open, and tells when memory is not to be trusted. */
static void follow_file(keeper *k)
{
    lc_sqlite *self = k->self;
    pthread_mutex_lock(&self->lock);
    uint64_t epoch = self->epoch;
    int ready = self->ready;
    pthread_mutex_unlock(&self->lock);
    if (k->connection && (!ready || k->connection->epoch != epoch))
        close_connection(k);
    if (!k->connection && ready)
        open_connection(k);
    pthread_mutex_lock(&self->lock);
    int lost = self->lost && self->watching;
    self->lost = 0;
    pthread_mutex_unlock(&self->lock);
    if (lost)
        distrust(self);
}

static void round_of(keeper *k)
{
    struct pollfd fds[] = {{.fd = k->self->wake_keeper, .events = POLLIN},
                           {.fd = k->events, .events = POLLIN}};
    int any = k->busy ? poll(fds, 1, REST_MS) : poll(fds, 2, wait_ms(k));
    drain(k->self->wake_keeper);
    int written = drain(k->events);
    k->busy = written;
    follow_file(k);
    int64_t now_ms = lc_mono_ms();
    int ours = 0, fine = 0;
    if (now_ms >= k->slow_look_ms || any == 0) {
        ours = check_file(k->self);
        k->slow_look_ms = now_ms + SLOW_LOOK_MS;
    }
    if (!k->connection)
        return;
    int changed = look(k, &fine);
    if (written || changed)
        k->gap_ms = 1;
    else if (k->gap_ms)
        k->gap_ms = k->gap_ms < LAST_GAP_MS ? 2 * k->gap_ms : 0;
    follow_file(k);
    if (ours && fine)
        lc_watch_current(&k->self->watch, now_ms);
    if (k->connection)
        checkpoint(k); /* may take long */
}

void *lc_sqlite_keeper_run(void *argument)
{
    keeper k = {.self = argument, .events = -1};
    follow_file(&k);
    for (int closing = 0; !closing;) {
        pthread_mutex_lock(&k.self->lock);
        closing = k.self->closing;
        pthread_mutex_unlock(&k.self->lock);
        if (!closing)
            round_of(&k);
    }
    close_connection(&k);
    return NULL;
}

/*
 * Going over all rows of the SQLite store, a page at a time: rows are copied out, so that no read is open and no
 * connection is taken while the caller works on them. Pages are told apart by the row's number, so what is put
 * or removed meanwhile does no harm.
 */
#include "store/sqlite_store.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#define PAGE_ROWS  256
#define PAGE_BYTES ((size_t)4 << 20)

/* What is walked over, and the page it has come to. */
typedef struct walk {
    enum lc_sqlite_statement which; /* LC_SQL_PAGE or LC_SQL_VECTORS */
    int part;
    const char *space;
    int64_t now_ms;
    lc_entry *entries[PAGE_ROWS];
    size_t count, bytes;
    int64_t last_id;
    uint64_t damaged;
    int end;
} walk;

static void bind_page(sqlite3_stmt *statement, const walk *w)
{
    sqlite3_bind_int64(statement, 1, w->last_id);
    if (w->space)
        sqlite3_bind_text(statement, 2, w->space, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, 2);
    sqlite3_bind_int(statement, 3, PAGE_ROWS);
}

/* Takes the current row into the page; LLMCACHE_MEMORY or 0. */
static int take_row(walk *w, lc_sqlite_connection *connection, sqlite3_stmt *statement)
{
    llmcache_entry entry;
    lc_sqlite_row row;
    int code = w->which == LC_SQL_VECTORS ? lc_sqlite_read_vector(connection, statement, &entry, &row)
                                          : lc_sqlite_read(connection, statement, w->part, &entry, &row);
    w->last_id = row.id;
    if (code == LLMCACHE_CORRUPT) {
        w->damaged++;
        return 0;
    }
    if (!code && entry.expires_ms && entry.expires_ms <= w->now_ms)
        return 0;
    lc_entry *copy = code ? NULL : lc_entry_new_record(&entry);
    if (!copy)
        return LLMCACHE_MEMORY;
    w->bytes += copy->bytes;
    w->entries[w->count++] = copy;
    return 0;
}

static int read_page(lc_sqlite *self, lc_sqlite_connection *connection, walk *w, int *rc,
                     llmcache_error *err)
{
    int code = 0;
    size_t rows = 0;
    sqlite3_stmt *statement = lc_sqlite_statement(connection, w->which, w->part, rc);
    if (!statement)
        return lc_sqlite_fail(*rc, "reading", self->path, err);
    bind_page(statement, w);
    w->bytes = 0;
    while (!code && w->bytes < PAGE_BYTES && (*rc = sqlite3_step(statement)) == SQLITE_ROW) {
        code = take_row(w, connection, statement);
        rows++;
    }
    w->end = *rc == SQLITE_DONE && rows < PAGE_ROWS;
    sqlite3_reset(statement);
    if (code)
        return lc_fail_memory(err);
    return *rc == SQLITE_DONE || *rc == SQLITE_ROW ? 0 : lc_sqlite_fail(*rc, "reading", self->path, err);
}

static int next_page(lc_sqlite *self, walk *w, llmcache_error *err)
{
    lc_sqlite_connection *connection;
    int rc = SQLITE_OK;
    int code = lc_sqlite_lend(self, lc_mono_ms() + self->connect_ms, &connection, err);
    if (code)
        return code;
    code = read_page(self, connection, w, &rc, err);
    lc_sqlite_report(self, connection, rc);
    lc_sqlite_give_back(self, connection);
    return code;
}

static int run(lc_sqlite *self, const walk *from, llmcache_entry_fn fn, void *user, uint64_t *damaged,
               llmcache_error *err)
{
    walk *w = lc_memdup(from, sizeof *from);
    if (!w)
        return lc_fail_memory(err);
    int code = 0, stop = 0;
    while (!code && !stop && !w->end) {
        w->count = 0;
        code = next_page(self, w, err);
        for (size_t i = 0; i < w->count; i++) {
            if (!code && !stop)
                stop = fn(user, &w->entries[i]->facts);
            lc_entry_unref(w->entries[i]);
        }
    }
    if (damaged)
        *damaged = w->damaged;
    lc_free(w);
    return code;
}

int lc_sqlite_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn, void *user,
                   uint64_t *damaged, llmcache_error *err)
{
    walk w = {.which = LC_SQL_PAGE, .part = part, .space = space, .now_ms = now_ms};
    return run(self, &w, fn, user, damaged, err);
}

int lc_sqlite_each_vector(void *self, int64_t now_ms, llmcache_entry_fn fn, void *user, uint64_t *damaged,
                          llmcache_error *err)
{
    walk w = {.which = LC_SQL_VECTORS, .part = LLMCACHE_PART_EMBED, .now_ms = now_ms};
    return run(self, &w, fn, user, damaged, err);
}

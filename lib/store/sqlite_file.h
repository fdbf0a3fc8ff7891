/*
 * The SQLite store's file: where it is, opening it, its schema, and setting a damaged one aside.
 */
#ifndef LC_STORE_SQLITE_FILE_H
#define LC_STORE_SQLITE_FILE_H

#include <llmcache/llmcache.h>
#include <sqlite3.h>
#include <sys/stat.h>

#define LC_SQLITE_PAGE_SIZE 4096

/*
 * The path a URI's rest means: "" is llmcache/cache.db in the XDG cache folder; a leading ~/ is the home folder.
 * Free *path with lc_free.
 */
int lc_sqlite_path(const char *given, char **path, llmcache_error *err);

/* What a connection's busy handler goes by: it gives up at this monotonic time. */
typedef struct lc_sqlite_patience {
    int64_t until_ms;
} lc_sqlite_patience;

/* Opens a connection to an existing file, for one thread at a time. */
int lc_sqlite_connect(const char *path, lc_sqlite_patience *patience, sqlite3 **db,
                      llmcache_error *err);

/*
 * Opens for the one writer: makes folder (0700) and file (0600) if absent, switches to WAL, brings the schema
 * up to date. LLMCACHE_CORRUPT when the file is damaged, *damaged then says which file it was.
 */
int lc_sqlite_open_writer(const char *path, lc_sqlite_patience *patience, sqlite3 **db,
                          struct stat *damaged, llmcache_error *err);

/*
 * Renames the damaged file (and its WAL) to <path>.damaged-<ms>, unless another process has done so
 * already. `name`, of `size` bytes, receives the new name, "" when it was done by another.
 */
int lc_sqlite_set_aside(const char *path, const struct stat *damaged, char *name, size_t size,
                        llmcache_error *err);

/* Runs the steps the file has not seen yet, in one transaction. LLMCACHE_STORE for the file of a newer
 * version or of another program. */
int lc_sqlite_migrate(sqlite3 *db, const char *const *steps, int count, llmcache_error *err);

/* Turns a result code into ours with a message: "sqlite: writing /path: disk is full". */
int lc_sqlite_fail(int rc, const char *doing, const char *path, llmcache_error *err);

/* Does this result code say that the file is damaged? */
int lc_sqlite_is_damage(int rc);

#endif

/*
 * Opening the file. The file is made by us and not by SQLite, so that it is never readable by others, and the
 * WAL and its index inherit that. Two processes that both find the file damaged must not set the new one
 * aside again: the renaming is done under a lock on the folder, by who finds the damaged inode still there.
 */
#include "store/sqlite_file.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* ---- Errors ------------------------------------------------------------------------------------ */

int lc_sqlite_is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

int lc_sqlite_fail(int rc, const char *doing, const char *path, llmcache_error *err)
{
    int code = LLMCACHE_STORE;
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return lc_fail_memory(err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return lc_fail(err, LLMCACHE_TIMEOUT, "sqlite: %s %s: locked by another process", doing, path);
    case SQLITE_TOOBIG:
        code = LLMCACHE_TOO_LARGE;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = LLMCACHE_CORRUPT;
        break;
    default:
        break;
    }
    return lc_fail(err, code, "sqlite: %s %s: %s", doing, path, sqlite3_errstr(rc));
}

static int fail_system(const char *doing, const char *path, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_STORE, "sqlite: %s %s: %s", doing, path, strerror(errno));
}

/* ---- The path ---------------------------------------------------------------------------------- */

static int home_folder(lc_buffer *out)
{
    const char *home = getenv("HOME");
    if (home && *home == '/')
        return lc_buffer_text(out, home);
    char strings[1024];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(getuid(), &entry, strings, sizeof strings, &found) == 0 && found &&
        *found->pw_dir == '/')
        return lc_buffer_text(out, found->pw_dir);
    return LLMCACHE_NOT_FOUND;
}

/* The XDG base directory specification: relative values are to be ignored. */
static int cache_folder(lc_buffer *out)
{
    const char *xdg = getenv("XDG_CACHE_HOME");
    if (xdg && *xdg == '/')
        return lc_buffer_text(out, xdg);
    int code = home_folder(out);
    return code ? code : lc_buffer_text(out, "/.cache");
}

int lc_sqlite_path(const char *given, char **path, llmcache_error *err)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    int code = 0;
    if (strncmp(given, "///", 3) == 0) /* sqlite:///path, as in other programs' URLs */
        given += 2;
    if (*given == '\0') {
        code = cache_folder(&out);
        lc_buffer_text(&out, "/llmcache/cache.db");
    } else if (strncmp(given, "~/", 2) == 0) {
        code = home_folder(&out);
        lc_buffer_text(&out, given + 1);
    } else if (*given == ':' || strncmp(given, "//", 2) == 0 || given[strlen(given) - 1] == '/') {
        code = LLMCACHE_SETTING;
    } else {
        lc_buffer_text(&out, given);
    }
    if (!code && !out.broken) {
        *path = lc_buffer_take(&out, NULL);
        return 0;
    }
    lc_buffer_done(&out);
    if (code == LLMCACHE_NOT_FOUND)
        return lc_fail(err, LLMCACHE_SETTING, "store: there is no home folder; say where: sqlite:/path/to/file");
    return code ? lc_fail(err, code, "store: \"sqlite:%.100s\" names no file; as in sqlite:/path/to/file",
                          given)
                : lc_fail_memory(err);
}

/* Makes the folders above the file. */
static int make_folders(const char *path, llmcache_error *err)
{
    char *copy = lc_strdup(path);
    if (!copy)
        return lc_fail_memory(err);
    int code = 0;
    for (char *slash = strchr(copy + 1, '/'); slash && !code; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) && errno != EEXIST && access(copy, F_OK))
            code = fail_system("making the folder", copy, err);
        *slash = '/';
    }
    lc_free(copy);
    return code;
}

/* ---- Connections ------------------------------------------------------------------------------- */

static int wait_a_little(void *user, int tries)
{
    const lc_sqlite_patience *patience = user;
    if (lc_mono_ms() >= patience->until_ms)
        return 0;
    lc_sleep_ms(tries < 5 ? 1 : 3);
    return 1;
}

int lc_sqlite_connect(const char *path, lc_sqlite_patience *patience, sqlite3 **db,
                      llmcache_error *err)
{
    sqlite3 *made = NULL;
    int rc = sqlite3_open_v2(path, &made, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(made, 1);
        sqlite3_busy_handler(made, wait_a_little, patience);
        sqlite3_db_config(made, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        rc = sqlite3_exec(made,
                          "PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF;"
                          "PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;"
                          "PRAGMA cell_size_check=ON",
                          NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK) {
        sqlite3_close(made);
        return lc_sqlite_fail(rc, "opening", path, err);
    }
    *db = made;
    return 0;
}

static int read_number(sqlite3 *db, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    int end = sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? SQLITE_OK : end ? end : SQLITE_CORRUPT;
}

/* Switching to WAL needs the file for a moment; SQLite does not always call the busy handler here. */
static int switch_to_wal(sqlite3 *db, lc_sqlite_patience *patience)
{
    for (int tries = 0;; tries++) {
        int rc = sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA journal_size_limit=67108864",
                              NULL, NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY || !wait_a_little(patience, tries))
            return rc;
    }
}

/* ---- The schema -------------------------------------------------------------------------------- */

#define AS_TEXT(x) #x
#define TEXT_OF(x) AS_TEXT(x)

#define APPLICATION_ID 0x4c4c4d43 /* "LLMC" */

/* Columns that all parts have, before what each has more. */
#define FACTS                                                                                  \
    "id INTEGER PRIMARY KEY, space TEXT NOT NULL, fingerprint BLOB NOT NULL,"                  \
    " partition BLOB NOT NULL, protocol TEXT NOT NULL, model TEXT NOT NULL,"                   \
    " question TEXT NOT NULL, tags TEXT NOT NULL, created_ms INTEGER NOT NULL,"                \
    " expires_ms INTEGER NOT NULL, model_ms INTEGER NOT NULL, input_tokens INTEGER NOT NULL,"  \
    " output_tokens INTEGER NOT NULL, stale_ms INTEGER NOT NULL, cost_nano INTEGER NOT NULL,"     \
    " flags INTEGER NOT NULL, checksum INTEGER NOT NULL,"

/* Every change leaves a line in `changes`, which other processes read, and moves the totals. */
#define WATCH(name, part)                                                                      \
    "CREATE TRIGGER " name "_added AFTER INSERT ON " name " BEGIN"                             \
    " INSERT INTO changes(part, space, fingerprint) VALUES(" part ", NEW.space, NEW.fingerprint);" \
    " UPDATE totals SET rows = rows + 1 WHERE part = " part "; END;"                           \
    "CREATE TRIGGER " name "_changed AFTER UPDATE ON " name " BEGIN"                           \
    " INSERT INTO changes(part, space, fingerprint) VALUES(" part ", OLD.space, OLD.fingerprint); END;" \
    "CREATE TRIGGER " name "_removed AFTER DELETE ON " name " BEGIN"                           \
    " INSERT INTO changes(part, space, fingerprint) VALUES(" part ", OLD.space, OLD.fingerprint);" \
    " UPDATE totals SET rows = rows - 1 WHERE part = " part "; END;"

#define INDEXES(name)                                                                          \
    "CREATE UNIQUE INDEX " name "_key ON " name "(fingerprint, space);"                        \
    "CREATE INDEX " name "_expiry ON " name "(expires_ms) WHERE expires_ms > 0;"

static const char *const steps[] = {
    "CREATE TABLE changes(seq INTEGER PRIMARY KEY, part INTEGER NOT NULL, space TEXT NOT NULL,"
    " fingerprint BLOB NOT NULL);"
    "CREATE TABLE totals(part INTEGER PRIMARY KEY, rows INTEGER NOT NULL);"
    "INSERT INTO totals VALUES(1, 0), (2, 0);"
    "CREATE TABLE prompt_cache(" FACTS " body TEXT NOT NULL);"
    INDEXES("prompt_cache") WATCH("prompt_cache", "1")
    "CREATE TABLE embed_cache(" FACTS " embedder TEXT NOT NULL, vector BLOB NOT NULL,"
    " body TEXT NOT NULL);"
    INDEXES("embed_cache") WATCH("embed_cache", "2"),

    "INSERT INTO totals VALUES(4, 0);"
    "CREATE TABLE observation_cache(" FACTS " body TEXT NOT NULL);"
    INDEXES("observation_cache") WATCH("observation_cache", "4"),

    "ALTER TABLE prompt_cache ADD COLUMN shape TEXT NOT NULL DEFAULT '';",

    "CREATE TABLE lease(fingerprint BLOB NOT NULL, space TEXT NOT NULL, lane INTEGER NOT NULL,"
    " holder TEXT NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY(fingerprint, space, lane));"
    "CREATE TRIGGER lease_given_up AFTER UPDATE ON lease WHEN NEW.holder = '' BEGIN"
    " INSERT INTO changes(part, space, fingerprint) VALUES(8, NEW.space, NEW.fingerprint); END;",

    "ALTER TABLE lease ADD COLUMN lasts_ms INTEGER NOT NULL DEFAULT 0;",
};

/* The file's version; an error when it is not ours to touch. */
static int read_version(sqlite3 *db, int known, int64_t *version, llmcache_error *err)
{
    const char *path = sqlite3_db_filename(db, "main");
    int64_t application = 0, tables = 0;
    /* All three from one moment: another process may be making the file just now. */
    int alone = sqlite3_get_autocommit(db);
    int rc = alone ? sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) : SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = read_number(db, "PRAGMA user_version", version);
    if (rc == SQLITE_OK)
        rc = read_number(db, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (alone)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return lc_sqlite_fail(rc, "reading", path, err);
    if (application != APPLICATION_ID && (application || *version || tables))
        return lc_fail(err, LLMCACHE_STORE, "sqlite: %s is the database of another program", path);
    if (*version > known)
        return lc_fail(err, LLMCACHE_STORE,
                       "sqlite: %s was written by a newer llmcache (its schema is %lld, this one knows %d)",
                       path, (long long)*version, known);
    return 0;
}

static int run_steps(sqlite3 *db, const char *const *all, int from, int count)
{
    char pragma[96];
    int rc = SQLITE_OK;
    for (int i = from; i < count && rc == SQLITE_OK; i++)
        rc = sqlite3_exec(db, all[i], NULL, NULL, NULL);
    snprintf(pragma, sizeof pragma, "PRAGMA user_version=%d; PRAGMA application_id=%d", count,
             APPLICATION_ID);
    return rc == SQLITE_OK ? sqlite3_exec(db, pragma, NULL, NULL, NULL) : rc;
}

int lc_sqlite_migrate(sqlite3 *db, const char *const *all, int count, llmcache_error *err)
{
    const char *path = sqlite3_db_filename(db, "main");
    int64_t version;
    int code = read_version(db, count, &version, err);
    if (code || version == count)
        return code;
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return lc_sqlite_fail(rc, "preparing", path, err);
    /* Another process may have done it while we waited. */
    code = read_version(db, count, &version, err);
    if (!code && version < count)
        rc = run_steps(db, all, (int)version, count);
    if (!code && rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (!code && rc == SQLITE_OK)
        return 0;
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code ? code : lc_sqlite_fail(rc, "preparing", path, err);
}

/* ---- The writer's connection ------------------------------------------------------------------- */

/* The schema, in a file that may be anything. */
static int set_up(sqlite3 *db, lc_sqlite_patience *patience, llmcache_error *err)
{
    const char *path = sqlite3_db_filename(db, "main");
    int known = sizeof steps / sizeof steps[0];
    int64_t version;
    int code = read_version(db, known, &version, err);
    if (code)
        return code;
    /* Both only take effect on a file that is still empty. */
    int rc = version ? SQLITE_OK
                     : sqlite3_exec(db, "PRAGMA page_size=" TEXT_OF(LC_SQLITE_PAGE_SIZE)
                                        "; PRAGMA auto_vacuum=INCREMENTAL",
                                    NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = switch_to_wal(db, patience);
    if (rc != SQLITE_OK)
        return lc_sqlite_fail(rc, "preparing", path, err);
    return lc_sqlite_migrate(db, steps, known, err);
}

/*
 * Makes the file if there is none, and says which one it is. An existing one is not opened here: closing a
 * descriptor would release the locks that other connections of this process hold on it.
 */
static int find_or_make(const char *path, struct stat *file, llmcache_error *err)
{
    if (stat(path, file) && errno == ENOENT) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return fail_system("making", path, err);
        if (fd >= 0)
            close(fd);
    }
    if (stat(path, file))
        return fail_system("opening", path, err);
    return S_ISREG(file->st_mode) ? 0
                                  : lc_fail(err, LLMCACHE_STORE, "sqlite: %s is not a file", path);
}

int lc_sqlite_open_writer(const char *path, lc_sqlite_patience *patience, sqlite3 **db,
                          struct stat *damaged, llmcache_error *err)
{
    struct stat file;
    sqlite3 *made;
    int code = make_folders(path, err);
    if (!code)
        code = find_or_make(path, &file, err);
    if (!code)
        code = lc_sqlite_connect(path, patience, &made, err);
    if (!code) {
        code = set_up(made, patience, err);
        if (code)
            sqlite3_close(made);
        else
            *db = made;
    }
    if (code == LLMCACHE_CORRUPT)
        *damaged = file;
    return code;
}

/* ---- Setting aside ----------------------------------------------------------------------------- */

/* The folder of a file, opened and locked; -1 when that cannot be. */
static int lock_folder(const char *path)
{
    char *copy = lc_strdup(path);
    if (!copy)
        return -1;
    char *slash = strrchr(copy, '/');
    if (slash)
        slash[slash == copy] = '\0';
    int fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    lc_free(copy);
    if (fd >= 0 && flock(fd, LOCK_EX)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Renames file and WAL; the WAL's index is made anew from it by who looks at the damaged file. */
static int rename_all(const char *path, const char *aside, llmcache_error *err)
{
    lc_buffer from, to;
    lc_buffer_init(&from, 0);
    lc_buffer_init(&to, 0);
    lc_buffer_format(&from, "%s-wal", path);
    int code = lc_buffer_format(&to, "%s-wal", aside) || from.broken ? lc_fail_memory(err) : 0;
    if (!code && rename(path, aside))
        code = fail_system("setting aside", path, err);
    if (!code)
        rename(from.data, to.data);
    lc_buffer_clear(&from);
    if (!code && lc_buffer_format(&from, "%s-shm", path) == 0)
        unlink(from.data);
    lc_buffer_done(&from);
    lc_buffer_done(&to);
    return code;
}

int lc_sqlite_set_aside(const char *path, const struct stat *damaged, char *name, size_t size,
                        llmcache_error *err)
{
    struct stat now;
    lc_buffer aside;
    *name = '\0';
    int folder = lock_folder(path);
    if (folder < 0)
        return fail_system("setting aside", path, err);
    int code = 0;
    if (stat(path, &now) == 0 && now.st_ino == damaged->st_ino && now.st_dev == damaged->st_dev) {
        lc_buffer_init(&aside, 0);
        code = lc_buffer_format(&aside, "%s.damaged-%lld", path, (long long)lc_wall_ms())
                   ? lc_fail_memory(err)
                   : rename_all(path, aside.data, err);
        if (!code)
            snprintf(name, size, "%s", aside.data);
        lc_buffer_done(&aside);
    }
    close(folder);
    return code;
}

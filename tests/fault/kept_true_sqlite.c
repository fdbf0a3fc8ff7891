/* One SQLite file that four processes have open. */
#include "kept_true_book.h"
#include "kept_true_engine.h"
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 10000 };

static const char *path;

static const char *missing(void)
{
    return NULL;
}

static void start(void)
{
    path = test_format("%s/cache.db", test_folder());
}

static const char *uri(int server)
{
    (void)server;
    return test_format("sqlite:%s", path);
}

/* 1 when it was committed. */
static int say(const char *sql)
{
    sqlite3 *db = NULL;
    int fine = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
               sqlite3_busy_timeout(db, PATIENCE_MS) == SQLITE_OK &&
               sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return fine;
}

static int remove_one(const char *id, int parts)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE;"
             "DELETE FROM prompt_cache WHERE %d AND lower(hex(substr(fingerprint, 1, 10))) = '%s';"
             "DELETE FROM embed_cache WHERE %d AND lower(hex(substr(fingerprint, 1, 10))) = '%s'; COMMIT",
             (parts & BOOK_EXACT) != 0, id, (parts & BOOK_SEMANTIC) != 0, id);
    return say(sql);
}

static int remove_all(void)
{
    return say("BEGIN IMMEDIATE; DELETE FROM prompt_cache; DELETE FROM embed_cache; COMMIT");
}

static int overwrite(const char *id, int number)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "UPDATE prompt_cache SET checksum = 0, body = substr(body, 1, instr(body, '(call ') + 5) || '%d' ||"
             " substr(body, instr(body, '(call ') + 5 + instr(substr(body, instr(body, '(call ') + 6), ')'))"
             " WHERE lower(hex(substr(fingerprint, 1, 10))) = '%s'",
             number, id);
    return say(sql);
}

static void checkpoint(uint64_t random)
{
    say(random % 2 ? "PRAGMA wal_checkpoint(TRUNCATE)" : "VACUUM");
}

static const kept_trouble troubles[] = {
    {"the file is tidied up", checkpoint, NULL, 0},
    {0},
};

const kept_engine kept_engine_here = {
    .name = "sqlite", .missing = missing, .start = start, .uri = uri, .remove = remove_one,
    .remove_all = remove_all, .overwrite = overwrite, .troubles = troubles};

/* The suite over sqlite:, with a file of the test's own. */
#include "store_fixture.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static const char *path;

static const char *start(lc_store_options *options)
{
    path = test_format("%s/cache.db", test_folder());
    return test_format("sqlite:%s", path);
}

/* A connection as the sqlite3 shell has it. */
static sqlite3 *outside(void)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    return db;
}

static const char *table(int part)
{
    return part == LLMCACHE_PART_PROMPT        ? "prompt_cache"
           : part == LLMCACHE_PART_OBSERVATION ? "observation_cache"
                                               : "embed_cache";
}

static void run(sqlite3 *db, const char *sql, const llmcache_key *a, const llmcache_key *b)
{
    const llmcache_key *keys[] = {a, b};
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    for (int i = 0; i < 2 && keys[i]; i++) {
        sqlite3_bind_blob(statement, 2 * i + 1, keys[i]->fingerprint, LLMCACHE_FINGERPRINT_SIZE, NULL);
        sqlite3_bind_text(statement, 2 * i + 2, keys[i]->space, -1, NULL);
    }
    cr_assert_eq(sqlite3_step(statement), SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
}

static void damage(enum store_damage how, int part, const llmcache_key *key, const llmcache_key *other)
{
    sqlite3 *db = outside();
    const char *t = table(part);
    const char *this = "fingerprint=?1 AND space=?2";
    switch (how) {
    case DAMAGE_FACTS:
        run(db, test_format("UPDATE %s SET partition=x'00' WHERE %s", t, this), key, NULL);
        break;
    case DAMAGE_BODY:
        run(db, test_format("UPDATE %s SET body=substr(body, 1, length(body) / 2) WHERE %s", t, this),
            key, NULL);
        break;
    case DAMAGE_OTHER_KEY:
        run(db, test_format("DELETE FROM %s WHERE %s", t, this), key, NULL);
        run(db, test_format("UPDATE %s SET fingerprint=?1, space=?2 WHERE fingerprint=?3 AND space=?4", t),
            key, other);
        break;
    }
    sqlite3_close(db);
}

static void wipe(int part)
{
    sqlite3 *db = outside();
    run(db, test_format("DELETE FROM %s", table(part)), NULL, NULL);
    sqlite3_close(db);
}

static int64_t left(void)
{
    sqlite3 *db = outside();
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT (SELECT count(*) FROM prompt_cache)"
                                        " + (SELECT count(*) FROM embed_cache)"
                                        " + (SELECT count(*) FROM observation_cache)",
                                    -1, &statement, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

static void set_clock_back(void)
{
    sqlite3 *db = outside();
    run(db, "UPDATE lease SET until_ms = until_ms + 3600000", NULL, NULL);
    sqlite3_close(db);
}

const store_fixture fixture = {.name = "sqlite", .persistent = 1, .start = start, .damage = damage,
                               .wipe = wipe, .left = left, .set_clock_back = set_clock_back};

/* The SQLite store's file: where it is, who may read it, its schema over the versions, its size. */
#include "base/memory.h"
#include "store/memory_cache.h"
#include "store/sqlite_file.h"
#include "store/store.h"
#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT 10000

static const lc_store_options options = {.connect_ms = 1000};

static lc_store open_uri(const char *uri)
{
    lc_store store;
    llmcache_error err = {0};
    cr_assert_eq(lc_store_open(uri, &options, &store, &err), 0, "%s", err.message);
    return store;
}

static int put_at(lc_store *store, uint64_t number, size_t size, int64_t expires_ms)
{
    char *body = calloc(1, size + 1);
    memset(body, 'b', size);
    float vector[8] = {1};
    llmcache_error err;
    llmcache_entry entry = {.struct_size = sizeof entry, .space = "default", .protocol = "chat",
                            .model = "m", .question = "q", .tags = "", .embedder = "e", .body = body,
                            .body_size = size, .vector = vector, .dimension = 8, .expires_ms = expires_ms};
    memcpy(entry.fingerprint, &number, sizeof number);
    int code = store->ops.put(store->self, LLMCACHE_PART_BOTH, &entry, WAIT, &err);
    free(body);
    return code;
}

static int put(lc_store *store, uint64_t number)
{
    return put_at(store, number, 1000, 0);
}

static int keep_entry(void *user, const llmcache_entry *entry)
{
    *(lc_entry **)user = lc_entry_new_record(entry);
    return 0;
}

static mode_t mode_of(const char *path)
{
    struct stat file;
    return stat(path, &file) ? 0 : file.st_mode & 07777;
}

static off_t size_of(const char *path)
{
    struct stat file;
    return stat(path, &file) ? 0 : file.st_size;
}

static int64_t number_in(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, WAIT);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static void run_in(const char *path, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, WAIT);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, &message), SQLITE_OK, "%s", message);
    sqlite3_close(db);
}

TestSuite(sqlite_file, .timeout = 60);

/* ---- Where ----------------------------------------------------------------------------------------- */

static void path_is(const char *given, const char *wanted)
{
    char *path;
    llmcache_error err = {0};
    cr_assert_eq(lc_sqlite_path(given, &path, &err), 0, "%s", err.message);
    cr_assert_str_eq(path, wanted);
    lc_free(path);
}

Test(sqlite_file, is_where_the_uri_says)
{
    setenv("HOME", "/home/someone", 1);
    setenv("XDG_CACHE_HOME", "/var/tmp/xdg", 1);
    path_is("", "/var/tmp/xdg/llmcache/cache.db");
    path_is("/a/b.db", "/a/b.db");
    path_is("///a/b.db", "/a/b.db");
    path_is("b.db", "b.db");
    path_is("~/b.db", "/home/someone/b.db");
    setenv("XDG_CACHE_HOME", "relative", 1);
    path_is("", "/home/someone/.cache/llmcache/cache.db");
    unsetenv("XDG_CACHE_HOME");
    path_is("", "/home/someone/.cache/llmcache/cache.db");
}

Test(sqlite_file, uris_without_a_file_are_refused)
{
    const char *wrong[] = {"sqlite::memory:", "sqlite://host/path", "sqlite:/folder/", "sqlite", "sqlit:/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        lc_store store;
        llmcache_error err;
        cr_assert_eq(lc_store_open(wrong[i], &options, &store, &err), LLMCACHE_SETTING, "%s", wrong[i]);
    }
}

Test(sqlite_file, belongs_to_its_user_alone)
{
    const char *folder = test_folder(), *path = test_format("%s/xdg/llmcache/cache.db", folder);
    umask(0);
    setenv("XDG_CACHE_HOME", test_format("%s/xdg", folder), 1);
    lc_store store = open_uri("sqlite:");
    cr_assert_eq(put(&store, 1), 0);
    cr_assert_eq(mode_of(test_format("%s/xdg", folder)), 0700);
    cr_assert_eq(mode_of(test_format("%s/xdg/llmcache", folder)), 0700);
    cr_assert_eq(mode_of(path), 0600);
    cr_assert_eq(mode_of(test_format("%s-wal", path)), 0600);
    cr_assert_eq(mode_of(test_format("%s-shm", path)), 0600);
    lc_store_close(&store);
    cr_assert_not(test_exists(test_format("%s-wal", path)), "the last to close leaves one file");
}

/* ---- Schema ---------------------------------------------------------------------------------------- */

Test(sqlite_file, has_the_schema_it_says)
{
    const char *path = test_format("%s/cache.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    cr_assert_eq(put(&store, 1), 0);
    cr_assert_eq(number_in(path, "PRAGMA user_version"), 5);
    cr_assert_eq(number_in(path, "PRAGMA application_id"), 0x4c4c4d43);
    cr_assert_eq(number_in(path, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
    cr_assert_eq(number_in(path, "SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%WITHOUT ROWID%'"), 0);
    cr_assert_eq(number_in(path, "SELECT count(*) FROM prompt_cache WHERE body LIKE 'bbb%'"), 1,
                 "readable with the shell");
    lc_store_close(&store);
}

static int shape_is_empty(void *user, const llmcache_entry *entry)
{
    *(int *)user += entry->shape && !*entry->shape;
    return 0;
}

/* A file from before entries had shapes: all of it is still there, and new ones get theirs. */
Test(sqlite_file, entries_without_a_shape_stay)
{
    const char *path = test_format("%s/cache.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    cr_assert_eq(put(&store, 1), 0);
    lc_store_close(&store);
    run_in(path, "ALTER TABLE prompt_cache DROP COLUMN shape; DROP TABLE lease; PRAGMA user_version=2");
    store = open_uri(test_format("sqlite:%s", path));
    llmcache_error err;
    int empty = 0;
    cr_assert_eq(store.ops.each(store.self, LLMCACHE_PART_PROMPT, NULL, 0, shape_is_empty, &empty, NULL,
                                &err), 0, "%s", err.message);
    cr_assert_eq(empty, 1);
    cr_assert_eq(put(&store, 2), 0);
    cr_assert_eq(number_in(path, "PRAGMA user_version"), 5);
    lc_store_close(&store);
}

static const char *const two_steps[] = {
    "CREATE TABLE a(x); INSERT INTO a VALUES(1)",
    "ALTER TABLE a ADD COLUMN y DEFAULT 7",
};
static const char *const bad_step[] = {
    "CREATE TABLE a(x); INSERT INTO a VALUES(1)",
    "ALTER TABLE a ADD COLUMN y DEFAULT 7; INSERT INTO nowhere VALUES(1)",
};

static int migrate(const char *path, const char *const *steps, int count, llmcache_error *err)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    int code = lc_sqlite_migrate(db, steps, count, err);
    sqlite3_close(db);
    return code;
}

Test(sqlite_file, migrates_step_by_step)
{
    const char *path = test_format("%s/m.db", test_folder());
    llmcache_error err;
    cr_assert_eq(migrate(path, two_steps, 1, &err), 0);
    cr_assert_eq(number_in(path, "PRAGMA user_version"), 1);
    cr_assert_eq(migrate(path, two_steps, 1, &err), 0, "nothing to do");
    cr_assert_eq(number_in(path, "SELECT count(*) FROM a"), 1);
    cr_assert_eq(migrate(path, two_steps, 2, &err), 0);
    cr_assert_eq(number_in(path, "PRAGMA user_version"), 2);
    cr_assert_eq(number_in(path, "SELECT y FROM a"), 7, "what was there stays");
    cr_assert_eq(migrate(path, two_steps, 1, &err), LLMCACHE_STORE, "never back");
    cr_assert_eq(number_in(path, "PRAGMA user_version"), 2);
    const char *fresh = test_format("%s/f.db", test_folder());
    cr_assert_eq(migrate(fresh, two_steps, 2, &err), 0, "all at once");
    cr_assert_eq(number_in(fresh, "SELECT y FROM a"), 7);
}

Test(sqlite_file, a_step_that_fails_changes_nothing)
{
    const char *path = test_format("%s/m.db", test_folder());
    llmcache_error err;
    cr_assert_eq(migrate(path, bad_step, 1, &err), 0);
    cr_assert_eq(migrate(path, bad_step, 2, &err), LLMCACHE_STORE);
    cr_assert_eq(number_in(path, "PRAGMA user_version"), 1);
    cr_assert_eq(number_in(path, "SELECT count(*) FROM pragma_table_info('a')"), 1);
    cr_assert_eq(migrate(path, two_steps, 2, &err), 0, "and can be done right later");
}

/* Back to what the version before left behind: no observations. */
static const char as_version_one[] =
    "DROP TABLE observation_cache; DELETE FROM totals WHERE part = 4; ALTER TABLE prompt_cache DROP COLUMN shape; DROP TABLE lease; PRAGMA user_version=1";

Test(sqlite_file, a_file_of_version_one_keeps_its_answers_and_takes_observations)
{
    const char *path = test_format("%s/cache.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    cr_assert_eq(put(&store, 1), 0);
    lc_store_close(&store);
    run_in(path, as_version_one);
    store = open_uri(test_format("sqlite:%s", path));
    cr_assert_eq(number_in(path, "PRAGMA user_version"), 5);
    cr_assert_eq(number_in(path, "SELECT count(*) FROM prompt_cache"), 1);
    cr_assert_eq(number_in(path, "SELECT rows FROM totals WHERE part = 2"), 1);
    llmcache_error err;
    llmcache_entry entry = {.struct_size = sizeof entry, .space = "default", .protocol = "chat",
                            .model = "m", .question = "q", .tags = "", .body = "{}", .body_size = 2};
    cr_assert_eq(store.ops.put(store.self, LLMCACHE_PART_OBSERVATION, &entry, WAIT, &err), 0);
    cr_assert_eq(number_in(path, "SELECT rows FROM totals WHERE part = 4"), 1);
    lc_store_close(&store);
}

typedef struct opener {
    const char *uri;
    int code;
} opener;

static void *open_and_put(void *user)
{
    opener *o = user;
    lc_store store = open_uri(o->uri);
    o->code = put(&store, (uint64_t)(uintptr_t)o);
    lc_store_close(&store);
    return NULL;
}

Test(sqlite_file, is_made_once_when_many_open_it_at_once)
{
    for (int round = 0; round < 10; round++) {
        const char *path = test_format("%s/cache.db", test_folder());
        pthread_t threads[6];
        opener openers[6];
        for (int i = 0; i < 6; i++) {
            openers[i] = (opener){test_format("sqlite:%s", path), -99};
            pthread_create(&threads[i], NULL, open_and_put, &openers[i]);
        }
        for (int i = 0; i < 6; i++) {
            pthread_join(threads[i], NULL);
            cr_assert_eq(openers[i].code, 0);
        }
        cr_assert_eq(number_in(path, "SELECT count(*) FROM prompt_cache"), 6);
        cr_assert_eq(number_in(path, "SELECT rows FROM totals WHERE part = 2"), 6);
    }
}

/* ---- Size -------------------------------------------------------------------------------------------- */

Test(sqlite_file, the_wal_is_moved_into_the_file_while_it_is_used)
{
    const char *path = test_format("%s/cache.db", test_folder());
    const char *wal = test_format("%s-wal", path);
    lc_store store = open_uri(test_format("sqlite:%s", path));
    for (uint64_t n = 0; n < 3000; n++)
        cr_assert_eq(put_at(&store, n, 10000, 0), 0);
    cr_assert(test_wait_until(size_of(path) > 40000000, WAIT), "%lld", (long long)size_of(path));
    /* A burst may outrun the disk; then the WAL begins anew and is cut to its limit. */
    cr_assert(test_wait_until(put_at(&store, 1, 10000, 0) == 0 && size_of(wal) < 65 << 20, 2 * WAIT),
              "%lld", (long long)size_of(wal));
    lc_store_close(&store);
}

Test(sqlite_file, shrinks_after_much_was_removed)
{
    const char *path = test_format("%s/cache.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    static llmcache_key keys[600];
    for (uint64_t n = 0; n < 600; n++) {
        keys[n].space = "default";
        memcpy(keys[n].fingerprint, &n, sizeof n);
        cr_assert_eq(put_at(&store, n, 10000, 0), 0);
    }
    int64_t before = number_in(path, "PRAGMA page_count");
    llmcache_error err;
    uint64_t removed;
    cr_assert_eq(store.ops.remove(store.self, LLMCACHE_PART_BOTH, keys, 600, WAIT, &removed, &err), 0);
    cr_assert_eq(removed, 600u);
    cr_assert(test_wait_until(number_in(path, "PRAGMA page_count") < before / 2, WAIT));
    lc_store_close(&store);
}

Test(sqlite_file, a_sweep_does_bounded_work)
{
    const char *path = test_format("%s/cache.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    llmcache_error err;
    for (uint64_t n = 0; n < 1200; n++)
        cr_assert_eq(put_at(&store, n, 10, 1000 + (int64_t)n), 0);
    cr_assert_eq(store.ops.sweep(store.self, 1000 + 1099, &err), 0);
    int64_t left = number_in(path, "SELECT count(*) FROM prompt_cache");
    cr_assert(left >= 600 && left < 1200, "%lld", (long long)left);
    for (int i = 0; i < 4; i++)
        store.ops.sweep(store.self, 1000 + 1099, &err);
    cr_assert_eq(number_in(path, "SELECT count(*) FROM prompt_cache"), 100);
    cr_assert_eq(number_in(path, "SELECT count(*) FROM embed_cache"), 100);
    lc_store_close(&store);
}

/* ---- Changes ------------------------------------------------------------------------------------------- */

typedef struct told {
    pthread_mutex_t lock;
    int changed, distrusted, trusted;
} told;

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    told *t = user;
    pthread_mutex_lock(&t->lock);
    t->changed++;
    pthread_mutex_unlock(&t->lock);
}

static void on_distrust(void *user)
{
    told *t = user;
    pthread_mutex_lock(&t->lock);
    t->distrusted++;
    pthread_mutex_unlock(&t->lock);
}

static void on_trust(void *user)
{
    told *t = user;
    pthread_mutex_lock(&t->lock);
    t->trusted++;
    pthread_mutex_unlock(&t->lock);
}

static int read_count(told *t, const int *count)
{
    pthread_mutex_lock(&t->lock);
    int now = *count;
    pthread_mutex_unlock(&t->lock);
    return now;
}

static void start_watch(lc_store *store, told *t)
{
    *t = (told){.lock = PTHREAD_MUTEX_INITIALIZER};
    llmcache_watch watch = {.user = t, .changed = on_changed, .distrust = on_distrust, .trust = on_trust};
    llmcache_error err;
    cr_assert_eq(store->ops.watch(store->self, &watch, &err), 0);
}

Test(sqlite_file, a_purge_from_elsewhere_is_told_at_once)
{
    static told t;
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    lc_store store = open_uri(uri), other = open_uri(uri);
    start_watch(&store, &t);
    cr_assert_eq(put(&store, 1), 0);
    llmcache_key key = {.space = "default"};
    uint64_t number = 1, removed;
    memcpy(key.fingerprint, &number, sizeof number);
    llmcache_error err;
    double slowest = 0;
    for (int i = 0; i < 20; i++) {
        int before = read_count(&t, &t.changed);
        cr_assert_eq(put(&store, 1), 0);
        cr_assert_eq(other.ops.remove(other.self, LLMCACHE_PART_BOTH, &key, 1, WAIT, &removed, &err), 0);
        double start = test_now_us();
        cr_assert(test_wait_until(read_count(&t, &t.changed) >= before + 2, WAIT));
        double took = test_now_us() - start;
        slowest = took > slowest ? took : slowest;
    }
    cr_assert_lt(slowest, 500000, "%.0f us", slowest);
    cr_assert_eq(read_count(&t, &t.changed), 40);
    cr_assert_eq(read_count(&t, &t.distrusted), 0);
    lc_store_close(&other);
    lc_store_close(&store);
}

Test(sqlite_file, changes_that_were_forgotten_end_trust)
{
    static told t;
    const char *path = test_format("%s/cache.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    start_watch(&store, &t);
    cr_assert_eq(put(&store, 1), 0);
    /* As if more had been written elsewhere than is kept of it. */
    run_in(path, "BEGIN; INSERT INTO changes(seq, part, space, fingerprint)"
                 " SELECT 100000, part, space, fingerprint FROM changes LIMIT 1;"
                 "DELETE FROM changes WHERE seq < 100000; COMMIT");
    cr_assert(test_wait_until(read_count(&t, &t.trusted) == 1, WAIT));
    cr_assert_eq(read_count(&t, &t.distrusted), 1);
    /* As if someone had emptied the table. */
    run_in(path, "DELETE FROM changes");
    cr_assert(test_wait_until(read_count(&t, &t.trusted) == 2, WAIT));
    int before = read_count(&t, &t.changed);
    run_in(path, "DELETE FROM prompt_cache");
    cr_assert(test_wait_until(read_count(&t, &t.changed) == before + 1, WAIT));
    lc_store_close(&store);
}

Test(sqlite_file, old_changes_are_dropped)
{
    const char *path = test_format("%s/cache.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    cr_assert_eq(put(&store, 1), 0);
    run_in(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)"
                 " INSERT INTO changes(part, space, fingerprint) SELECT 1, 's', zeroblob(32) FROM n");
    for (uint64_t n = 0; n < 64 * 4; n++)
        cr_assert_eq(put(&store, n), 0);
    int64_t left = number_in(path, "SELECT count(*) FROM changes");
    cr_assert(left >= 16384 && left < 18000, "%lld", (long long)left);
    lc_store_close(&store);
}

Test(sqlite_file, counts_what_others_put)
{
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    lc_store store = open_uri(uri), other = open_uri(uri);
    llmcache_store_stats stats;
    for (uint64_t n = 0; n < 5; n++)
        cr_assert_eq(put(&other, n), 0);
    cr_assert(test_wait_until((store.ops.stats(store.self, &stats), stats.entries == 5), WAIT));
    cr_assert_eq(stats.records, 5u);
    cr_assert_gt(stats.bytes, 4096u);
    lc_store_close(&other);
    lc_store_close(&store);
}

/* ---- Vectors without their answers ------------------------------------------------------------------ */

static int count_vector(void *user, const llmcache_entry *entry)
{
    ++*(unsigned *)user;
    return 0;
}

/* How many of the file's records come, and how many are damage. */
static void vectors_are(const char *path, unsigned wanted, uint64_t wanted_damaged)
{
    lc_store store = open_uri(test_format("sqlite:%s", path));
    llmcache_error err;
    uint64_t damaged = 99;
    unsigned seen = 0;
    cr_assert_eq(lc_store_each_vector(&store, 1, count_vector, &seen, &damaged, &err), 0);
    cr_expect_eq(seen, wanted);
    cr_expect_eq(damaged, wanted_damaged);
    lc_store_close(&store);
}

static const char *file_of_three(void)
{
    const char *path = test_format("%s/vectors.db", test_folder());
    lc_store store = open_uri(test_format("sqlite:%s", path));
    for (uint64_t n = 1; n <= 3; n++)
        cr_assert_eq(put(&store, n), 0);
    lc_store_close(&store);
    return path;
}

#define SECOND " WHERE id = (SELECT min(id) + 1 FROM embed_cache)"

Test(sqlite_file, what_leads_to_a_record_is_checked_without_its_answer)
{
    static const char *const changes[] = {
        "UPDATE embed_cache SET vector = x'00008040' || substr(vector, 5)" SECOND,
        "UPDATE embed_cache SET vector = substr(vector, 1, length(vector) - 4)" SECOND,
        "UPDATE embed_cache SET embedder = 'f'" SECOND,
        "UPDATE embed_cache SET space = 'another'" SECOND,
        "UPDATE embed_cache SET partition = x'01' || substr(partition, 2)" SECOND,
        "UPDATE embed_cache SET fingerprint = x'77' || substr(fingerprint, 2)" SECOND,
        "UPDATE embed_cache SET flags = flags + (1 << 40)" SECOND,
    };
    const char *path = file_of_three();
    vectors_are(path, 3, 0);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *copy = test_format("%s/copy-%zu.db", test_folder(), i);
        run_in(path, test_format("VACUUM INTO '%s'", copy));
        run_in(copy, changes[i]);
        vectors_are(copy, 2, 1);
    }
}

/* The answer is checked where it is fetched; see damaged_body_of_a_record in the contract. */
Test(sqlite_file, a_damaged_answer_is_not_read_with_the_vectors)
{
    const char *path = file_of_three();
    run_in(path, "UPDATE embed_cache SET body = 'x'" SECOND);
    vectors_are(path, 3, 0);
}

Test(sqlite_file, records_without_a_sum_are_checked_in_whole)
{
    const char *path = file_of_three();
    run_in(path, "UPDATE embed_cache SET flags = flags & 4294967295");
    vectors_are(path, 3, 0);
    run_in(path, "UPDATE embed_cache SET body = 'x'" SECOND);
    vectors_are(path, 2, 1);
}

Test(sqlite_file, the_sum_is_not_seen_in_the_flags)
{
    lc_store store = open_uri(test_format("sqlite:%s", file_of_three()));
    llmcache_key key = {.space = "default", .fingerprint = {1}};
    lc_entry *entry = NULL;
    llmcache_error err;
    cr_assert_eq(store.ops.get(store.self, LLMCACHE_PART_EMBED, &key, 1, WAIT, keep_entry, &entry, &err), 0);
    cr_assert_eq(entry->facts.flags, 0u);
    lc_entry_unref(entry);
    lc_store_close(&store);
}

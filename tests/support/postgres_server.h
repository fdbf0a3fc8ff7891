/*
 * A PostgreSQL server of the test's own: a new cluster in the test's folder, on a free port of 127.0.0.1 and a
 * Unix socket. Where it comes from: the folder LLMCACHE_TEST_POSTGRES names (the one with initdb and postgres), PATH,
 * or Debian's /usr/lib/postgresql. It refuses to run as root, so root's tests run it as `nobody`.
 *
 * One with the extension vector (pgvector): the folder LLMCACHE_TEST_PGVECTOR names, the one above where that has it, or
 * what script/setup tests put into the build folder.
 */
#ifndef TEST_POSTGRES_SERVER_H
#define TEST_POSTGRES_SERVER_H

#include "support.h"

typedef struct test_postgres {
    test_process process;
    const char *programs; /* its folder */
    const char *buffers;  /* shared_buffers, NULL for little: from the next restart on */
    const char *folder; /* of the cluster and the socket */
    int port;
    const char *uri;        /* postgresql://tester:secret@127.0.0.1:port/postgres */
    const char *socket_uri; /* the same by the socket's folder */
} test_postgres;

/* NULL when there is one here, else the line to skip with. */
const char *test_postgres_missing(void);

/* Gives up when it does not come up within 30 s. */
void test_postgres_start(test_postgres *postgres);

/* The same for a server that has pgvector to offer; it is not in the database yet. */
const char *test_pgvector_missing(void);
void test_pgvector_start(test_postgres *postgres);

void test_postgres_kill(test_postgres *postgres);    /* SIGKILL, all its processes */
void test_postgres_restart(test_postgres *postgres); /* on the same port, with what it had */
void test_postgres_pause(test_postgres *postgres);   /* SIGSTOP, all its processes */
void test_postgres_resume(test_postgres *postgres);

/* The first column of the first row as psql -At would print it, "" for none; alive until the test ends. */
const char *test_postgres_ask(const test_postgres *postgres, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

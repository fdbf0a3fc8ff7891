/*
 * A real redis-server for one test: its own port, folder and Unix socket, empty, gone
 * with the test. LLMCACHE_TEST_REDIS_SERVER names another program to start (words
 * separated by spaces).
 */
#ifndef TEST_REDIS_SERVER_H
#define TEST_REDIS_SERVER_H

#include "support.h"

#include <hiredis/hiredis.h>

typedef struct test_redis_options {
    const char *password; /* of the default user, or of `user` */
    const char
        *user; /* an ACL user allowed everything; then the default user is switched off */
    int tls;   /* `port` speaks TLS, with a certificate for 127.0.0.1 and localhost */
    const struct test_redis *tls_like; /* with tls: this one's certificate, so that they trust each other */
    int no_tcp;         /* only the Unix socket */
    int durable;        /* every write is on disk before its reply: data outlive
                           test_redis_restart */
    int cluster; /* a node of a cluster: see redis_cluster_server.h */
    int sentinel; /* see redis_sentinel_server.h */
    const char *config; /* more lines of configuration */
    const char *program; /* another redis-server than the usual one, such as
                            test_redis8() */
} test_redis_options;

typedef struct test_redis {
    test_process process;
    int port; /* 0 with no_tcp */
    const char *folder;
    const char *socket;  /* path of the Unix socket; plain, also when `port` speaks TLS */
    const char *ca_file; /* with tls: what to trust */
    const char *uri; /* redis://user:password@127.0.0.1:port or rediss://...; unix:/path
                        with no_tcp */
    const char *unix_uri; /* unix:/path */
    test_redis_options options;
} test_redis;

/* Is there a redis-server to start? If not, skip: cr_skip_test("redis-server is not
 * installed"). */
int test_redis_installed(void);

/* The same for one that can be part of a cluster, or a sentinel: builds may lack either. A line that says what is
 * missing, for cr_skip_test; NULL: nothing. */
const char *test_redis_lacks_cluster(void);
const char *test_redis_lacks_sentinel(void);

/* The program of a Redis 8, which has vector sets: what script/redis8 put below build/, or
 * what LLMCACHE_TEST_REDIS8_SERVER names. NULL, with a line that says so: skip. */
const char *test_redis8(void);
#define TEST_NO_REDIS8 "there is no Redis 8 (script/redis8 fetches one)"

/* NULL options: no password, TCP and the Unix socket. Returns when it answers. */
void test_redis_start(test_redis *redis, const test_redis_options *options);
/* The same in two steps: folder, port and configuration, then the server. */
void test_redis_prepare(test_redis *redis, const test_redis_options *options);
void test_redis_launch(test_redis *redis);
void test_redis_kill(
    test_redis *redis); /* SIGKILL: connections are reset, the port refuses */
void test_redis_pause(test_redis *redis); /* SIGSTOP: connections hang */
void test_redis_resume(test_redis *redis);
void test_redis_restart(
    test_redis *redis); /* kills if need be, starts on the same port and socket */

/* A connection of the test's own over the Unix socket, logged in. Free with redisFree. */
redisContext *test_redis_connect(const test_redis *redis);

/* One command over a connection of its own, as printf makes it of words without spaces in
 * them: the reply as text (arrays joined by new lines, nil as NULL, integers in decimal),
 * alive until the test ends. */
const char *test_redis_command(const test_redis *redis, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Does the reply to the command contain the text? A server that cuts the connection says nothing. */
int test_redis_says(const test_redis *redis, const char *command, const char *what);

#endif

/* A real Redis with two replicas and three sentinels for one test, gone with the test. */
#ifndef TEST_REDIS_SENTINEL_SERVER_H
#define TEST_REDIS_SENTINEL_SERVER_H

#include "redis_server.h"

enum { TEST_SENTINELS = 3, TEST_SENTINEL_NODES = 3 };

typedef struct test_redis_sentinel {
    test_redis nodes[TEST_SENTINEL_NODES]; /* 0 begins as primary, the others as its replicas */
    test_redis sentinels[TEST_SENTINELS];
    const char *hosts; /* host:port,host:port,host:port of the sentinels */
    const char *uri;   /* redis+sentinel:// with all that is needed */
} test_redis_sentinel;

typedef struct test_redis_sentinel_options {
    const char *user, *password;   /* of the Redis */
    const char *sentinel_password; /* of the sentinels */
    const char *program;           /* of the Redis; NULL: the usual one */
    int tls;                       /* of both */
    int durable;                   /* as test_redis_options has it */
    int down_after_ms;             /* without a word from a node until a sentinel thinks it dead; 0: 500 */
    int unhurried;                 /* see test_redis_sentinel_hurry */
} test_redis_sentinel_options;

/* Returns once all know each other and the replicas follow. */
void test_redis_sentinel_start(test_redis_sentinel *all, const test_redis_sentinel_options *options);

/* Sentinels look, tell and ask several times a second, or at Redis's own pace: then a primary that comes back is told of
 * its successor some seconds later. */
void test_redis_sentinel_hurry(const test_redis_sentinel *all, int hurried);

/* The node that the sentinels of number `by` call the primary; -1 for none of them. */
int test_redis_sentinel_primary(const test_redis_sentinel *all, int by);

/*
 * To be waited for: 1 once sentinel 0 names another primary than `from`, which is asked for by command. Sentinels refuse one
 * while they have not heard of a replica lately, and give one up that takes them too long, so the command is repeated.
 */
int test_redis_sentinel_fails_over(const test_redis_sentinel *all, int from);

#endif

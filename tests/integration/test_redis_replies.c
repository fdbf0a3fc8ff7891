/* lib/net/redis_wire against a real server: what is promised of replies when something fails. */
#include "net/redis_wire.h"

#include "base/clock.h"
#include "base/memory.h"
#include "redis_server.h"

#include <criterion/criterion.h>

enum { WAIT_MS = 5000 };

static test_redis redis;
static lc_redis_uri uri;

static void start(void)
{
    llmcache_error err;
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, &(test_redis_options){.password = "secret"});
    cr_assert_eq(lc_redis_uri_read(test_format("%s/3", redis.uri), &uri, &err), 0, "%s", err.message);
}

static void stop(void)
{
    lc_redis_uri_done(&uri);
}

TestSuite(redis_replies, .init = start, .fini = stop, .timeout = 60);

static int64_t soon(void)
{
    return lc_mono_ms() + WAIT_MS;
}

Test(redis_replies, a_batch_that_cannot_be_sent_leaves_no_replies)
{
    llmcache_error err;
    lc_redis_conn *conn;
    cr_assert_eq(lc_redis_connect(&uri, soon(), -1, &conn, &err), 0, "%s", err.message);
    static const lc_redis_word words[17] = {{"PING", 4}};
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("PING"));
    cr_assert_eq(lc_redis_add(&batch, 17, words), LLMCACHE_TOO_LARGE);
    char left_over;
    redisReply *replies[1] = {(redisReply *)&left_over};
    cr_assert_eq(lc_redis_exchange(conn, &batch, soon(), replies, &err), LLMCACHE_TOO_LARGE);
    cr_assert_null(replies[0]);
    lc_redis_batch_done(&batch);
    lc_redis_disconnect(conn);
}

Test(redis_replies, logging_in_survives_every_failed_allocation)
{
    llmcache_error err;
    lc_redis_conn *conn = NULL;
    uint64_t n;
    int failed = 1;
    for (n = 1; failed && n < 200; n++) {
        lc_memory_fail_at(n);
        int rc = lc_redis_connect(&uri, soon(), -1, &conn, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(failed || rc == 0, "%s", err.message);
        if (rc == 0)
            lc_redis_disconnect(conn);
    }
    cr_assert_not(failed, "it never came through");
}

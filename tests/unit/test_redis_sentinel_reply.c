/* lib/net/redis_sentinel_reply: what sentinels say, and what they should not. */
#include "net/redis_sentinel_reply.h"

#include <criterion/criterion.h>
#include <string.h>

/* "*2\r\n..." as a reply; free with lc_redis_reply_free. */
static redisReply *reply_of(const char *text)
{
    redisReader *reader = lc_redis_reader_new();
    void *reply = NULL;
    redisReaderFeed(reader, text, strlen(text));
    cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    cr_assert_not_null(reply, "%s", text);
    redisReaderFree(reader);
    return reply;
}

static int read_word(const char *address, const char *facts, lc_redis_word_of_sentinel *word, llmcache_error *err)
{
    redisReply *one = reply_of(address), *two = reply_of(facts);
    int rc = lc_redis_sentinel_read(one, two, "redis://s:1", "m", word, err);
    lc_redis_reply_free(one);
    lc_redis_reply_free(two);
    return rc;
}

#define FACTS "*4\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n$2\r\n42\r\n"

Test(redis_sentinel_reply, address_and_epoch)
{
    lc_redis_word_of_sentinel word;
    llmcache_error err;
    cr_assert_eq(read_word("*2\r\n$8\r\n10.0.0.7\r\n$4\r\n6380\r\n", FACTS, &word, &err), 0, "%s", err.message);
    cr_expect_str_eq(word.address.host, "10.0.0.7");
    cr_expect_eq(word.address.port, 6380);
    cr_expect_eq(word.epoch, 42u);
    cr_assert_eq(read_word("*2\r\n$3\r\n::1\r\n$1\r\n1\r\n", "-NOPERM no\r\n", &word, &err), 0);
    cr_expect_str_eq(word.address.host, "::1");
    cr_expect_eq(word.epoch, 0u, "without one it counts as old");
}

Test(redis_sentinel_reply, what_says_nothing)
{
    static const struct {
        const char *address, *means;
    } cases[] = {{"*-1\r\n", "knows no Redis named m"},
                 {"$-1\r\n", "knows no Redis named m"},
                 {"-NOAUTH Authentication required.\r\n", "wants a password"},
                 {"-ERR unknown command\r\n", "too old"},
                 {"*0\r\n", "does not answer as a sentinel does"},
                 {":1\r\n", "does not answer as a sentinel does"},
                 {"*1\r\n$1\r\na\r\n", "does not answer as a sentinel does"},
                 {"*2\r\n$0\r\n\r\n$1\r\n1\r\n", "does not answer as a sentinel does"},
                 {"*2\r\n$1\r\na\r\n$1\r\n0\r\n", "does not answer as a sentinel does"},
                 {"*2\r\n$1\r\na\r\n$5\r\n65536\r\n", "does not answer as a sentinel does"},
                 {"*2\r\n$1\r\na\r\n$2\r\n1x\r\n", "does not answer as a sentinel does"},
                 {"*2\r\n$3\r\na@b\r\n$1\r\n1\r\n", "does not answer as a sentinel does"},
                 {"*2\r\n:1\r\n$1\r\n1\r\n", "does not answer as a sentinel does"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_redis_word_of_sentinel word;
        llmcache_error err;
        cr_expect_eq(read_word(cases[i].address, FACTS, &word, &err), LLMCACHE_STORE, "%s", cases[i].address);
        cr_expect_not_null(strstr(err.message, cases[i].means), "%s", err.message);
    }
}

static int concerns(const char *text)
{
    redisReply *reply = reply_of(text);
    int does = lc_redis_sentinel_concerns(reply, "m");
    lc_redis_reply_free(reply);
    return does;
}

#define NEWS(size, payload) "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$" size "\r\n" payload "\r\n"

Test(redis_sentinel_reply, news_of_the_service)
{
    cr_expect(concerns(NEWS("9", "m a 1 b 2")));
    cr_expect(concerns(NEWS("25", "slave a:1 a 1 @ m b 2    ")));
    cr_expect_not(concerns(NEWS("10", "mm a 1 b 2")));
    cr_expect_not(concerns(NEWS("0", "")));
    cr_expect_not(concerns("*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
    cr_expect_not(concerns("*3\r\n$9\r\nsubscribe\r\n$1\r\nm\r\n:1\r\n"));
    cr_expect_not(concerns("+PONG\r\n"));
}

static int is_primary(const char *text)
{
    redisReply *reply = reply_of(text);
    int is = lc_redis_role_is_primary(reply);
    lc_redis_reply_free(reply);
    return is;
}

Test(redis_sentinel_reply, roles)
{
    cr_expect(is_primary("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"));
    cr_expect_not(is_primary("*5\r\n$5\r\nslave\r\n$1\r\na\r\n:1\r\n$9\r\nconnected\r\n:1\r\n"));
    cr_expect_not(is_primary("*2\r\n$8\r\nsentinel\r\n*0\r\n"));
    cr_expect_not(is_primary("*0\r\n"));
    cr_expect_not(is_primary("$6\r\nmaster\r\n"));
}

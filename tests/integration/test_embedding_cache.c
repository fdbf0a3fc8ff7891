/* Both caches in a real Redis: what lies there, and what deleting it with redis-cli does. */
#include "redis_server.h"
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

#define CHAT "/v1/chat/completions"

static test_mock mock;
static test_redis redis;

static void set_up(void)
{
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    mock_start(&mock);
    test_redis_start(&redis, NULL);
    mock_behave(&mock, "{'pairs': [['什麼是快取？', '請解釋快取是什麼', 0.97]]}");
}

static void tear_down(void)
{
    const char *left = test_redis_command(&redis, "KEYS [pe]*_cache:*");
    cr_assert(!left || !*left, "the store is left empty: %s", left);
}

TestSuite(embedding_cache, .init = set_up, .timeout = 60);

static llmcache *open_cache(void)
{
    return test_cache(&mock, "threshold", "0.95", "store", redis.uri);
}

static const char *keys(const char *pattern)
{
    return test_redis_command(&redis, "KEYS %s", pattern);
}

/* As an operator would: redis-cli --scan --pattern ... | xargs redis-cli DEL */
static void delete_by_pattern(const char *pattern)
{
    test_run_result result =
        test_run_line("sh", "-c",
                      test_format("redis-cli -s %s --scan --pattern '%s' | xargs redis-cli -s %s DEL",
                                  redis.socket, pattern, redis.socket));
    cr_assert_eq(result.status, 0, "%s", result.err);
}

static void clear(llmcache *cache)
{
    cr_assert_eq(llmcache_purge(cache, NULL, NULL, NULL), 0);
    llmcache_close(cache);
    tear_down();
}

Test(embedding_cache, each_part_is_a_key_that_redis_cli_can_read)
{
    llmcache *cache = open_cache();
    llmcache_answer *answer = test_ask(cache, "什麼是快取？", NULL);
    const char *prompt = keys("prompt_cache:*"), *embed = keys("embed_cache:*");
    cr_assert_eq(strncmp(prompt, "prompt_cache:default:", 21), 0, "%s", prompt);
    cr_assert_eq(strlen(prompt), 21 + 64);
    cr_assert_str_eq(embed, test_format("embed_cache:default:%s", llmcache_answer_id(answer)));
    cr_assert_str_eq(test_redis_command(&redis, "TYPE %s", prompt), "string");
    cr_assert_str_eq(test_redis_command(&redis, "TYPE %s", embed), "hash");
    const char *value = test_redis_command(&redis, "GET %s", prompt);
    const char *line = strchr(value, '\n');
    cr_assert(line && value[0] == '{', "one line of JSON, then the answer");
    size_t size;
    cr_assert_str_eq(line + 1, llmcache_answer_body(answer, &size));
    llmcache_answer_free(answer);
    clear(cache);
}

Test(embedding_cache, without_its_records_exact_still_hits)
{
    llmcache *cache = open_cache();
    test_ask_source(cache, "什麼是快取？");
    delete_by_pattern("embed_cache:*");
    cr_assert(test_wait_until(test_counters(cache).records == 0, 5000));
    cr_assert_str_eq(test_ask_source(cache, "什麼是快取？"), "exact");
    cr_assert_str_eq(test_ask_source(cache, "請解釋快取是什麼"), "model");
    clear(cache);
}

Test(embedding_cache, without_its_entries_meaning_still_hits)
{
    llmcache *cache = open_cache();
    test_ask_source(cache, "什麼是快取？");
    uint64_t before = test_counters(cache).invalidations;
    delete_by_pattern("prompt_cache:*");
    cr_assert(test_wait_until(test_counters(cache).invalidations > before, 5000));
    cr_assert_str_eq(test_ask_source(cache, "請解釋快取是什麼"), "semantic");
    clear(cache);
}

Test(embedding_cache, what_is_deleted_is_not_served_again)
{
    llmcache *cache = open_cache();
    test_ask_source(cache, "什麼是快取？");
    test_ask_source(cache, "請解釋快取是什麼");
    uint64_t before = test_counters(cache).invalidations;
    test_redis_command(&redis, "FLUSHDB");
    cr_assert(test_wait_until(test_counters(cache).invalidations > before ||
                                  strcmp(test_ask_source(cache, "什麼是快取？"), "model") == 0,
                              5000));
    int calls = mock_calls(&mock, CHAT);
    cr_assert_geq(calls, 1);
    clear(cache);
}

Test(embedding_cache, two_servers_share_and_see_each_other)
{
    llmcache *one = open_cache(), *two = open_cache();
    test_ask_source(one, "什麼是快取？");
    cr_assert_str_eq(test_ask_source(two, "什麼是快取？"), "exact");
    cr_assert(test_wait_until(test_counters(two).records == 1, 5000));
    cr_assert_str_eq(test_ask_source(two, "請解釋快取是什麼"), "semantic");
    cr_assert_eq(llmcache_purge(one, NULL, NULL, NULL), 0);
    cr_assert(test_wait_until(test_counters(two).records == 0, 5000));
    int before = mock_calls(&mock, CHAT);
    cr_assert_str_eq(test_ask_source(two, "什麼是快取？"), "model");
    cr_assert_eq(mock_calls(&mock, CHAT), before + 1);
    llmcache_close(one);
    clear(two);
}

Test(embedding_cache, entries_expire_in_redis_too)
{
    llmcache *cache = open_cache();
    llmcache_ask_options options = {.struct_size = sizeof options, .ttl_ms = 3600000};
    llmcache_answer_free(test_ask(cache, "什麼是快取？", &options));
    long left = strtol(test_redis_command(&redis, "PTTL %s", keys("prompt_cache:*")), NULL, 10);
    cr_assert(left > 3500000 && left <= 3600000, "%ld", left);
    left = strtol(test_redis_command(&redis, "PTTL %s", keys("embed_cache:*")), NULL, 10);
    cr_assert(left > 3500000 && left <= 3600000, "%ld", left);
    clear(cache);
}

Test(embedding_cache, a_dead_redis_costs_no_question)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.95", "store", redis.uri, "store-timeout-ms", "200",
                                 "store-write-timeout-ms", "1000");
    test_ask_source(cache, "什麼是快取？");
    test_redis_pause(&redis);
    cr_assert_str_eq(test_ask_source(cache, "another one"), "model");
    cr_assert_gt(test_counters(cache).store_errors, 0);
    llmcache_status status;
    cr_assert_eq(llmcache_health(cache, &status, NULL, NULL), 0);
    cr_assert_eq(status, LLMCACHE_STATUS_DEGRADED);
    int quick = 0;
    for (int i = 0; i < 20; i++) {
        int64_t start_ms = test_now_ms();
        cr_assert_str_eq(test_ask_source(cache, test_format("question %d", i)), "model");
        quick += test_now_ms() - start_ms < 200;
    }
    cr_assert_gt(quick, 0, "once known to be dead, it is hardly waited for");
    test_redis_resume(&redis);
    cr_assert(test_wait_until(
        (test_ask_source(cache, "and now?"), llmcache_health(cache, &status, NULL, NULL) == 0) &&
            status == LLMCACHE_STATUS_OK,
        10000));
    cr_assert(test_wait_until(!strcmp(test_ask_source(cache, "什麼是快取？"), "exact"), 5000));
    clear(cache);
}

Test(embedding_cache, a_redis_that_comes_later_is_used)
{
    llmcache *cache = open_cache();
    test_redis_kill(&redis);
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    test_redis_restart(&redis);
    cr_assert(test_wait_until(
        (test_ask_source(cache, test_format("q%d", (int)test_now_ms())), atoi(test_redis_command(&redis, "DBSIZE")) > 0),
        10000));
    cr_assert(test_wait_until(llmcache_purge(cache, NULL, NULL, NULL) == 0, 5000));
    clear(cache);
}

Test(embedding_cache, a_damaged_value_is_set_aside_and_asked_again)
{
    llmcache *cache = open_cache();
    test_ask_source(cache, "什麼是快取？");
    uint64_t before = test_counters(cache).invalidations;
    const char *key = keys("prompt_cache:*");
    delete_by_pattern("embed_cache:*");
    test_redis_command(&redis, "SET %s {garbage", key);
    cr_assert(test_wait_until(test_counters(cache).invalidations > before, 5000));
    cr_assert(test_wait_until(test_counters(cache).records == 0, 5000));
    cr_assert(test_wait_until(!strcmp(test_ask_source(cache, "什麼是快取？"), "model"), 10000));
    cr_assert_str_eq(test_ask_source(cache, "什麼是快取？"), "exact");
    clear(cache);
}

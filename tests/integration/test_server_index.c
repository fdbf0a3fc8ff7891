/* Two servers, two processes, over one Redis 8 with the index redis: what one keeps, the other finds by meaning. */
#include "llmcache_server.h"
#include "mock_client.h"
#include "redis_server.h"
#include "support.h"

#include <criterion/criterion.h>
#include <string.h>

static test_mock mock;
static test_redis redis;

static void start(test_server *server)
{
    const char *const flags[] = {"--store", redis.uri, "--index", "redis:", "--embedder",
                                 "openai:text-embedding-3-small", "--threshold", "0.9", "--openai-base-url",
                                 mock.openai, "--openai-api-key", "sk-test", "--provider", "openai:",
                                 "--store-timeout-ms", "2000", "--store-write-timeout-ms", "2000", NULL};
    test_server_start(server, flags, NULL);
}

static const char *ask(const test_server *server, const char *question)
{
    const char *body = test_format("{\"question\":\"%s\"}", question);
    json_t *reply = test_json(test_server_post(server, "/ask", body).body);
    const char *source = json_string_value(json_object_get(reply, "source"));
    cr_assert_not_null(source);
    return source;
}

static int health_says(const test_server *server, const char *part)
{
    return strstr(test_server_get(server, "/health").body, part) != NULL;
}

static void set_up(void)
{
    const test_redis_options options = {.program = test_redis8()};
    if (!options.program)
        cr_skip_test(TEST_NO_REDIS8);
    test_redis_start(&redis, &options);
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['two', 'dos', 0.99]]}");
}

TestSuite(server_index, .init = set_up, .timeout = 120);

Test(server_index, two_servers_share_what_is_found_by_meaning)
{
    test_server first, second;
    start(&first);
    cr_assert_str_eq(ask(&first, "one"), "model");
    cr_assert_str_eq(ask(&first, "two"), "model");
    start(&second);
    cr_assert_str_eq(ask(&second, "uno"), "semantic");
    cr_assert(health_says(&second, "\"records\":2"));
    cr_assert_eq(test_server_post(&first, "/cache/purge", "{\"all\":true}").status, 200);
    cr_assert_str_eq(ask(&second, "zwei"), "model", "it went for both");
    cr_assert_str_eq(ask(&second, "dos"), "model");
    cr_assert_eq(test_server_stop(&first), 0);
    cr_assert_eq(test_server_stop(&second), 0);
}

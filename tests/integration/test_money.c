/* What answers cost and what hits save, by the price table and by the user's own. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(money, .init = set_up, .timeout = 60);

Test(money, hits_save_what_the_answer_cost)
{
    const char *prices = test_format("%s/prices.json", test_folder());
    test_write_text(prices, "{\"my-model\": {\"input\": 1, \"output\": 10}}");
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = test_cache(&mock, "embedder", "none", "prices", prices, "store", uri);
    llmcache_ask_options options = {.struct_size = sizeof options, .model = "my-model-2026-01-01"};
    llmcache_answer *answer = test_ask(cache, "hi", &options);
    int64_t cost = llmcache_answer_input_tokens(answer) * 1000 + llmcache_answer_output_tokens(answer) * 10000;
    cr_assert_gt(cost, 0);
    cr_assert_eq(llmcache_answer_cost_nano(answer), cost);
    llmcache_answer_free(answer);
    cr_assert_eq(test_counters(cache).cost_nano, (uint64_t)cost);
    cr_assert_eq(test_counters(cache).cost_saved_nano, 0);
    llmcache_close(cache);
    cache = test_cache(&mock, "embedder", "none", "store", uri);
    llmcache_answer_free(test_ask(cache, "hi", &options));
    llmcache_answer_free(test_ask(cache, "hi", &options));
    cr_assert_eq(test_counters(cache).cost_saved_nano, (uint64_t)(2 * cost), "kept with the entry");
    llmcache_close(cache);
}

Test(money, an_unknown_model_costs_nothing_known_and_a_bad_table_is_refused)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    llmcache_ask_options options = {.struct_size = sizeof options, .model = "nobody-knows"};
    llmcache_answer *answer = test_ask(cache, "hi", &options);
    cr_assert_eq(llmcache_answer_cost_nano(answer), 0);
    llmcache_answer_free(answer);
    options.model = "gpt-4o-mini-2024-07-18";
    answer = test_ask(cache, "hi", &options);
    cr_assert_gt(llmcache_answer_cost_nano(answer), 0, "a dated version has its family's price");
    llmcache_answer_free(answer);
    llmcache_close(cache);
    static const char *const bad[] = {"[1", "{\"m\": {\"input\": \"x\"}}", "{\"m\": {\"input\": -1}}", "{\"m\": 3}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = test_format("%s/prices.json", test_folder());
        llmcache_error err;
        llmcache *none;
        test_write_text(path, bad[i]);
        const char *settings[] = {"prices", path, NULL};
        llmcache_options *own = test_cache_options(&mock, settings);
        cr_assert_eq(llmcache_open(own, &none, &err), LLMCACHE_SETTING, "%s", bad[i]);
        cr_assert(strstr(err.message, "prices"), "%s", err.message);
        llmcache_options_free(own);
    }
}

Test(money, usage_is_told_by_model_in_the_conventions_names)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    llmcache_ask_options options = {.struct_size = sizeof options, .model = "odd\"name\\"};
    llmcache_answer_free(test_ask(cache, "hi", &options));
    char *text;
    cr_assert_eq(llmcache_metrics(cache, LLMCACHE_PROMETHEUS, &text, NULL), 0);
    cr_assert(strstr(text, "gen_ai_client_token_usage_count{gen_ai_operation_name=\"chat\","
                           "gen_ai_provider_name=\"openai\",gen_ai_request_model=\"odd\\\"name\\\\\","
                           "gen_ai_token_type=\"input\"} 1\n"),
              "%s", text);
    cr_assert(strstr(text, "gen_ai_client_operation_duration_seconds_bucket{"));
    const char *promtool = test_program("promtool");
    if (promtool) {
        test_run_result result = test_run((const char *const[]){promtool, "check", "metrics", NULL}, NULL, text);
        cr_assert_eq(result.status, 0, "%s%s", result.out, result.err);
    }
    llmcache_free(text);
    llmcache_close(cache);
}

/* The grey zone end to end: who is asked about it, what comes of their word, and what it can never do. */
#include "test_cache.h"

#include <llmcache/observe.h>

#include <criterion/criterion.h>
#include <string.h>

#define KEPT  "How do I clear the cache of my browser?"
#define ASKED "What is the way to empty the browser cache?"
#define JUDGE "openai:judge-model"

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
    /* .92 lies below the threshold of .95 and above .95 - 1.5 / 24.568. */
    mock_behave(&mock, "{'pairs': [['%s', '%s', 0.92]]}", KEPT, ASKED);
}

TestSuite(grey, .init = set_up, .timeout = 120);

static llmcache *open_with(const char *name, const char *value)
{
    return test_cache(&mock, "threshold", "0.95", "judge", JUDGE, name, value);
}

static void judge_says(const char *text)
{
    mock_behave(&mock, "{'match': 'judge-model', 'text': '%s', 'finish': 'length'}", text);
}

static int judge_calls(void)
{
    int count = 0;
    size_t at;
    json_t *calls = json_object_get(mock_log(&mock), "calls"), *call;
    json_array_foreach(calls, at, call)
        count += strstr(json_string_value(json_object_get(call, "body")), "judge-model") != NULL;
    return count;
}

static const char *metrics_of(llmcache *cache)
{
    char *text;
    cr_assert_eq(llmcache_metrics(cache, LLMCACHE_PROMETHEUS, &text, NULL), 0);
    const char *kept = test_format("%s", text);
    llmcache_free(text);
    return kept;
}

Test(grey, a_judge_that_says_yes_is_asked_once)
{
    llmcache *cache = open_with("judge-per-minute", "0");
    judge_says("yes");
    cr_expect_str_eq(test_ask_source(cache, KEPT), "model");
    cr_expect_str_eq(test_ask_source(cache, ASKED), "semantic");
    cr_expect_eq(judge_calls(), 1);
    cr_expect_str_eq(test_ask_source(cache, "which way empties it"), "model", "no vector near");
    cr_expect_eq(judge_calls(), 1);
    const char *metrics = metrics_of(cache);
    cr_expect_not_null(strstr(metrics, "llmcache_judge_total{said=\"same\"} 1"), "%s", metrics);
    cr_expect_not_null(strstr(metrics, "llmcache_judge_duration_seconds_count"));
    llmcache_close(cache);
}

Test(grey, its_word_is_kept_and_outlives_the_process)
{
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = open_with("store", store);
    judge_says("yes");
    test_ask_source(cache, KEPT);
    cr_expect_str_eq(test_ask_source(cache, ASKED), "semantic");
    llmcache_close(cache);
    cache = open_with("store", store);
    cr_expect_str_eq(test_ask_source(cache, ASKED), "semantic");
    cr_expect_eq(judge_calls(), 1);
    llmcache_close(cache);
}

Test(grey, a_judge_that_says_no_is_asked_once)
{
    llmcache *cache = open_with("judge-per-minute", "0");
    judge_says("No.");
    test_ask_source(cache, KEPT);
    llmcache_ask_options fresh = {.struct_size = sizeof fresh, .no_store = 1};
    for (int i = 0; i < 3; i++) {
        llmcache_answer *answer = test_ask(cache, ASKED, &fresh);
        cr_expect_str_eq(llmcache_answer_source_name(answer), "model");
        llmcache_answer_free(answer);
    }
    cr_expect_eq(judge_calls(), 1);
    llmcache_close(cache);
}

Test(grey, a_judge_that_fails_or_rambles_serves_nothing)
{
    static const char *const rules[] = {
        "{'match': 'judge-model', 'status': 500}", "{'match': 'judge-model', 'hang': true}",
        "{'match': 'judge-model', 'text': 'yes, but only if the browser is the same'}",
        "{'match': 'judge-model', 'garbage': 40}", "{'match': 'judge-model', 'cut_after_bytes': 20}"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        llmcache *cache = open_with("judge-timeout-ms", "300");
        mock_reset(&mock);
        mock_behave(&mock, "{'pairs': [['%s', '%s', 0.92]]}", KEPT, ASKED);
        mock_behave(&mock, "%s", rules[i]);
        test_ask_source(cache, KEPT);
        cr_expect_str_eq(test_ask_source(cache, ASKED), "model", "%s", rules[i]);
        cr_expect_eq(judge_calls(), 1, "%s", rules[i]);
        llmcache_close(cache);
    }
}

Test(grey, what_a_rule_refuses_is_not_asked_about)
{
    static const char *const pairs[][2] = {{"How do I enable the cache?", "How do I disable the cache?"},
                                           {"Convert 30 dollars", "Convert 35 dollars"},
                                           {"快取是什麼？", "快取不是什麼？"}};
    llmcache *cache = open_with("judge-per-minute", "0");
    judge_says("yes");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        mock_behave(&mock, "{'pairs': [['%s', '%s', 0.93]]}", pairs[i][0], pairs[i][1]);
        test_ask_source(cache, pairs[i][0]);
        cr_expect_str_eq(test_ask_source(cache, pairs[i][1]), "model", "%s", pairs[i][1]);
    }
    cr_expect_eq(judge_calls(), 0);
    llmcache_close(cache);
}

Test(grey, what_lies_outside_is_not_asked_about)
{
    llmcache *cache = open_with("judge-per-minute", "0");
    judge_says("yes");
    mock_behave(&mock, "{'pairs': [['%s', 'nearer', 0.96], ['%s', 'farther', 0.87]]}", KEPT, KEPT);
    test_ask_source(cache, KEPT);
    cr_expect_str_eq(test_ask_source(cache, "nearer"), "semantic");
    cr_expect_str_eq(test_ask_source(cache, "farther"), "model");
    llmcache_ask_options strict = {.struct_size = sizeof strict, .threshold = 0.94};
    llmcache_answer *answer = test_ask(cache, ASKED, &strict);
    cr_expect_str_eq(llmcache_answer_source_name(answer), "model", "the request's own threshold counts");
    llmcache_answer_free(answer);
    cr_expect_eq(judge_calls(), 0);
    llmcache_close(cache);
}

static int is_known(llmcache *cache)
{
    return strstr(metrics_of(cache), "llmcache_judge_total{said=\"same\"} 1") != NULL;
}

Test(grey, later_means_that_this_one_goes_to_the_model)
{
    llmcache *cache = open_with("judge-later", "yes");
    judge_says("yes");
    test_ask_source(cache, KEPT);
    llmcache_ask_options fresh = {.struct_size = sizeof fresh, .no_store = 1};
    llmcache_answer *answer = test_ask(cache, ASKED, &fresh);
    cr_expect_str_eq(llmcache_answer_source_name(answer), "model");
    llmcache_answer_free(answer);
    cr_assert(test_wait_until(is_known(cache), 10000));
    cr_expect(test_wait_until(strcmp(test_ask_source(cache, ASKED), "semantic") == 0, 10000));
    llmcache_close(cache);
}

Test(grey, a_persons_word_counts_before_the_judges)
{
    llmcache *cache = open_with("judge-per-minute", "0");
    llmcache_error err;
    judge_says("yes");
    llmcache_answer *kept = test_ask(cache, KEPT, NULL);
    cr_expect_str_eq(test_ask_source(cache, ASKED), "semantic");
    cr_expect_eq(llmcache_feedback_about(cache, llmcache_answer_id(kept), 0, ASKED, NULL, &err), 0, "%s", err.message);
    llmcache_answer_free(kept);
    cr_expect_str_eq(test_ask_source(cache, KEPT), "model", "the answer is gone");
    cr_expect_str_eq(test_ask_source(cache, ASKED), "model");
    cr_expect_eq(judge_calls(), 1);
    llmcache_close(cache);
}

Test(grey, explain_says_what_the_judge_is_for)
{
    llmcache *cache = open_with("judge-per-minute", "0");
    char *json;
    judge_says("yes");
    test_ask_source(cache, KEPT);
    cr_assert_eq(llmcache_explain(cache, ASKED, NULL, &json, NULL), 0);
    cr_expect_not_null(strstr(json, "\"judge\":\"unknown\""), "%s", json);
    cr_expect_eq(judge_calls(), 0, "explaining asks nobody");
    llmcache_free(json);
    test_ask_source(cache, ASKED);
    cr_assert_eq(llmcache_explain(cache, ASKED, NULL, &json, NULL), 0);
    cr_expect_not_null(strstr(json, "\"judge\":\"right\""), "%s", json);
    llmcache_free(json);
    llmcache_close(cache);
}

Test(grey, a_judge_that_is_none_is_told_at_the_start)
{
    llmcache *cache;
    llmcache_error err;
    llmcache_options *options = test_cache_options(&mock, (const char *const[]){"judge", "somebody", NULL});
    cr_expect_eq(llmcache_open(options, &cache, &err), LLMCACHE_SETTING);
    cr_expect_not_null(strstr(err.message, "judge"), "%s", err.message);
    llmcache_options_free(options);
}

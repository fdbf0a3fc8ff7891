/* The public functions: arguments, errors, management, and that a cache is an island. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

#define CHAT "/v1/chat/completions"

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(api, .init = set_up, .timeout = 60);

static int fails_with(int code, int got, const llmcache_error *err)
{
    return got == code && err->code == code && err->message[0] && !strchr(err->message, '\n');
}

Test(api, arguments_are_checked)
{
    llmcache *cache = test_cache(&mock, "max-question-bytes", "100");
    llmcache_error err;
    llmcache_answer *answer = NULL;
    char *text;
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_ask(NULL, "a", NULL, &answer, &err), &err));
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_ask(cache, NULL, NULL, &answer, &err), &err));
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_ask(cache, "", NULL, &answer, &err), &err));
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_ask(cache, " \n", NULL, &answer, &err), &err));
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_ask(cache, "a\xff", NULL, &answer, &err), &err));
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_ask(cache, "a", NULL, NULL, &err), &err));
    char huge[200];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    cr_assert(fails_with(LLMCACHE_TOO_LARGE, llmcache_ask(cache, huge, NULL, &answer, &err), &err));
    llmcache_ask_options bad = {.struct_size = sizeof bad, .threshold = 2};
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_ask(cache, "a", &bad, &answer, &err), &err));
    cr_assert(fails_with(LLMCACHE_INVALID, llmcache_metrics(cache, (llmcache_format)9, &text, &err), &err));
    cr_assert_eq(llmcache_ask(cache, "", NULL, &answer, NULL), LLMCACHE_INVALID, "err may be NULL");
    cr_assert_null(answer);
    cr_assert_eq(mock_calls(&mock, NULL), 0);
    llmcache_answer_free(NULL);
    llmcache_options_free(NULL);
    llmcache_close(NULL);
    llmcache_close(cache);
}

Test(api, settings_are_refused_by_name_value_and_range)
{
    llmcache_options *options;
    llmcache_error err;
    cr_assert_eq(llmcache_options_new_bare(&options, &err), 0);
    cr_assert(fails_with(LLMCACHE_SETTING, llmcache_options_set(options, "tll", "5", &err), &err));
    cr_assert(strstr(err.message, "tll"));
    cr_assert(fails_with(LLMCACHE_SETTING, llmcache_options_set(options, "threshold", "1.5", &err), &err));
    cr_assert(strstr(err.message, "threshold") && strstr(err.message, "1.5") && strstr(err.message, "0 to 1"));
    static const char *const wrong[][2] = {{"store", "ftp://x"},    {"embedder", "magic:"},
                                           {"index", "tree:"},      {"provider", "oracle:"},
                                           {"policy", "whatever"},  {"key-fields", "user,colour"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        llmcache *cache = NULL;
        llmcache_options *own;
        cr_assert_eq(llmcache_options_new_bare(&own, NULL), 0);
        cr_assert_eq(llmcache_options_set(own, "store", "memory:", NULL), 0);
        cr_assert_eq(llmcache_options_set(own, wrong[i][0], wrong[i][1], NULL), 0, "%zu", i);
        cr_assert(fails_with(LLMCACHE_SETTING, llmcache_open(own, &cache, &err), &err), "%s: %s", wrong[i][0],
                  err.message);
        cr_assert(strstr(err.message, wrong[i][0]), "%s", err.message);
        cr_assert_null(cache);
        llmcache_options_free(own);
    }
    llmcache_options_free(options);
}

/* ---- Text as it comes ---------------------------------------------------------------------------- */

typedef struct listener {
    char text[4096];
    size_t size;
    int pieces, stop_after; /* 0: never stops */
} listener;

static int on_text(void *user, const char *text, size_t size)
{
    listener *l = user;
    cr_assert_lt(l->size + size, sizeof l->text);
    memcpy(l->text + l->size, text, size);
    l->size += size;
    l->text[l->size] = '\0';
    return ++l->pieces == l->stop_after;
}

static llmcache_ask_options listening(listener *l)
{
    return (llmcache_ask_options){.struct_size = sizeof(llmcache_ask_options), .on_text = on_text,
                                  .on_text_user = l};
}

static void asks_aloud(const char *provider, const char *path)
{
    listener first = {.size = 0}, again = {.size = 0};
    llmcache_ask_options options = listening(&first);
    llmcache *cache = test_cache(&mock, "embedder", "none", "provider", provider);
    mock_reset(&mock);
    mock_behave(&mock, "{'chunk_delay_ms': 10}");
    llmcache_answer *answer = test_ask(cache, "什麼是快取？", &options);
    cr_assert_gt(first.pieces, 2);
    cr_assert_str_eq(first.text, llmcache_answer_text(answer));
    cr_assert(llmcache_answer_stored(answer));
    cr_assert_gt(llmcache_answer_output_tokens(answer), 0);
    llmcache_answer *whole = test_ask(cache, "什麼是快取？", NULL);
    cr_assert_str_eq(llmcache_answer_source_name(whole), "exact", "one entry for both ways");
    cr_assert_str_eq(llmcache_answer_text(whole), first.text);
    cr_assert_str_eq(llmcache_answer_id(whole), llmcache_answer_id(answer));
    options = listening(&again);
    llmcache_answer *hit = test_ask(cache, "什麼是快取？", &options);
    cr_assert_str_eq(llmcache_answer_source_name(hit), "exact");
    cr_assert_str_eq(again.text, first.text);
    cr_assert_eq(mock_calls(&mock, path), 1);
    llmcache_answer_free(answer);
    llmcache_answer_free(whole);
    llmcache_answer_free(hit);
    llmcache_close(cache);
}

Test(api, an_answer_can_be_heard_as_it_comes)
{
    asks_aloud("openai:", CHAT);
    asks_aloud("anthropic:", "/v1/messages");
}

/* Some services answer whole, whatever they were asked. */
Test(api, who_listens_hears_an_answer_that_did_not_stream)
{
    listener l = {.size = 0};
    llmcache_ask_options options = listening(&l);
    llmcache *cache = test_cache(&mock, "embedder", "none");
    mock_behave(&mock, "{'body': {'id': 'a', 'object': 'chat.completion', 'model': 'm', 'choices': [{'index': 0,"
                       " 'message': {'role': 'assistant', 'content': 'whole'}, 'finish_reason': 'stop'}]}}");
    llmcache_answer *answer = test_ask(cache, "one", &options);
    cr_assert_str_eq(l.text, "whole");
    cr_assert_eq(l.pieces, 1);
    llmcache_answer_free(answer);
    llmcache_close(cache);
}

Test(api, an_answer_goes_on_when_the_listener_has_heard_enough)
{
    listener l = {.stop_after = 1};
    llmcache_ask_options options = listening(&l);
    llmcache_answer *answer = NULL;
    llmcache_error err;
    llmcache *cache = test_cache(&mock, "embedder", "none");
    mock_behave(&mock, "{'chunk_delay_ms': 20}");
    cr_assert(fails_with(LLMCACHE_ABORTED, llmcache_ask(cache, "one", &options, &answer, &err), &err));
    cr_assert_null(answer);
    cr_assert(test_wait_until(test_counters(cache).stored == 1, 10000));
    cr_assert_str_eq(test_ask_source(cache, "one"), "exact");
    llmcache_close(cache);
}

Test(api, a_listener_is_told_when_the_answer_breaks_off)
{
    static const char *const breaks[] = {"{'cut_after_events': 4}", "{'cut_after_events': 4, 'cut_clean': true}",
                                         "{'error_after_events': 4}", "{'no_done': true}"};
    llmcache *cache = test_cache(&mock, "embedder", "none");
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        listener l = {.size = 0};
        llmcache_ask_options options = listening(&l);
        llmcache_answer *answer = NULL;
        llmcache_error err = {0};
        mock_reset(&mock);
        mock_behave(&mock, "%s", breaks[i]);
        cr_expect_lt(llmcache_ask(cache, "one", &options, &answer, &err), 0, "%s", breaks[i]);
        cr_expect(err.message[0] && !answer, "%s", breaks[i]);
        cr_expect_gt(l.size, 0, "%s", breaks[i]);
    }
    mock_reset(&mock);
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    llmcache_close(cache);
}

Test(api, without_a_model_the_ways_out_are_named)
{
    llmcache *cache = test_cache(NULL, "embedder", "none");
    llmcache_error err;
    llmcache_answer *answer;
    cr_assert(fails_with(LLMCACHE_NO_PROVIDER, llmcache_ask(cache, "a", NULL, &answer, &err), &err), "%s",
              err.message);
    cr_assert(strstr(err.message, "OPENAI_API_KEY") && strstr(err.message, "ANTHROPIC_API_KEY") &&
              strstr(err.message, "demo:"));
    llmcache_close(cache);
}

Test(api, upstream_errors_come_back_as_they_were_meant)
{
    static const struct {
        const char *rule;
        int code, status;
        int64_t retry_after_ms;
    } cases[] = {
        {"{'status': 429, 'headers': {'Retry-After': '7'}}", LLMCACHE_UPSTREAM, 429, 7000},
        {"{'status': 401}", LLMCACHE_UPSTREAM, 401, -1},
        {"{'status': 503}", LLMCACHE_UPSTREAM, 503, -1},
        {"{'hang': true}", LLMCACHE_TIMEOUT, 0, -1},
        {"{'reset': true}", LLMCACHE_NETWORK, 0, -1},
        {"{'cut_after_bytes': 30}", LLMCACHE_NETWORK, 0, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        llmcache *cache = test_cache(&mock, "embedder", "none", "upstream-timeout-ms", "500");
        llmcache_error err;
        llmcache_answer *answer;
        mock_reset(&mock);
        mock_behave(&mock, "%s", cases[i].rule);
        int code = llmcache_ask(cache, "a", NULL, &answer, &err);
        cr_assert(fails_with(cases[i].code, code, &err), "%s: %d %s", cases[i].rule, code, err.message);
        cr_assert_eq(err.upstream_status, cases[i].status, "%s", cases[i].rule);
        cr_assert_eq(err.retry_after_ms, cases[i].retry_after_ms, "%s", cases[i].rule);
        cr_assert_eq(test_counters(cache).stored, 0);
        cr_assert_eq(test_counters(cache).errors, 1);
        llmcache_close(cache);
    }
}

Test(api, the_anthropic_service_is_asked_in_its_own_protocol)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "provider", "anthropic:");
    cr_assert_str_eq(test_ask_source(cache, "什麼是快取？"), "model");
    cr_assert_str_eq(test_ask_source(cache, "什麼是快取？"), "exact");
    cr_assert_eq(mock_calls(&mock, "/v1/messages"), 1);
    llmcache_close(cache);
}

Test(api, a_question_and_its_protocol_body_share_an_entry)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    test_ask_source(cache, "hi");
    test_reply reply = test_call(cache, CHAT, NULL,
                                 "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    cr_assert_str_eq(test_reply_header(&reply, "X-LLMCache-Source"), "exact");
    llmcache_close(cache);
}

static int count(void *user, const llmcache_entry *entry)
{
    cr_assert_eq(entry->struct_size, sizeof *entry);
    ++*(int *)user;
    return 0;
}

static int note_question(void *user, const llmcache_entry *entry)
{
    snprintf(user, 64, "%s", entry->question);
    return 0;
}

static int count_entries(llmcache *cache, const llmcache_filter *filter)
{
    int found = 0;
    cr_assert_eq(llmcache_each(cache, filter, count, &found, NULL), 0);
    return found;
}

Test(api, entries_are_listed_found_and_removed)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9999");
    llmcache_ask_options tagged = {.struct_size = sizeof tagged, .tags = "blue,green", .space = "team"};
    llmcache_answer *answer = test_ask(cache, "三月的天氣", &tagged);
    const char *id = test_format("%s", llmcache_answer_id(answer));
    llmcache_answer_free(answer);
    test_ask_source(cache, "two");
    test_ask_source(cache, "three");
    cr_assert_eq(count_entries(cache, NULL), 3);
    llmcache_filter green = {.struct_size = sizeof green, .tag = "green"};
    llmcache_filter part = {.struct_size = sizeof part, .contains = "天氣"};
    llmcache_filter team = {.struct_size = sizeof team, .space = "team"};
    llmcache_filter old = {.struct_size = sizeof old, .older_than_ms = 1000};
    cr_assert_eq(count_entries(cache, &green), 1);
    cr_assert_eq(count_entries(cache, &part), 1);
    cr_assert_eq(count_entries(cache, &team), 1);
    cr_assert_eq(count_entries(cache, &old), 0);
    char question[64];
    cr_assert_eq(llmcache_get(cache, test_format("%.8s", id), note_question, question, NULL), 0);
    cr_assert_str_eq(question, "三月的天氣");
    uint64_t removed = 0;
    green.dry_run = 1;
    cr_assert_eq(llmcache_purge(cache, &green, &removed, NULL), 0);
    cr_assert_eq(removed, 1);
    cr_assert_eq(count_entries(cache, NULL), 3, "a dry run removes nothing");
    cr_assert_eq(llmcache_feedback(cache, id, 0, NULL), 0);
    cr_assert_eq(count_entries(cache, &team), 0);
    cr_assert_eq(llmcache_get(cache, id, note_question, question, NULL), LLMCACHE_NOT_FOUND);
    answer = test_ask(cache, "三月的天氣", &tagged);
    cr_assert_str_eq(llmcache_answer_source_name(answer), "model", "a wrong answer is gone everywhere");
    llmcache_answer_free(answer);
    cr_assert_eq(llmcache_purge(cache, NULL, &removed, NULL), 0);
    cr_assert_eq(removed, 3);
    cr_assert_eq(count_entries(cache, NULL), 0);
    cr_assert_str_eq(test_ask_source(cache, "two"), "model");
    llmcache_close(cache);
}

Test(api, an_answer_can_be_put_by_hand)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9");
    cr_assert_eq(llmcache_put(cache, "What is the door code?", "Ask Ann.", NULL, NULL), 0);
    llmcache_answer *answer = test_ask(cache, "What is the door code?", NULL);
    cr_assert_str_eq(llmcache_answer_source_name(answer), "exact");
    cr_assert_str_eq(llmcache_answer_text(answer), "Ask Ann.");
    llmcache_answer_free(answer);
    mock_behave(&mock, "{'pairs': [['What is the door code?', 'Tell me the door code', 0.98]]}");
    llmcache_close(cache);
}

Test(api, explaining_changes_nothing_and_tells_why)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.95");
    mock_behave(&mock, "{'pairs': [['enable it', 'disable it', 0.99]]}");
    test_ask_source(cache, "enable it");
    llmcache_counters before = test_counters(cache);
    char *text;
    cr_assert_eq(llmcache_explain(cache, "disable it", NULL, &text, NULL), 0);
    json_t *root = json_loads(text, 0, NULL);
    cr_assert(root, "%s", text);
    cr_assert_str_eq(json_string_value(json_object_get(root, "source")), "model");
    json_t *candidate = json_array_get(json_object_get(json_object_get(root, "semantic"), "candidates"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(candidate, "question")), "enable it");
    cr_assert_float_eq(json_number_value(json_object_get(candidate, "similarity")), 0.99, 1e-3);
    cr_assert(*json_string_value(json_object_get(candidate, "why")), "%s", text);
    json_decref(root);
    llmcache_free(text);
    cr_assert_eq(llmcache_explain(cache, "enable it", NULL, &text, NULL), 0);
    cr_assert(strstr(text, "\"source\":\"exact\""), "%s", text);
    llmcache_free(text);
    llmcache_counters after = test_counters(cache);
    cr_assert_eq(after.requests, before.requests);
    cr_assert_eq(after.upstream_calls, before.upstream_calls);
    llmcache_close(cache);
}

Test(api, caches_in_one_process_know_nothing_of_each_other)
{
    llmcache *one = test_cache(&mock, "embedder", "none");
    llmcache *two = test_cache(&mock, "embedder", "none");
    test_ask_source(one, "a");
    cr_assert_str_eq(test_ask_source(two, "a"), "model");
    cr_assert_str_eq(test_ask_source(one, "a"), "exact");
    llmcache_close(one);
    cr_assert_str_eq(test_ask_source(two, "a"), "exact");
    llmcache_close(two);
}

Test(api, an_answer_without_its_model_is_served_again)
{
    mock_behave(&mock, "{'body': {'id': 'x', 'object': 'chat.completion', 'choices': [{'index': 0,"
                       " 'finish_reason': 'stop', 'message': {'role': 'assistant', 'content': 'Hi.'}}]}}");
    llmcache *cache = test_cache(&mock, "embedder", "none", "model", "small");
    for (int i = 0; i < 3; i++) {
        llmcache_answer *answer = test_ask(cache, "Who made this?", NULL);
        cr_assert_eq(llmcache_answer_source(answer), i ? LLMCACHE_SOURCE_EXACT : LLMCACHE_SOURCE_MODEL);
        cr_assert_str_eq(llmcache_answer_model(answer), "small");
        llmcache_answer_free(answer);
    }
    llmcache_close(cache);
}

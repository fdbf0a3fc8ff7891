/* The exact cache end to end: what shares an answer, what never does, how long it lasts, what is kept. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

#define CHAT "/v1/chat/completions"

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(prompt_cache, .init = set_up, .timeout = 60);

static llmcache *open_exact(void)
{
    return test_cache(&mock, "embedder", "none");
}

Test(prompt_cache, the_same_question_is_answered_from_memory)
{
    llmcache *cache = open_exact();
    llmcache_answer *first = test_ask(cache, "什麼是快取？", NULL);
    llmcache_answer *second = test_ask(cache, "什麼是快取？", NULL);
    cr_assert_str_eq(llmcache_answer_source_name(first), "model");
    cr_assert(llmcache_answer_stored(first));
    cr_assert_str_eq(llmcache_answer_source_name(second), "exact");
    cr_assert_str_eq(llmcache_answer_text(first), llmcache_answer_text(second));
    cr_assert_str_eq(llmcache_answer_id(first), llmcache_answer_id(second));
    cr_assert_eq(strlen(llmcache_answer_id(first)), LLMCACHE_ID_SIZE - 1);
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    llmcache_answer_free(first);
    llmcache_answer_free(second);
    llmcache_close(cache);
}

/* Each pair in this order: first is asked, then second; may it be answered from the first? */
static const struct {
    const char *first, *second;
    int shares;
} bodies[] = {
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     " { \"messages\" : [ { \"content\" : \"h\\u0069\" , \"role\" : \"user\" } ] , \"model\" : \"m\" } ", 1},
    {"{\"model\":\"m\",\"temperature\":0,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"m\",\"temperature\":0.0,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 1},
    {"{\"model\":\"m\",\"user\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"m\",\"user\":\"b\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 1},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 0},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"m\",\"temperature\":0.7,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 0},
    {"{\"model\":\"m\",\"seed\":9007199254740992,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"m\",\"seed\":9007199254740993,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 0},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
     0},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"unknown_field\":1}", 0},
    {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000c\"}]}", 0},
};

Test(prompt_cache, requests_share_exactly_when_what_shapes_the_answer_is_equal)
{
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        llmcache *cache = open_exact();
        test_reply first = test_call(cache, CHAT, NULL, bodies[i].first);
        test_reply second = test_call(cache, CHAT, NULL, bodies[i].second);
        cr_assert_eq(first.status, 200, "pair %zu: %s", i, first.body);
        cr_assert_eq(second.status, 200, "pair %zu: %s", i, second.body);
        const char *source = test_reply_header(&second, "X-LLMCache-Source");
        cr_assert_str_eq(source, bodies[i].shares ? "exact" : "model", "pair %zu", i);
        cr_assert_eq(strcmp(first.body, second.body) == 0, bodies[i].shares, "pair %zu", i);
        llmcache_close(cache);
    }
}

Test(prompt_cache, a_setting_puts_a_field_into_the_key)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "key-fields", "user");
    test_call(cache, CHAT, NULL, bodies[2].first);
    test_reply other = test_call(cache, CHAT, NULL, bodies[2].second);
    cr_assert_str_eq(test_reply_header(&other, "X-LLMCache-Source"), "model");
    llmcache_close(cache);
}

Test(prompt_cache, callers_with_other_keys_never_share)
{
    llmcache *cache = open_exact();
    const char *alice[] = {"Authorization", "Bearer alice", NULL};
    const char *bob[] = {"Authorization", "Bearer bob", NULL};
    const char *both[] = {"Authorization", "Bearer alice", "x-api-key", "bob", NULL};
    test_call(cache, CHAT, alice, bodies[0].first);
    test_reply again = test_call(cache, CHAT, alice, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&again, "X-LLMCache-Source"), "exact");
    test_reply other = test_call(cache, CHAT, bob, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&other, "X-LLMCache-Source"), "model");
    other = test_call(cache, CHAT, both, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&other, "X-LLMCache-Source"), "model");
    other = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&other, "X-LLMCache-Source"), "model");
    cr_assert_eq(mock_calls(&mock, CHAT), 4);
    llmcache_close(cache);
}

Test(prompt_cache, an_answer_expires_when_its_time_is_over)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "ttl", "60");
    llmcache_ask_options longer = {.struct_size = sizeof longer, .ttl_ms = 120000};
    test_ask_source(cache, "one");
    llmcache_answer_free(test_ask(cache, "two", &longer));
    test_clock_ms += 59999;
    cr_assert_str_eq(test_ask_source(cache, "one"), "exact");
    test_clock_ms += 2;
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    cr_assert_str_eq(test_ask_source(cache, "two"), "exact");
    test_clock_ms += 60000;
    cr_assert_str_eq(test_ask_source(cache, "two"), "model");
    llmcache_close(cache);
}

static void expect_not_kept(const char *rule, const char *reason)
{
    llmcache *cache = open_exact();
    mock_reset(&mock);
    mock_behave(&mock, "%s", rule);
    test_call(cache, CHAT, NULL, bodies[0].first);
    test_reply again = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_str_neq(test_reply_header(&again, "X-Cache-Status"), "HIT", "%s", rule);
    cr_assert_eq(mock_calls(&mock, CHAT), 2, "%s", rule);
    cr_assert_eq(test_counters(cache).stored, 0, "%s", rule);
    if (reason) {
        char *json;
        cr_assert_eq(llmcache_metrics(cache, LLMCACHE_JSON, &json, NULL), 0);
        cr_assert(strstr(json, test_format("\"%s\":2", reason)), "%s: %s", rule, json);
        llmcache_free(json);
    }
    llmcache_close(cache);
}

Test(prompt_cache, only_whole_answers_are_kept)
{
    expect_not_kept("{'finish': 'length'}", "length");
    expect_not_kept("{'finish': 'content_filter'}", "content_filter");
    expect_not_kept("{'refusal': 'I cannot.'}", "refusal");
    expect_not_kept("{'empty': true}", "empty");
    expect_not_kept("{'status': 429}", NULL);
    expect_not_kept("{'status': 500}", NULL);
    expect_not_kept("{'garbage': 100}", NULL);
    expect_not_kept("{'cut_after_bytes': 40}", NULL);
}

Test(prompt_cache, an_answer_over_the_cap_passes_uncached)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "max-answer-bytes", "4KiB");
    mock_behave(&mock, "{'huge': 20000}");
    test_reply first = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_eq(first.status, 200);
    cr_assert_gt(first.size, 20000);
    test_reply second = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&second, "X-LLMCache-Source"), "model");
    llmcache_close(cache);
}

Test(prompt_cache, what_cannot_be_understood_is_passed_on_untouched_and_uncached)
{
    llmcache *cache = open_exact();
    static const char *const odd[] = {
        "{\"model\":\"m\",\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}",
        "not json", ""};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        mock_reset(&mock);
        test_call(cache, CHAT, NULL, odd[i]);
        test_reply second = test_call(cache, CHAT, NULL, odd[i]);
        cr_assert_str_eq(test_reply_header(&second, "X-Cache-Status"), "BYPASS", "%zu", i);
        json_t *log = mock_log(&mock);
        const char *text = json_string_value(json_object_get(
            json_array_get(json_object_get(log, "calls"), 1), "body"));
        cr_assert(text && strcmp(text, odd[i]) == 0, "%zu: %s", i, text);
        json_decref(log);
    }
    cr_assert_eq(test_counters(cache).stored, 0);
    llmcache_close(cache);
}

Test(prompt_cache, our_own_controls_do_not_go_up)
{
    llmcache *cache = open_exact();
    const char *headers[] = {"X-LLMCache-TTL", "60", "Cache-Control", "no-cache", "X-Other", "kept", NULL};
    test_call(cache, CHAT, headers,
              "{\"model\":\"m\",\"cache\":{\"ttl\":5},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    json_t *log = mock_log(&mock);
    const json_t *call = json_array_get(json_object_get(log, "calls"), 0);
    char *seen = json_dumps(json_object_get(call, "headers"), JSON_COMPACT);
    cr_assert(!strcasestr(seen, "x-llmcache") && !strcasestr(seen, "no-cache"), "%s", seen);
    cr_assert(strcasestr(seen, "kept"));
    cr_assert(!strstr(json_string_value(json_object_get(call, "body")), "cache"));
    free(seen);
    json_decref(log);
    llmcache_close(cache);
}

Test(prompt_cache, request_directives_are_obeyed)
{
    llmcache *cache = open_exact();
    const char *fresh[] = {"Cache-Control", "no-cache", NULL};
    const char *only[] = {"Cache-Control", "only-if-cached", NULL};
    const char *young[] = {"Cache-Control", "max-age=10", NULL};
    const char *lasting[] = {"Cache-Control", "min-fresh=100", NULL};
    test_reply reply = test_call(cache, CHAT, only, bodies[0].first);
    cr_assert_eq(reply.status, 504);
    cr_assert(strstr(reply.body, "\"error\""));
    cr_assert_eq(mock_calls(&mock, CHAT), 0);
    const char *short_life[] = {"X-LLMCache-TTL", "60", NULL};
    test_call(cache, CHAT, short_life, bodies[0].first);
    cr_assert_eq(test_call(cache, CHAT, only, bodies[0].first).status, 200);
    reply = test_call(cache, CHAT, lasting, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&reply, "X-LLMCache-Source"), "model");
    test_clock_ms += 11000;
    reply = test_call(cache, CHAT, young, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&reply, "X-LLMCache-Source"), "model");
    int before = mock_calls(&mock, CHAT);
    test_call(cache, CHAT, fresh, bodies[0].first);
    cr_assert_eq(mock_calls(&mock, CHAT), before + 1);
    const char *wrong[] = {"X-LLMCache-Threshold", "much", NULL};
    reply = test_call(cache, CHAT, wrong, bodies[0].first);
    cr_assert_eq(reply.status, 400);
    llmcache_close(cache);
}

Test(prompt_cache, a_request_may_shorten_a_life_and_not_lengthen_it)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "ttl", "60");
    const char *longer[] = {"X-LLMCache-TTL", "3600", NULL}, *shorter[] = {"X-LLMCache-TTL", "10", NULL};
    const char *body = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]%s}";
    test_call(cache, CHAT, longer, test_format(body, ""));
    test_call(cache, CHAT, NULL, test_format(body, ",\"seed\":1,\"cache\":{\"ttl\":3600}"));
    test_call(cache, CHAT, shorter, test_format(body, ",\"seed\":2"));
    test_clock_ms += 11000;
    test_reply kept = test_call(cache, CHAT, NULL, test_format(body, ""));
    test_reply gone = test_call(cache, CHAT, NULL, test_format(body, ",\"seed\":2"));
    cr_expect_str_eq(test_reply_header(&kept, "X-Cache-Status"), "HIT");
    cr_expect_str_eq(test_reply_header(&gone, "X-Cache-Status"), "MISS");
    test_clock_ms += 50000;
    kept = test_call(cache, CHAT, NULL, test_format(body, ""));
    cr_expect_str_eq(test_reply_header(&kept, "X-Cache-Status"), "MISS");
    kept = test_call(cache, CHAT, NULL, test_format(body, ",\"seed\":1"));
    cr_expect_str_eq(test_reply_header(&kept, "X-Cache-Status"), "MISS");
    llmcache_close(cache);
}

/* A reason that the SDKs' own shapes give, in each protocol. */
Test(prompt_cache, what_must_be_cached_and_is_not_is_an_error_in_shape)
{
    static const struct {
        const char *path, *body, *shape;
    } rows[] = {
        {CHAT, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "{\"error\":{\"message\":"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\"}", "{\"error\":{\"message\":"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}", "{\"error\":{\"message\":"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}", "{\"error\":{\"message\":"},
        {"/v1/messages", "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
         "{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":"},
    };
    const char *only[] = {"Cache-Control", "only-if-cached", NULL};
    llmcache *cache = open_exact();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_reply reply = test_call(cache, rows[i].path, only, rows[i].body);
        cr_expect_eq(reply.status, 504, "%s", rows[i].path);
        cr_expect_eq(strncmp(reply.body, rows[i].shape, strlen(rows[i].shape)), 0, "%s", reply.body);
        cr_expect_str_eq(test_reply_header(&reply, "x-should-retry"), "false", "%s", rows[i].path);
    }
    cr_expect_eq(mock_calls(&mock, NULL), 0);
    llmcache_close(cache);
}

Test(prompt_cache, a_stale_answer_is_served_while_a_new_one_is_fetched)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "ttl", "60", "stale-while-revalidate", "30");
    mock_behave(&mock, "{'unique': true}");
    test_reply first = test_call(cache, CHAT, NULL, bodies[0].first);
    test_clock_ms += 61000;
    test_reply stale = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_str_eq(stale.body, first.body);
    cr_assert_str_eq(test_reply_header(&stale, "X-Cache-Status"), "STALE");
    cr_assert(strstr(test_reply_header(&stale, "Cache-Status"), "ttl=-1"));
    cr_assert(test_wait_until(test_counters(cache).stored == 2, 5000));
    test_reply fresh = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&fresh, "X-Cache-Status"), "HIT");
    cr_assert_str_neq(fresh.body, first.body);
    test_clock_ms += 91000;
    test_reply late = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&late, "X-Cache-Status"), "MISS", "past its window it is gone");
    llmcache_close(cache);
}

Test(prompt_cache, a_stale_answer_is_served_when_the_upstream_fails)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "ttl", "60", "stale-if-error", "1h");
    const char *strict[] = {"Cache-Control", "stale-if-error=0", NULL};
    test_reply first = test_call(cache, CHAT, NULL, bodies[0].first);
    test_clock_ms += 61000;
    mock_behave(&mock, "{'status': 503}");
    cr_assert_eq(test_call(cache, CHAT, strict, bodies[0].first).status, 503);
    test_reply stale = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_eq(stale.status, 200);
    cr_assert_str_eq(stale.body, first.body);
    cr_assert(strstr(test_reply_header(&stale, "Cache-Status"), "detail=stale"));
    mock_reset(&mock);
    mock_behave(&mock, "{'status': 400}");
    cr_assert_eq(test_call(cache, CHAT, NULL, bodies[0].first).status, 400, "the request's fault, not the service's");
    mock_reset(&mock);
    test_reply fresh = test_call(cache, CHAT, NULL, bodies[0].first);
    cr_assert_str_eq(test_reply_header(&fresh, "X-Cache-Status"), "MISS");
    cr_assert_eq(test_counters(cache).hits_stale, 1);
    llmcache_close(cache);
}

/* What is never looked up is not in the cache either. */
Test(prompt_cache, only_if_cached_asks_nobody_whatever_the_request)
{
    llmcache *cache = open_exact();
    const char *only[] = {"Cache-Control", "only-if-cached", NULL};
    cr_assert_eq(test_call(cache, CHAT, only, "{\"model\":\"m\",\"messages\":7}").status, 504);
    cr_assert_eq(test_call(cache, CHAT, only, "not JSON").status, 504);
    cr_assert_eq(test_call(cache, "/v1/models", only, "").status, 504);
    cr_assert_eq(mock_calls(&mock, NULL), 0);
    llmcache_close(cache);
}

/* The semantic cache end to end, with vectors whose cosines the test chooses. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

#define CHAT "/v1/chat/completions"

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(semantic_cache, .init = set_up, .timeout = 60);

static void near(const char *a, const char *b, double cosine)
{
    mock_behave(&mock, "{'pairs': [['%s', '%s', %.3f]]}", a, b, cosine);
}

Test(semantic_cache, a_reworded_question_gets_the_kept_answer)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.95");
    near("什麼是快取？", "請解釋快取是什麼", 0.97);
    llmcache_answer *first = test_ask(cache, "什麼是快取？", NULL);
    llmcache_answer *second = test_ask(cache, "請解釋快取是什麼", NULL);
    cr_assert_str_eq(llmcache_answer_source_name(second), "semantic");
    cr_assert_str_eq(llmcache_answer_text(first), llmcache_answer_text(second));
    cr_assert_str_eq(llmcache_answer_question(second), "什麼是快取？");
    cr_assert_float_eq(llmcache_answer_similarity(second), 0.97, 1e-3);
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    llmcache_answer *third = test_ask(cache, "請解釋快取是什麼", NULL);
    cr_assert_str_eq(llmcache_answer_source_name(third), "semantic", "from memory, without embedding");
    cr_assert_eq(test_counters(cache).embeds, 2);
    llmcache_answer_free(first);
    llmcache_answer_free(second);
    llmcache_answer_free(third);
    llmcache_close(cache);
}

Test(semantic_cache, below_the_threshold_the_model_is_asked)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.95");
    near("red", "crimson", 0.94);
    near("red", "scarlet", 0.96);
    test_ask_source(cache, "red");
    cr_assert_str_eq(test_ask_source(cache, "crimson"), "model");
    llmcache_ask_options strict = {.struct_size = sizeof strict, .threshold = 0.99};
    llmcache_answer *answer = test_ask(cache, "scarlet", &strict);
    cr_assert_str_eq(llmcache_answer_source_name(answer), "model", "a question may raise it");
    llmcache_answer_free(answer);
    llmcache_ask_options lax = {.struct_size = sizeof lax, .threshold = 0.5};
    near("red", "ruby", 0.90);
    answer = test_ask(cache, "ruby", &lax);
    cr_assert_str_eq(llmcache_answer_source_name(answer), "model", "but never lower it");
    llmcache_answer_free(answer);
    llmcache_close(cache);
}

Test(semantic_cache, a_rule_refuses_what_the_vectors_would_share)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9");
    near("How do I enable 2FA?", "How do I disable 2FA?", 0.99);
    near("Flights for 2 people", "Flights for 3 people", 0.99);
    test_ask_source(cache, "How do I enable 2FA?");
    test_ask_source(cache, "Flights for 2 people");
    cr_assert_str_eq(test_ask_source(cache, "How do I disable 2FA?"), "model");
    cr_assert_str_eq(test_ask_source(cache, "Flights for 3 people"), "model");
    cr_assert_geq(test_counters(cache).rejected, 2);
    llmcache_close(cache);
}

Test(semantic_cache, another_history_system_model_or_namespace_never_matches)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9");
    near("one", "uno", 0.99);
    test_ask_source(cache, "one");
    llmcache_ask_options system = {.struct_size = sizeof system, .system = "You are terse."};
    llmcache_ask_options model = {.struct_size = sizeof model, .model = "other"};
    llmcache_ask_options space = {.struct_size = sizeof space, .space = "elsewhere"};
    const llmcache_ask_options *all[] = {&system, &model, &space};
    for (int i = 0; i < 3; i++) {
        llmcache_answer *answer = test_ask(cache, "uno", all[i]);
        cr_assert_str_eq(llmcache_answer_source_name(answer), "model", "%d", i);
        llmcache_answer_free(answer);
    }
    test_reply history = test_call(
        cache, CHAT, NULL,
        "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
        "{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":\"uno\"}]}");
    cr_assert_str_eq(test_reply_header(&history, "X-LLMCache-Source"), "model");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    llmcache_close(cache);
}

Test(semantic_cache, it_is_searchable_again_after_a_restart)
{
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    near("one", "uno", 0.99);
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "store", uri);
    test_ask_source(cache, "one");
    llmcache_close(cache);
    cache = test_cache(&mock, "threshold", "0.9", "store", uri);
    cr_assert_str_eq(test_ask_source(cache, "one"), "exact");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    llmcache_close(cache);
}

static int index_is_ready(llmcache *cache)
{
    char *text;
    llmcache_status status;
    cr_assert_eq(llmcache_health(cache, &status, &text, NULL), 0);
    int ready = strstr(text, "\"detail\":\"loading\"") == NULL;
    llmcache_free(text);
    return ready;
}

/* Adds the records that are of this embedder's space. */
static int count_own(void *user, const llmcache_entry *record)
{
    *(int *)user += strstr(record->embedder, "another-model") ? 1 : 100;
    return 0;
}

Test(semantic_cache, vectors_of_another_embedder_are_never_compared)
{
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "store", uri);
    test_ask_source(cache, "one");
    llmcache_close(cache);
    mock_behave(&mock, "{'path': '/v1/embeddings', 'status': 400}");
    int before = mock_calls(&mock, "/v1/embeddings");
    cache = test_cache(&mock, "threshold", "0.9", "store", uri, "embedder", "openai:another-model");
    cr_assert(test_wait_until(index_is_ready(cache) && mock_calls(&mock, "/v1/embeddings") > before, 5000),
              "the background tried to make it again, once");
    cr_assert_eq(test_counters(cache).records, 0);
    mock_reset(&mock);
    llmcache_rebuild_report report;
    cr_assert_eq(llmcache_rebuild(cache, &report, NULL), 0);
    /* The background may try once more, and be the one that makes it: there is one record, of the new space. */
    cr_assert_eq(report.entries, 1);
    cr_assert_eq(report.failed, 0);
    cr_assert_leq(report.embedded, 1);
    cr_assert(test_wait_until(test_counters(cache).records == 1, 5000), "made again from the kept text");
    const llmcache_filter records = {.struct_size = sizeof records, .records = 2};
    int own = 0;
    cr_assert_eq(llmcache_each(cache, &records, count_own, &own, NULL), 0);
    cr_assert_eq(own, 1, "the old model's record is gone");
    llmcache_close(cache);
}

Test(semantic_cache, records_are_made_again_when_the_embedder_changes)
{
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    near("one", "uno", 0.99);
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "store", uri);
    test_ask_source(cache, "one");
    test_ask_source(cache, "another");
    llmcache_close(cache);
    cache = test_cache(&mock, "threshold", "0.9", "store", uri, "embedder", "openai:another-model");
    cr_assert(test_wait_until(test_counters(cache).records == 2, 5000));
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    llmcache_close(cache);
}

Test(semantic_cache, a_dead_embedder_costs_no_question)
{
    llmcache *cache = test_cache(&mock, "embed-timeout-ms", "200");
    mock_behave(&mock, "{'path': '/v1/embeddings', 'hang': true}");
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    cr_assert_str_eq(test_ask_source(cache, "two"), "model");
    cr_assert_eq(mock_calls(&mock, "/v1/embeddings"), 1, "it is not asked again at once");
    cr_assert_str_eq(test_ask_source(cache, "one"), "exact");
    cr_assert_eq(test_counters(cache).embed_errors, 1);
    llmcache_close(cache);
}

Test(semantic_cache, what_is_no_plain_text_question_is_not_matched)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.5");
    static const char *const bodies[] = {
        "{\"model\":\"m\",\"n\":2,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"m\",\"logprobs\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        ("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
        "\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}},{\"type\":\"text\",\"text\":\"hi\"}]}]}")};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        cr_assert_eq(test_call(cache, CHAT, NULL, bodies[i]).status, 200, "%zu", i);
    cr_assert_eq(test_counters(cache).embeds, 0);
    llmcache_close(cache);
}

Test(semantic_cache, a_question_about_now_is_kept_shortly_and_not_matched)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "volatile-ttl", "60");
    near("台北今天天氣如何？", "台北今天的天氣怎麼樣？", 0.99);
    test_ask_source(cache, "台北今天天氣如何？");
    test_ask_source(cache, "What is a cache?");
    cr_assert_str_eq(test_ask_source(cache, "台北今天的天氣怎麼樣？"), "model");
    cr_assert_str_eq(test_ask_source(cache, "台北今天天氣如何？"), "exact");
    test_clock_ms += 61000;
    cr_assert_str_eq(test_ask_source(cache, "台北今天天氣如何？"), "model");
    cr_assert_str_eq(test_ask_source(cache, "What is a cache?"), "exact");
    llmcache_close(cache);
}

/* /v1/embeddings through the cache: each input by itself, in order, in the form asked for. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

#define PATH "/v1/embeddings"

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(embeddings, .init = set_up, .timeout = 60);

/* The inputs of the n-th call the service got, as JSON text. */
static const char *asked(int n)
{
    json_t *log = mock_log(&mock);
    json_t *call = json_array_get(json_object_get(log, "calls"), (size_t)n);
    json_t *body = json_loads(json_string_value(json_object_get(call, "body")), 0, NULL);
    char *text = json_dumps(json_object_get(body, "input"), JSON_COMPACT | JSON_ENCODE_ANY);
    const char *kept = test_keep(text, strlen(text));
    free(text);
    json_decref(body);
    json_decref(log);
    return kept;
}

/* The data member of a reply without its usage, for comparing. */
static const char *data_of(const test_reply *reply)
{
    json_t *root = json_loads(reply->body, 0, NULL);
    cr_assert(root, "%s", reply->body);
    char *text = json_dumps(json_object_get(root, "data"), JSON_COMPACT | JSON_SORT_KEYS);
    const char *kept = test_keep(text, strlen(text));
    free(text);
    json_decref(root);
    return kept;
}

Test(embeddings, a_batch_asks_only_for_what_is_missing_and_keeps_the_order)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":[\"b\",\"d\"]}");
    test_reply mixed = test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":[\"a\",\"b\",\"c\",\"d\",\"a\"]}");
    cr_assert_eq(mock_calls(&mock, PATH), 2);
    cr_assert(strstr(asked(1), "\"a\"") && strstr(asked(1), "\"c\"") && !strstr(asked(1), "\"b\""), "%s",
              asked(1));
    cr_assert_str_eq(test_reply_header(&mixed, "X-Cache-Status"), "MISS");
    llmcache *fresh = test_cache(&mock, "embedder", "none");
    test_reply direct = test_call(fresh, PATH, NULL, "{\"model\":\"e\",\"input\":[\"a\",\"b\",\"c\",\"d\",\"a\"]}");
    cr_assert_str_eq(data_of(&mixed), data_of(&direct));
    test_reply again = test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":[\"c\",\"a\"]}");
    cr_assert_str_eq(test_reply_header(&again, "X-Cache-Status"), "HIT");
    cr_assert_eq(mock_calls(&mock, PATH), 3);
    llmcache_close(cache);
    llmcache_close(fresh);
}

static int64_t tokens_of(const test_reply *reply)
{
    json_t *usage = json_object_get(test_json(reply->body), "usage");
    return json_integer_value(json_object_get(usage, "total_tokens"));
}

Test(embeddings, a_batch_counts_its_tokens_alike_each_time)
{
    static const char *const inputs[] = {"[\"one two\",\"one two\"]",
                                         "[\"x\",\"y y\",\"x\",\"z z z z\"]",
                                         "[\"p q r\",\"p q r\",\"p q r\",\"s\",\"s\",\"s\"]",
                                         "[\"t\",\"u v\",\"w x y\"]"};
    llmcache *cache = test_cache(&mock, "embedder", "none");
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const char *body = test_format("{\"model\":\"e\",\"input\":%s}", inputs[i]);
        test_reply miss = test_call(cache, PATH, NULL, body), hit = test_call(cache, PATH, NULL, body);
        cr_expect_str_eq(test_reply_header(&hit, "X-Cache-Status"), "HIT");
        cr_expect_eq(tokens_of(&hit), tokens_of(&miss), "%s", inputs[i]);
        cr_expect_gt(tokens_of(&hit), 0);
    }
    cr_expect_eq(mock_calls(&mock, PATH), 4);
    llmcache_close(cache);
}

/* What cannot be taken apart is asked for again as the caller asked, or rows would be missing. */
Test(embeddings, a_reply_that_cannot_be_taken_apart_is_never_a_part_of_the_batch)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":\"a\"}");
    mock_behave(&mock, "[{'next': 1, 'body': {'data': []}}, {'next': 1, 'body': {'odd': true}}]");
    test_reply reply = test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":[\"a\",\"b\"]}");
    cr_expect_str_eq(asked(1), "[\"b\"]");
    cr_expect_str_eq(asked(2), "[\"a\",\"b\"]");
    cr_expect(strstr(reply.body, "odd"), "%s", reply.body);
    cr_expect_eq(mock_calls(&mock, PATH), 3);
    llmcache_close(cache);
}

Test(embeddings, either_form_is_served_from_what_is_kept)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":\"a\",\"encoding_format\":\"base64\"}");
    test_reply floats = test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":\"a\"}");
    cr_assert_str_eq(test_reply_header(&floats, "X-Cache-Status"), "HIT");
    cr_assert(strstr(floats.body, "\"embedding\":["), "%.200s", floats.body);
    test_reply other = test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":\"a\",\"dimensions\":64}");
    cr_assert_str_eq(test_reply_header(&other, "X-Cache-Status"), "MISS");
    llmcache_close(cache);
}

Test(embeddings, errors_and_odd_requests_pass_as_they_are)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    mock_behave(&mock, "{'status': 429, 'next': 1}");
    cr_assert_eq(test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":\"a\"}").status, 429);
    cr_assert_eq(test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":\"a\"}").status, 200);
    test_reply odd = test_call(cache, PATH, NULL, "{\"model\":\"e\",\"input\":{}}");
    cr_assert_str_eq(test_reply_header(&odd, "X-Cache-Status"), "BYPASS");
    llmcache_close(cache);
}

Test(embeddings, the_model_local_is_the_embedder_here)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9");
    test_reply reply = test_call(cache, PATH, NULL, "{\"model\":\"local\",\"input\":[\"a\",\"b\"]}");
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    json_t *root = json_loads(reply.body, 0, NULL);
    float *vectors;
    size_t dimension;
    const char *texts[] = {"a", "b"};
    cr_assert_eq(llmcache_embed(cache, texts, 2, &vectors, &dimension, NULL), 0);
    json_t *second = json_object_get(json_array_get(json_object_get(root, "data"), 1), "embedding");
    cr_assert_eq(json_array_size(second), dimension);
    for (size_t i = 0; i < dimension; i++)
        cr_assert_float_eq(json_number_value(json_array_get(second, i)), (double)vectors[dimension + i], 1e-6);
    llmcache_free(vectors);
    json_decref(root);
    cr_assert_eq(test_call(cache, PATH, NULL, "{\"model\":\"local\",\"input\":[1,2]}").status, 400);
    llmcache_close(cache);
    cache = test_cache(&mock, "embedder", "none");
    cr_assert_eq(test_call(cache, PATH, NULL, "{\"model\":\"local\",\"input\":\"a\"}").status, 400);
    llmcache_close(cache);
}

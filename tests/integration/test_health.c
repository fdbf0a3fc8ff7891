/* Health tells the state of every part without asking any; the doctor asks. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(health, .init = set_up, .timeout = 60);

static json_t *health_of(llmcache *cache, llmcache_status *status)
{
    char *text;
    cr_assert_eq(llmcache_health(cache, status, &text, NULL), 0);
    json_t *root = json_loads(text, 0, NULL);
    cr_assert(root, "%s", text);
    llmcache_free(text);
    return root;
}

static int part_ok(llmcache *cache, const char *name)
{
    llmcache_status status;
    json_t *root = health_of(cache, &status);
    int ok = json_is_true(json_object_get(json_object_get(root, name), "ok"));
    json_decref(root);
    return ok;
}

static llmcache_status status_of(llmcache *cache)
{
    llmcache_status status;
    json_decref(health_of(cache, &status));
    return status;
}

Test(health, all_is_well_with_everything_there)
{
    llmcache *cache = test_cache(&mock, "ttl", "60");
    test_ask_source(cache, "one");
    cr_assert(test_wait_until(status_of(cache) == LLMCACHE_STATUS_OK, 5000));
    cr_assert(part_ok(cache, "store") && part_ok(cache, "embedder") && part_ok(cache, "index"));
    llmcache_close(cache);
}

Test(health, a_failing_embedder_is_degraded_and_named)
{
    llmcache *cache = test_cache(&mock, "embed-timeout-ms", "100");
    mock_behave(&mock, "{'path': '/v1/embeddings', 'hang': true}");
    test_ask_source(cache, "one");
    cr_assert_eq(status_of(cache), LLMCACHE_STATUS_DEGRADED);
    cr_assert(!part_ok(cache, "embedder"));
    llmcache_close(cache);
}

Test(health, the_doctor_says_how_to_mend)
{
    llmcache *cache = test_cache(&mock, "embedder", "openai:text-embedding-3-small");
    mock_behave(&mock, "{'path': '/v1/embeddings', 'status': 401}");
    char *text;
    cr_assert_eq(llmcache_doctor(cache, &text, NULL), 0);
    json_t *root = json_loads(text, 0, NULL);
    cr_assert(root, "%s", text);
    size_t i, bad = 0;
    json_t *row;
    json_array_foreach(root, i, row)
    {
        const char *part = json_string_value(json_object_get(row, "part"));
        int ok = json_is_true(json_object_get(row, "ok"));
        const char *mend = json_string_value(json_object_get(row, "mend"));
        cr_assert_eq(ok, strcmp(part, "embedder") != 0, "%s: %s", part, text);
        cr_assert_eq(*mend == '\0', ok, "%s", text);
        bad += !ok;
    }
    cr_assert_eq(bad, 1);
    cr_assert(!strstr(text, "sk-test"), "no key in it");
    json_decref(root);
    llmcache_free(text);
    llmcache_close(cache);
}

Test(health, a_model_that_is_not_there_is_told_before_anybody_asks)
{
    llmcache *cache = test_cache(&mock, "embedder", "local:", "models-folder", test_folder());
    llmcache_status status;
    json_t *root = health_of(cache, &status);
    const char *detail = json_string_value(json_object_get(json_object_get(root, "embedder"), "detail"));
    cr_assert_eq(status, LLMCACHE_STATUS_DEGRADED);
    cr_assert(strstr(detail, "model pull"), "%s", detail);
    json_decref(root);
    cr_assert_str_eq(test_ask_source(cache, "hi"), "model", "it works, exactly only");
    cr_assert_str_eq(test_ask_source(cache, "hi"), "exact");
    llmcache_close(cache);
}

/* Both expositions, read by real parsers: promtool where it is installed, jansson for JSON. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(metrics, .init = set_up, .timeout = 60);

static llmcache *used_cache(void)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9");
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99]]}");
    test_ask_source(cache, "one");
    test_ask_source(cache, "one");
    test_ask_source(cache, "uno");
    return cache;
}

static char *text_of(llmcache *cache, llmcache_format format)
{
    char *text;
    cr_assert_eq(llmcache_metrics(cache, format, &text, NULL), 0);
    return text;
}

Test(metrics, prometheus_says_what_happened)
{
    llmcache *cache = used_cache();
    char *text = text_of(cache, LLMCACHE_PROMETHEUS);
    cr_assert(strstr(text, "llmcache_requests_total{source=\"exact\"} 1\n"));
    cr_assert(strstr(text, "llmcache_requests_total{source=\"semantic\"} 1\n"));
    cr_assert(strstr(text, "llmcache_requests_total{source=\"model\"} 1\n"));
    cr_assert(strstr(text, "llmcache_request_duration_seconds_count{source=\"exact\"} 1\n"));
    cr_assert(strstr(text, "llmcache_upstream_requests_total 1\n"));
    cr_assert(!strstr(text, "sk-test"));
    llmcache_free(text);
    llmcache_close(cache);
}

/* The same bytes again are not read again; one candidate was judged. */
Test(metrics, each_step_is_counted)
{
    llmcache *cache = used_cache();
    char *text = text_of(cache, LLMCACHE_PROMETHEUS);
    cr_expect(strstr(text, "llmcache_step_duration_seconds_count{step=\"read\"} 2\n"), "%s", text);
    cr_expect(strstr(text, "llmcache_step_duration_seconds_count{step=\"decide\"} 1\n"));
    cr_expect(strstr(text, "llmcache_step_duration_seconds_count{step=\"model\"} 1\n"));
    llmcache_free(text);
    llmcache_close(cache);
}

Test(metrics, promtool_has_nothing_to_say)
{
    const char *promtool = test_program("promtool");
    if (!promtool)
        cr_skip_test("promtool is not installed (Debian package prometheus)");
    llmcache *cache = used_cache();
    char *text = text_of(cache, LLMCACHE_PROMETHEUS);
    test_run_result result = test_run((const char *const[]){promtool, "check", "metrics", NULL}, NULL, text);
    cr_assert_eq(result.status, 0, "%s%s", result.out, result.err);
    llmcache_free(text);
    llmcache_close(cache);
}

Test(metrics, json_has_the_same_numbers)
{
    llmcache *cache = used_cache();
    char *text = text_of(cache, LLMCACHE_JSON);
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert(root, "%s: %s", error.text, text);
    llmcache_counters counters = test_counters(cache);
    static const char *const names[] = {"requests", "hits_exact", "hits_semantic", "misses", "stored"};
    const uint64_t values[] = {counters.requests, counters.hits_exact, counters.hits_semantic,
                               counters.misses, counters.stored};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cr_assert_eq((uint64_t)json_integer_value(json_object_get(root, names[i])), values[i], "%s", names[i]);
    cr_assert_float_eq(json_number_value(json_object_get(root, "hit_ratio")), 2.0 / 3, 1e-5);
    cr_assert_eq(counters.requests, 3);
    cr_assert_gt(counters.tokens_saved_output, 0);
    json_decref(root);
    llmcache_free(text);
    llmcache_close(cache);
}

Test(metrics, an_older_program_passes_a_smaller_struct)
{
    llmcache *cache = used_cache();
    struct {
        uint64_t requests, hits_exact, guard;
    } old = {.guard = 42};
    cr_assert_eq(llmcache_stats(cache, (llmcache_counters *)&old, 2 * sizeof(uint64_t)), 0);
    cr_assert_eq(old.requests, 3);
    cr_assert_eq(old.hits_exact, 1);
    cr_assert_eq(old.guard, 42);
    llmcache_close(cache);
}

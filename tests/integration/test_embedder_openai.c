/* openai: embeddings against the mock: batches, forms, retries within the deadline, errors. */
#include "base/memory.h"
#include "embed/embed.h"
#include "mock_client.h"
#include "net/http.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { SLACK_MS = 2000, DIMENSION = 384 };

static test_mock mock;
static lc_http *http;
static lc_embedder embedder;

static int open_with(const char *key, llmcache_error *err)
{
    const lc_embedder_options options = {.http = http, .base_url = mock.openai, .api_key = key,
                                         .models_folder = ""};
    return lc_embedder_open("openai:embedding-mock", &options, &embedder, err);
}

static void start(void)
{
    llmcache_error err;
    mock_start(&mock);
    cr_assert_eq(lc_http_new(4, NULL, &http, &err), 0);
    cr_assert_eq(open_with("sk", &err), 0, "%s", err.message);
}

static void stop(void)
{
    lc_embedder_close(&embedder);
    lc_http_free(http);
    mock_stop(&mock);
}

TestSuite(embedder_openai, .init = start, .fini = stop, .timeout = 60);

static int discover(int64_t deadline_ms, llmcache_error *err)
{
    return embedder.ops.discover(embedder.self, deadline_ms, err);
}

static int embed(const char *const *texts, size_t count, float *vectors, int64_t deadline_ms,
                 llmcache_error *err)
{
    return embedder.ops.embed(embedder.self, texts, count, vectors, deadline_ms, err);
}

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < DIMENSION; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

Test(embedder_openai, finds_its_dimension_and_names_its_space)
{
    llmcache_error err;
    cr_assert_eq(embedder.ops.dimension(embedder.self), 0);
    cr_assert_eq(discover(10000, &err), 0, "%s", err.message);
    cr_assert_eq(embedder.ops.dimension(embedder.self), DIMENSION);
    cr_assert_str_eq(embedder.ops.space(embedder.self),
                     test_format("openai:127.0.0.1:%d/embedding-mock", mock.port));
}

Test(embedder_openai, many_texts_come_back_in_their_order_whatever_the_rows_order)
{
    enum { COUNT = 300 };
    static float all[COUNT * DIMENSION], one[DIMENSION];
    const char *texts[COUNT];
    llmcache_error err;
    for (int i = 0; i < COUNT; i++)
        texts[i] = test_format("question number %d about \"quotes\" and 快取", i);
    mock_behave(&mock, "{'shuffle': true}");
    cr_assert_eq(discover(10000, &err), 0);
    int before = mock_calls(&mock, "/v1/embeddings");
    cr_assert_eq(embed(texts, COUNT, all, 20000, &err), 0, "%s", err.message);
    cr_assert_eq(mock_calls(&mock, "/v1/embeddings") - before, 3);
    for (int i = 0; i < COUNT; i += 37) {
        cr_assert_eq(embed(&texts[i], 1, one, 20000, &err), 0);
        cr_assert_float_eq(dot(one, all + i * DIMENSION), 1.0, 1e-5);
    }
}

Test(embedder_openai, a_service_that_refuses_base64_is_asked_for_numbers_from_then_on)
{
    const char *text = "hello there";
    float base64[DIMENSION], numbers[DIMENSION];
    llmcache_error err;
    cr_assert_eq(discover(10000, &err), 0);
    cr_assert_eq(embed(&text, 1, base64, 10000, &err), 0);
    mock_behave(&mock, "{'match': 'encoding_format', 'status': 400}");
    int before = mock_calls(&mock, "/v1/embeddings");
    cr_assert_eq(embed(&text, 1, numbers, 10000, &err), 0, "%s", err.message);
    cr_assert_eq(mock_calls(&mock, "/v1/embeddings") - before, 2);
    cr_assert_float_eq(dot(base64, numbers), 1.0, 1e-5);
    cr_assert_eq(embed(&text, 1, numbers, 10000, &err), 0);
    cr_assert_eq(mock_calls(&mock, "/v1/embeddings") - before, 3);
}

Test(embedder_openai, passing_trouble_is_waited_out)
{
    const char *const troubles[] = {"{'next': 2, 'status': 429}", "{'next': 2, 'status': 503}",
                                    "{'next': 1, 'reset': true}",
                                    "{'next': 1, 'status': 429, 'headers': {'retry-after-ms': '300'}}"};
    const char *text = "hello";
    float vector[DIMENSION];
    llmcache_error err;
    cr_assert_eq(discover(10000, &err), 0);
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        mock_reset(&mock);
        mock_behave(&mock, "%s", troubles[i]);
        int64_t start_ms = test_now_ms();
        cr_assert_eq(embed(&text, 1, vector, 10000, &err), 0, "%s: %s", troubles[i], err.message);
        if (strstr(troubles[i], "300"))
            cr_assert(test_now_ms() - start_ms >= 300);
    }
}

Test(embedder_openai, the_deadline_ends_all_waiting)
{
    const struct {
        const char *trouble;
        int rc, status;
        int64_t longest_ms; /* 0: at once */
    } cases[] = {{"{'hang': true}", LLMCACHE_TIMEOUT, 0, 300},
                 {"{'status': 503}", LLMCACHE_EMBEDDER, 503, 300},
                 {"{'status': 429, 'headers': {'Retry-After': '60'}}", LLMCACHE_EMBEDDER, 429, 0}};
    const char *text = "hello";
    float vector[DIMENSION];
    llmcache_error err;
    cr_assert_eq(discover(10000, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock_reset(&mock);
        mock_behave(&mock, "%s", cases[i].trouble);
        int64_t start_ms = test_now_ms();
        cr_expect_eq(embed(&text, 1, vector, 300, &err), cases[i].rc, "%s", err.message);
        cr_expect(test_now_ms() - start_ms < cases[i].longest_ms + SLACK_MS);
        cr_expect_eq(err.upstream_status, cases[i].status);
    }
    cr_assert_eq(err.retry_after_ms, 60000);
}

Test(embedder_openai, what_will_not_pass_is_not_asked_again)
{
    const struct {
        const char *trouble;
        int rc, calls;
    } cases[] = {
        {"{'status': 401}", LLMCACHE_EMBEDDER, 1},
        {"{'status': 404}", LLMCACHE_EMBEDDER, 1},
        {"{'status': 400, 'body': {'error': {'message': 'maximum context length is 8192'}}}",
         LLMCACHE_UNSUPPORTED, 1},
        {"{'body': {'data': []}}", LLMCACHE_EMBEDDER, 1},
        {"{'dimension': 17}", LLMCACHE_EMBEDDER, 1}};
    const char *text = "hello";
    float vector[DIMENSION];
    llmcache_error err;
    cr_assert_eq(discover(10000, &err), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock_reset(&mock);
        mock_behave(&mock, "%s", cases[i].trouble);
        cr_expect_eq(embed(&text, 1, vector, 5000, &err), cases[i].rc, "%s: %s", cases[i].trouble,
                     err.message);
        cr_expect_eq(mock_calls(&mock, "/v1/embeddings"), cases[i].calls, "%s", cases[i].trouble);
    }
}

Test(embedder_openai, messages_hold_neither_text_nor_key)
{
    const char *text = "my secret diary";
    float vector[DIMENSION];
    llmcache_error err;
    cr_assert_eq(discover(10000, &err), 0);
    mock_behave(&mock, "{'status': 418}");
    cr_assert_eq(embed(&text, 1, vector, 5000, &err), LLMCACHE_EMBEDDER);
    cr_assert_null(strstr(err.message, "secret"));
    cr_assert_null(strstr(err.message, "sk"), "%s", err.message);
}

Test(embedder_openai, every_failing_allocation_is_an_error_and_nothing_else)
{
    const char *text = "hello";
    int fired = 1;
    for (uint64_t n = 1; fired; n++) {
        float vector[DIMENSION];
        llmcache_error err;
        lc_embedder_close(&embedder);
        lc_memory_fail_at(n);
        int rc = open_with("sk", &err);
        if (!rc)
            rc = discover(10000, &err);
        if (!rc)
            rc = embed(&text, 1, vector, 10000, &err);
        fired = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(rc, fired ? LLMCACHE_MEMORY : 0, "allocation %d: %s", (int)n, err.message);
        cr_assert(n < 200);
    }
}

Test(embedder_openai, bad_settings_are_named)
{
    const struct {
        const char *uri, *base, *says;
    } cases[] = {{"openai:", "http://host/v1", "openai:text-embedding"},
                 {"openai:m", "host/v1", "embed-base-url"},
                 {"word2vec:", "http://host", "'word2vec:'"},
                 {"", "http://host", "none of local:"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lc_embedder refused = {0};
        llmcache_error err;
        const lc_embedder_options options = {.http = http, .base_url = cases[i].base, .api_key = "",
                                             .models_folder = ""};
        cr_expect_eq(lc_embedder_open(cases[i].uri, &options, &refused, &err), LLMCACHE_SETTING);
        cr_expect_not_null(strstr(err.message, cases[i].says), "%s", err.message);
        cr_expect_null(refused.self);
    }
}

Test(embedder_openai, openai_itself_needs_a_key_and_none_needs_nothing)
{
    llmcache_error err;
    const lc_embedder_options options = {.http = http, .base_url = "https://api.openai.com/v1",
                                         .api_key = "", .models_folder = ""};
    lc_embedder keyless = {0}, none = {0};
    cr_assert_eq(lc_embedder_open("openai:m", &options, &keyless, &err), 0);
    cr_assert_eq(keyless.ops.discover(keyless.self, 5000, &err), LLMCACHE_EMBEDDER);
    cr_assert_not_null(strstr(err.message, "OPENAI_API_KEY"), "%s", err.message);
    lc_embedder_close(&keyless);
    cr_assert_eq(lc_embedder_open("none", &options, &none, &err), 0);
    cr_assert_null(none.ops.embed);
    lc_embedder_close(&none);
}

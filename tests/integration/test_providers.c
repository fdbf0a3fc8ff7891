/* openai: and anthropic: against the mock model: credentials, versions, errors, cuts, limits. */
#include "base/memory.h"
#include "mock_client.h"
#include "net/http.h"
#include "provider/provider.h"

#include <criterion/criterion.h>
#include <string.h>

enum { SLACK_MS = 5000 }; /* for a loaded machine: what matters is that they end */

static test_mock mock;
static lc_http *http;
static lc_provider provider;

static void start(void)
{
    llmcache_error err;
    mock_start(&mock);
    cr_assert_eq(lc_http_new(4, NULL, &http, &err), 0);
}

static void stop(void)
{
    lc_provider_close(&provider);
    lc_http_free(http);
    mock_stop(&mock);
}

TestSuite(providers, .init = start, .fini = stop, .timeout = 60);

typedef struct heard {
    int status, begins;
    int64_t retry_after_ms;
    char body[65536];
    size_t size;
} heard;

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    heard *h = user;
    h->status = status;
    h->begins++;
    h->retry_after_ms = lc_retry_after_ms(headers, count, 0);
    return 0;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    heard *h = user;
    if (h->size + size < sizeof h->body)
        memcpy(h->body + h->size, bytes, size);
    h->size += size;
    return 0;
}

static const char chat_body[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
static const char stream_body[] =
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
static const char message_body[] =
    "{\"model\":\"m\",\"max_tokens\":99,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";

static int call(const char *target, const char *body, const llmcache_header *header,
                llmcache_limits limits, heard *h, llmcache_error *err)
{
    const llmcache_request request = {.struct_size = sizeof request, .method = "POST",
                                      .target = target, .headers = header,
                                      .header_count = header ? 1 : 0, .body = body,
                                      .body_size = strlen(body)};
    const llmcache_sink sink = {h, on_begin, on_write};
    *h = (heard){0};
    return provider.ops.call(provider.self, &request, &limits, &sink, err);
}

static void open_openai(const char *base, const char *key)
{
    llmcache_error err;
    cr_assert_eq(lc_provider_open_openai(http, base, key, &provider, &err), 0);
}

static void open_anthropic(const char *base, const char *key)
{
    llmcache_error err;
    cr_assert_eq(lc_provider_open_anthropic(http, base, key, "2023-06-01", &provider, &err), 0);
}

/* A header of the last call that the mock saw; NULL when absent. Names are lower-case there. */
static const char *sent(const char *name)
{
    json_t *log = mock_log(&mock);
    json_t *calls = json_object_get(log, "calls");
    json_t *last = json_array_get(calls, json_array_size(calls) - 1);
    cr_assert_not_null(last);
    const char *value = json_string_value(json_object_get(json_object_get(last, "headers"), name));
    const char *kept = value ? test_format("%s", value) : NULL;
    json_decref(log);
    return kept;
}

Test(providers, openai_answers_with_the_servers_key)
{
    heard h;
    llmcache_error err;
    open_openai(mock.openai, " sk-server\n");
    cr_assert_eq(call("/v1/chat/completions", chat_body, NULL, (llmcache_limits){0}, &h, &err), 0,
                 "%s", err.message);
    cr_assert_eq(h.status, 200, "%s", h.body);
    cr_assert_not_null(strstr(h.body, "chat.completion"));
    cr_assert_str_eq(sent("authorization"), "Bearer sk-server");
    cr_assert_str_eq(sent("content-type"), "application/json");
}

Test(providers, the_callers_own_credential_goes_through)
{
    heard h;
    llmcache_error err;
    const llmcache_header own = {"Authorization", "Bearer sk-caller"};
    open_openai(mock.openai, "sk-server");
    cr_assert_eq(call("/v1/chat/completions", chat_body, &own, (llmcache_limits){0}, &h, &err), 0);
    cr_assert_str_eq(sent("authorization"), "Bearer sk-caller");
}

Test(providers, anthropic_names_its_version_unless_the_caller_did)
{
    heard h;
    llmcache_error err;
    const llmcache_header own = {"Anthropic-Version", "2099-01-01"};
    open_anthropic(mock.anthropic, "sk-ant");
    cr_assert_eq(call("/v1/messages", message_body, NULL, (llmcache_limits){0}, &h, &err), 0);
    cr_assert_eq(h.status, 200, "%s", h.body);
    cr_assert_str_eq(sent("x-api-key"), "sk-ant");
    cr_assert_str_eq(sent("anthropic-version"), "2023-06-01");
    cr_assert_eq(call("/v1/messages", message_body, &own, (llmcache_limits){0}, &h, &err), 0);
    cr_assert_str_eq(sent("anthropic-version"), "2099-01-01");
}

Test(providers, streams_pass_through_to_their_end)
{
    heard h;
    llmcache_error err;
    open_openai(mock.openai, "sk");
    cr_assert_eq(call("/v1/chat/completions", stream_body, NULL, (llmcache_limits){0}, &h, &err), 0);
    cr_assert_not_null(strstr(h.body, "data: [DONE]\n\n"));
}

Test(providers, without_any_key_the_ways_out_are_named)
{
    heard h;
    llmcache_error err;
    open_openai("https://api.openai.com/v1", "");
    cr_assert_eq(call("/v1/chat/completions", chat_body, NULL, (llmcache_limits){0}, &h, &err),
                 LLMCACHE_NO_PROVIDER);
    const char *const ways[] = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "--provider demo:"};
    for (int i = 0; i < 3; i++)
        cr_assert_not_null(strstr(err.message, ways[i]), "%s", err.message);
    cr_assert_eq(h.begins, 0);
    cr_assert_eq(provider.ops.ping(provider.self, 1000, &err), LLMCACHE_NO_PROVIDER);
}

Test(providers, another_service_is_asked_without_a_key)
{
    heard h;
    llmcache_error err;
    open_openai(mock.openai, "");
    cr_assert_eq(call("/v1/chat/completions", chat_body, NULL, (llmcache_limits){0}, &h, &err), 0);
    cr_assert_null(sent("authorization"));
}

Test(providers, errors_arrive_as_they_were_meant)
{
    heard h;
    llmcache_error err;
    open_openai(mock.openai, "sk");
    mock_behave(&mock, "{'status': 429, 'headers': {'Retry-After': '7'}, 'body': {'error': {'code': 'x'}}}");
    cr_assert_eq(call("/v1/chat/completions", chat_body, NULL, (llmcache_limits){0}, &h, &err), 0);
    cr_assert_eq(h.status, 429);
    cr_assert_eq(h.retry_after_ms, 7000);
    cr_assert_not_null(strstr(h.body, "\"code\""));
}

Test(providers, cut_and_slow_replies_are_errors_in_time)
{
    const struct {
        const char *behave;
        llmcache_limits limits;
        int rc, begins;
    } cases[] = {
        {"{'cut_after_events': 2}", {0}, LLMCACHE_NETWORK, 1},
        {"{'reset': true}", {0}, LLMCACHE_NETWORK, 0},
        {"{'hang': true}", {.total_ms = 200}, LLMCACHE_TIMEOUT, 0},
        {"{'stall_after_events': 1}", {.stall_ms = 200}, LLMCACHE_TIMEOUT, 1},
        {"{'huge': 100000}", {.max_bytes = 50000}, LLMCACHE_TOO_LARGE, 1}};
    open_openai(mock.openai, "sk");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        heard h;
        llmcache_error err;
        mock_reset(&mock);
        mock_behave(&mock, "%s", cases[i].behave);
        int64_t start_ms = test_now_ms();
        cr_expect_eq(call("/v1/chat/completions", stream_body, NULL, cases[i].limits, &h, &err),
                     cases[i].rc, "case %zu: %s", i, err.message);
        cr_expect_eq(h.begins, cases[i].begins, "case %zu", i);
        cr_expect(test_now_ms() - start_ms < 200 + SLACK_MS);
    }
}

Test(providers, a_target_cannot_become_another_host)
{
    heard h;
    llmcache_error err;
    open_openai(test_format("http://127.0.0.1:%d", mock.port), "sk");
    cr_assert_eq(call("@evil.test/v1/x", chat_body, NULL, (llmcache_limits){0}, &h, &err), LLMCACHE_INVALID);
}

Test(providers, ping_tells_a_refused_credential_from_a_dead_host)
{
    llmcache_error err;
    open_openai(mock.openai, "sk");
    cr_assert_eq(provider.ops.ping(provider.self, 5000, &err), 0);
    mock_behave(&mock, "{'status': 401}");
    cr_assert_eq(provider.ops.ping(provider.self, 5000, &err), LLMCACHE_UPSTREAM);
    cr_assert_eq(err.upstream_status, 401);
    mock_stop(&mock);
    cr_assert_eq(provider.ops.ping(provider.self, 5000, &err), LLMCACHE_NETWORK);
}

Test(providers, every_failing_allocation_is_an_error_and_nothing_else)
{
    int fired = 1;
    for (uint64_t n = 1; fired; n++) {
        heard h;
        llmcache_error err;
        lc_memory_fail_at(n);
        int rc = lc_provider_open_anthropic(http, mock.anthropic, "sk", "2023-06-01", &provider, &err);
        if (!rc)
            rc = call("/v1/messages", message_body, NULL, (llmcache_limits){0}, &h, &err);
        fired = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(rc, fired ? LLMCACHE_MEMORY : 0, "allocation %d: %s", (int)n, err.message);
        lc_provider_close(&provider);
        cr_assert(n < 100);
    }
}

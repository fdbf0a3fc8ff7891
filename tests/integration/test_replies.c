/* What a hit says against what the service itself would have said: the cut of streams, counts, echoes. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define CHAT     "/v1/chat/completions"
#define MESSAGES "/v1/messages"

static test_mock mock;
static llmcache *cache;

static void set_up(void)
{
    mock_start(&mock);
    cache = test_cache(&mock, "embedder", "none");
}

static void tear_down(void)
{
    llmcache_close(cache);
}

TestSuite(replies, .init = set_up, .fini = tear_down, .timeout = 60);

static test_reply ask_stream(const char *more)
{
    return test_call(cache, CHAT, NULL,
                     test_format("{\"model\":\"m\",\"stream\":true%s,"
                                 "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
                                 more));
}

/* ---- The cut of streams ---------------------------------------------------------------------- */

Test(replies, a_short_stream_comes_back_as_it_came)
{
    mock_behave(&mock, "{'crlf': true, 'comments': true, 'extra': {'mood': 'fine'}}");
    test_reply miss = ask_stream(""), hit = ask_stream("");
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    cr_expect_str_eq(hit.body, miss.body);
    cr_expect_str_eq(test_reply_header(&hit, "X-Cache-Status"), "HIT");
    test_reply counted = ask_stream(",\"stream_options\":{\"include_usage\":true}");
    cr_expect_eq(test_count(counted.body, "\"usage\":{"), 1, "who wants the usage gets it: %s", counted.body);
    cr_expect_eq(test_count(counted.body, "data: [DONE]"), 1);
}

static int deltas(const test_reply *reply)
{
    return test_count(reply->body, "\"delta\":{\"content\":");
}

Test(replies, a_long_stream_and_a_padded_one_come_back_in_one_delta)
{
    mock_behave(&mock, "[{'huge': 40000, 'next': 1}, {'obfuscation': true}]");
    test_reply miss = ask_stream(""), hit = ask_stream("");
    cr_expect_gt(deltas(&miss), 5);
    cr_expect_eq(deltas(&hit), 1);
    miss = ask_stream(",\"seed\":1");
    hit = ask_stream(",\"seed\":1");
    cr_expect_gt(test_count(miss.body, "obfuscation"), 5);
    cr_expect_eq(test_count(hit.body, "obfuscation"), 0);
    cr_expect_eq(mock_calls(&mock, CHAT), 2);
}

static const char *last_usage(int number, int stream)
{
    test_reply reply = test_call(
        cache, MESSAGES, (const char *const[]){"anthropic-version", "2023-06-01", NULL},
        test_format("{\"model\":\"c\",\"max_tokens\":99,\"stream\":%s,"
                    "\"messages\":[{\"role\":\"user\",\"content\":\"hi %d\"}]}",
                    stream ? "true" : "false", number));
    const char *delta = strstr(reply.body, "\"message_delta\"");
    return delta ? strstr(delta, "\"usage\"") : "";
}

Test(replies, messages_end_with_the_counts_that_their_service_ends_with)
{
    last_usage(1, 0);
    cr_expect(strstr(last_usage(1, 1), "\"input_tokens\""), "as most services do");
    mock_behave(&mock, "{'brief_usage': true}");
    cr_expect_null(strstr(last_usage(2, 1), "\"input_tokens\""));
    cr_expect_null(strstr(last_usage(2, 1), "\"input_tokens\""), "as it came");
    last_usage(3, 0);
    cr_expect_null(strstr(last_usage(3, 1), "\"input_tokens\""), "as the last stream had it");
    cr_expect_eq(mock_calls(&mock, MESSAGES), 3);
}

/* ---- What an answer says again ------------------------------------------------------------------ */

#define RESPONSES "/v1/responses"

static test_reply respond(const char *more)
{
    return test_call(cache, RESPONSES, NULL, test_format("{\"model\":\"m\",\"input\":\"hi\"%s}", more));
}

Test(replies, a_response_says_its_own_askers_fields)
{
    static const struct {
        const char *asks, *says;
    } askers[] = {
        {"", "\"metadata\":{}"},
        {",\"metadata\":{\"trace\":\"eins\"}", "\"metadata\":{\"trace\":\"eins\"}"},
        {",\"metadata\":{\"trace\":\"two\"},\"user\":\"u2\"", "\"user\":\"u2\""},
        {",\"safety_identifier\":\"s\"", "\"safety_identifier\":\"s\""},
        {",\"prompt_cache_key\":\"p\"", "\"prompt_cache_key\":\"p\""},
        {",\"metadata\":null", "\"metadata\":{}"},
    };
    respond(askers[1].asks);
    for (size_t i = 0; i < 3 * sizeof askers / sizeof *askers; i++) {
        const char *asks = askers[i / 3].asks, *says = askers[i / 3].says;
        test_reply reply = i % 3 < 2 ? respond(asks) : respond(test_format("%s,\"stream\":true", asks));
        cr_expect(strstr(reply.body, says), "%s: %s", asks, reply.body);
        cr_expect(strstr(asks, "eins") || !strstr(reply.body, "eins"), "%s: %s", asks, reply.body);
        cr_expect_str_eq(test_reply_header(&reply, "X-Cache-Status"), "HIT", "%s", asks);
    }
    cr_expect_eq(mock_calls(&mock, RESPONSES), 1);
    test_reply tier = respond(",\"service_tier\":\"flex\"");
    cr_expect_str_eq(test_reply_header(&tier, "X-Cache-Status"), "MISS", "its price and speed are others");
}

Test(replies, a_responses_id_can_be_gone_on_from)
{
    test_reply miss = respond(""), hit = respond(",\"user\":\"u\"");
    const char *id = json_string_value(json_object_get(test_json(hit.body), "id"));
    cr_expect_str_eq(id, json_string_value(json_object_get(test_json(miss.body), "id")));
    test_reply next = respond(test_format(",\"previous_response_id\":\"%s\"", id));
    cr_expect_eq(next.status, 200, "%s", next.body);
    cr_expect_eq(respond(",\"previous_response_id\":\"resp_none\"").status, 404);
}

Test(replies, what_the_service_keeps_going_is_never_cached)
{
    static const char *const fields[] = {",\"background\":true", ",\"conversation\":\"conv_1\"",
                                         ",\"conversation\":{\"id\":\"conv_1\"}"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        for (int again = 0; again < 2; again++) {
            test_reply reply = respond(fields[i]);
            cr_expect_str_eq(test_reply_header(&reply, "X-Cache-Status"), "BYPASS", "%s", fields[i]);
        }
    cr_expect_eq(mock_calls(&mock, RESPONSES), 6);
    respond(",\"store\":false");
    test_reply kept = respond("");
    cr_expect_str_eq(test_reply_header(&kept, "X-Cache-Status"), "MISS", "an id that was not stored leads nowhere");
}

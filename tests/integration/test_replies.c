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

/* The mock model told to misbehave: that it does, exactly so. */
#include "mock_client.h"
#include "support.h"
#include "test_http.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static test_mock mock;

static void start(void)
{
    mock_start(&mock);
}

TestSuite(misbehaviour, .init = start);

#define QUESTION "\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static test_reply post(const char *path, const char *body)
{
    return test_post_with_key(test_format("%s%s", mock.url, path), body);
}

static test_reply chat(const char *more)
{
    return post("/v1/chat/completions", test_format("{" QUESTION "%s}", more));
}

Test(misbehaviour, next_skip_and_match_choose_the_calls)
{
    mock_behave(&mock, "[{'next': 2, 'skip': 1, 'match': 'hi', 'status': 503}]");
    int want[] = {200, 503, 503, 200};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(chat("").status, want[i], "call %d", i);
    mock_behave(&mock, "{'match': 'not there', 'status': 500}");
    cr_assert_eq(chat("").status, 200);
    mock_reset(&mock);
    cr_assert_eq(mock_calls(&mock, ""), 0);
}

Test(misbehaviour, status_with_headers_and_an_error_body)
{
    mock_behave(
        &mock,
        "{'status': 429, 'headers': {'Retry-After': '7', 'retry-after-ms': '6500'}}");
    test_reply reply = chat("");
    cr_assert_eq(reply.status, 429);
    cr_assert_str_eq(test_header(&reply, "retry-after"), "7");
    cr_assert(strstr(reply.body, "{\"error\":{\"message\":"));
    reply = post("/v1/messages", "{}");
    cr_assert(strstr(reply.body,
                     "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\""),
              "%s", reply.body);
}

Test(misbehaviour, a_body_of_the_tests_own)
{
    mock_behave(
        &mock,
        "[{'next': 1, 'body': {'a': 1}}, {'body': 'data: {}\\n\\ndata: [DONE]\\n\\n'}]");
    cr_assert_str_eq(chat("").body, "{\"a\":1}");
    test_reply reply = chat("");
    cr_assert_str_eq(reply.body, "data: {}\n\ndata: [DONE]\n\n");
    cr_assert(strstr(test_header(&reply, "content-type"), "text/event-stream"));
}

Test(misbehaviour, delays)
{
    mock_behave(&mock, "[{'next': 1, 'delay_ms': 80}, {'next': 1, 'first_byte_delay_ms': "
                       "80}, {'chunk_delay_ms': 30}]");
    cr_assert_geq(chat("").first_byte_ms, 80);
    cr_assert_geq(chat("").total_ms, 80);
    cr_assert_geq(chat(",\"stream\":true").total_ms, 150);
}

Test(misbehaviour, cut_breaks_the_framing_and_cut_clean_does_not)
{
    enum { partial = 18 };
    mock_behave(&mock, "[{'next': 2, 'cut_after_bytes': 100}, {'cut_after_events': 2, "
                       "'cut_clean': true}]");
    test_reply whole = chat(""), stream = chat(",\"stream\":true"),
               clean = chat(",\"stream\":true");
    cr_assert_eq(whole.curl, partial);
    cr_assert_eq(whole.size, 100);
    cr_assert_eq(stream.curl, partial);
    cr_assert_eq(stream.size, 100);
    cr_assert_eq(clean.curl, 0);
    cr_assert_eq(test_count(clean.body, "data: "), 2);
}

Test(misbehaviour, reset_and_drop_give_no_reply)
{
    enum { got_nothing = 52, receive_error = 56 };
    mock_behave(&mock, "[{'next': 1, 'reset': true}, {'next': 1, 'drop': true}, "
                       "{'reset': true, 'cut_after_bytes': 10}]");
    cr_assert_eq(chat("").curl, receive_error);
    cr_assert_eq(chat("").curl, got_nothing);
    test_reply cut = chat("");
    cr_assert(cut.curl == receive_error || cut.curl == 18, "%d", cut.curl);
}

Test(misbehaviour, a_client_that_leaves_is_noticed)
{
    mock_behave(&mock, "{'hang': true}");
    int fd = test_connect(mock.port);
    test_send_text(fd, "GET /v1/x HTTP/1.1\r\nAuthorization: Bearer k\r\n\r\n");
    cr_assert(test_wait_until(mock_open_calls(&mock) == 1, 5000));
    close(fd);
    cr_assert(test_wait_until(mock_open_calls(&mock) == 0, 5000));
    json_t *log = mock_log(&mock);
    cr_assert(json_is_true(
        json_object_get(json_array_get(json_object_get(log, "calls"), 0), "gone")));
    json_decref(log);
}

Test(misbehaviour, stalls_midway)
{
    enum { timed_out = 28 };
    mock_behave(&mock, "{'stall_after_events': 1}");
    test_http *http = test_http_new();
    const char *const headers[] = {"Authorization: Bearer k", NULL};
    test_request request = {.url = test_format("%s/v1/chat/completions", mock.url),
                            .headers = headers,
                            .body = "{" QUESTION ",\"stream\":true}",
                            .timeout_ms = 200};
    test_reply reply = test_http_send(http, &request);
    test_http_free(http);
    cr_assert_eq(reply.curl, timed_out);
    cr_assert_eq(test_count(reply.body, "data: "), 1);
}

Test(misbehaviour, odd_event_framing)
{
    mock_behave(&mock, "{'crlf': true, 'no_space': true, 'bom': true, 'comments': true, "
                       "'ids': true, 'text': 'x'}");
    test_reply reply = chat(",\"stream\":true");
    cr_assert(
        strncmp(
            reply.body,
            "\xef\xbb\xbf: keep-alive\r\n\r\n:\r\nid: 1\r\nretry: 1000\r\ndata:{\"id\"",
            50) == 0,
        "%.60s", reply.body);
    cr_assert(strstr(reply.body, "data:[DONE]\r\n\r\n"));
    mock_reset(&mock);
    mock_behave(&mock, "{'cr': true, 'multiline': true, 'text': 'x'}");
    reply = chat(",\"stream\":true");
    cr_assert_null(strchr(reply.body, '\n'));
    cr_assert(strncmp(reply.body, "data: {\rdata:  \"id\": ", 21) == 0, "%.40s",
              reply.body);
}

Test(misbehaviour, ends_that_are_missing)
{
    mock_behave(&mock, "[{'next': 1, 'no_done': true}, {'no_last_blank': true}]");
    cr_assert_null(strstr(chat(",\"stream\":true").body, "[DONE]"));
    test_reply reply = chat(",\"stream\":true");
    cr_assert_str_eq(reply.body + reply.size - 13, "data: [DONE]\n");
}

static int count_pieces(void *user, const char *bytes, size_t size)
{
    ++*(int *)user;
    return 0;
}

Test(misbehaviour, dribbles)
{
    mock_behave(&mock, "{'dribble': 7, 'dribble_ms': 1, 'text': 'x'}");
    int pieces = 0;
    const char *const headers[] = {"Authorization: Bearer k", NULL};
    test_http *http = test_http_new();
    test_request request = {.url = test_format("%s/v1/chat/completions", mock.url),
                            .headers = headers,
                            .body = "{" QUESTION "}",
                            .each = count_pieces,
                            .user = &pieces};
    test_reply reply = test_http_send(http, &request);
    test_http_free(http);
    cr_assert_eq(reply.status, 200);
    cr_assert_gt(pieces, 30);
    test_json(reply.body);
}

Test(misbehaviour, an_error_event_midway)
{
    mock_behave(&mock, "{'error_after_events': 2}");
    test_reply reply = chat(",\"stream\":true");
    cr_assert_eq(test_count(reply.body, "data: "), 3);
    cr_assert(strstr(reply.body, "data: {\"error\":{\"message\":\"Overloaded\""));
    reply = post("/v1/messages", "{" QUESTION ",\"stream\":true,\"max_tokens\":9}");
    cr_assert(strstr(reply.body, "event: error\ndata: {\"type\":\"error\",\"error\":{"),
              "%s", reply.body);
}

Test(misbehaviour, garbage)
{
    mock_behave(&mock, "{'garbage': 10}");
    test_reply reply = chat("");
    cr_assert_eq(reply.size, 10);
    reply = chat(",\"stream\":true");
    cr_assert(strstr(reply.body, "[DONE]") &&
              memmem(reply.body, reply.size, "data: {\"\\\xff", 10));
}

Test(misbehaviour, compressed_and_closed_and_without_length)
{
    mock_behave(&mock, "[{'next': 2, 'content_encoding': 'gzip'}, {'no_length': true}]");
    test_reply reply = chat("");
    cr_assert_str_eq(test_header(&reply, "content-encoding"), "gzip");
    const char *file = test_format("%s/x.gz", test_folder());
    test_write_file(file, reply.body, reply.size);
    cr_assert(strstr(test_run_line("gzip", "-dc", file).out, "You asked"));
    reply = chat(",\"stream\":true");
    test_write_file(file, reply.body, reply.size);
    cr_assert(strstr(test_run_line("gzip", "-dc", file).out, "data: [DONE]\n\n"));
    reply = chat("");
    cr_assert_null(test_header(&reply, "content-length"));
    test_json(reply.body);
}

Test(misbehaviour, huge_answers_and_other_parts)
{
    mock_behave(&mock, "{'next': 2, 'huge': 3000000}");
    cr_assert_gt(chat("").size, 3000000);
    cr_assert_gt(chat(",\"stream\":true").size, 3000000);
    mock_behave(&mock, "{'next': 1, 'refusal': 'I cannot', 'reasoning': 'let me see', "
                       "'finish': 'content_filter', 'extra': {'odd': {'x': 1}}}");
    test_reply reply = chat("");
    cr_assert(strstr(reply.body, "\"content\":null,\"refusal\":\"I cannot\""));
    cr_assert(strstr(reply.body, "\"reasoning_content\":\"let me see\""));
    cr_assert(strstr(reply.body, "\"odd\":{\"x\":1}"));
    cr_assert(strstr(reply.body, "\"finish_reason\":\"content_filter\""));
}

Test(misbehaviour, bodies_other_parsers_take)
{
    test_reply reply =
        post("/v1/chat/completions",
             "{\"model\":\"m\",\"seed\":123456789012345678901234567890,"
             "\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800 \\u0000\"}]}");
    cr_assert_eq(reply.status, 200, "%s", reply.body);
}

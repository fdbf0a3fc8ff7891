/*
 * The drop-in path through llmcache-server, against the mock model: what a client sees of
 * whole replies, streams, cuts and errors, and what the model's service sees of the
 * client.
 */
#include "llmcache_server.h"
#include "mock_client.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(server_call, .timeout = 60);

static test_mock mock;
static test_server server;

static void start(void)
{
    mock_start(&mock);
    const char *const environment[] = {
        test_format("OPENAI_BASE_URL=%s", mock.openai),
        test_format("ANTHROPIC_BASE_URL=%s", mock.anthropic), "OPENAI_API_KEY=sk-server",
        "ANTHROPIC_API_KEY=sk-ant-server", NULL};
    test_server_start(&server, (const char *const[]){"--provider", "openai:", NULL},
                      environment);
}

static const char chat_path[] = "/v1/chat/completions";

static const char *chat(const char *text, int stream)
{
    return test_format("{\"model\":\"m\",\"stream\":%s,\"messages\":[{\"role\":\"user\","
                       "\"content\":\"%s\"}]}",
                       stream ? "true" : "false", text);
}

static const char *raw_chat(const char *version, const char *text)
{
    const char *body = chat(text, 1);
    return test_format("POST %s HTTP/%s\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                       chat_path, version, strlen(body), body);
}

/* ---- Whole replies
 * -------------------------------------------------------------------------------- */

Test(server_call, a_miss_then_a_hit_with_the_same_body)
{
    start();
    test_reply miss = test_server_post(&server, chat_path, chat("one", 0));
    test_reply hit = test_server_post(&server, chat_path, chat("one", 0));
    cr_assert_eq(miss.status, 200);
    cr_assert_eq(hit.status, 200);
    cr_assert_str_eq(test_header(&miss, "X-Cache-Status"), "MISS");
    cr_assert_str_eq(test_header(&hit, "X-Cache-Status"), "HIT");
    cr_assert_str_eq(hit.body, miss.body);
    cr_assert_not_null(test_header(&hit, "Date"));
    cr_assert_str_eq(test_header(&hit, "Content-Type"), "application/json");
    cr_assert_eq(mock_calls(&mock, chat_path), 1);
    const char *log = test_server_log(&server, 2);
    cr_assert_not_null(strstr(log, "\"source\":\"model\""), "%s", log);
    cr_assert_not_null(strstr(log, "\"source\":\"exact\""), "%s", log);
}

static const json_t *last_call(void)
{
    const json_t *log = json_object_get(mock_log(&mock), "calls");
    cr_assert_gt(json_array_size(log), 0);
    return json_array_get(log, json_array_size(log) - 1);
}

/* A header as the service saw it, by its name in any case; NULL when absent. */
static const char *seen_header(const json_t *call, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(call, "headers"), key,
                        value) if (strcasecmp(key, name) ==
                                   0) return json_string_value(value);
    return NULL;
}

Test(server_call, what_goes_on_and_what_stays_here)
{
    start();
    const char *const headers[] = {"Authorization: Bearer sk-caller  ",
                                   "X-Own: kept",
                                   "Connection: X-Hop, keep-alive",
                                   "X-Hop: 1",
                                   "TE: trailers",
                                   "X-LLMCache-TTL: 60",
                                   NULL};
    test_reply reply =
        test_server_send(&server, "POST", chat_path, headers, chat("headers", 0));
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    const json_t *call = last_call();
    cr_expect_str_eq(seen_header(call, "authorization"), "Bearer sk-caller");
    cr_expect_str_eq(seen_header(call, "x-own"), "kept");
    cr_expect_null(seen_header(call, "x-hop"));
    cr_expect_null(seen_header(call, "te"));
    cr_expect_null(seen_header(call, "x-llmcache-ttl"));
    cr_expect_str_eq(json_string_value(json_object_get(call, "body")),
                     chat("headers", 0));
}

Test(server_call, other_paths_pass_as_they_are)
{
    start();
    cr_expect_eq(test_server_get(&server, "/v1/models").status, 200);
    cr_expect_eq(test_server_get(&server, "/v1/files/a%2Fb?x=%20y&z").status, 200);
    cr_expect_str_eq(json_string_value(json_object_get(last_call(), "target")),
                     "/v1/files/a%2Fb?x=%20y&z");
    cr_expect_eq(test_server_send(&server, "DELETE", "/v1/files/f", NULL, NULL).status,
                 200);
    cr_expect_str_eq(json_string_value(json_object_get(last_call(), "method")), "DELETE");
}

Test(server_call, errors_come_as_they_were_meant)
{
    start();
    mock_behave(&mock, "{'status': 429, 'headers': {'Retry-After': '7', "
                       "'x-should-retry': 'true'}, 'next': 1}");
    test_reply limited = test_server_post(&server, chat_path, chat("limited", 0));
    cr_expect_eq(limited.status, 429);
    cr_expect_str_eq(test_header(&limited, "Retry-After"), "7");
    cr_expect_not_null(json_object_get(test_json(limited.body), "error"));
    cr_expect_eq(test_server_post(&server, chat_path, chat("limited", 0)).status, 200);
    mock_stop(&mock);
    test_reply gone = test_server_post(&server, chat_path, chat("gone", 0));
    cr_expect(gone.status == 502 || gone.status == 503 || gone.status == 504, "%d",
              gone.status);
    cr_expect_not_null(json_object_get(test_json(gone.body), "error"));
}

/* ---- Streams
 * -----------------------------------------------------------------------------------------
 */

typedef struct stream_seen {
    int pieces;
} stream_seen;

static int on_piece(void *user, const char *bytes, size_t size)
{
    stream_seen *seen = user;
    (void)bytes, (void)size;
    seen->pieces++;
    return 0;
}

static test_reply stream(const char *text, stream_seen *seen)
{
    test_http *http = test_http_new();
    test_reply reply = test_http_send(
        http, &(test_request){.url = test_format("%s%s", server.url, chat_path),
                              .body = chat(text, 1),
                              .each = on_piece,
                              .user = seen});
    test_http_free(http);
    return reply;
}

Test(server_call, events_arrive_as_they_are_made)
{
    start();
    stream_seen seen = {0}, again = {0};
    mock_behave(&mock, "{'chunk_delay_ms': 60, 'next': 1}");
    test_reply live = stream("slow stream", &seen);
    cr_assert_eq(live.status, 200);
    cr_assert_gt(seen.pieces, 3);
    cr_assert_not_null(strstr(live.headers, "chunked"));
    cr_assert_not_null(strstr(live.body, "data: [DONE]\n\n"));
    test_reply hit = stream("slow stream", &again);
    cr_assert_str_eq(test_header(&hit, "X-Cache-Status"), "HIT");
    cr_assert_str_eq(test_header(&hit, "Content-Type"),
                     test_header(&live, "Content-Type"));
    cr_assert_eq(strcmp(hit.body + hit.size - 14, "data: [DONE]\n\n"), 0);
    cr_assert_eq(mock_calls(&mock, chat_path), 1);
    mock_behave(&mock, "{'stall_after_events': 2, 'next': 1}"); /* the model says no more, and what it said is there */
    int fd = test_connect(server.port);
    test_send_text(fd, raw_chat("1.1", "stalling stream"));
    cr_assert_not_null(strstr(test_receive_until(fd, "data: ", NULL, 20000), "data: "));
    close(fd);
}

/* SDKs hang up at the last event: it comes together with the end of the body. */
Test(server_call, the_last_event_and_the_last_chunk_leave_together)
{
    start();
    int fd = test_connect(server.port);
    test_send_text(fd, raw_chat("1.1", "together"));
    size_t size;
    const char *seen = test_receive_until(fd, "[DONE]", &size, 10000);
    cr_assert_not_null(strstr(seen, "data: [DONE]\n\n\r\n0\r\n\r\n"), "%s", seen);
    close(fd);
}

Test(server_call, a_cut_stream_is_seen_as_cut)
{
    start();
    mock_behave(&mock, "{'cut_after_events': 3}");
    stream_seen seen = {0};
    test_reply reply = stream("cut", &seen);
    cr_expect_eq(reply.curl, 18, "curl says %d", reply.curl); /* the body is not whole */
    cr_expect_null(strstr(reply.body, "[DONE]"));

    const char *chunked = test_server_raw(&server, raw_chat("1.1", "cut again"), 5000);
    cr_expect_null(strstr(chunked, "\r\n0\r\n\r\n"), "%s", chunked);

    int fd = test_connect(server.port);
    test_send_text(fd, raw_chat("1.0", "cut without chunks"));
    char byte;
    ssize_t got;
    while ((got = recv(fd, &byte, 1, 0)) > 0)
        continue;
    cr_expect_eq(got, -1, "the connection ended as if all were well");
    close(fd);
    mock_reset(&mock);
    stream("cut", &seen);
    cr_expect_eq(mock_calls(&mock, chat_path), 1, "a cut stream was kept");
}

/* Who leaves does not take the answer along: it is kept for who asks next. */
Test(server_call, a_client_that_leaves_midway)
{
    start();
    mock_behave(&mock, "{'chunk_delay_ms': 50, 'next': 1}");
    int fd = test_connect(server.port);
    test_send_text(fd, raw_chat("1.1", "left alone"));
    test_receive_until(fd, "data: ", NULL, 5000);
    close(fd);
    cr_assert(test_wait_until(mock_open_calls(&mock) == 0, 10000));
    stream_seen seen = {0};
    cr_assert(test_wait_until(
        strcmp(test_header(&(test_reply){.headers = stream("left alone", &seen).headers},
                           "X-Cache-Status"),
               "HIT") == 0,
        5000));
    cr_assert_eq(mock_calls(&mock, chat_path), 1);
}

Test(server_call, a_stream_for_http_1_0)
{
    start();
    const char *reply = test_server_raw(&server, raw_chat("1.0", "old"), 10000);
    cr_assert_eq(test_raw_status(reply), 200);
    cr_assert_null(strstr(reply, "chunked"));
    cr_assert_not_null(strstr(reply, "Connection: close\r\n"));
    cr_assert_not_null(strstr(reply, "data: [DONE]\n\n"));
}

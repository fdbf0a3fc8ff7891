/* The mock model, byte by byte: what other tests take for granted about it. */
#include "mock_client.h"
#include "support.h"
#include "test_http.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static test_mock mock;

static void start(void)
{
    mock_start(&mock);
}

TestSuite(mock, .init = start);

#define QUESTION "\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static test_reply post(const char *path, const char *body)
{
    return test_post_with_key(test_format("%s%s", mock.url, path), body);
}

static test_reply chat(const char *more)
{
    return post("/v1/chat/completions", test_format("{" QUESTION "%s}", more));
}

/* ---- Good behaviour
 * -------------------------------------------------------------------------- */

Test(mock, whole_chat_has_the_services_members)
{
    test_reply reply = chat("");
    cr_assert_eq(reply.status, 200);
    cr_assert_str_eq(test_header(&reply, "content-type"), "application/json");
    cr_assert_str_eq(test_header(&reply, "x-request-id"), "req_mock000001");
    json_t *root = test_json(reply.body);
    json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    json_t *message = json_object_get(choice, "message");
    cr_assert_str_eq(json_string_value(json_object_get(root, "object")),
                     "chat.completion");
    cr_assert_str_eq(json_string_value(json_object_get(choice, "finish_reason")), "stop");
    cr_assert(strncmp(json_string_value(json_object_get(message, "content")),
                      "You asked: hi My answer is ", 27) == 0);
    cr_assert(json_is_null(json_object_get(choice, "logprobs")));
    cr_assert_gt(json_integer_value(
                     json_object_get(json_object_get(root, "usage"), "total_tokens")),
                 0);
}

Test(mock, chat_stream_is_these_bytes)
{
    mock_behave(&mock, "{'text': 'one two'}");
    int fd = test_connect(mock.port);
    const char *body = "{" QUESTION ",\"stream\":true}";
    test_send_text(
        fd, test_format(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                "Authorization: Bearer k\r\nContent-Length: %zu\r\n\r\n%s",
                strlen(body), body));
    size_t size;
    const char *got = strstr(test_receive(fd, &size, 10000), "\r\n\r\n");
    close(fd);
    cr_assert_not_null(got);
#define CHUNK(delta, finish)                                                        \
    "data: {\"id\":\"chatcmpl-mock000001\",\"object\":\"chat.completion.chunk\","   \
    "\"created\":1700000001,\"model\":\"gpt\",\"service_tier\":\"default\","        \
    "\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"delta\":" delta \
    ",\"logprobs\":null,\"finish_reason\":" finish "}]}\n\n"
    const char *const events[] = {
        CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null"),
        CHUNK("{\"content\":\"one\"}", "null"), CHUNK("{\"content\":\" two\"}", "null"),
        CHUNK("{}", "\"stop\""), "data: [DONE]\n\n"};
    const char *want = "\r\n\r\n";
    for (size_t i = 0; i < 5; i++)
        want = test_format("%s%zx\r\n%s\r\n", want, strlen(events[i]), events[i]);
    cr_assert_str_eq(got, test_format("%s0\r\n\r\n", want));
}

Test(mock, the_same_answer_streamed_and_whole)
{
    test_reply whole = chat(""),
               stream =
                   chat(",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    json_t *root = test_json(whole.body);
    const char *text = json_string_value(json_object_get(
        json_object_get(json_array_get(json_object_get(root, "choices"), 0), "message"),
        "content"));
    const char *digest = strrchr(text, ' ');
    cr_assert(strstr(stream.body, test_format("{\"content\":\"%s\"}", digest)), "%s",
              stream.body);
    cr_assert_eq(test_count(stream.body, "\"usage\":{"), 1);
    cr_assert(strstr(stream.body, "\"choices\":[],\"usage\":{"));
}

Test(mock, what_shapes_the_answer_changes_it_and_the_rest_does_not)
{
    const char *mores[] = {"", ",\"user\":\"me\"", ",\"temperature\":0.5", ",\"seed\":1"};
    const char *texts[4];
    for (int i = 0; i < 4; i++) {
        test_reply reply = chat(mores[i]);
        texts[i] = test_format("%.40s", strstr(reply.body, "You asked"));
    }
    cr_assert_str_eq(texts[0], texts[1]);
    cr_assert_str_neq(texts[0], texts[2]);
    cr_assert_str_neq(texts[2], texts[3]);
}

Test(mock, unique_answers_name_their_call)
{
    mock_behave(&mock, "{'unique': true}");
    cr_assert(strstr(chat("").body, "(call 1)"));
    cr_assert(strstr(chat("").body, "(call 2)"));
}

Test(mock, choices_interleave)
{
    mock_behave(&mock, "{'text': 'a b'}");
    test_reply reply = chat(",\"stream\":true,\"n\":2");
    const char *order = reply.body;
    int want[] = {0, 1, 0, 1, 0, 1};
    for (int i = 0; i < 6; i++) {
        order = strstr(order, "\"index\":") + 8;
        cr_assert_eq(*order - '0', want[i], "chunk %d", i);
    }
}

Test(mock, tools_stream_id_and_name_once_and_arguments_in_pieces)
{
    const char *tools =
        ",\"stream\":true,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
        "\"weather\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":"
        "\"string\"},"
        "\"unit\":{\"enum\":[\"c\",\"f\"]},\"days\":{\"type\":\"integer\"}}}}}]";
    test_reply reply = chat(tools);
    cr_assert_eq(test_count(reply.body, "\"name\":\"weather\""), 1);
    cr_assert_eq(test_count(reply.body, "call_mock"), 1);
    cr_assert_gt(test_count(reply.body, "\"function\":{\"arguments\":"), 3);
    cr_assert(strstr(reply.body, "\"finish_reason\":\"tool_calls\""));
}

Test(mock, structured_output_fits_its_schema)
{
    test_reply reply = chat(",\"response_format\":{\"type\":\"json_schema\",\"json_"
                            "schema\":{\"name\":\"x\",\"schema\":{"
                            "\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/"
                            "$defs/A\"},\"b\":{\"anyOf\":[{\"type\":"
                            "\"boolean\"},{\"type\":\"null\"}]}},\"$defs\":{\"A\":{"
                            "\"type\":\"array\",\"items\":{\"type\":"
                            "\"number\"}}}}}}");
    cr_assert(strstr(reply.body, "\"content\":\"{\\\"a\\\":[2.5],\\\"b\\\":true}\""),
              "%s", reply.body);
}

Test(mock, token_limit_and_stop_strings_end_the_answer)
{
    mock_behave(&mock, "{'text': 'one two three'}");
    test_reply cut = chat(",\"max_tokens\":2"),
               stopped = chat(",\"stop\":[\"three\",\" two\"]");
    cr_assert(strstr(cut.body, "\"content\":\"one two\"") &&
                  strstr(cut.body, "\"length\""),
              "%s", cut.body);
    cr_assert(strstr(stopped.body, "\"content\":\"one\"") &&
              strstr(stopped.body, "\"finish_reason\":\"stop\""));
}

Test(mock, messages_stream_has_its_events_in_order)
{
    test_reply reply = post(
        "/v1/messages",
        "{" QUESTION ",\"stream\":true,\"max_tokens\":50,"
        "\"thinking\":{\"type\":\"enabled\"},\"tools\":[{\"name\":\"t\",\"input_schema\":"
        "{\"type\":\"object\",\"properties\":{\"q\":{\"type\":\"string\"}}}}]}");
    static const char *const order[] = {
        "event: message_start\n",
        "event: content_block_start\n",
        "event: ping\n",
        "thinking_delta",
        "signature_delta",
        "event: content_block_stop\n",
        "text_delta",
        "tool_use",
        "input_json_delta",
        "event: message_delta\n",
        "\"stop_reason\":\"tool_use\"",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"};
    const char *at = reply.body;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        cr_assert_not_null(at = strstr(at, order[i]), "%s", order[i]);
    cr_assert_str_eq(test_header(&reply, "request-id"), "req_mock000001");
    cr_assert_null(strstr(reply.body, "[DONE]"));
}

Test(mock, responses_number_their_events_and_end_completed)
{
    test_reply reply =
        post("/v1/responses", "{\"model\":\"m\",\"input\":\"hi\",\"stream\":true}");
    int count = test_count(reply.body, "event: ");
    for (int i = 0; i < count; i++)
        cr_assert_eq(test_count(reply.body, test_format("\"sequence_number\":%d,", i)),
                     1);
    cr_assert(strstr(reply.body, "event: response.completed\n"));
    cr_assert_null(strstr(reply.body, "[DONE]"));
}

Test(mock, responses_continue_only_what_was_given_out)
{
    cr_assert_eq(
        post("/v1/responses",
             "{\"model\":\"m\",\"input\":\"a\",\"previous_response_id\":\"resp_x\"}")
            .status,
        404);
    test_reply first = post("/v1/responses", "{\"model\":\"m\",\"input\":\"a\"}");
    json_t *root = test_json(first.body);
    const char *id = json_string_value(json_object_get(root, "id"));
    test_reply second = post(
        "/v1/responses",
        test_format("{\"model\":\"m\",\"input\":\"b\",\"previous_response_id\":\"%s\"}",
                    id));
    cr_assert_eq(second.status, 200);
}

Test(mock, other_paths_say_what_they_were_sent)
{
    test_reply reply = post("/v1/audio/speech?x=1", "abc");
    cr_assert(strstr(reply.body, "\"target\":\"/v1/audio/speech?x=1\""));
    cr_assert(strstr(reply.body, "\"body\":\"abc\""));
}

/* ---- Embeddings
 * ------------------------------------------------------------------------------ */

static void embed(const char *text, double *vector, size_t dimension)
{
    test_reply reply =
        post("/v1/embeddings",
             test_format("{\"model\":\"e\",\"dimensions\":%zu,\"input\":\"%s\"}",
                         dimension, text));
    json_t *root = test_json(reply.body),
           *row = json_array_get(json_object_get(root, "data"), 0);
    json_t *list = json_object_get(row, "embedding");
    cr_assert_eq(json_array_size(list), dimension);
    for (size_t i = 0; i < dimension; i++)
        vector[i] = json_real_value(json_array_get(list, i));
}

static double cosine(const char *a, const char *b)
{
    double x[256], y[256], sum = 0;
    embed(a, x, 256);
    embed(b, y, 256);
    for (int i = 0; i < 256; i++)
        sum += x[i] * y[i];
    return sum;
}

Test(mock, vectors_are_unit_length_and_near_for_shared_words)
{
    cr_assert_float_eq(cosine("what is a cache", "what is a cache"), 1, 1e-6);
    cr_assert_gt(cosine("what is a cache", "what is a cache?"), .9);
    cr_assert_gt(cosine("什麼是快取？", "請解釋快取是什麼"), .5);
    cr_assert_lt(cosine("what is a cache", "boil two eggs"), .3);
}

Test(mock, pairs_have_their_cosine)
{
    mock_behave(&mock, "{'pairs': [['alpha', 'omega', 0.97], ['alpha', 'far', -0.5]]}");
    cr_assert_float_eq(cosine("alpha", "omega"), .97, 1e-5);
    cr_assert_float_eq(cosine("alpha", "far"), -.5, 1e-5);
}

Test(mock, base64_vectors_are_the_floats)
{
    test_reply reply =
        post("/v1/embeddings", "{\"model\":\"e\",\"dimensions\":1,\"encoding_format\":"
                               "\"base64\",\"input\":[\"a\",\"b\"]}");
    /* 1.0f or -1.0f, little-endian */
    cr_assert(strstr(reply.body, "\"index\":0,\"embedding\":\"AACAPw==\"") ||
                  strstr(reply.body, "\"AACAvw==\""),
              "%s", reply.body);
    cr_assert(strstr(reply.body, "\"index\":1"));
}

/* ---- Checks
 * ---------------------------------------------------------------------------------- */

static int status_of(const char *path, const char *const headers[], const char *body)
{
    test_http *http = test_http_new();
    test_request request = {
        .url = test_format("%s%s", mock.url, path), .headers = headers, .body = body};
    test_reply reply = test_http_send(http, &request);
    test_http_free(http);
    return reply.status;
}

#define HEADERS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(mock, refuses_what_services_refuse)
{
    const char *good = "Authorization: Bearer k",
               *version = "anthropic-version: 2023-06-01", *key = "x-api-key: k";
    const char *chat_path = "/v1/chat/completions", *messages = "/v1/messages";
    cr_expect_eq(status_of(chat_path, NULL, "{" QUESTION "}"), 401);
    cr_expect_eq(
        status_of(chat_path, HEADERS("Authorization: Bearer bad-key"), "{" QUESTION "}"),
        401);
    cr_expect_eq(status_of(chat_path, HEADERS(good), "{" QUESTION), 400);
    cr_expect_eq(status_of(chat_path, HEADERS(good), "{\"messages\":[]}"), 400);
    cr_expect_eq(status_of(chat_path, HEADERS(good), "{\"model\":\"m\"}"), 400);
    cr_expect_eq(
        status_of(chat_path, HEADERS(good), "{\"model\":\"no-such\",\"messages\":[]}"),
        404);
    cr_expect_eq(status_of(chat_path, HEADERS(good), NULL), 405);
    cr_expect_eq(status_of("/v2/x", HEADERS(good), "{}"), 404);
    cr_expect_eq(status_of(messages, HEADERS(key), "{" QUESTION ",\"max_tokens\":9}"),
                 400);
    cr_expect_eq(status_of(messages, HEADERS(key, version), "{" QUESTION "}"), 400);
    cr_expect_eq(status_of(messages, HEADERS(version), "{" QUESTION ",\"max_tokens\":9}"),
                 401);
    cr_expect_eq(
        status_of(messages, HEADERS(key, version), "{" QUESTION ",\"max_tokens\":9}"),
        200);
    cr_expect_eq(status_of("/v1/models", HEADERS(good), NULL), 200);
}

/* ---- Connections
 * ----------------------------------------------------------------------------- */

Test(mock, keeps_the_connection_and_takes_chunks_gzip_and_expect)
{
    test_http *http = test_http_new();
    const char *const plain[] = {"Authorization: Bearer k", NULL};
    const char *const chunked[] = {"Authorization: Bearer k",
                                   "Transfer-Encoding: chunked", "Expect: 100-continue",
                                   NULL};
    test_request request = {.url = test_format("%s/v1/chat/completions", mock.url),
                            .headers = plain,
                            .body = "{" QUESTION "}"};
    test_reply first = test_http_send(http, &request);
    request.headers = chunked;
    test_reply second = test_http_send(http, &request);
    cr_assert_eq(first.status, 200);
    cr_assert_eq(second.status, 200, "%s", second.body);
    cr_assert(!first.reused && second.reused);
    test_http_free(http);
    json_t *log = mock_log(&mock);
    json_t *one = json_array_get(json_object_get(log, "calls"), 1);
    cr_assert_str_eq(json_string_value(json_object_get(one, "body")), "{" QUESTION "}");
    cr_assert_str_eq(
        json_string_value(json_object_get(json_object_get(one, "headers"), "expect")),
        "100-continue");
    json_decref(log);
}

Test(mock, answers_pipelined_calls_in_order)
{
    int fd = test_connect(mock.port);
    const char *call =
        "GET /v1/a%d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n%s\r\n";
    test_send_text(fd, test_format("%s%s", test_format(call, 1, ""),
                                   test_format(call, 2, "Connection: close\r\n")));
    const char *got = test_receive(fd, NULL, 10000);
    const char *first = strstr(got, "/v1/a1");
    cr_assert(first && strstr(first, "/v1/a2"));
    close(fd);
}

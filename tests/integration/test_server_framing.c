/*
 * llmcache-server against requests that are broken, ambiguous, slow or huge, byte by byte
 * over bare sockets: each is refused in a way that leaves nobody waiting and nothing to
 * smuggle.
 */
#include "llmcache_server.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

TestSuite(server_framing, .timeout = 60);

static test_server server;

static void start(const char *const flags[])
{
    test_server_start(&server, flags, NULL);
}

static const char ask_head[] = "POST /ask HTTP/1.1\r\nHost: x\r\n";
static const char question[] = "{\"question\":\"hi\"}"; /* 17 bytes */

/* ---- Refused at once
 * -------------------------------------------------------------------------- */

typedef struct bad_request {
    const char *what;
    int status;
    const char *bytes;
} bad_request;

static const bad_request bad_requests[] = {
    {"length and chunks", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\nTransfer-Encoding: "
     "chunked\r\n\r\n"
     "0\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"two lengths", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\nContent-Length: "
     "3\r\n\r\nabc"},
    {"two equal lengths", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: "
     "3\r\n\r\nabc"},
    {"a length with a tail", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\nabcde"},
    {"a length with a sign", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde"},
    {"a negative length", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"},
    {"a length in words", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n"},
    {"a list of lengths", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc"},
    {"an empty length", 400, "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n"},
    {"a length past 64 bits", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n"},
    {"an unknown coding", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, "
     "chunked\r\n\r\n0\r\n\r\n"},
    {"two codings", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n"
     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"chunks in HTTP/1.0", 400,
     "POST /ask HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"a folded header", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nContent-Length: 17\r\n\r\n"},
    {"a folded last header", 400,
     "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n"},
    {"a folded first header", 400, "GET /livez HTTP/1.1\r\n Host: x\r\nX-A: b\r\n\r\n"},
    {"a bare LF", 400, "GET /livez HTTP/1.1\r\nX-A: b\nHost: x\r\n\r\n"},
    {"bare LFs only", 400, "GET /livez HTTP/1.1\nHost: x\n\n"},
    {"white space before a colon", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length : 17\r\n\r\n{\"question\":\"hi\"}"},
    {"no colon", 400, "GET /livez HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n"},
    {"no name", 400, "GET /livez HTTP/1.1\r\nHost: x\r\n: value\r\n\r\n"},
    {"a control character", 400, "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: a\001b\r\n\r\n"},
    {"no host", 400, "GET /livez HTTP/1.1\r\nX-A: b\r\n\r\n"},
    {"no header", 400, "GET /livez HTTP/1.1\r\n\r\n"},
    {"two hosts", 400, "GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"},
    {"two credentials", 400,
     "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\n"
     "Authorization: Bearer b\r\nContent-Length: 2\r\n\r\n{}"},
    {"dot segments", 400, "GET /v1/../cache/entries HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"encoded dot segments", 400, "GET /v1/%2e%2E/cache HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"a fragment", 400, "GET /livez#x HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"an unknown method", 400, "BREW /ask HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"no version", 400, "GET /livez\r\n\r\n"},
    {"no HTTP", 400, "\x16\x03\x01\x02 hello\r\n\r\n"},
    {"another version", 505, "GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"},
    {"another expectation", 417,
     "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\nExpect: miracles\r\n\r\n"},
    {"chunk sizes that are none", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n"},
    {"a chunk longer than its size", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n"},
    {"a chunk size past 64 bits", 400,
     "POST /ask HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
     "FFFFFFFFFFFFFFFF\r\nabcd\r\n0\r\n\r\n"},
};

/* One reply, and the connection ends: what follows in it is not taken for a second
 * request. */
Test(server_framing, ambiguous_requests_are_refused_and_the_connection_closed)
{
    start(NULL);
    for (size_t i = 0; i < sizeof bad_requests / sizeof *bad_requests; i++) {
        const bad_request *bad = &bad_requests[i];
        const char *reply = test_server_raw(&server, bad->bytes, 10000);
        cr_expect_eq(test_raw_status(reply), bad->status, "%s: %s", bad->what, reply);
        cr_expect_not_null(strcasestr(reply, "\r\nconnection: close\r\n"), "%s: %s",
                           bad->what, reply);
        const char *body = strstr(reply, "\r\n\r\n");
        cr_assert_not_null(body, "%s", bad->what);
        cr_expect_null(strstr(body, "HTTP/1.1"), "%s: a second reply: %s", bad->what,
                       reply);
        cr_expect_not_null(json_object_get(test_json(body + 4), "error"), "%s",
                           bad->what);
    }
    test_reply fine = test_server_post(&server, "/ask", question);
    cr_assert_eq(fine.status, 200);
}

/* ---- Heads
 * ----------------------------------------------------------------------------------------
 */

static const char *with_header(size_t size)
{
    char *value = malloc(size + 1);
    memset(value, 'k', size);
    value[size] = '\0';
    const char *text =
        test_format("GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                    "Connection: close\r\n\r\n",
                    value);
    free(value);
    return text;
}

Test(server_framing, large_credentials_pass_and_huge_heads_do_not)
{
    start(NULL);
    cr_expect_eq(test_raw_status(test_server_raw(&server, with_header(7 * 1024), 5000)),
                 200);
    cr_expect_eq(test_raw_status(test_server_raw(&server, with_header(16 * 1024), 5000)),
                 200);
    cr_expect_eq(test_raw_status(test_server_raw(&server, with_header(40 * 1024), 5000)),
                 431);
    int beyond = test_raw_status(test_server_raw(&server, with_header(200 * 1024), 5000));
    cr_expect(beyond == 400 || beyond == 431, "%d", beyond);
}

Test(server_framing, too_many_headers)
{
    char head[8192];
    int size = snprintf(head, sizeof head, "GET /livez HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 100; i++)
        size += snprintf(head + size, sizeof head - (size_t)size, "X-%d: y\r\n", i);
    snprintf(head + size, sizeof head - (size_t)size, "\r\n");
    start(NULL);
    cr_assert_eq(test_raw_status(test_server_raw(&server, head, 5000)), 431);
}

Test(server_framing, absolute_targets_are_understood)
{
    start(NULL);
    const char *reply = test_server_raw(
        &server,
        test_format("GET http://127.0.0.1:%d/livez HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                    "Connection: close\r\n\r\n",
                    server.port, server.port),
        5000);
    cr_assert_eq(test_raw_status(reply), 200, "%s", reply);
}

Test(server_framing, slow_heads_are_given_up)
{
    start((const char *const[]){"--request-timeout-ms", "300", "--keep-alive-timeout-ms",
                                "300", NULL});
    int fd = test_connect(server.port);
    test_send_text(fd, "GET /livez HTTP/1.1\r\nHo");
    int64_t start_ms = test_now_ms();
    test_receive(fd, NULL, 25000);
    cr_assert_lt(test_now_ms() - start_ms, 20000);
    close(fd);
}

/* ---- Keeping and closing
 * --------------------------------------------------------------------------- */

Test(server_framing, requests_in_a_row_are_answered_in_their_order)
{
    start(NULL);
    const char *reply = test_server_raw(
        &server,
        test_format("%sContent-Length: 17\r\n\r\n%s"
                    "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
                    "%sTransfer-Encoding: "
                    "chunked\r\n\r\n5\r\n{\"que\r\nc\r\nstion\":\"hi\"}\r\n0\r\n\r\n"
                    "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                    ask_head, question, ask_head),
        10000);
    const char *at = reply;
    const int wanted[] = {200, 200, 200, 404};
    for (int i = 0; i < 4; i++) {
        at = strstr(at, "HTTP/1.1 ");
        cr_assert_not_null(at, "reply %d: %s", i, reply);
        cr_assert_eq(test_raw_status(at), wanted[i], "reply %d: %s", i, reply);
        at += 9;
    }
    cr_assert_null(strstr(at, "HTTP/1.1 "));
}

Test(server_framing, a_refused_body_does_not_become_a_request)
{
    start(NULL);
    const char *reply =
        test_server_raw(&server,
                        "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 36\r\n\r\n"
                        "GET /livez HTTP/1.1\r\nHost: smuggled\r\n"
                        "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                        5000);
    cr_assert_eq(test_raw_status(reply), 404);
    const char *second = strstr(reply + 9, "HTTP/1.1 ");
    cr_assert_not_null(second);
    cr_assert_eq(test_raw_status(second), 404, "%s", reply);
}

Test(server_framing, http_1_0)
{
    start(NULL);
    const char *closed = test_server_raw(&server, "GET /livez HTTP/1.0\r\n\r\n", 5000);
    cr_expect_eq(test_raw_status(closed), 200);
    cr_expect_not_null(strcasestr(closed, "connection: close"));
    int fd = test_connect(server.port);
    for (int i = 0; i < 2; i++) {
        test_send_text(fd, "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const char *kept = test_receive_until(fd, "\"ok\"}", NULL, 5000);
        cr_expect_eq(test_raw_status(kept), 200);
        cr_expect_not_null(strcasestr(kept, "connection: keep-alive"));
    }
    close(fd);
}

Test(server_framing, head_is_get_without_its_body)
{
    start(NULL);
    const char *reply = test_server_raw(
        &server, "HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 5000);
    cr_assert_eq(test_raw_status(reply), 200);
    cr_assert_not_null(strstr(reply, "Content-Length: 15\r\n"));
    cr_assert_str_empty(strstr(reply, "\r\n\r\n") + 4);
}

Test(server_framing, one_reply_is_one_write)
{
    start(NULL);
    int fd = test_connect(server.port);
    test_send_text(fd, test_format("%sContent-Length: 17\r\n\r\n%s", ask_head, question));
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char reply[4096];
    cr_assert_eq(poll(&wait, 1, 5000), 1);
    ssize_t size = recv(fd, reply, sizeof reply - 1, 0); /* a segment holds all of it */
    cr_assert_gt(size, 0);
    reply[size] = '\0';
    cr_assert_eq(reply[size - 1], '}', "%s", reply);
    cr_assert_not_null(strstr(reply, "\r\n\r\n{\"answer\""));
    close(fd);
}

/* ---- Bodies
 * ----------------------------------------------------------------------------------------
 */

Test(server_framing, a_waiting_client_is_told_to_go_on)
{
    start(NULL);
    int fd = test_connect(server.port);
    test_send_text(fd, test_format("%sContent-Length: 17\r\nExpect: 100-continue\r\n\r\n",
                                   ask_head));
    cr_assert_not_null(
        strstr(test_receive_until(fd, "\r\n\r\n", NULL, 5000), "100 Continue"));
    test_send_text(fd, question);
    cr_assert_eq(test_raw_status(test_receive_until(fd, "}}", NULL, 5000)), 200);
    close(fd);
}

Test(server_framing, a_waiting_client_is_refused_before_it_sends)
{
    start((const char *const[]){"--max-body-bytes", "1KiB", NULL});
    const char *reply = test_server_raw(
        &server,
        test_format("%sContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
                    ask_head),
        5000);
    cr_assert_eq(test_raw_status(reply), 413, "%s", reply);
}

static const char *filled(size_t size)
{
    char *text = malloc(size + 1);
    memset(text, 'a', size);
    memcpy(text, "{\"question\":\"", 13);
    memcpy(text + size - 2, "\"}", 3);
    const char *kept = test_keep(text, size);
    free(text);
    return kept;
}

Test(server_framing, bodies_up_to_the_cap_and_no_byte_more)
{
    start((const char *const[]){"--max-body-bytes", "4096", NULL});
    cr_expect_eq(test_server_post(&server, "/ask", filled(4096)).status, 200);
    test_reply over = test_server_post(&server, "/ask", filled(4097));
    cr_expect_eq(over.status, 413);
    const char *const chunked[] = {"Transfer-Encoding: chunked", NULL};
    cr_expect_eq(test_server_send(&server, "POST", "/ask", chunked, filled(4096)).status,
                 200);
    cr_expect_eq(test_server_send(&server, "POST", "/ask", chunked, filled(4097)).status,
                 413);
}

Test(server_framing, too_large_is_said_in_the_shape_of_the_protocol)
{
    start((const char *const[]){"--max-body-bytes", "1KiB", NULL});
    json_t *openai =
        test_json(test_server_post(&server, "/v1/chat/completions", filled(2000)).body);
    json_t *anthropic =
        test_json(test_server_post(&server, "/v1/messages", filled(2000)).body);
    const json_t *error = json_object_get(openai, "error");
    cr_expect_str_eq(json_string_value(json_object_get(error, "type")),
                     "invalid_request_error");
    cr_expect_str_eq(json_string_value(json_object_get(anthropic, "type")), "error");
    error = json_object_get(anthropic, "error");
    cr_expect_str_eq(json_string_value(json_object_get(error, "type")),
                     "request_too_large");
}

/* The reply is not lost although the client is still sending when it comes. */
Test(server_framing, a_client_that_sends_on_still_reads_413)
{
    start((const char *const[]){"--max-body-bytes", "1KiB", NULL});
    int fd = test_connect(server.port);
    test_send_text(fd, test_format("%sContent-Length: 8000000\r\n\r\n", ask_head));
    char piece[16384] = {0};
    for (int i = 0; i < 400; i++)
        if (send(fd, piece, sizeof piece, MSG_NOSIGNAL) < 0)
            break;
    cr_assert_eq(test_raw_status(test_receive(fd, NULL, 5000)), 413);
    close(fd);
}

Test(server_framing, a_body_that_ends_early_is_refused)
{
    start(NULL);
    int fd = test_connect(server.port);
    test_send_text(fd, test_format("%sContent-Length: 18\r\n\r\n%s", ask_head, question));
    shutdown(fd, SHUT_WR);
    cr_assert_eq(test_raw_status(test_receive(fd, NULL, 5000)), 400);
    close(fd);
}

static void expect_timeout(const char *head, const char *drop, int drop_ms)
{
    int fd = test_connect(server.port);
    int64_t start_ms = test_now_ms(), end = start_ms + 25000;
    test_send_text(fd, head);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (test_now_ms() < end && poll(&wait, 1, drop_ms) == 0)
        if (send(fd, drop, strlen(drop), MSG_NOSIGNAL) < 0)
            break;
    cr_expect_eq(test_raw_status(test_receive(fd, NULL, 5000)), 408, "%s", head);
    cr_expect_lt(test_now_ms() - start_ms, 20000);
    close(fd);
}

Test(server_framing, stalled_and_dribbled_bodies_are_cut)
{
    start((const char *const[]){"--request-timeout-ms", "400", NULL});
    expect_timeout(test_format("%sContent-Length: 17\r\n\r\n{\"que", ask_head), "", 200);
    expect_timeout(test_format("%sContent-Length: 90000\r\n\r\n", ask_head), " ", 20);
    expect_timeout(test_format("%sTransfer-Encoding: chunked\r\n\r\n", ask_head),
                   "1\r\n \r\n", 20);
}

/* ---- Compressed
 * -------------------------------------------------------------------------------------
 */

static unsigned char packed[70000];

static size_t pack(const void *data, size_t size, int bits)
{
    z_stream stream = {0};
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (z_const Bytef *)data;
    stream.avail_in = (uInt)size;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t made = stream.total_out;
    deflateEnd(&stream);
    return made;
}

static int send_packed(const char *coding, size_t size)
{
    int fd = test_connect(server.port);
    test_send_text(
        fd,
        test_format(
            "%sContent-Length: %zu\r\nContent-Encoding: %s\r\nConnection: close\r\n\r\n",
            ask_head, size, coding));
    test_send(fd, packed, size);
    int status = test_raw_status(test_receive(fd, NULL, 10000));
    close(fd);
    return status;
}

Test(server_framing, compressed_bodies)
{
    start((const char *const[]){"--max-body-bytes", "1MiB", NULL});
    cr_expect_eq(send_packed("gzip", pack(question, sizeof question - 1, 15 + 16)), 200);
    cr_expect_eq(send_packed("x-gzip", pack(question, sizeof question - 1, 15 + 16)),
                 200);
    cr_expect_eq(send_packed("deflate", pack(question, sizeof question - 1, 15)), 200);
    cr_expect_eq(send_packed("gzip ", pack(question, sizeof question - 1, 15 + 16)), 200);
    cr_expect_eq(send_packed("gzip", pack(question, sizeof question - 1, 15 + 16) - 4),
                 400);
    cr_expect_eq(send_packed("br", pack(question, sizeof question - 1, 15 + 16)), 415);
    cr_expect_eq(send_packed("gzip, gzip", pack(question, sizeof question - 1, 15 + 16)),
                 415);
    memcpy(packed, question, sizeof question - 1);
    cr_expect_eq(send_packed("gzip", sizeof question - 1), 400);
}

Test(server_framing, a_small_body_that_unpacks_to_a_huge_one)
{
    size_t size = 64 * 1024 * 1024;
    char *zeros = calloc(1, size);
    start((const char *const[]){"--max-body-bytes", "1MiB", NULL});
    size_t made = pack(zeros, size, 15 + 16);
    free(zeros);
    cr_assert_lt(made, 1024 * 1024);
    cr_assert_eq(send_packed("gzip", made), 413);
}

/* lib/net/http against peers that send exactly what the test says, well or badly. */
#include "base/memory.h"
#include "net/http.h"
#include "support.h"
#include "tcp_server.h"
#include "test_http.h"

#include <criterion/criterion.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLACK_MS = 2000 }; /* the machine may be busy */

/* ---- What the tests share ------------------------------------------------------------------------ */

static lc_http *http;
static const llmcache_limits no_limits = {0};
static char ok_reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void start(void)
{
    llmcache_error err;
    cr_assert_eq(lc_http_new(4, NULL, &http, &err), 0);
}

static void stop(void)
{
    lc_http_free(http);
}

TestSuite(http_client, .init = start, .fini = stop, .timeout = 60);

/* A sink that writes down what it is given. */
typedef struct seen {
    int status, begins, writes;
    int64_t body_size;
    char headers[8192];
    char body[2048]; /* its beginning */
    size_t size;     /* all of it */
    int stop_at_begin, stop_at_write;
    sem_t *wrote; /* posted at each write */
} seen;

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    seen *s = user;
    s->status = status;
    s->begins++;
    s->body_size = body_size;
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(s->headers + at, sizeof s->headers - at, "%s=%s\n", headers[i].name,
                               headers[i].value);
    return s->stop_at_begin;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    seen *s = user;
    s->writes++;
    if (s->size + size < sizeof s->body)
        memcpy(s->body + s->size, bytes, size);
    s->size += size;
    if (s->wrote)
        sem_post(s->wrote);
    return s->stop_at_write;
}

static int perform(const char *method, const char *url, const char *body, llmcache_limits limits,
                   seen *s, llmcache_error *err)
{
    lc_http_request request = {.method = method, .url = url, .body = body,
                               .body_size = body ? strlen(body) : 0, .limits = limits};
    const llmcache_sink sink = {s, on_begin, on_write};
    return lc_http_perform(http, &request, &sink, err);
}

static const char *url_of(const test_tcp_server *server)
{
    return test_format("http://127.0.0.1:%d/v1/x", test_tcp_port(server));
}

/* Answers every request on a connection with the same bytes. */
static void answer_always(void *user, int fd, int nth)
{
    while (test_tcp_request(fd))
        test_send_text(fd, user);
}

/* Answers one request with the bytes and closes. */
static void answer_once(void *user, int fd, int nth)
{
    if (test_tcp_request(fd))
        test_send_text(fd, user);
}

/* Takes the request and says nothing until the client goes. */
static void answer_never(void *user, int fd, int nth)
{
    while (test_tcp_request(fd))
        ;
}

/* One exchange with a server that answers so. */
static int exchange(const char *answer, llmcache_limits limits, seen *s, llmcache_error *err)
{
    test_tcp_server *server = test_tcp_serve(answer_once, (void *)answer);
    int rc = perform("POST", url_of(server), "{}", limits, s, err);
    test_tcp_stop(server);
    return rc;
}


/* ---- Whole replies ------------------------------------------------------------------------------- */

Test(http_client, passes_status_end_to_end_headers_and_body)
{
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(exchange("HTTP/1.1 429 Too Many\r\nContent-Length: 5\r\nRetry-After: 3\r\n"
                          "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
                          "X-Request-Id: abc\r\n\r\nhello",
                          no_limits, &s, &err), 0);
    cr_assert_eq(s.status, 429);
    cr_assert_eq(s.begins, 1);
    cr_assert_eq(s.body_size, 5);
    cr_assert_str_eq(s.headers, "Retry-After=3\nX-Request-Id=abc\n");
    cr_assert_str_eq(s.body, "hello");
}

Test(http_client, reads_chunks_and_leaves_trailers_out)
{
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
                          no_limits, &s, &err), 0);
    cr_assert_eq(s.body_size, -1);
    cr_assert_str_eq(s.headers, "");
    cr_assert_str_eq(s.body, "abcde");
}

Test(http_client, interim_replies_are_not_the_reply)
{
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(exchange("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                          no_limits, &s, &err), 0);
    cr_assert_eq(s.begins, 1);
    cr_assert_eq(s.status, 200);
    cr_assert_str_eq(s.headers, "");
}

Test(http_client, redirects_are_replies_like_any_other)
{
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(exchange("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                          "Content-Length: 0\r\n\r\n", no_limits, &s, &err), 0);
    cr_assert_eq(s.status, 302);
    cr_assert_eq(s.body_size, 0);
}

static void answer_gzip(void *user, int fd, int nth)
{
    static const unsigned char packed[] = {
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0x48, 0xcd, 0xc9,
        0xc9, 0x57, 0xc8, 0x40, 0x27, 0x01, 0xe3, 0x51, 0x3d, 0x8d, 0x17, 0x00, 0x00, 0x00};
    test_tcp_request(fd);
    test_send_text(fd, test_format("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                                   "Content-Length: %zu\r\n\r\n", sizeof packed));
    test_send(fd, packed, sizeof packed);
}

Test(http_client, compressed_bodies_arrive_decoded_and_say_nothing_of_it)
{
    seen s = {0};
    llmcache_error err;
    test_tcp_server *server = test_tcp_serve(answer_gzip, NULL);
    cr_assert_eq(perform("POST", url_of(server), "{}", no_limits, &s, &err), 0);
    cr_assert_eq(s.body_size, -1);
    cr_assert_str_eq(s.headers, "");
    cr_assert_str_eq(s.body, "hello hello hello hello");

    seen capped = {0}; /* the cap counts what comes out of the packing */
    cr_assert_eq(perform("POST", url_of(server), "{}", (llmcache_limits){.max_bytes = 22}, &capped,
                         &err), LLMCACHE_TOO_LARGE);
    test_tcp_stop(server);
}

static void send_three_pieces(void *user, int fd, int nth)
{
    sem_t *wrote = user;
    test_tcp_request(fd);
    test_send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        test_send_text(fd, "6\r\ndata\n\n\r\n");
        sem_wait(wrote); /* the next piece waits for the last one's arrival at the sink */
    }
    test_send_text(fd, "0\r\n\r\n");
}

Test(http_client, bytes_reach_the_sink_as_they_arrive)
{
    sem_t wrote;
    sem_init(&wrote, 0, 0);
    seen s = {.wrote = &wrote};
    llmcache_error err;
    test_tcp_server *server = test_tcp_serve(send_three_pieces, &wrote);
    cr_assert_eq(perform("POST", url_of(server), "{}", (llmcache_limits){.total_ms = 20000}, &s,
                         &err), 0);
    cr_assert_eq(s.writes, 3);
    test_tcp_stop(server);
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static void echo_request(void *user, int fd, int nth)
{
    const char *text;
    while ((text = test_tcp_request(fd))) {
        int head = strncmp(text, "HEAD", 4) == 0;
        test_send_text(fd, test_format("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                                       strlen(text), head ? "" : text));
    }
}

Test(http_client, sends_the_callers_headers_and_none_of_a_form)
{
    test_tcp_server *server = test_tcp_serve(echo_request, NULL);
    const llmcache_header headers[] = {
        {"Authorization", "Bearer k"}, {"Host", "evil"},      {"Content-Length", "1"},
        {"Accept-Encoding", "x"},      {"Connection", "X-A"}, {"X-A", "1"},
        {"X-Empty", ""},               {"Expect", "y"},       {"Transfer-Encoding", "chunked"}};
    lc_http_request request = {.method = "POST", .url = url_of(server), .headers = headers,
                               .header_count = sizeof headers / sizeof *headers,
                               .body = "{\"a\":1}", .body_size = 7};
    lc_http_reply reply;
    llmcache_error err;
    cr_assert_eq(lc_http_fetch(http, &request, &reply, &err), 0);
    cr_assert_eq(strncmp(reply.body, "POST /v1/x HTTP/1.1\r\n", 21), 0);
    const char *const there[] = {"\r\nAuthorization: Bearer k\r\n", "\r\nX-Empty:\r\n",
                                 "\r\nContent-Length: 7\r\n", "gzip", "\r\n\r\n{\"a\":1}",
                                 "\r\nHost: 127.0.0.1:"};
    const char *const absent[] = {"evil", "X-A", "Expect", "chunked", "x-www-form", "Accept-Encoding: x"};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        cr_expect_not_null(strstr(reply.body, there[i]), "%s in %s", there[i], reply.body);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        cr_expect_null(strstr(reply.body, absent[i]), "%s", absent[i]);
    lc_free(reply.body);
    test_tcp_stop(server);
}

Test(http_client, speaks_every_method_on_one_connection)
{
    test_tcp_server *server = test_tcp_serve(echo_request, NULL);
    const struct {
        const char *method, *body, *line;
    } cases[] = {{"GET", NULL, "GET /v1/x "},       {"POST", "x", "POST /v1/x "},
                 {"HEAD", NULL, ""},                {"DELETE", NULL, "DELETE /v1/x "},
                 {"POST", NULL, "POST /v1/x "},     {"PUT", "x", "PUT /v1/x "},
                 {"GET", NULL, "GET /v1/x "},       {"PATCH", "x", "PATCH /v1/x "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        seen s = {0};
        llmcache_error err;
        cr_assert_eq(perform(cases[i].method, url_of(server), cases[i].body, no_limits, &s, &err), 0);
        cr_assert_eq(s.status, 200);
        if (*cases[i].line)
            cr_expect_eq(strncmp(s.body, cases[i].line, strlen(cases[i].line)), 0, "%s",
                         s.body);
        else
            cr_expect_eq(s.body_size, 0);
    }
    cr_assert_eq(test_tcp_connections(server), 1);
    test_tcp_stop(server);
}

Test(http_client, refuses_other_schemes_and_split_headers)
{
    seen s = {0};
    llmcache_error err;
    const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1", "",
                                "http://"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        cr_expect_eq(perform("GET", urls[i], NULL, no_limits, &s, &err), LLMCACHE_INVALID, "%s", urls[i]);
    const llmcache_header evil = {"X-A", "1\r\nX-B: 2"};
    lc_http_request request = {.method = "GET", .url = "http://127.0.0.1:1/", .headers = &evil,
                               .header_count = 1};
    const llmcache_sink sink = {&s, on_begin, on_write};
    cr_expect_eq(lc_http_perform(http, &request, &sink, &err), LLMCACHE_INVALID);
    cr_expect_eq(s.begins, 0);
}

Test(http_client, messages_never_show_the_path_or_the_user)
{
    seen s = {0};
    llmcache_error err;
    const char *url = test_format("http://user:secret@127.0.0.1:%d/secret?key=secret", test_port());
    cr_assert_eq(perform("GET", url, NULL, no_limits, &s, &err), LLMCACHE_NETWORK);
    cr_assert_null(strstr(err.message, "secret"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "http://127.0.0.1:"), "%s", err.message);
}

/* ---- Kept connections ------------------------------------------------------------------------------ */

Test(http_client, keeps_its_connection)
{
    test_tcp_server *server = test_tcp_serve(answer_always, ok_reply);
    for (int i = 0; i < 5; i++) {
        seen s = {0};
        llmcache_error err;
        cr_assert_eq(perform("POST", url_of(server), "{}", no_limits, &s, &err), 0);
    }
    cr_assert_eq(test_tcp_connections(server), 1);
    test_tcp_stop(server);
}

Test(http_client, one_peer_does_not_push_out_anothers_connection)
{
    test_tcp_server *a = test_tcp_serve(answer_always, ok_reply);
    test_tcp_server *b = test_tcp_serve(answer_always, ok_reply);
    for (int i = 0; i < 6; i++) {
        seen s = {0};
        llmcache_error err;
        cr_assert_eq(perform("POST", url_of(i % 2 ? a : b), "{}", no_limits, &s, &err), 0);
    }
    cr_assert_eq(test_tcp_connections(a), 1);
    cr_assert_eq(test_tcp_connections(b), 1);
    test_tcp_stop(a);
    test_tcp_stop(b);
}

typedef struct dying {
    int reset;       /* close by reset rather than in order */
    int after_bytes; /* of the second request on the first connection; -1: do not wait for it */
    int requests;    /* whole requests answered */
} dying;

static void take(int fd, int bytes)
{
    char some[4096];
    while (bytes > 0) {
        ssize_t got = recv(fd, some, (size_t)bytes < sizeof some ? (size_t)bytes : sizeof some, 0);
        if (got <= 0)
            return;
        bytes -= (int)got;
    }
}

/* Answers once, then lets the first connection die as told; later connections are fine. */
static void die_once(void *user, int fd, int nth)
{
    dying *how = user;
    while (test_tcp_request(fd)) {
        __atomic_add_fetch(&how->requests, 1, __ATOMIC_SEQ_CST);
        test_send_text(fd, ok_reply);
        if (nth > 0)
            continue;
        if (how->reset)
            test_tcp_reset_on_close(fd);
        take(fd, how->after_bytes);
        return;
    }
}

Test(http_client, a_kept_connection_that_died_is_no_error)
{
    const dying ways[] = {{0, -1, 0}, {1, -1, 0}, {0, 1, 0}, {1, 1, 0}, {0, 5000, 0}, {1, 5000, 0}};
    static char body[8 * 1024 * 1024];
    memset(body, 'b', sizeof body - 1);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        dying how = ways[i];
        test_tcp_server *server = test_tcp_serve(die_once, &how);
        for (int n = 0; n < 2; n++) {
            seen s = {0};
            llmcache_error err;
            int rc = perform("POST", url_of(server), n ? body : "{}", no_limits, &s, &err);
            cr_assert_eq(rc, 0, "way %zu, request %d: %s", i, n, err.message);
            cr_assert_str_eq(s.body, "ok");
        }
        cr_assert_eq(test_tcp_connections(server), 2);
        test_tcp_stop(server);
        cr_assert_eq(how.requests, 2, "way %zu", i);
    }
}

/* curl itself asks again when reading finds the reset; where writing finds it first, that is ours. */
Test(http_client, a_kept_connection_may_be_reset_anywhere_in_a_long_request)
{
    static char body[4 * 1024 * 1024];
    memset(body, 'b', sizeof body - 1);
    for (int i = 0; i < 40; i++) {
        dying how = {.reset = 1, .after_bytes = 70001 * i};
        test_tcp_server *server = test_tcp_serve(die_once, &how);
        for (int n = 0; n < 2; n++) {
            seen s = {0};
            llmcache_error err;
            cr_assert_eq(perform("POST", url_of(server), n ? body : "{}", no_limits, &s, &err), 0,
                         "after %d bytes: %s", how.after_bytes, err.message);
        }
        test_tcp_stop(server);
    }
}

static void take_and_close(void *user, int fd, int nth)
{
    test_tcp_request(fd);
}

Test(http_client, a_new_connection_that_dies_is_an_error_and_asked_once)
{
    test_tcp_server *server = test_tcp_serve(take_and_close, NULL);
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(perform("POST", url_of(server), "{}", no_limits, &s, &err), LLMCACHE_NETWORK);
    cr_assert_eq(test_tcp_connections(server), 1);
    cr_assert_eq(s.begins, 0);
    test_tcp_stop(server);
}

Test(http_client, a_cut_reply_is_an_error_after_what_came)
{
    const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        seen s = {0};
        llmcache_error err;
        cr_expect_eq(exchange(answers[i], no_limits, &s, &err), LLMCACHE_NETWORK, "%zu", i);
        cr_expect_str_eq(s.body, "hello");
    }
}

/* ---- Limits -------------------------------------------------------------------------------------- */

Test(http_client, the_cap_counts_before_and_while_the_body_comes)
{
    llmcache_error err;
    seen told = {0}, untold = {0}, fits = {0};
    const llmcache_limits five = {.max_bytes = 5};
    cr_assert_eq(exchange("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", five, &told, &err),
                 LLMCACHE_TOO_LARGE);
    cr_assert_eq(told.begins, 0);
    cr_assert_eq(exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", five, &untold, &err),
                 LLMCACHE_TOO_LARGE);
    cr_assert(untold.size <= 5);
    cr_assert_eq(exchange("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", five, &fits, &err), 0);
}

Test(http_client, a_head_without_end_is_refused)
{
    char head[16384] = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 200; i++)
        strcat(head, "X-Many: 1\r\n");
    strcat(head, "Content-Length: 0\r\n\r\n");
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(exchange(head, no_limits, &s, &err), LLMCACHE_TOO_LARGE);
    cr_assert_eq(s.begins, 0);
}

static void stall_in_the_middle(void *user, int fd, int nth)
{
    test_tcp_request(fd);
    test_send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    answer_never(user, fd, nth);
}

/* One exchange that runs into a limit, of all or of a silence; how often the reply had begun. */
static int run_into(test_serve_fn serve, int stall, int limit_ms)
{
    test_tcp_server *server = test_tcp_serve(serve, NULL);
    seen s = {0};
    llmcache_error err;
    llmcache_limits limits = {.total_ms = stall ? 0 : limit_ms, .stall_ms = stall ? limit_ms : 0};
    int64_t start_ms = test_now_ms();
    cr_expect_eq(perform("POST", url_of(server), "{}", limits, &s, &err), LLMCACHE_TIMEOUT);
    int64_t took_ms = test_now_ms() - start_ms;
    cr_expect(took_ms >= limit_ms - 1, "took %lld ms", (long long)took_ms);
    cr_expect(took_ms < 2 * limit_ms + SLACK_MS, "took %lld ms", (long long)took_ms);
    cr_expect_not_null(strstr(err.message, test_format("%s %d ms", stall ? "nothing for" : "within", limit_ms)), "%s",
                       err.message);
    test_tcp_stop(server);
    return s.begins;
}

Test(http_client, total_and_stall_limits_hold)
{
    for (int stall = 0; stall < 2; stall++) {
        cr_expect_eq(run_into(answer_never, stall, 150), 0);
        /* The head of the reply has to come before: on a busy machine within a longer limit. */
        int begins = 0;
        for (int limit_ms = 150; limit_ms < 10000 && !begins; limit_ms *= 2)
            begins = run_into(stall_in_the_middle, stall, limit_ms);
        cr_expect_eq(begins, 1);
    }
}

static void trickle(void *user, int fd, int nth)
{
    test_tcp_request(fd);
    test_send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n");
    for (int i = 0; i < 60; i++) {
        char nothing;
        struct timeval pause = {.tv_usec = 50000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
        recv(fd, &nothing, 1, 0); /* a pause that ends early when the client goes */
        test_send_text(fd, "x");
    }
}

Test(http_client, a_slow_reply_that_moves_is_not_a_stall)
{
    test_tcp_server *server = test_tcp_serve(trickle, NULL);
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(perform("POST", url_of(server), "{}", (llmcache_limits){.stall_ms = 2000}, &s, &err), 0);
    cr_assert_eq(s.size, 60);
    test_tcp_stop(server);
}

/*
 * The name lookup is the program's own here: libcurl finds this function before the C library's. One
 * name hangs, so that a deadline has to hold over a dead name server.
 */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    if (name && strcmp(name, "hangs.test") == 0)
        poll(NULL, 0, 3000);
    return EAI_NONAME;
}

Test(http_client, a_hanging_name_lookup_does_not_outlast_the_limit)
{
    seen s = {0};
    llmcache_error err;
    const llmcache_limits limits[] = {{.connect_ms = 150}, {.total_ms = 150}, {.stall_ms = 150}};
    for (size_t i = 0; i < 3; i++) {
        int64_t start_ms = test_now_ms();
        cr_expect_eq(perform("GET", "http://hangs.test/", NULL, limits[i], &s, &err), LLMCACHE_TIMEOUT);
        int64_t took_ms = test_now_ms() - start_ms;
        cr_expect(took_ms < 150 + SLACK_MS, "took %lld ms: %s", (long long)took_ms, err.message);
    }
    int64_t start_ms = test_now_ms();
    stop();
    cr_expect(test_now_ms() - start_ms < SLACK_MS);
    http = NULL;
}

Test(http_client, an_unknown_name_is_a_network_error)
{
    seen s = {0};
    llmcache_error err;
    cr_assert_eq(perform("GET", "http://nowhere.test/", NULL, no_limits, &s, &err), LLMCACHE_NETWORK);
    cr_assert_not_null(strstr(err.message, "nowhere.test"));
}

/* ---- Stopping, threads, memory --------------------------------------------------------------------- */

Test(http_client, the_sink_may_stop_it_and_the_pool_goes_on)
{
    test_tcp_server *server = test_tcp_serve(answer_always, ok_reply);
    llmcache_error err;
    seen at_begin = {.stop_at_begin = 1}, at_write = {.stop_at_write = 1}, fine = {0};
    cr_assert_eq(perform("POST", url_of(server), "{}", no_limits, &at_begin, &err), LLMCACHE_ABORTED);
    cr_assert_eq(at_begin.writes, 0);
    cr_assert_eq(perform("POST", url_of(server), "{}", no_limits, &at_write, &err), LLMCACHE_ABORTED);
    cr_assert_eq(at_write.writes, 1);
    cr_assert_eq(perform("POST", url_of(server), "{}", no_limits, &fine, &err), 0);
    cr_assert_str_eq(fine.body, "ok");
    test_tcp_stop(server);
}

static void *hammer(void *url)
{
    intptr_t good = 0;
    for (int i = 0; i < 100; i++) {
        lc_http_request request = {.method = "POST", .url = url, .body = "{}", .body_size = 2,
                                   .limits = {.total_ms = 20000}};
        lc_http_reply reply;
        llmcache_error err;
        if (lc_http_fetch(http, &request, &reply, &err) == 0) {
            good += reply.status == 200 && strcmp(reply.body, "ok") == 0;
            lc_free(reply.body);
        }
    }
    return (void *)good;
}

Test(http_client, many_threads_share_one_pool)
{
    test_tcp_server *server = test_tcp_serve(answer_always, ok_reply);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, hammer, (void *)url_of(server));
    for (int i = 0; i < 8; i++) {
        void *good;
        pthread_join(threads[i], &good);
        cr_assert_eq((intptr_t)good, 100);
    }
    test_tcp_stop(server);
}

Test(http_client, every_failing_allocation_is_an_error_and_nothing_else)
{
    test_tcp_server *server = test_tcp_serve(answer_always, ok_reply);
    const llmcache_header header = {"X-A", "1"};
    int fired = 1;
    for (uint64_t n = 1; fired; n++) {
        lc_http *fresh = NULL;
        lc_http_reply reply = {0};
        llmcache_error err;
        lc_http_request request = {.method = "POST", .url = url_of(server), .headers = &header,
                                   .header_count = 1, .body = "{}", .body_size = 2};
        lc_memory_fail_at(n);
        int rc = lc_http_new(2, "/etc/ssl/certs/ca-certificates.crt", &fresh, &err);
        if (!rc)
            rc = lc_http_fetch(fresh, &request, &reply, &err);
        fired = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert_eq(rc, fired ? LLMCACHE_MEMORY : 0, "allocation %d", (int)n);
        lc_free(rc ? NULL : reply.body);
        lc_http_free(fresh);
        cr_assert(n < 100);
    }
    test_tcp_stop(server);
}

/*
 * llmcache-server while the N-th allocation of a request fails, for every N until none does (support/failing_malloc.c).
 * It goes on; what it replies is whole, to the question that was asked and of the caller who asked, or an error in JSON,
 * or the connection ends without a word; and the next request is served as ever.
 */
#include "llmcache_server.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST = 2000, WAIT_MS = 30000 };

static test_server server;
static volatile uint64_t *control; /* the countdown, and how many have failed */

static void begin(void)
{
    const char *path = test_format("%s/control", test_folder());
    const char *library = test_build_path("tests/support/libfailing-malloc.so");
    const uint64_t nothing[2] = {0, 0};
    if (!test_exists(library))
        cr_skip_test("this build has no failing-malloc (sanitizers, another libc)");
    test_write_file(path, nothing, sizeof nothing);
    int fd = open(path, O_RDWR);
    control = mmap(NULL, sizeof nothing, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(control, MAP_FAILED);
    close(fd);
    const char *environment[] = {test_format("LD_PRELOAD=%s", library), test_format("FAILING_MALLOC=%s", path), NULL};
    test_server_start(&server, NULL, environment);
}

TestSuite(server_memory, .init = begin, .timeout = 240);

static const char *request_of(const char *method, const char *path, const char *headers, const char *body)
{
    return test_format("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
                       "%sContent-Length: %zu\r\n\r\n%s",
                       method, path, headers, strlen(body), body);
}

static const char *body_of(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");
    return end ? end + 4 : "";
}

static void check_error(const char *reply)
{
    json_t *body = json_loads(body_of(reply), 0, NULL);
    cr_assert_not_null(body, "%s", reply);
    const char *message = json_string_value(json_object_get(json_object_get(body, "error"), "message"));
    cr_assert(json_object_size(body) == 0 || (message && *message), "%s", reply);
    json_decref(body);
}

/* A reply that says how long it is, is as long; one in chunks has its end, or is cut visibly. */
static void check_whole(const char *reply)
{
    const char *length = strstr(reply, "Content-Length: "), *body = body_of(reply);
    int chunked = strstr(reply, "Transfer-Encoding: chunked") != NULL;
    cr_assert(chunked || length, "%s", reply);
    if (chunked)
        cr_assert(!strstr(body, "\r\n0\r\n\r\n") || strstr(body, "[DONE]"), "%s", reply);
    else
        cr_assert_eq(strlen(body), strtoul(length + 16, NULL, 10), "%s", reply);
}

typedef void (*judge_fn)(const char *reply);

/* All that may come, for every N. */
static void torture(const char *request, judge_fn judge)
{
    uint64_t n = 1, failed = 1;
    for (; failed && n < MOST; n++) {
        control[1] = 0;
        control[0] = n;
        const char *reply = test_server_raw(&server, request, WAIT_MS);
        control[0] = 0;
        failed = control[1];
        cr_assert(test_running(&server.process), "allocation %d: it died: %s", (int)n,
                  test_read_file(server.process.log, NULL));
        int status = test_raw_status(reply);
        cr_assert(!*reply || status, "allocation %d: a reply without its head: %s", (int)n, reply);
        if (*reply)
            check_whole(reply);
        if (status >= 500)
            check_error(reply);
        else if (status)
            judge(reply);
    }
    cr_assert_lt(n, (uint64_t)MOST, "it never came through");
    cr_assert_eq(test_raw_status(test_server_raw(&server, request_of("GET", "/readyz", "", ""), WAIT_MS)), 200);
}

static void is_json(const char *reply)
{
    json_t *body = json_loads(body_of(reply), JSON_DECODE_ANY, NULL);
    cr_assert_not_null(body, "%s", reply);
    json_decref(body);
    cr_assert_eq(test_raw_status(reply), 200, "%s", reply);
}

static void is_anything(const char *reply)
{
}

/* ---- Asking ------------------------------------------------------------------------------------------------ */

#define QUESTION "Which of the rivers of this country is the longest one?"

static void answers_the_question(const char *reply)
{
    is_json(reply); /* one that could not be read is passed on as it is, and not shown */
    cr_assert(strstr(reply, "\"question\":\"" QUESTION "\"") || strstr(reply, "\"question\":\"\""),
              "another question was answered: %s", reply);
}

Test(server_memory, a_question_is_answered_as_it_was_asked)
{
    torture(request_of("POST", "/ask", "", "{\"question\":\"" QUESTION "\"}"), answers_the_question);
}

/* Everybody's answer is there; the caller's own is not. */
static void is_not_everybodys(const char *reply)
{
    cr_assert_eq(test_raw_status(reply), 404, "a caller with a key got another's answer: %s", reply);
}

Test(server_memory, a_caller_with_a_key_is_not_taken_for_one_without)
{
    test_server_raw(&server, request_of("POST", "/ask", "", "{\"question\":\"" QUESTION "\"}"), WAIT_MS);
    torture(request_of("POST", "/ask", "Authorization: Bearer secret-key \r\n",
                       "{\"question\":\"" QUESTION "\",\"only_cached\":true}"),
            is_not_everybodys);
}

#define CHAT(more) "{\"model\":\"m\"" more ",\"messages\":[{\"role\":\"user\",\"content\":\"Name a river\"}]}"

Test(server_memory, protocol_calls)
{
    torture(request_of("POST", "/v1/chat/completions?a=b", "X-Any: value \r\n", CHAT("")), is_json);
    torture(request_of("POST", "/v1/chat/completions", "", CHAT(",\"stream\":true")), is_anything);
    torture(request_of("POST", "/v1/embeddings", "", "{\"model\":\"m\",\"input\":\"a\"}"), is_anything);
    torture(request_of("GET", "/v1/models", "", ""), is_anything);
}

/* ---- Looking after it ---------------------------------------------------------------------------------------- */

Test(server_memory, state)
{
    static const char *const paths[] = {"/health", "/readyz", "/metrics/json", "/openapi.json", "/cache/entries",
                                        "/cache/lint", "/cache/observations", "/cache/policy"};
    test_server_raw(&server, request_of("POST", "/ask", "", "{\"question\":\"" QUESTION "\"}"), WAIT_MS);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        torture(request_of("GET", paths[i], "", ""), is_json);
    torture(request_of("GET", "/metrics", "", ""), is_anything);
}

Test(server_memory, management)
{
    test_server_raw(&server, request_of("POST", "/ask", "", "{\"question\":\"" QUESTION "\"}"), WAIT_MS);
    torture(request_of("POST", "/cache/purge", "", "{\"all\":true,\"dry_run\":true}"), is_json);
    torture(request_of("POST", "/cache/judge", "", "{\"pairs\":[{\"a\":\"What is x?\",\"b\":\"What is y?\"}]}"),
            is_json);
    torture(request_of("POST", "/cache/explain", "", "{\"question\":\"" QUESTION "\"}"), is_json);
}

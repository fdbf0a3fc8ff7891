/* Pages of other sites in a browser: what llmcache-server says to them, and what not. */
#include "llmcache_server.h"
#include "mock_client.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(server_cors, .timeout = 60);

static test_mock mock;
static test_server server;

static const char chat_path[] = "/v1/chat/completions";
static const char chat[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"cors\"}]}";

static void start(const char *origins)
{
    mock_start(&mock);
    const char *const environment[] = {test_format("OPENAI_BASE_URL=%s", mock.openai),
                                       "OPENAI_API_KEY=sk-server", NULL};
    test_server_start(&server,
                      (const char *const[]){"--provider", "openai:", "--cors-origins",
                                            origins, NULL},
                      environment);
}

static test_reply preflight(const char *path, const char *origin)
{
    const char *const headers[] = {
        test_format("Origin: %s", origin), "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,content-type,x-stainless-lang",
        NULL};
    return test_server_send(&server, "OPTIONS", path, headers, NULL);
}

static test_reply post(const char *path, const char *origin, const char *body)
{
    const char *const headers[] = {test_format("Origin: %s", origin),
                                   "Content-Type: application/json", NULL};
    return test_server_send(&server, "POST", path, headers, body);
}

Test(server_cors, a_preflight_is_answered_here)
{
    start("https://a.example, https://b.example/");
    static const char *const origins[] = {"https://a.example", "https://b.example"};
    for (size_t i = 0; i < 2; i++) {
        test_reply reply = preflight(chat_path, origins[i]);
        cr_assert_eq(reply.status, 204);
        cr_expect_str_eq(test_header(&reply, "Access-Control-Allow-Origin"), origins[i]);
        cr_expect_not_null(
            strstr(test_header(&reply, "Access-Control-Allow-Methods"), "POST"));
        cr_expect_str_eq(test_header(&reply, "Access-Control-Allow-Headers"),
                         "authorization,content-type,x-stainless-lang");
        cr_expect_str_eq(test_header(&reply, "Access-Control-Max-Age"), "600");
        cr_expect_str_eq(test_header(&reply, "Vary"), "Origin");
    }
    test_reply ask = preflight("/ask", "https://a.example");
    cr_expect_str_eq(test_header(&ask, "Access-Control-Allow-Methods"), "POST");
    cr_expect_eq(mock_calls(&mock, NULL), 0, "the model's service was asked");
}

Test(server_cors, others_are_not_let_in)
{
    start("https://a.example");
    static const char *const origins[] = {"https://a.example.evil", "http://a.example",
                                          "https://a.example:8443", "https://a.exampl",
                                          "null"};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        test_reply reply = preflight(chat_path, origins[i]);
        cr_expect_null(test_header(&reply, "Access-Control-Allow-Origin"), "%s",
                       origins[i]);
        cr_expect_null(test_header(&reply, "Access-Control-Allow-Methods"));
        cr_expect_str_eq(test_header(&reply, "Vary"), "Origin");
    }
    test_reply reply = post(chat_path, origins[0], chat);
    cr_expect_eq(reply.status, 200);
    cr_expect_null(test_header(&reply, "Access-Control-Allow-Origin"));
    cr_expect_eq(mock_calls(&mock, NULL), 1);
}

/* What the service says of other sites gives way: two such lines, and a browser refuses. */
Test(server_cors, replies_can_be_read)
{
    start("https://a.example");
    mock_behave(&mock, "{'headers': {'Access-Control-Allow-Origin': '*'}}");
    for (int hit = 0; hit < 2; hit++) {
        test_reply reply = post(chat_path, "https://a.example", chat);
        cr_assert_eq(reply.status, 200);
        cr_expect_str_eq(test_header(&reply, "X-Cache-Status"), hit ? "HIT" : "MISS");
        cr_expect_eq(test_count(reply.headers, "llow-Origin:"), 1, "%s", reply.headers);
        cr_expect_str_eq(test_header(&reply, "Access-Control-Allow-Origin"),
                         "https://a.example");
        const char *shown = test_header(&reply, "Access-Control-Expose-Headers");
        cr_assert_not_null(shown);
        cr_expect_not_null(strstr(shown, "X-LLMCache-Id"));
        cr_expect_not_null(strstr(shown, "X-Request-Id"));
    }
    test_reply refused = post("/ask", "https://a.example", "{}");
    cr_expect_eq(refused.status, 422);
    cr_expect_str_eq(test_header(&refused, "Access-Control-Allow-Origin"),
                     "https://a.example");
}

Test(server_cors, a_star_is_everybody_but_never_managing)
{
    start("*");
    test_reply reply = preflight(chat_path, "https://anything.example");
    cr_expect_str_eq(test_header(&reply, "Access-Control-Allow-Origin"),
                     "https://anything.example");
    static const char *const paths[] = {"/cache/purge", "/cache/entries", "/metrics"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        test_reply asked = preflight(paths[i], "https://anything.example");
        cr_expect_not_null(test_header(&asked, "Allow"), "%s", paths[i]);
        cr_expect_null(strcasestr(asked.headers, "access-control"), "%s", asked.headers);
    }
    test_reply purge =
        post("/cache/purge", "https://anything.example", "{\"all\":true}");
    cr_expect_eq(purge.status, 403);
    cr_expect_null(strcasestr(purge.headers, "access-control"), "%s", purge.headers);
}

Test(server_cors, off_by_default)
{
    start("");
    test_reply ask = preflight("/ask", "https://a.example");
    cr_expect_str_eq(test_header(&ask, "Allow"), "POST, OPTIONS");
    cr_expect_null(strcasestr(ask.headers, "access-control"), "%s", ask.headers);
    test_reply reply = post(chat_path, "https://a.example", chat);
    cr_expect_eq(reply.status, 200);
    cr_expect_null(strcasestr(reply.headers, "access-control"), "%s", reply.headers);
    cr_expect_null(strcasestr(reply.headers, "vary: origin"), "%s", reply.headers);
}

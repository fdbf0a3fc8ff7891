/* What llmcache-server answers where: questions, state, metrics, and what it does not
 * serve. */
#include "llmcache_server.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(server_routes, .timeout = 60);

static test_server server;

static void start(const char *const flags[])
{
    test_server_start(&server, flags, NULL);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "(absent)";
}

/* ---- Questions
 * --------------------------------------------------------------------------------- */

Test(server_routes, ask_answers_and_remembers)
{
    start(NULL);
    json_t *first = test_json(
        test_server_post(&server, "/ask", "{\"question\":\"什麼是快取？\"}").body);
    json_t *again = test_json(
        test_server_post(&server, "/ask", "{\"question\":\"什麼是快取？\"}").body);
    cr_assert_str_eq(text_of(first, "source"), "model");
    cr_assert_str_eq(text_of(again, "source"), "exact");
    cr_assert_str_eq(text_of(again, "answer"), text_of(first, "answer"));
    cr_assert_str_eq(text_of(again, "id"), text_of(first, "id"));
    cr_assert_eq(strlen(text_of(first, "id")), 20);
    cr_assert_float_eq(json_number_value(json_object_get(again, "similarity")), 1, 1e-9);
    static const char *const members[] = {"age_ms", "latency_ms", "model",
                                          "usage",  "cached",     "stored"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        cr_expect_not_null(json_object_get(again, members[i]), "%s", members[i]);
}

Test(server_routes, ask_takes_its_options)
{
    start(NULL);
    const char *body =
        "{\"question\":\"q\",\"namespace\":\"a\",\"model\":\"m\",\"system\":\"s\","
        "\"tags\":[\"x\",\"y\"],\"ttl\":60,\"threshold\":0.99,\"exact\":true,\"else\":1}";
    cr_assert_eq(test_server_post(&server, "/ask", body).status, 200);
    json_t *again = test_json(test_server_post(&server, "/ask", body).body);
    cr_assert_str_eq(text_of(again, "source"), "exact");
    json_t *other = test_json(
        test_server_post(&server, "/ask",
                         "{\"question\":\"q\",\"namespace\":\"b\",\"model\":\"m\","
                         "\"system\":\"s\"}")
            .body);
    cr_assert_str_eq(text_of(other, "source"), "model");
    json_t *fresh = test_json(
        test_server_post(&server, "/ask",
                         "{\"question\":\"q\",\"namespace\":\"b\",\"model\":\"m\","
                         "\"system\":\"s\",\"no_cache\":true}")
            .body);
    cr_assert_str_eq(text_of(fresh, "source"), "model");
    test_reply absent =
        test_server_post(&server, "/ask", "{\"question\":\"new\",\"only_cached\":true}");
    cr_assert_eq(absent.status, 404);
}

Test(server_routes, bad_questions_name_the_field)
{
    static const struct {
        const char *body, *field;
    } rows[] = {{"", NULL},
                {"{", NULL},
                {"[]", NULL},
                {"\"question\"", NULL},
                {"nonsense", NULL},
                {"{\"question\":\"\xff\"}", NULL},
                {"{\"question\":\"\\ud800\"}", NULL},
                {"{\"question\":\"a\",\"question\":\"b\"}", NULL},
                {"{}", "question"},
                {"{\"question\":null}", "question"},
                {"{\"question\":\"\"}", "question"},
                {"{\"question\":5}", "question"},
                {"{\"question\":[\"a\"]}", "question"},
                {"{\"question\":\"a\",\"model\":7}", "model"},
                {"{\"question\":\"a\",\"ttl\":-1}", "ttl"},
                {"{\"question\":\"a\",\"ttl\":\"1h\"}", "ttl"},
                {"{\"question\":\"a\",\"threshold\":1.5}", "threshold"},
                {"{\"question\":\"a\",\"no_cache\":1}", "no_cache"},
                {"{\"question\":\"a\",\"tags\":[1]}", "tags"}};
    start(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_reply reply = test_server_post(&server, "/ask", rows[i].body);
        cr_expect_eq(reply.status, 422, "%s: %d %s", rows[i].body, reply.status,
                     reply.body);
        json_t *root = test_json(reply.body);
        const json_t *error = json_object_get(root, "error");
        const json_t *place =
            json_object_get(json_array_get(json_object_get(root, "detail"), 0), "loc");
        cr_expect_str_eq(text_of(error, "param"),
                         rows[i].field ? rows[i].field : "(absent)");
        cr_expect_eq(json_array_size(place), rows[i].field ? 2 : 1, "%s", reply.body);
    }
}

Test(server_routes, a_nul_in_a_question_is_refused)
{
    start(NULL);
    test_reply reply = test_server_post(&server, "/ask", "{\"question\":\"a\\u0000b\"}");
    cr_assert_eq(reply.status, 422, "%d %s", reply.status, reply.body);
}

Test(server_routes, too_long_a_question)
{
    start((const char *const[]){"--max-question-bytes", "16", NULL});
    test_reply reply =
        test_server_post(&server, "/ask", "{\"question\":\"12345678901234567\"}");
    cr_assert_eq(reply.status, 413, "%d %s", reply.status, reply.body);
}

Test(server_routes, no_provider_is_said)
{
    start((const char *const[]){"--provider", "", NULL});
    test_reply reply = test_server_post(&server, "/ask", "{\"question\":\"a\"}");
    cr_assert_eq(reply.status, 503, "%d %s", reply.status, reply.body);
    cr_assert_not_null(strstr(reply.body, "OPENAI_API_KEY"));
    cr_assert_eq(test_server_get(&server, "/livez").status, 200);
}

/* ---- Elsewhere
 * ------------------------------------------------------------------------------------ */

Test(server_routes, unknown_paths)
{
    static const char *const paths[] = {
        "/",   "/nowhere",        "/ask/",     "/asks", "/cache", "/cache/",
        "/v1", "/cache/entries/", "/metrics/", "/.env", "/%61sk"};
    start(NULL);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        test_reply reply = test_server_get(&server, paths[i]);
        cr_expect_eq(reply.status, 404, "%s: %d", paths[i], reply.status);
        cr_expect_not_null(json_object_get(test_json(reply.body), "error"), "%s",
                           paths[i]);
    }
}

Test(server_routes, wrong_methods)
{
    static const struct {
        const char *method, *path, *allow;
    } rows[] = {{"GET", "/ask", "POST, OPTIONS"},
                {"PUT", "/ask", "POST, OPTIONS"},
                {"DELETE", "/health", "GET, HEAD, OPTIONS"},
                {"POST", "/metrics", "GET, HEAD, OPTIONS"},
                {"POST", "/cache/entries/abcdef", "GET, HEAD, DELETE, OPTIONS"},
                {"GET", "/cache/purge", "POST, OPTIONS"}};
    start(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_reply reply =
            test_server_send(&server, rows[i].method, rows[i].path, NULL, NULL);
        cr_expect_eq(reply.status, 405, "%s %s: %d", rows[i].method, rows[i].path,
                     reply.status);
        const char *allow = test_header(&reply, "Allow");
        cr_assert_not_null(allow, "%s %s", rows[i].method, rows[i].path);
        cr_expect_str_eq(allow, rows[i].allow);
    }
    test_reply options = test_server_send(&server, "OPTIONS", "/ask", NULL, NULL);
    cr_expect_eq(options.status, 204);
    cr_expect_str_eq(test_header(&options, "Allow"), "POST, OPTIONS");
}

Test(server_routes, openapi_lists_what_is_served)
{
    static const char *const paths[] = {
        "/ask",     "/v1/chat/completions", "/v1/messages", "/health",
        "/metrics", "/cache/entries/{id}",  "/cache/purge"};
    start(NULL);
    test_reply reply = test_server_get(&server, "/openapi.json");
    const json_t *listed = json_object_get(test_json(reply.body), "paths");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        cr_expect_not_null(json_object_get(listed, paths[i]), "%s", paths[i]);
    const json_t *entry = json_object_get(listed, "/cache/entries/{id}");
    cr_expect_not_null(json_object_get(entry, "get"));
    cr_expect_not_null(json_object_get(entry, "delete"));
}

/* ---- State
 * ------------------------------------------------------------------------------------------
 */

Test(server_routes, health_live_ready)
{
    start(NULL);
    json_t *health = NULL; /* degraded while the index loads */
    cr_assert(test_wait_until((health = test_json(test_server_get(&server, "/health").body)) &&
                                  strcmp(text_of(health, "status"), "ok") == 0,
                              5000));
    json_t *store = json_object_get(json_object_get(health, "parts"), "store");
    cr_assert(json_is_true(json_object_get(store, "ok")));
    cr_assert_eq(test_server_get(&server, "/livez").status, 200);
    cr_assert_eq(test_server_get(&server, "/readyz").status, 200);
}

static void metrics_pass_promtool(const char *text)
{
    const char *promtool = test_program("promtool");
    if (!promtool)
        return;
    const char *const argv[] = {promtool, "check", "metrics", NULL};
    test_run_result result = test_run(argv, NULL, text);
    cr_assert_eq(result.status, 0, "%s%s", result.out, result.err);
}

Test(server_routes, metrics_in_both_forms)
{
    start(NULL);
    test_server_post(&server, "/ask", "{\"question\":\"a\"}");
    test_server_post(&server, "/ask", "{\"question\":\"a\"}");
    test_reply text = test_server_get(&server, "/metrics");
    cr_assert_eq(text.status, 200);
    cr_assert_eq(
        strncmp(test_header(&text, "Content-Type"), "text/plain; version=0.0.4", 25), 0);
    cr_assert_not_null(strstr(text.body, "\nllmcache_server_connections "));
    metrics_pass_promtool(text.body);
    test_reply json = test_server_get(&server, "/metrics/json");
    cr_assert_str_eq(test_header(&json, "Content-Type"), "application/json");
    cr_assert(json_is_object(test_json(json.body)));
}

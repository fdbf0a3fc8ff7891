/* Managing the cache over HTTP: what it does, and who may. */
#include "llmcache_server.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(server_cache, .timeout = 60);

static test_server server;

static void start(const char *const flags[])
{
    test_server_start(&server, flags, NULL);
}

static const char *ask(const char *question, const char *more)
{
    test_reply reply = test_server_post(
        &server, "/ask", test_format("{\"question\":\"%s\"%s}", question, more));
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    return json_string_value(json_object_get(test_json(reply.body), "id"));
}

static json_t *get(const char *path)
{
    test_reply reply = test_server_get(&server, path);
    cr_assert_eq(reply.status, 200, "%s: %d %s", path, reply.status, reply.body);
    return test_json(reply.body);
}

static size_t listed(const char *query)
{
    return json_array_size(
        json_object_get(get(test_format("/cache/entries%s", query)), "entries"));
}

static int64_t removed(const char *body)
{
    test_reply reply = test_server_post(&server, "/cache/purge", body);
    cr_assert_eq(reply.status, 200, "%s: %d %s", body, reply.status, reply.body);
    return json_integer_value(json_object_get(test_json(reply.body), "removed"));
}

/* ---- What it does
 * ---------------------------------------------------------------------------- */

Test(server_cache, list_get_delete)
{
    start(NULL);
    const char *id = ask("什麼是快取？", ",\"tags\":\"zh\"");
    ask("what is a cache?", ",\"namespace\":\"other\",\"model\":\"m2\"");
    cr_expect_eq(listed(""), 2);
    cr_expect_eq(listed("?namespace=other"), 1);
    cr_expect_eq(listed("?model=m2&namespace=other"), 1);
    cr_expect_eq(listed("?tag=zh"), 1);
    cr_expect_eq(listed("?contains=%E5%BF%AB%E5%8F%96"), 1);
    cr_expect_eq(listed("?older_than=3600"), 0);
    cr_expect_eq(listed("?limit=1"), 1);
    cr_expect_eq(listed("?id=ffffffff"), 0);

    json_t *entry = get(test_format("/cache/entries/%s", id));
    cr_expect_str_eq(json_string_value(json_object_get(entry, "question")),
                     "什麼是快取？");
    cr_expect(json_string_length(json_object_get(entry, "answer")) > 0);
    cr_expect(json_is_object(json_object_get(entry, "body")));

    const char *path = test_format("/cache/entries/%s", id);
    cr_expect_eq(test_server_send(&server, "DELETE", path, NULL, NULL).status, 200);
    cr_expect_eq(test_server_send(&server, "DELETE", path, NULL, NULL).status, 404);
    cr_expect_eq(test_server_get(&server, path).status, 404);
    cr_expect_eq(listed(""), 1);
}

Test(server_cache, purge_needs_a_condition)
{
    start(NULL);
    ask("one", "");
    ask("two", ",\"tags\":\"x\"");
    ask("three", ",\"tags\":\"x,y\"");
    cr_expect_eq(test_server_post(&server, "/cache/purge", "{}").status, 422);
    cr_expect_eq(test_server_post(&server, "/cache/purge", "{\"tagg\":\"x\"}").status,
                 422);
    cr_expect_eq(
        test_server_post(&server, "/cache/purge", "{\"tag\":\"x\",\"all\":true}").status,
        422);
    cr_expect_eq(test_server_post(&server, "/cache/purge", "{\"limit\":0}").status, 422);
    cr_expect_eq(removed("{\"tag\":\"x\",\"dry_run\":true}"), 2);
    cr_expect_eq(listed(""), 3);
    cr_expect_eq(removed("{\"tag\":\"x\"}"), 2);
    cr_expect_eq(listed(""), 1);
    cr_expect_eq(removed("{\"all\":true}"), 1);
    cr_expect_eq(listed(""), 0);
}

Test(server_cache, purge_by_pattern_and_search_lists_first)
{
    start(NULL);
    ask("什麼是快取？", ",\"model\":\"gpt-a\"");
    ask("什麼是資料庫？", ",\"model\":\"gpt-b\",\"tags\":\"team-1\"");
    ask("What is a CACHE?", ",\"namespace\":\"other\"");
    cr_expect_eq(listed("?pattern=%E4%BB%80%E9%BA%BC*"), 2);
    cr_expect_eq(listed("?model_pattern=gpt-?"), 2);
    cr_expect_eq(listed("?tag_pattern=team*"), 1);
    cr_expect_eq(listed("?namespace_pattern=o*r"), 1);
    cr_expect_eq(listed("?search=a%20cache"), 1);
    cr_expect_eq(listed("?newer_than=3600"), 3);
    test_reply dry = test_server_post(&server, "/cache/purge",
                                      "{\"pattern\":\"什麼*\",\"dry_run\":true}");
    json_t *entries = json_object_get(test_json(dry.body), "entries");
    cr_assert_eq(json_array_size(entries), 2, "%s", dry.body);
    static const char *const members[] = {"id", "age_ms", "model", "question", "namespace", "tags"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        cr_expect_not_null(json_object_get(json_array_get(entries, 0), members[i]), "%s", members[i]);
    cr_expect_eq(listed(""), 3);
    cr_expect_eq(removed("{\"pattern\":\"什麼*\",\"model_pattern\":\"*-b\"}"), 1);
    cr_expect_eq(removed("{\"search\":\"ｉｓ a cache?\"}"), 1);
    cr_expect_eq(removed("{\"newer_than\":3600}"), 1);
    cr_expect_eq(listed(""), 0);
}

Test(server_cache, lint_names_the_field)
{
    start(NULL);
    for (int i = 0; i < 4; i++)
        test_server_post(&server, "/v1/chat/completions",
                         test_format("{\"model\":\"m\",\"seed\":%d,\"messages\":[{\"role\":\"user\","
                                     "\"content\":\"hi\"}]}", i * i));
    json_t *lint = get("/cache/lint");
    const json_t *field = json_array_get(json_object_get(lint, "fields"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(field, "field")), "seed");
    cr_expect_eq(json_integer_value(json_object_get(field, "prevented")), 3);
    lint = get("/cache/lint?namespace=other");
    cr_expect_eq(json_integer_value(json_object_get(lint, "looked_at")), 0);
    cr_expect_eq(test_server_get(&server, "/cache/lint?limit=0").status, 422);
}

Test(server_cache, feedback_removes_a_wrong_answer)
{
    start(NULL);
    const char *id = ask("one", "");
    cr_expect_eq(test_server_post(&server, "/cache/feedback",
                                  test_format("{\"id\":\"%s\",\"good\":true}", id))
                     .status,
                 200);
    cr_expect_eq(listed(""), 1);
    cr_expect_eq(test_server_post(&server, "/cache/feedback",
                                  test_format("{\"id\":\"%s\",\"good\":false}", id))
                     .status,
                 200);
    cr_expect_eq(listed(""), 0);
    cr_expect_eq(test_server_post(&server, "/cache/feedback",
                                  "{\"id\":\"ffffffffffffffffffff\","
                                  "\"good\":false}")
                     .status,
                 404);
    cr_expect_eq(test_server_post(&server, "/cache/feedback", "{\"good\":false}").status,
                 422);
    cr_expect_eq(test_server_post(&server, "/cache/feedback", "{\"id\":\"x\"}").status,
                 422);
}

Test(server_cache, explain_and_rebuild)
{
    start(NULL);
    test_reply explained =
        test_server_post(&server, "/cache/explain", "{\"question\":\"one\"}");
    cr_expect_eq(explained.status, 200);
    cr_expect(json_is_object(test_json(explained.body)));
    cr_expect_eq(listed(""), 0, "explaining changed something");
    test_reply rebuilt = test_server_post(&server, "/cache/rebuild", "{}");
    cr_expect(rebuilt.status == 200 || rebuilt.status >= 400);
    cr_expect_not_null(test_json(rebuilt.body));
}

static json_t *explained(const char *body)
{
    test_reply reply = test_server_post(&server, "/cache/explain", body);
    cr_assert_eq(reply.status, 200, "%s: %d %s", body, reply.status, reply.body);
    return json_object_get(test_json(reply.body), "exact");
}

#define ASKED "\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

/* Numbers must reach the library as they were written, or the request is another one. */
Test(server_cache, explain_takes_whole_requests)
{
    static const char kept[] = "{\"temperature\":0.7,\"seed\":9007199254740993," ASKED "}";
    start(NULL);
    cr_assert_eq(test_server_post(&server, "/v1/chat/completions", kept).status, 200);
    cr_expect(json_is_true(json_object_get(
        explained(test_format("{\"x\":[\"]\\\"\"], \"body\" : %s ,\"target\":\"/v1/chat/completions\"}",
                              kept)),
        "hit")));
    json_t *exact = explained("{\"protocol\":\"chat\",\"body\":{\"temperature\":0.8,"
                              "\"seed\":9007199254740993," ASKED "}}");
    json_t *field = json_array_get(
        json_object_get(json_object_get(exact, "sibling"), "differs"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(field, "says")),
                     "temperature is 0.8 here, 0.7 there");
    exact = explained(test_format("{\"headers\":{\"Authorization\":\"Bearer other-key\"},\"body\":%s}",
                                  kept));
    cr_expect(json_is_null(json_object_get(exact, "sibling")), "another caller's namespace");
    static const char *const wrong[] = {"{\"body\":{},\"question\":\"x\"}",
                                        "{\"body\":{},\"protocol\":\"smtp\"}",
                                        "{\"body\":{},\"target\":\"v1\"}",
                                        "{\"body\":{},\"headers\":{\"a\":1}}",
                                        "{\"body\":{},\"headers\":[]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_eq(test_server_post(&server, "/cache/explain", wrong[i]).status, 422, "%s", wrong[i]);
}

Test(server_cache, bad_queries_name_the_parameter)
{
    static const struct {
        const char *query, *name;
    } rows[] = {{"?limit=0", "limit"},
                {"?limit=x", "limit"},
                {"?limit=1000000", "limit"},
                {"?older_than=-1", "older_than"},
                {"?kind=both", "kind"}};
    start(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_reply reply =
            test_server_get(&server, test_format("/cache/entries%s", rows[i].query));
        cr_expect_eq(reply.status, 422, "%s", rows[i].query);
        const json_t *error = json_object_get(test_json(reply.body), "error");
        cr_expect_str_eq(json_string_value(json_object_get(error, "param")),
                         rows[i].name);
    }
}

/* ---- Who may
 * ----------------------------------------------------------------------------------- */

static int status_with(const char *method, const char *path, const char *header,
                       const char *body)
{
    const char *const headers[] = {header, NULL};
    return test_server_send(&server, method, path, header ? headers : NULL, body).status;
}

/* A web page can make a browser send requests here, but not any request. */
Test(server_cache, without_a_key_no_web_page_gets_in)
{
    start(NULL);
    static const char entries[] = "/cache/entries", all[] = "{\"all\":true}";
    cr_expect_eq(status_with("GET", entries, "Host: evil.example", NULL), 403);
    cr_expect_eq(status_with("GET", entries, "Host: 127.0.0.1.evil.example", NULL), 403);
    cr_expect_eq(status_with("GET", entries, "Host: localhost.evil.example:80", NULL),
                 403);
    cr_expect_eq(status_with("GET", entries, "Host: localhost", NULL), 200);
    cr_expect_eq(status_with("GET", entries, "Host: 127.0.0.1:80", NULL), 200);
    cr_expect_eq(status_with("GET", entries, "Origin: http://evil.example", NULL), 403);
    cr_expect_eq(status_with("GET", entries, "Origin: null", NULL), 403);
    cr_expect_eq(status_with("GET", entries, test_format("Origin: %s", server.url), NULL),
                 200);
    cr_expect_eq(status_with("GET", entries, "X-Forwarded-For: 1.2.3.4", NULL), 403);
    cr_expect_eq(status_with("GET", entries, "Forwarded: for=1.2.3.4", NULL), 403);
    cr_expect_eq(status_with("POST", "/cache/purge", "Content-Type: text/plain", all),
                 415);
    cr_expect_eq(status_with("POST", "/cache/purge",
                             "Content-Type: application/x-www-form-urlencoded", all),
                 415);
    cr_expect_eq(status_with("POST", "/cache/purge",
                             "Content-Type: application/json; charset=utf-8", all),
                 200);
}

Test(server_cache, with_a_key_everybody_needs_it)
{
    start((const char *const[]){"--admin-key", "s3cret", NULL});
    static const char entries[] = "/cache/entries";
    cr_expect_eq(status_with("GET", entries, NULL, NULL), 401);
    cr_expect_eq(status_with("GET", entries, "Authorization: Bearer s3cre", NULL), 401);
    cr_expect_eq(status_with("GET", entries, "Authorization: Bearer s3cret1", NULL), 401);
    cr_expect_eq(status_with("GET", entries, "Authorization: Basic s3cret", NULL), 401);
    cr_expect_eq(status_with("GET", entries, "X-Admin-Key: ", NULL), 401);
    cr_expect_eq(status_with("GET", entries, "X-Admin-Key: s3cret", NULL), 200);
    cr_expect_eq(status_with("GET", entries, "Authorization: Bearer s3cret", NULL), 200);
    cr_expect_eq(status_with("GET", "/health", NULL, NULL), 200);
    test_reply refused = test_server_get(&server, entries);
    cr_expect_not_null(test_header(&refused, "WWW-Authenticate"));
    cr_expect_null(strstr(refused.body, "s3cret"));
}

/* ---- What is written down
 * ------------------------------------------------------------------------- */

Test(server_cache, the_log_holds_no_secrets)
{
    start((const char *const[]){"--admin-key", "SECRETADMIN", NULL});
    ask("SECRETQUESTION", ",\"system\":\"SECRETSYSTEM\"");
    status_with("GET", "/cache/entries?contains=SECRETQUERY", "X-Admin-Key: SECRETADMIN",
                NULL);
    status_with("GET", "/cache/entries", "Authorization: Bearer SECRETWRONG", NULL);
    status_with("POST", "/v1/chat/completions", "Authorization: Bearer SECRETKEY",
                "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
                "\"SECRETCHAT\"}]}");
    test_server_raw(&server,
                    "NONSENSE /SECRETPATH\r\nAuthorization: SECRETBROKEN\r\n\r\n", 5000);
    const char *log = test_server_log(&server, 5);
    cr_assert_null(strstr(log, "SECRET"), "%s", log);
    cr_assert_null(strstr(test_read_file(server.process.log, NULL), "SECRET"));
}

Test(server_cache, each_line_of_the_log_is_json)
{
    start(NULL);
    /* Each is logged when its reply has gone: by another thread than the next one's. */
    const char *id = ask("one", "");
    test_server_log(&server, 1);
    ask("one", "");
    test_server_log(&server, 2);
    test_server_get(&server, "/nowhere?x=\"y\"");
    const char *line = test_server_log(&server, 3);
    static const char *const sources[] = {"model", "exact", NULL};
    static const int statuses[] = {200, 200, 404};
    for (int i = 0; i < 3; i++) {
        size_t size = strcspn(line, "\n");
        json_t *row = test_json(test_keep(line, size));
        const char *source = json_string_value(json_object_get(row, "source"));
        cr_expect_eq(json_integer_value(json_object_get(row, "status")), statuses[i]);
        cr_expect(sources[i] ? source && strcmp(source, sources[i]) == 0 : !source);
        if (sources[i])
            cr_expect_str_eq(json_string_value(json_object_get(row, "id")), id);
        cr_expect(json_is_string(json_object_get(row, "time")));
        cr_expect(json_is_number(json_object_get(row, "ms")));
        cr_expect_gt(json_integer_value(json_object_get(row, "bytes")), 0);
        line += size + 1;
    }
}

Test(server_cache, judge_answers_for_a_short_list)
{
    start(NULL);
    test_reply reply = test_server_post(&server, "/cache/judge",
                                        "{\"pairs\":[{\"a\":\"一\",\"b\":\"一\",\"label\":1},"
                                        "{\"a\":\"two\",\"b\":\"three\"}]}");
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    const json_t *root = test_json(reply.body), *list = json_object_get(root, "pairs");
    cr_assert_eq(json_array_size(list), 2);
    cr_expect(json_is_true(json_object_get(json_array_get(list, 0), "served")));
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(root, "totals"), "hits")), 1);
    static const char *const bad[] = {"{}", "{\"pairs\":[]}", "{\"pairs\":[{\"a\":\"x\"}]}",
                                      "{\"pairs\":[{\"a\":\"x\",\"b\":\"y\",\"label\":3}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(test_server_post(&server, "/cache/judge", bad[i]).status, 422, "%s", bad[i]);
    cr_expect_eq(test_server_post(&server, "/cache/judge", "{\"pairs\":[{\"a\":\" \",\"b\":\"y\"}]}").status,
                 422);
}

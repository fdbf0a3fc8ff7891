/* Explanations: what a miss is told to be for, field by field, and that nothing changes by asking. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define MESSAGES "/v1/messages"

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(explain, .init = set_up, .timeout = 60);

/* ---- Asking for one ---------------------------------------------------------------------------- */

static json_t *call_explained_in(llmcache *cache, const char *target, const llmcache_header *headers,
                                 size_t count, const char *space, const char *body)
{
    llmcache_request request = {.struct_size = sizeof request, .method = "POST", .target = target,
                                .headers = headers, .header_count = count, .body = body,
                                .body_size = strlen(body)};
    llmcache_error err;
    char *json = NULL;
    cr_assert_eq(llmcache_explain_call(cache, &request, space, &json, &err), 0, "%s", err.message);
    json_t *root = test_json(json);
    llmcache_free(json);
    return root;
}

static json_t *call_explained(llmcache *cache, const char *target, const char *body)
{
    return call_explained_in(cache, target, NULL, 0, NULL, body);
}

static json_t *explained(llmcache *cache, const char *question, const llmcache_ask_options *options)
{
    llmcache_error err;
    char *json = NULL;
    cr_assert_eq(llmcache_explain(cache, question, options, &json, &err), 0, "%s", err.message);
    json_t *root = test_json(json);
    llmcache_free(json);
    return root;
}

static json_t *sibling_of(const json_t *root)
{
    return json_object_get(json_object_get(root, "exact"), "sibling");
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static json_t *field_of(const json_t *root, size_t at)
{
    return json_array_get(json_object_get(sibling_of(root), "differs"), at);
}

/* ---- An exact miss ------------------------------------------------------------------------------- */

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define SYSTEM(text) "{\"role\":\"system\",\"content\":\"" text "\"}"
#define BODY(more, messages) "{\"model\":\"m\"," more "\"messages\":[" messages "]}"
#define POLICY "You answer for the bank, in whole sentences and kindly. "
#define TOOL(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

static const struct row {
    const char *kept, *asked, *field, *kind, *says;
} rows[] = {
    {BODY("\"temperature\":1.0,", USER("hello")), BODY("\"temperature\":0.7,", USER("hello")),
     "temperature", "value", "temperature is 0.7 here, 1 there"},
    {BODY("", USER("hello")), "{\"model\":\"m2\",\"messages\":[" USER("hello") "]}", "model", "value",
     "model is m2 here, m there"},
    {BODY("\"tools\":[" TOOL("find") "],", USER("hello")),
     BODY("\"tools\":[" TOOL("find") "," TOOL("pay") "],", USER("hello")), "tools[pay]", "added",
     "tools[pay] is only in this request"},
    {BODY("\"tools\":[" TOOL("find") "," TOOL("pay") "],", USER("hello")),
     BODY("\"tools\":[" TOOL("pay") "," TOOL("find") "],", USER("hello")), "tools", "order",
     "tools: the same, in another order"},
    {BODY("", SYSTEM(POLICY "Today is 2026-11-24.") "," USER("hello")),
     BODY("", SYSTEM(POLICY "Today is 2026-11-25.") "," USER("hello")), "messages[0].content", "date",
     "messages[0].content (system) differs in a date at character 65"},
    {BODY("", SYSTEM(POLICY "現在時間 17:18。") "," USER("你好")),
     BODY("", SYSTEM(POLICY "現在時間 17:19。") "," USER("你好")), "messages[0].content", "time",
     "messages[0].content (system) differs in a time at character 61"},
    {BODY("", USER("What is a cache?")), BODY("", USER("what is a cache")), "question", "spelling",
     "the question differs in case, white space or punctuation at character 0"},
    {BODY("", USER("It is 17:18. What now?")), BODY("", USER("It is 17:19. What now?")), "question",
     "time", "the question differs in a time near character 10"},
};

Test(explain, an_exact_miss_names_the_field)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        llmcache *cache = test_cache(&mock, "embedder", "none");
        test_call(cache, CHAT, NULL, BODY("", USER("something else entirely, and long")));
        test_call(cache, CHAT, NULL, row->kept);
        json_t *root = call_explained(cache, CHAT, row->asked);
        cr_expect_str_eq(text_of(root, "source"), "model");
        cr_expect_eq(json_array_size(json_object_get(sibling_of(root), "differs")), 1, "%s", row->says);
        const json_t *field = field_of(root, 0);
        cr_expect_str_eq(text_of(field, "field"), row->field);
        cr_expect_str_eq(text_of(field, "kind"), row->kind, "%s: %s", row->says, text_of(field, "kind"));
        cr_expect_str_eq(text_of(field, "says"), row->says);
        cr_expect_not_null(strstr(text_of(root, "summary"), row->says), "%s", text_of(root, "summary"));
        root = call_explained(cache, CHAT, row->kept);
        cr_expect_str_eq(text_of(root, "source"), "exact");
        llmcache_close(cache);
    }
}

Test(explain, the_nearest_is_the_one_with_fewest_differences_and_the_newest)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    test_call(cache, CHAT, NULL, BODY("\"temperature\":0,\"seed\":1,", USER("hello")));
    test_call(cache, CHAT, NULL, BODY("\"temperature\":0.5,", USER("hello")));
    test_clock_ms += 1000;
    test_call(cache, CHAT, NULL, BODY("\"temperature\":1,", USER("hello")));
    json_t *root = call_explained(cache, CHAT, BODY("\"temperature\":2,", USER("hello")));
    cr_assert_str_eq(text_of(field_of(root, 0), "there"), "1");
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(root, "exact"), "looked_at")), 3);
    llmcache_close(cache);
}

Test(explain, headers_and_protocols_are_fields_too)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    const char *body = "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" USER("hello") "]}";
    const char *const sent[] = {"anthropic-version", "2023-06-01", NULL};
    test_call(cache, MESSAGES, sent, body);
    const llmcache_header other = {"Anthropic-Version", "2024-01-01"};
    json_t *root = call_explained_in(cache, MESSAGES, &other, 1, NULL, body);
    cr_expect_str_eq(text_of(field_of(root, 0), "field"), "header.anthropic-version");
    cr_expect_str_eq(text_of(field_of(root, 0), "there"), "2023-06-01");
    root = call_explained(cache, CHAT, body);
    cr_expect_str_eq(text_of(field_of(root, 0), "says"), "protocol is chat here, messages there");
    llmcache_close(cache);
}

/* The caller's namespace is all there is. */
Test(explain, other_tenants_answers_are_not_seen)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    const char *const a[] = {"Authorization", "Bearer key-of-a", NULL};
    const llmcache_header b = {"Authorization", "Bearer key-of-b"};
    const llmcache_header same = {"Authorization", "Bearer key-of-a"};
    test_call(cache, CHAT, a, BODY("\"temperature\":1,", USER("hello")));
    const char *asked = BODY("\"temperature\":2,", USER("hello"));
    json_t *root = call_explained_in(cache, CHAT, &b, 1, NULL, asked);
    cr_expect(json_is_null(sibling_of(root)));
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(root, "exact"), "looked_at")), 0);
    root = call_explained_in(cache, CHAT, NULL, 0, NULL, asked);
    cr_expect(json_is_null(sibling_of(root)));
    root = call_explained_in(cache, CHAT, &same, 1, NULL, asked);
    cr_expect_str_eq(text_of(field_of(root, 0), "field"), "temperature");
    const char *space = test_format("%s", text_of(root, "namespace"));
    root = call_explained_in(cache, CHAT, NULL, 0, space, asked);
    cr_expect_str_eq(text_of(field_of(root, 0), "field"), "temperature", "who runs the cache may name one");
    llmcache_close(cache);
}

Test(explain, an_entry_that_does_not_serve_says_why)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    const char *body = BODY("", USER("hello"));
    test_call(cache, CHAT, NULL, body);
    test_clock_ms += 60000;
    const llmcache_header young = {"Cache-Control", "max-age=10"};
    json_t *root = call_explained_in(cache, CHAT, &young, 1, NULL, body);
    cr_expect_str_eq(text_of(root, "source"), "model");
    cr_expect_str_eq(text_of(json_object_get(root, "exact"), "why"), "max-age");
    const llmcache_header none = {"Cache-Control", "no-cache"};
    root = call_explained_in(cache, CHAT, &none, 1, NULL, body);
    cr_expect_str_eq(text_of(root, "source"), "model");
    cr_expect_not_null(strstr(text_of(root, "summary"), "no-cache"));
    llmcache_close(cache);
}

Test(explain, what_passes_by_the_cache_says_so)
{
    static const struct {
        const char *target, *body, *why;
    } passes[] = {{"/v1/models", "{}", "path"},
                  {CHAT, "{\"model\":7}", "unreadable"},
                  {CHAT, "not json", "unreadable"},
                  {"/v1/responses", "{\"model\":\"m\",\"input\":\"a\",\"background\":true}", "background"},
                  {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"a\"}", "embeddings"}};
    llmcache *cache = test_cache(&mock, "embedder", "none");
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        json_t *root = call_explained(cache, passes[i].target, passes[i].body);
        cr_expect_str_eq(text_of(root, "why"), passes[i].why);
        cr_expect(json_is_false(json_object_get(root, "cacheable")));
    }
    llmcache_close(cache);
}

/* ---- By meaning ------------------------------------------------------------------------------------ */

static const json_t *candidate(const json_t *root, size_t at)
{
    return json_array_get(json_object_get(json_object_get(root, "semantic"), "candidates"), at);
}

Test(explain, candidates_say_what_stopped_them)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.95");
    mock_behave(&mock, "{'pairs': [['turn 5 on', 'turn 6 on', 0.99], ['turn 5 on', 'switch 5 on', 0.97], "
                       "['turn 5 on', 'five please 5', 0.9]]}");
    test_ask_source(cache, "turn 5 on");
    json_t *root = explained(cache, "turn 6 on", NULL);
    cr_expect_str_eq(text_of(candidate(root, 0), "why"), "number");
    cr_expect_not_null(strstr(text_of(candidate(root, 0), "says"), "number"));
    root = explained(cache, "five please 5", NULL);
    cr_expect_str_eq(text_of(candidate(root, 0), "why"), "similarity");
    root = explained(cache, "switch 5 on", NULL);
    cr_expect_str_eq(text_of(root, "source"), "semantic");
    cr_expect(json_is_true(json_object_get(candidate(root, 0), "serves")));
    cr_expect_str_eq(text_of(json_object_get(root, "semantic"), "threshold_from"), "setting");
    llmcache_ask_options strict = {.struct_size = sizeof strict, .threshold = 0.999};
    root = explained(cache, "switch 5 on", &strict);
    cr_expect_str_eq(text_of(root, "source"), "model");
    cr_expect_str_eq(text_of(json_object_get(root, "semantic"), "threshold_from"), "request");
    llmcache_close(cache);
}

/* ---- What would be kept ------------------------------------------------------------------------------ */

Test(explain, says_what_would_be_kept_and_for_how_long)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "ttl", "1h", "volatile-ttl", "1m");
    json_t *stores = json_object_get(explained(cache, "what is a cache?", NULL), "stores");
    cr_expect_eq(json_integer_value(json_object_get(stores, "ttl_ms")), 3600000);
    cr_expect_str_eq(text_of(stores, "ttl_from"), "setting ttl");
    cr_expect_str_eq(text_of(stores, "why_not_by_meaning"), "no-embedder");
    stores = json_object_get(explained(cache, "今天天氣如何？", NULL), "stores");
    cr_expect_eq(json_integer_value(json_object_get(stores, "ttl_ms")), 60000);
    cr_expect_str_eq(text_of(stores, "ttl_from"), "setting volatile-ttl");
    llmcache_ask_options own = {.struct_size = sizeof own, .ttl_ms = 5000, .no_store = 1};
    stores = json_object_get(explained(cache, "what is a cache?", &own), "stores");
    cr_expect_str_eq(text_of(stores, "ttl_from"), "request");
    cr_expect(json_is_false(json_object_get(stores, "kept")));
    llmcache_close(cache);
}

Test(explain, changes_nothing)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    llmcache_counters before = test_counters(cache), after;
    explained(cache, "hello", NULL);
    call_explained(cache, CHAT, BODY("", USER("hello")));
    after = test_counters(cache);
    cr_expect_eq(after.requests, before.requests);
    cr_expect_eq(after.entries, 0);
    cr_expect_eq(mock_calls(&mock, CHAT), 0);
    llmcache_error err;
    char *json;
    llmcache_request request = {.struct_size = sizeof request, .method = "POST"};
    cr_expect_eq(llmcache_explain_call(cache, &request, NULL, &json, &err), LLMCACHE_INVALID);
    cr_expect_eq(llmcache_explain_call(NULL, &request, NULL, &json, &err), LLMCACHE_INVALID);
    llmcache_close(cache);
}

/* What is kept of a request must not tell its prompt to who reads the store. */
static int holds_no_prompt(void *user, const llmcache_entry *entry)
{
    cr_expect_not_null(strstr(entry->shape, "messages[0].content ~"), "%s", entry->shape);
    cr_expect_null(strstr(entry->shape, "secret"), "%s", entry->shape);
    ++*(int *)user;
    return 0;
}

Test(explain, kept_shapes_hold_no_prompts)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    int seen = 0;
    test_call(cache, CHAT, NULL, BODY("", SYSTEM("the secret rules") "," USER("hello")));
    cr_expect_eq(llmcache_each(cache, NULL, holds_no_prompt, &seen, NULL), 0);
    cr_expect_eq(seen, 1);
    llmcache_close(cache);
}

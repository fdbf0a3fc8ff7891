/*
 * Linting synthetic traffic with known culprits: each must be named, with its kind, and nothing else. The fields
 * that are not in the key change all the time too, and must not be named.
 */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#define CHAT "/v1/chat/completions"

TestSuite(lint_traffic, .timeout = 120);

static test_mock mock;
static llmcache *cache;

static void set_up(void)
{
    mock_start(&mock);
    cache = test_cache(&mock, "embedder", "none");
}

static json_t *linted(const llmcache_filter *filter)
{
    llmcache_error err;
    char *json = NULL;
    cr_assert_eq(llmcache_lint(cache, filter, &json, &err), 0, "%s", err.message);
    json_t *root = test_json(json);
    llmcache_free(json);
    return root;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const json_t *field_at(const json_t *root, size_t at)
{
    return json_array_get(json_object_get(root, "fields"), at);
}

/* ---- The traffic --------------------------------------------------------------------------------- */

enum { REQUESTS = 60, QUESTIONS = 6 };

static const char *const questions[QUESTIONS] = {"什麼是快取？", "How do I reset my password?",
                                                 "What is the refund policy?", "怎麼退貨？",
                                                 "Who can see my messages?", "How do I close my account?"};

/* Request number i of a program with one habit. */
static const char *request(const char *habit, int i)
{
    static const char *const tools[] = {"{\"type\":\"function\",\"function\":{\"name\":\"find\"}}",
                                        "{\"type\":\"function\",\"function\":{\"name\":\"pay\"}}",
                                        "{\"type\":\"function\",\"function\":{\"name\":\"tell\"}}"};
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const char *system = "You answer for the bank.", *more = "";
    if (strcmp(habit, "time") == 0)
        system = test_format("You answer for the bank. It is 2026-11-25 17:%02d:%02d.", i / 60, i % 60);
    else if (strcmp(habit, "uuid") == 0)
        system = test_format("You answer. Session 123e4567-e89b-12d3-a456-4266141740%02d.", i % 100);
    else if (strcmp(habit, "context") == 0)
        system = test_format("Use this: %s%s%s%s", i & 1 ? "apples are red " : "pears are green ",
                             i & 2 ? "and sweet " : "and sour ", i & 4 ? "in autumn " : "in spring ",
                             test_format("%s %c%c", i & 8 ? "on hills" : "by lakes", 'a' + i / 26, 'a' + i % 26));
    else if (strcmp(habit, "seed") == 0)
        more = test_format("\"seed\":%d,", (i * 7919) % 104729);
    else if (strcmp(habit, "counter") == 0)
        more = test_format("\"turn\":%d,", i);
    else if (strcmp(habit, "tools") == 0)
        more = test_format("\"tools\":[%s,%s,%s],", tools[orders[i / QUESTIONS % 6][0]],
                           tools[orders[i / QUESTIONS % 6][1]], tools[orders[i / QUESTIONS % 6][2]]);
    else if (strcmp(habit, "temperature") == 0)
        more = i % 2 ? "\"temperature\":0," : "\"temperature\":1,";
    return test_format("{\"model\":\"m\",%s\"user\":\"u%d\",\"metadata\":{\"request\":\"req_%d\"},\"messages\":["
                       "{\"role\":\"system\",\"content\":\"%s\"},{\"role\":\"user\",\"content\":\"%s\"}]}",
                       more, i, i, system, questions[i % QUESTIONS]);
}

static void send_traffic(const char *habit, int count)
{
    for (int i = 0; i < count; i++) {
        test_clock_ms += 1000;
        test_reply reply = test_call(cache, CHAT, NULL, request(habit, i));
        cr_assert_eq(reply.status, 200, "%s", reply.body);
    }
}

/* ---- Known culprits ---------------------------------------------------------------------------------- */

static const struct row {
    const char *habit, *field, *role, *kind, *advice;
    int kept; /* entries; those of one question after the first are repeats */
} rows[] = {
    {"time", "messages[0].content", "system", "time", "round it to the day", REQUESTS},
    {"uuid", "messages[0].content", "system", "uuid", "metadata", REQUESTS},
    {"context", "messages[0].content", "system", "text", "user's message", REQUESTS},
    {"seed", "seed", "", "random", "seed", REQUESTS},
    {"counter", "turn", "", "counter", "metadata", REQUESTS},
    {"tools", "tools", "", "order", "order", 36},
};

Test(lint_traffic, names_what_changes_and_nothing_else)
{
    set_up();
    llmcache_close(cache);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        cache = test_cache(&mock, "embedder", "none");
        send_traffic(row->habit, REQUESTS);
        json_t *root = linted(NULL);
        const json_t *field = field_at(root, 0);
        cr_expect_eq(json_array_size(json_object_get(root, "fields")), 1, "%s: %s", row->habit,
                     json_dumps(root, JSON_INDENT(1)));
        cr_expect_str_eq(text_of(field, "field"), row->field, "%s: %s", row->habit, text_of(field, "field"));
        cr_expect_str_eq(text_of(field, "role"), row->role);
        cr_expect_str_eq(text_of(field, "kind"), row->kind, "%s: %s", row->habit, text_of(field, "kind"));
        cr_expect_not_null(strstr(text_of(field, "advice"), row->advice), "%s", text_of(field, "advice"));
        cr_expect_eq(number_of(root, "with_shape"), row->kept, "%s", row->habit);
        cr_expect_eq(number_of(field, "prevented"), row->kept - QUESTIONS, "%s: %d", row->habit,
                     (int)number_of(field, "prevented"));
        const json_t *example = json_object_get(field, "example");
        cr_expect_eq(json_string_length(json_array_get(example, 0)), 20);
        cr_expect_str_neq(json_string_value(json_array_get(example, 0)),
                          json_string_value(json_array_get(example, 1)));
        llmcache_close(cache);
    }
    mock_stop(&mock);
}

/* Two settings that alternate keep few hits away: they are told, far below what changes all the time. */
Test(lint_traffic, two_values_are_no_culprit)
{
    set_up();
    send_traffic("temperature", REQUESTS);
    json_t *root = linted(NULL);
    cr_expect_eq(json_array_size(json_object_get(root, "fields")), 0,
                 "each question has its own temperature here: %s", text_of(root, "summary"));
    send_traffic("seed", REQUESTS);
    root = linted(NULL);
    cr_expect_str_eq(text_of(field_at(root, 0), "field"), "seed");
    llmcache_close(cache);
}

/* Questions that are never asked twice, all under a system prompt that never comes twice. */
Test(lint_traffic, prompts_that_change_under_other_questions)
{
    set_up();
    for (int i = 0; i < 20; i++)
        test_call(cache, CHAT, NULL,
                  test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"It is 17:%02d now\"},"
                              "{\"role\":\"user\",\"content\":\"question about %c%c\"}]}", i, 'a' + i, 'z' - i));
    const json_t *field = field_at(linted(NULL), 0);
    cr_expect_str_eq(text_of(field, "field"), "messages[0].content");
    cr_expect_str_eq(text_of(field, "kind"), "time");
    cr_expect_eq(number_of(field, "prevented"), 19);
    llmcache_close(cache);
}

Test(lint_traffic, the_question_itself_may_be_it)
{
    set_up();
    for (int i = 0; i < 10; i++)
        test_call(cache, CHAT, NULL,
                  test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"[2026-11-%02d] 快取？\"}]}",
                              i + 10));
    const json_t *field = field_at(linted(NULL), 0);
    cr_expect_str_eq(text_of(field, "field"), "question");
    cr_expect_str_eq(text_of(field, "kind"), "date");
    llmcache_close(cache);
}

/* Talks that begin alike are not one request that changes. */
Test(lint_traffic, conversations_are_left_alone)
{
    set_up();
    for (int i = 0; i < 10; i++)
        test_call(cache, CHAT, NULL,
                  test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"tell me of %c%c\"},"
                              "{\"role\":\"assistant\",\"content\":\"gladly: %c\"},"
                              "{\"role\":\"user\",\"content\":\"go on\"}]}", 'a' + i, 'k' + i, 'a' + i));
    json_t *root = linted(NULL);
    cr_expect_eq(json_array_size(json_object_get(root, "fields")), 0, "%s", text_of(root, "summary"));
    llmcache_close(cache);
}

/* ---- Bounds --------------------------------------------------------------------------------------------- */

Test(lint_traffic, looks_at_what_the_filter_says)
{
    set_up();
    send_traffic("seed", 30);
    llmcache_filter some = {.struct_size = sizeof some, .limit = 10};
    json_t *root = linted(&some);
    cr_expect_eq(number_of(root, "looked_at"), 10);
    cr_expect(json_is_false(json_object_get(root, "complete")));
    llmcache_filter none = {.struct_size = sizeof none, .space = "nobody"};
    root = linted(&none);
    cr_expect_eq(number_of(root, "looked_at"), 0);
    cr_expect(json_is_true(json_object_get(root, "complete")));
    llmcache_error err;
    char *json;
    cr_expect_eq(llmcache_lint(NULL, NULL, &json, &err), LLMCACHE_INVALID);
    llmcache_close(cache);
}

/* Nobody's requests are counted with another's. */
Test(lint_traffic, namespaces_are_apart)
{
    set_up();
    for (int i = 0; i < 10; i++) {
        const char *const headers[] = {"Authorization", test_format("Bearer tenant-%d", i), NULL};
        test_call(cache, CHAT, headers, request("seed", i * QUESTIONS));
    }
    json_t *root = linted(NULL);
    cr_expect_eq(number_of(root, "with_shape"), 10);
    cr_expect_eq(json_array_size(json_object_get(root, "fields")), 0);
    llmcache_close(cache);
}

/* Feedback and observations as a person meets them: over HTTP and in a shell, on one SQLite file. */
#include "llmcache_server.h"
#include "mock_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(server_observations, .timeout = 60);

static test_server server;
static test_mock mock;
static const char *store;
static const char *environment[6];

/* One mock, one file; the server, and whatever the shell runs, share both. */
static void start(const char *const *more)
{
    const char *flags[20] = {"--provider", "openai:", "--store", NULL, "--embedder", "openai:text-embedding-3-small",
                             "--threshold", "0.9", "--openai-base-url", NULL, "--openai-api-key", "sk-test"};
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['one', 'eins', 0.98]]}");
    store = test_format("sqlite:%s/cache.db", test_folder());
    flags[3] = store;
    flags[9] = mock.openai;
    for (int i = 12; more && *more; more++)
        flags[i++] = *more;
    environment[0] = test_format("LLMCACHE_STORE=%s", store);
    environment[1] = test_format("LLMCACHE_OPENAI_BASE_URL=%s", mock.openai);
    environment[2] = "LLMCACHE_EMBEDDER=openai:text-embedding-3-small";
    environment[3] = "LLMCACHE_THRESHOLD=0.9";
    environment[4] = "OPENAI_API_KEY=sk-test";
    test_server_start(&server, flags, NULL);
}

static test_run_result run_words(const char *input, const char *const words[])
{
    const char *argv[16] = {test_build_path("cli/llmcache-cli")};
    for (int i = 0; words[i] && i < 14; i++)
        argv[i + 1] = words[i];
    return test_run(argv, environment, input);
}
#define run(...) run_words(NULL, (const char *const[]){__VA_ARGS__, NULL})

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "(absent)";
}

/* Asks the server; the source, and the id in *id (may be NULL). */
static const char *ask(const char *question, const char **id)
{
    test_reply reply = test_server_post(&server, "/ask",
                                        test_format("{\"question\":\"%s\",\"no_store\":%s}", question,
                                                    strcmp(question, "one") == 0 ? "false" : "true"));
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    json_t *object = test_json(reply.body);
    if (id)
        *id = text_of(object, "id");
    return text_of(object, "source");
}

/* The same in a shell. */
static const char *ask_shell(const char *question, const char **id)
{
    test_run_result result = run("ask", "--json", "--no-store", question);
    cr_assert_eq(result.status, 0, "%s", result.err);
    json_t *object = test_json(result.out);
    if (id)
        *id = text_of(object, "id");
    return text_of(object, "source");
}

static json_t *observations(const char *query)
{
    test_reply reply = test_server_get(&server, test_format("/cache/observations%s", query));
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    return json_object_get(test_json(reply.body), "observations");
}

static json_t *say(const char *id, const char *rest, int status)
{
    test_reply reply = test_server_post(&server, "/cache/feedback",
                                        test_format("{\"id\":\"%s\"%s}", id, rest));
    cr_assert_eq(reply.status, status, "%s: %s", rest, reply.body);
    return test_json(reply.body);
}

Test(server_observations, feedback_over_http)
{
    const char *id;
    start(NULL);
    cr_assert_str_eq(ask("one", NULL), "model");
    cr_assert_str_eq(ask("uno", &id), "semantic");
    say(id, ",\"verdict\":\"maybe\"", 422);
    say(id, ",\"verdict\":\"wrong\",\"good\":true", 422);
    say(id, "", 422);
    json_t *said = say(id, ",\"verdict\":\"wrong\",\"question\":\"uno\"", 200);
    cr_assert_eq(json_integer_value(json_object_get(said, "removed")), 1);
    cr_assert_eq(json_integer_value(json_object_get(said, "pairs")), 1);
    cr_assert_str_eq(ask("one", NULL), "model");
    cr_assert_str_eq(ask("uno", NULL), "model");
    cr_assert_str_eq(ask("eins", NULL), "semantic");
    json_t *wrong = json_array_get(observations(""), 0);
    cr_assert_str_eq(text_of(wrong, "a"), "uno");
    cr_assert_str_eq(text_of(wrong, "b"), "one");
    cr_assert_str_eq(text_of(wrong, "source"), "feedback");
    cr_assert_eq(json_integer_value(json_object_get(wrong, "label")), 0);
    cr_assert_eq(json_array_size(observations("?verdict=right")), 0u);
    cr_assert_eq(json_array_size(observations("?verdict=all&contains=eins")), 1u);
    cr_assert_eq(json_array_size(observations("?older_than=60")), 0u);
    cr_assert_eq(test_server_get(&server, "/cache/observations?verdict=odd").status, 422);
}

Test(server_observations, only_who_may_manage_the_cache_may_judge)
{
    start((const char *const[]){"--admin-key", "secret", NULL});
    cr_assert_eq(test_server_post(&server, "/cache/feedback", "{\"id\":\"aaaaaa\",\"verdict\":\"wrong\"}").status, 401);
    cr_assert_eq(test_server_get(&server, "/cache/observations").status, 401);
    const char *const key[] = {"Authorization: Bearer secret", NULL};
    cr_assert_eq(test_server_send(&server, "GET", "/cache/observations", key, NULL).status, 200);
}

/* What the server served is judged in a shell, and the server knows. */
Test(server_observations, a_shell_judges_what_the_server_served)
{
    const char *id;
    start(NULL);
    ask("one", NULL);
    cr_assert_str_eq(ask("uno", &id), "semantic");
    cr_assert_str_eq(ask("uno", NULL), "semantic", "remembered by its bytes");
    cr_assert(test_wait_until(json_array_size(observations("?verdict=unjudged")) == 1, 10000));
    test_run_result result = run("wrong", id);
    cr_assert_eq(result.status, 0, "%s", result.err);
    cr_assert_not_null(strstr(result.out, "never matched again: 1 pair"), "%s", result.out);
    cr_assert(test_wait_until(strcmp(ask("one", NULL), "model") == 0 || strcmp(ask("uno", NULL), "model") == 0,
                              10000));
    ask("one", NULL);
    cr_assert(test_wait_until(strcmp(ask("uno", NULL), "model") == 0, 10000));
    for (int i = 0; i < 5; i++)
        cr_assert_str_eq(ask("uno", NULL), "model");
}

/* Every command is a process of its own. */
Test(server_observations, a_shell_judges_what_a_shell_was_served)
{
    const char *id;
    start(NULL);
    cr_assert_eq(run("ask", "one").status, 0);
    cr_assert_str_eq(ask_shell("uno", &id), "semantic");
    cr_assert_eq(run("wrong", id).status, 0);
    cr_assert_eq(run("get", id).status, 3);
    cr_assert_eq(run("ask", "one").status, 0);
    cr_assert_str_eq(ask_shell("uno", NULL), "model");
    test_run_result explained = run("explain", "uno");
    cr_assert_not_null(strstr(explained.out, "wrong-before"), "%s", explained.out);
    cr_assert_eq(run("purge", "--all").status, 0);
    cr_assert_eq(run("ask", "one").status, 0);
    cr_assert_str_eq(ask_shell("uno", NULL), "model", "purging answers leaves what was learnt");
    cr_assert_eq(run("purge", "--all", "--observations").status, 0);
    cr_assert_eq(run("ask", "one").status, 0);
    cr_assert_str_eq(ask_shell("uno", &id), "semantic");
    cr_assert_eq(run("right", id, "uno").status, 0);
    cr_assert_not_null(strstr(run("observations").out, "right"));
    cr_assert_eq(run("feedback", id, "bad", "uno").status, 0, "and somebody thinks again");
    cr_assert_not_null(strstr(run("observations", "--verdict", "wrong").out, "uno"));
}

/* Exported, judged by the command that reads such lines, removed, and taken in again. */
Test(server_observations, lines_go_out_and_come_back)
{
    const char *id;
    start(NULL);
    run("ask", "one");
    cr_assert_str_eq(ask_shell("uno", &id), "semantic");
    cr_assert_eq(run("wrong", id).status, 0);
    run("ask", "one");
    cr_assert_str_eq(ask_shell("eins", NULL), "semantic");
    test_run_result all = run("observations", "--json", "--all");
    test_run_result lines = run("observations", "--json");
    cr_assert_eq(lines.status, 0, "%s", lines.err);
    json_t *row = test_json(lines.out);
    cr_assert_str_eq(text_of(row, "a"), "uno");
    cr_assert_str_eq(text_of(row, "verdict"), "wrong");
    cr_assert_str_eq(text_of(row, "namespace"), "default");
    cr_assert_float_eq(json_number_value(json_object_get(row, "similarity")), 0.99, 1e-3);
    cr_assert_not_null(strstr(all.out, "unjudged"));

    const char *file = test_format("%s/pairs.jsonl", test_folder());
    test_write_text(file, lines.out);
    test_run_result judged = run("judge", "--json", file);
    cr_assert_eq(judged.status, 0, "%s", judged.err);

    cr_assert_eq(run("observations", "--remove").status, 2);
    cr_assert_not_null(strstr(run("observations", "--remove", "--all", "--dry-run").out, "would remove 2"));
    cr_assert_not_null(strstr(run("observations", "--remove", "--all").out, "removed 2"));
    cr_assert_str_eq(ask_shell("uno", NULL), "semantic");
    test_run_result imported = run("observations", "--import", file);
    cr_assert_str_eq(imported.out, "imported 1\n", "%s", imported.err);
    cr_assert_str_eq(ask_shell("uno", NULL), "model");
    test_run_result again = run("observations", "--json");
    json_t *back = test_json(again.out);
    cr_assert_str_eq(text_of(back, "source"), "feedback");
    cr_assert_str_eq(text_of(back, "id"), text_of(row, "id"));
    cr_assert_str_eq(text_of(back, "partition"), text_of(row, "partition"));
}

Test(server_observations, lines_that_are_none_are_named)
{
    start(NULL);
    const struct {
        const char *input, *message;
    } cases[] = {{"{\"a\":\"x\",\"b\":\"y\",\"label\":1}\n{\"a\":\"x\",\"b\":\"y\"}\n", "line 2"},
                 {"not json\n", "line 1"},
                 {"\n{\"a\":\"x\",\"label\":0}\n", "line 2"},
                 {"{\"a\":\"x\",\"b\":\"X?\",\"label\":0}\n", "the same"},
                 {"[1]\n", "not a JSON object"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_run_result result =
            run_words(cases[i].input, (const char *const[]){"observations", "--import", "-", NULL});
        cr_expect_eq(result.status, 2, "%s", cases[i].input);
        cr_expect_not_null(strstr(result.err, cases[i].message), "%s", result.err);
    }
    test_run_result good = run_words("{\"a\":\"uno\",\"b\":\"one\",\"label\":0,\"source\":\"some set\"}\n\n",
                                     (const char *const[]){"observations", "--import", "-", NULL});
    cr_assert_eq(good.status, 0, "%s", good.err);
    ask("one", NULL);
    cr_assert(test_wait_until(strcmp(ask("uno", NULL), "model") == 0, 10000));
    cr_assert_str_eq(text_of(json_array_get(observations(""), 0), "source"), "import");
}

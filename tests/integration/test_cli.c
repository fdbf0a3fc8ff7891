/* llmcache-cli as a shell sees it: what it prints where, and its exit codes. */
#include "mock_client.h"
#include "support.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(cli, .init = NULL, .timeout = 60);

enum { MAX_WORDS = 32 };

static const char *store; /* one file per test */

/* Runs llmcache-cli with the demo provider; words end with NULL. */
static test_run_result run_with(const char *input, const char *const environment[], const char *first, ...)
{
    const char *argv[MAX_WORDS] = {test_build_path("cli/llmcache-cli"), first};
    const char *basic[] = {NULL, "LLMCACHE_PROVIDER=demo:", "LLMCACHE_DEMO_LATENCY_MS=0",
                           "LLMCACHE_EMBEDDER=none", NULL};
    va_list words;
    if (!store)
        store = test_format("sqlite:%s/cache.db", test_folder());
    basic[0] = test_format("LLMCACHE_STORE=%s", store);
    va_start(words, first);
    for (int i = 2; i < MAX_WORDS - 1 && argv[i - 1]; i++)
        argv[i] = va_arg(words, const char *);
    va_end(words);
    return test_run(argv, environment ? environment : basic, input);
}

#define run(...) run_with(NULL, NULL, __VA_ARGS__, NULL)

static const char *member(const char *json, const char *name)
{
    const char *text = json_string_value(json_object_get(test_json(json), name));
    return text ? text : "(absent)";
}

static const char *ask(const char *question)
{
    test_run_result result = run("ask", "--json", question);
    cr_assert_eq(result.status, 0, "%s", result.err);
    return member(result.out, "id");
}

static int lines(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* ---- Asking ----------------------------------------------------------------------------------- */

Test(cli, ask_prints_the_answer_and_says_beside_it_where_from)
{
    test_run_result first = run("ask", "什麼是快取？"), again = run("ask", "什麼是快取？");
    cr_assert_eq(first.status, 0, "%s", first.err);
    cr_assert_not_null(strstr(first.err, "[model, "), "%s", first.err);
    cr_assert_not_null(strstr(again.err, "[exact, "), "%s", again.err);
    cr_assert_str_eq(again.out, first.out);
    cr_assert_eq(first.out[strlen(first.out) - 1], '\n');
    cr_assert_null(strchr(first.out, '\x1b'), "colour in a pipe");
}

Test(cli, ask_as_json)
{
    ask("one");
    test_run_result result = run("ask", "--json", "one");
    json_t *root = test_json(result.out);
    cr_assert_eq(lines(result.out), 1);
    cr_assert_str_empty(result.err);
    cr_assert_str_eq(member(result.out, "source"), "exact");
    cr_assert_eq(strlen(member(result.out, "id")), 20);
    static const char *const members[] = {"answer", "similarity", "age_ms", "model", "latency_ms", "usage"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        cr_expect_not_null(json_object_get(root, members[i]), "%s", members[i]);
}

Test(cli, the_question_comes_from_words_or_from_standard_input)
{
    test_run_result words = run("ask", "--json", "what", "is", "it");
    test_run_result piped = run_with("what is it\r\n\n", NULL, "ask", "--json", NULL);
    test_run_result dashed = run_with("what is it", NULL, "ask", "--json", "-", NULL);
    test_run_result behind = run("ask", "--json", "--", "--what is it");
    cr_assert_str_eq(member(piped.out, "source"), "exact", "%s%s", piped.out, piped.err);
    cr_assert_str_eq(member(dashed.out, "id"), member(words.out, "id"));
    cr_assert_str_eq(member(behind.out, "source"), "model");
    cr_assert_eq(run_with("", NULL, "ask", NULL).status, 2);
    cr_assert_eq(run_with("\n\n", NULL, "ask", NULL).status, 2);
}

Test(cli, flags_shape_the_question)
{
    ask("one");
    cr_expect_str_eq(member(run("ask", "--json", "--system", "be brief", "one").out, "source"), "model");
    cr_expect_str_eq(member(run("ask", "--json", "--namespace=b", "one").out, "source"), "model");
    cr_expect_str_eq(member(run("ask", "--json", "--model", "m2", "one").out, "source"), "model");
    cr_expect_str_eq(member(run("ask", "--json", "--no-cache", "one").out, "source"), "model");
    cr_expect_str_eq(member(run("ask", "--json", "--exact", "one").out, "source"), "exact");
    cr_expect_str_eq(member(run("ask", "--json", "--no-store", "two").out, "source"), "model");
    cr_expect_str_eq(member(run("ask", "--json", "two").out, "source"), "model");
}

Test(cli, explain_changes_nothing)
{
    test_run_result people = run("explain", "one"), json = run("explain", "--json", "one");
    cr_assert_eq(people.status, 0, "%s", people.err);
    cr_assert_str_not_empty(people.out);
    cr_assert(json_is_object(test_json(json.out)));
    cr_assert_str_empty(run("ls", "--json").out);
    test_run_result both = run("ask", "--json", "--explain", "one");
    cr_assert(json_is_object(json_object_get(test_json(both.out), "explain")), "%s", both.out);
}

Test(cli, explain_names_the_field)
{
    run("ask", "--system", "Today is 2026-11-24", "一樣的問題");
    test_run_result people = run("explain", "--system", "Today is 2026-11-25", "一樣的問題");
    cr_expect_not_null(strstr(people.out, "messages[0].content (system) differs in a date at character 9"),
                       "%s", people.out);
    const char *body = "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"system\",\"content\":"
                       "\"Today is 2026-11-24\"},{\"role\":\"user\",\"content\":\"一樣的問題\"}]}";
    test_run_result whole = run_with(body, NULL, "explain", "--json", "--body", "-", NULL);
    cr_expect_str_eq(member(whole.out, "source"), "exact", "%s%s", whole.out, whole.err);
    cr_expect_eq(run("explain", "--protocol", "smtp", "--body", "-").status, 2);
    cr_expect_eq(run("explain", "--body", "/nowhere").status, 2);
}

/* ---- Managing ---------------------------------------------------------------------------------- */

Test(cli, ls_get_rm)
{
    const char *id = ask("什麼是快取？");
    ask("another");
    test_run_result list = run("ls"), json = run("ls", "--json");
    cr_assert_eq(lines(list.out), 3, "%s", list.out);
    cr_assert_eq(lines(json.out), 2);
    for (const char *line = json.out; *line; line += strcspn(line, "\n") + 1)
        cr_assert(json_is_object(test_json(test_keep(line, strcspn(line, "\n")))));
    cr_assert_eq(lines(run("ls", "--json", "--contains", "快取").out), 1);
    cr_assert_eq(lines(run("ls", "--json", "--limit", "1").out), 1);
    cr_assert_eq(lines(run("ls", "--json", "--older-than", "1h").out), 0);

    test_run_result get = run("get", id), head = run("get", "--json", test_format("%.8s", id));
    cr_assert_not_null(strstr(get.out, "什麼是快取？"));
    cr_assert_str_eq(member(head.out, "id"), id);
    cr_assert(json_is_object(json_object_get(test_json(head.out), "body")));
    cr_assert(json_string_length(json_object_get(test_json(head.out), "answer")) > 0);

    cr_assert_eq(run("rm", id).status, 0);
    cr_assert_eq(run("rm", id).status, 3);
    cr_assert_eq(run("get", id).status, 3);
    cr_assert_eq(lines(run("ls", "--json").out), 1);
}

Test(cli, purge)
{
    ask("one");
    run("ask", "--tags", "x,y", "two");
    run("ask", "--tags", "x", "three");
    cr_assert_eq(run("purge").status, 2);
    cr_assert_eq(run("purge", "--all", "--tag", "x").status, 2);
    cr_assert_not_null(strstr(run("purge", "--tag", "x", "--dry-run").out, "would remove 2"));
    cr_assert_eq(lines(run("ls", "--json").out), 3);
    cr_assert_eq(json_integer_value(json_object_get(test_json(run("purge", "--json", "--tag", "x").out),
                                                    "removed")), 2);
    cr_assert_not_null(strstr(run("purge", "--all").out, "removed 1"));
    cr_assert_eq(lines(run("ls", "--json").out), 0);
}

Test(cli, purge_lists_what_would_go)
{
    const char *id = ask("什麼是快取？");
    ask("What is a database?");
    test_run_result people = run("purge", "--pattern", "什麼*", "--dry-run");
    cr_expect_not_null(strstr(people.out, id), "%s", people.out);
    cr_expect_not_null(strstr(people.out, "would remove 1"));
    json_t *json = test_json(run("purge", "--json", "--search", "DATABASE", "--dry-run").out);
    json_t *entries = json_object_get(json, "entries");
    cr_assert_eq(json_array_size(entries), 1);
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(entries, 0), "question")),
                     "What is a database?");
    cr_expect_eq(lines(run("ls", "--json", "--model-pattern", "*").out), 2);
    cr_expect_eq(lines(run("ls", "--json", "--newer-than", "1h", "--namespace-pattern", "def*").out), 2);
    cr_expect_not_null(strstr(run("purge", "--pattern", "什麼*").out, "removed 1"));
    cr_expect_eq(lines(run("ls", "--json").out), 1);
}

Test(cli, lint_traffic)
{
    cr_expect_not_null(strstr(run("lint-traffic").out, "Nothing to look at"));
    for (int i = 0; i < 12; i++)
        run("ask", "--system", test_format("It is 17:%02d", i + 10), "一樣的問題");
    test_run_result people = run("lint-traffic");
    cr_expect_not_null(strstr(people.out, "messages[0].content (system) changes in a time near character 6"),
                       "%s", people.out);
    json_t *json = test_json(run("lint-traffic", "--json").out);
    cr_expect_eq(json_integer_value(json_object_get(json, "prevented")), 11);
    cr_expect_not_null(strstr(run("stats").out, "lint-traffic"), "stats tells of a field that dominates");
}

Test(cli, feedback)
{
    const char *id = ask("one");
    cr_assert_eq(run("feedback", id, "maybe").status, 2);
    cr_assert_eq(run("feedback", id, "good").status, 0);
    cr_assert_eq(run("feedback", id, "bad").status, 0);
    cr_assert_eq(run("get", id).status, 3);
}

Test(cli, stats_counts_what_can_be_found_by_meaning)
{
    test_mock mock;
    mock_start(&mock);
    const char *const environment[] = {test_format("LLMCACHE_STORE=sqlite:%s/meaning.db", test_folder()),
                                       "LLMCACHE_PROVIDER=demo:", "LLMCACHE_DEMO_LATENCY_MS=0",
                                       "LLMCACHE_EMBEDDER=openai:e", "OPENAI_API_KEY=k",
                                       test_format("OPENAI_BASE_URL=%s", mock.openai), NULL};
    cr_assert_eq(run_with(NULL, environment, "ask", "one", NULL).status, 0);
    const char *text = run_with(NULL, environment, "stats", NULL).out;
    cr_expect_not_null(strstr(text, "searchable by meaning      1\n"), "%s", text);
    for (int i = 0; i < 5; i++) { /* however much of it this process has loaded by then */
        const char *json = run_with(NULL, environment, "stats", "--json", NULL).out;
        cr_expect_eq(json_integer_value(json_object_get(test_json(json), "records")), 1, "%s", json);
    }
}

Test(cli, stats_health_index_doctor)
{
    ask("one");
    cr_expect_not_null(strstr(run("stats").out, "sqlite:"));
    cr_expect(json_is_object(test_json(run("stats", "--json").out)));
    const char *text = run("stats", "--prometheus").out;
    cr_expect_not_null(strstr(text, "# TYPE "));
    const char *promtool = test_program("promtool");
    if (promtool)
        cr_expect_eq(test_run((const char *const[]){promtool, "check", "metrics", NULL}, NULL, text).status, 0);
    cr_expect_eq(run("health").status, 0);
    const char *state = member(run("health", "--json").out, "status"); /* the index may still load */
    cr_expect(strcmp(state, "ok") == 0 || strcmp(state, "degraded") == 0, "%s", state);
    json_t *index = test_json(run("index", "--json").out);
    cr_expect_eq(json_integer_value(json_object_get(index, "entries")), 1);
    cr_expect_eq(run("index", "sideways").status, 2);
    test_run_result doctor = run("doctor", "--json");
    cr_expect(json_is_array(test_json(doctor.out)), "%s", doctor.out);
    cr_expect(doctor.status == 0 || doctor.status == 1);
}

/* ---- Failing ------------------------------------------------------------------------------------- */

Test(cli, bad_command_lines_are_exit_code_2)
{
    static const struct {
        const char *words[4], *said;
    } rows[] = {{{"frobnicate"}, "frobnicate"},
                {{"ask", "--frobnicate", "x"}, "--frobnicate"},
                {{"ask", "--ttl"}, "--ttl"},
                {{"ask", "--ttl", "soon", "x"}, "soon"},
                {{"ask", "--json=yes", "x"}, "--json"},
                {{"ask", "--no-cache", "--only-cached", "x"}, "--only-cached"},
                {{"ls", "--limit", "0"}, "--limit"},
                {{"ls", "--older-than", "yesterday"}, "yesterday"},
                {{"ls", "stray"}, "stray"},
                {{"get"}, "ID"},
                {{"rm"}, "ID"},
                {{"help", "frobnicate"}, "frobnicate"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *w = rows[i].words;
        test_run_result result = run_with(NULL, NULL, w[0], w[1], w[1] ? w[2] : NULL,
                                          w[1] && w[2] ? w[3] : NULL, NULL);
        cr_expect_eq(result.status, 2, "%s: %d", w[0], result.status);
        cr_expect_not_null(strstr(result.err, rows[i].said), "%s: %s", w[0], result.err);
        cr_expect_str_empty(result.out);
    }
}

Test(cli, exit_codes_tell_failures_apart)
{
    test_mock mock;
    mock_start(&mock);
    const char *const with_mock[] = {"LLMCACHE_STORE=memory:", "LLMCACHE_EMBEDDER=none",
                                     test_format("OPENAI_BASE_URL=%s", mock.openai),
                                     "OPENAI_API_KEY=k", "LLMCACHE_CONNECT_TIMEOUT_MS=2000", NULL};
    const char *const without[] = {"LLMCACHE_STORE=memory:", "LLMCACHE_EMBEDDER=none", NULL};
    cr_expect_eq(run("ask", "--only-cached", "never asked").status, 3);
    test_run_result none = run_with(NULL, without, "ask", "x", NULL);
    cr_expect_eq(none.status, 2);
    cr_expect_not_null(strstr(none.err, "OPENAI_API_KEY"), "%s", none.err);
    mock_behave(&mock, "{'status': 401}");
    cr_expect_eq(run_with(NULL, with_mock, "ask", "x", NULL).status, 4);
    test_run_result json = run_with(NULL, with_mock, "ask", "--json", "x", NULL);
    const json_t *error = json_object_get(test_json(json.err), "error");
    cr_expect_eq(json_integer_value(json_object_get(error, "upstream_status")), 401, "%s", json.err);
    cr_expect_str_empty(json.out);
    mock_stop(&mock);
    cr_expect_eq(run_with(NULL, with_mock, "ask", "x", NULL).status, 4);
}

Test(cli, help_needs_no_configuration)
{
    const char *const broken[] = {"LLMCACHE_TTL=nonsense", NULL};
    test_run_result help = run_with(NULL, broken, "--help", NULL);
    cr_assert_eq(help.status, 0, "%s", help.err);
    cr_assert_not_null(strstr(help.out, "Exit codes"));
    cr_assert_not_null(strstr(help.out, "--store"));
    static const char *const commands[] = {"ask", "explain", "ls", "get", "rm", "purge", "wrong", "right", "feedback", "observations",
                                           "stats", "health", "index", "doctor", "settings", "lint-traffic"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        cr_expect_not_null(strstr(help.out, test_format("\n  %s ", commands[i])), "%s", commands[i]);
        test_run_result one = run_with(NULL, broken, commands[i], "--help", NULL);
        cr_expect_eq(one.status, 0, "%s", commands[i]);
        cr_expect_not_null(strstr(one.out, test_format("llmcache-cli %s", commands[i])));
    }
    cr_assert_eq(run("--version").status, 0);
    test_run_result asked = run_with(NULL, broken, "ls", NULL);
    cr_assert_eq(asked.status, 2);
    cr_assert_not_null(strstr(asked.err, "LLMCACHE_TTL"));
}

Test(cli, settings_show_where_values_come_from_and_no_secrets)
{
    const char *const environment[] = {"LLMCACHE_STORE=redis://u:hunter2@h", "OPENAI_API_KEY=sk-secret", NULL};
    test_run_result result = run_with(NULL, environment, "settings", "--ttl", "1h", NULL);
    cr_assert_eq(result.status, 0);
    cr_assert_null(strstr(result.out, "hunter2"));
    cr_assert_null(strstr(result.out, "sk-secret"));
    cr_assert_not_null(strstr(result.out, "redis://u:***@h"));
    const char *ttl = strstr(result.out, "\nttl ");
    cr_assert_not_null(ttl);
    cr_assert_not_null(strstr(test_keep(ttl + 1, strcspn(ttl + 1, "\n")), "option"));
}

/* A reader that leaves is no failure; a full disk is. */
Test(cli, output_that_cannot_be_written)
{
    ask("one");
    const char *line = test_format("LLMCACHE_STORE=%s %s ls | true; exit ${PIPESTATUS[0]}", store,
                                   test_build_path("cli/llmcache-cli"));
    test_run_result left = test_run_line("bash", "-c", line);
    cr_expect_eq(left.status, 0, "%d %s", left.status, left.err);
    cr_expect_str_empty(left.err);
    line = test_format("LLMCACHE_STORE=%s %s ls > /dev/full", store, test_build_path("cli/llmcache-cli"));
    test_run_result full = test_run_line("bash", "-c", line);
    cr_expect_eq(full.status, 1);
    cr_expect_not_null(strstr(full.err, "No space left"), "%s", full.err);
}

Test(cli, stored_text_does_not_drive_the_terminal)
{
    run("ask", "red \x1b[31m alert\x07");
    const char *list = run("ls").out;
    cr_assert_eq(lines(list), 2);
    cr_assert_null(strchr(list, '\x1b'));
    cr_assert_null(strchr(list, '\x07'));
}

/*
 * llmcache-cli ask: on a terminal the answer is seen as it comes, Ctrl-C leaves and the answer is kept; and whole
 * bodies of the protocols, answered in their own form. The terminal is a pseudo-terminal, the model is the mock.
 */
#include "mock_client.h"
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static test_mock mock;
static const char *store;

static void set_up(void)
{
    mock_start(&mock);
    store = test_format("sqlite:%s/cache.db", test_folder());
}

TestSuite(cli_ask, .init = set_up, .timeout = 60);

#define CLI test_build_path("cli/llmcache-cli")

/* Names and values, for both ways of starting the program. */
static const char *const *environment(void)
{
    static const char *list[10];
    size_t n = 0;
    list[n++] = test_format("LLMCACHE_STORE=%s", store);
    list[n++] = test_format("OPENAI_BASE_URL=%s", mock.openai);
    list[n++] = test_format("ANTHROPIC_BASE_URL=%s", mock.anthropic);
    list[n++] = "OPENAI_API_KEY=sk-test";
    list[n++] = "ANTHROPIC_API_KEY=sk-test";
    list[n++] = "LLMCACHE_PROVIDER=openai:";
    list[n++] = "LLMCACHE_EMBEDDER=none";
    list[n++] = "TERM=xterm";
    list[n] = NULL;
    return list;
}

#define piped(input, ...) \
    test_run((const char *const[]){CLI, "ask", __VA_ARGS__, NULL}, environment(), input)

/* ---- A terminal --------------------------------------------------------------------------------- */

typedef struct terminal {
    int fd;
    pid_t pid;
    char seen[65536];
    size_t size;
} terminal;

static void put_environment(void)
{
    for (const char *const *at = environment(); *at; at++) {
        char *name = strdup(*at), *equals = strchr(name, '=');
        *equals = '\0';
        setenv(name, equals + 1, 1);
        free(name);
    }
}

static void open_terminal(terminal *t, const char *const words[])
{
    const char *argv[16] = {CLI};
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    for (int i = 0; words[i]; i++)
        argv[i + 1] = words[i];
    put_environment();
    t->size = 0;
    t->pid = forkpty(&t->fd, NULL, NULL, &size);
    cr_assert_geq(t->pid, 0);
    if (t->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(argv[0], (char **)(uintptr_t)argv);
        _exit(127);
    }
    fcntl(t->fd, F_SETFL, O_NONBLOCK);
}

#define on_terminal(t, ...) open_terminal(t, (const char *const[]){"ask", __VA_ARGS__, NULL})

/* 1 when the text is on the screen; 0 when the program has ended, or 10 s are over, without it. */
static int shows(terminal *t, const char *text)
{
    int64_t end = test_now_ms() + 10000;
    for (;;) {
        struct pollfd fd = {.fd = t->fd, .events = POLLIN};
        t->seen[t->size] = '\0';
        if (strstr(t->seen, text))
            return 1;
        if (test_now_ms() > end || poll(&fd, 1, 100) < 0)
            return 0;
        ssize_t got = fd.revents ? read(t->fd, t->seen + t->size, sizeof t->seen - 1 - t->size) : 0;
        if (fd.revents && got <= 0)
            return 0; /* the far end is closed */
        t->size += (size_t)got;
    }
}

/* Reads to the end; the exit code, or 128 and the signal. */
static int end_of(terminal *t)
{
    int status = 0;
    shows(t, "\x01 never shown");
    cr_assert_eq(waitpid(t->pid, &status, 0), t->pid);
    close(t->fd);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void press_ctrl_c(const terminal *t)
{
    cr_assert_eq(write(t->fd, "\x03", 1), 1);
}

/* ---- Questions ---------------------------------------------------------------------------------- */

Test(cli_ask, a_terminal_sees_the_answer_as_it_comes)
{
    static terminal t;
    mock_behave(&mock, "{'text': 'alpha beta gamma delta', 'chunk_chars': 6, 'stall_after_events': 3}");
    on_terminal(&t, "one");
    cr_assert(shows(&t, "alpha"), "%s", t.seen);
    cr_assert_eq(mock_open_calls(&mock), 1, "the answer is still on its way");
    cr_assert_null(strstr(t.seen, "delta"));
    kill(t.pid, SIGKILL);
    end_of(&t);
}

Test(cli_ask, a_terminal_gets_all_of_it_and_where_it_came_from)
{
    static terminal t;
    mock_behave(&mock, "{'text': '什麼是快取 done', 'chunk_chars': 1}");
    on_terminal(&t, "one");
    cr_assert_eq(end_of(&t), 0, "%s", t.seen);
    cr_assert_not_null(strstr(t.seen, "什麼是快取 done\r\n[model, "), "%s", t.seen);
    cr_assert_not_null(strstr(t.seen, "first words after "), "%s", t.seen);
    on_terminal(&t, "one");
    cr_assert_eq(end_of(&t), 0);
    cr_assert_not_null(strstr(t.seen, "什麼是快取 done\r\n[exact, "), "%s", t.seen);
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    test_run_result whole = piped(NULL, "one");
    cr_assert_str_eq(whole.out, "什麼是快取 done\n");
    cr_assert_not_null(strstr(whole.err, "[exact, "));
}

Test(cli_ask, only_a_terminal_that_wants_it_makes_the_model_stream)
{
    static terminal t;
    on_terminal(&t, "--no-stream", "one");
    cr_assert_eq(end_of(&t), 0);
    piped(NULL, "two");
    piped(NULL, "--json", "three");
    on_terminal(&t, "four");
    cr_assert_eq(end_of(&t), 0);
    json_t *calls = json_object_get(mock_log(&mock), "calls"), *call;
    size_t i;
    cr_assert_eq(json_array_size(calls), 4);
    json_array_foreach(calls, i, call)
    {
        const char *body = json_string_value(json_object_get(call, "body"));
        cr_expect_eq(strstr(body, "\"stream\":true") != NULL, i == 3, "%s", body);
    }
}

Test(cli_ask, a_streamed_answer_does_not_drive_the_terminal)
{
    static terminal t;
    mock_behave(&mock, "{'text': 'red \\u001b[31m alert\\u0007', 'chunk_chars': 1}");
    on_terminal(&t, "one");
    cr_assert_eq(end_of(&t), 0);
    cr_assert_not_null(strstr(t.seen, "red \xEF\xBF\xBD[31m alert"), "%s", t.seen);
    cr_assert_null(strchr(t.seen, '\x07'));
}

Test(cli_ask, a_broken_answer_is_said_to_be_broken)
{
    static terminal t;
    mock_behave(&mock, "{'text': 'alpha beta gamma', 'chunk_chars': 6, 'cut_after_events': 3}");
    on_terminal(&t, "one");
    cr_assert_eq(end_of(&t), 4, "%s", t.seen);
    cr_assert_not_null(strstr(t.seen, "llmcache-cli: "), "%s", t.seen);
    cr_assert_eq(piped(NULL, "--only-cached", "one").status, 3, "what broke off was kept");
}

Test(cli_ask, ctrl_c_leaves_and_the_answer_is_kept)
{
    static terminal t;
    mock_behave(&mock, "{'text': 'alpha beta gamma delta', 'chunk_chars': 6, 'chunk_delay_ms': 100}");
    on_terminal(&t, "one");
    cr_assert(shows(&t, "alpha"), "%s", t.seen);
    press_ctrl_c(&t);
    cr_assert_eq(end_of(&t), 128 + SIGINT);
    cr_assert_not_null(strstr(t.seen, "[stopped; "), "%s", t.seen);
    cr_assert_null(strstr(t.seen, "delta"), "%s", t.seen);
    test_run_result kept = piped(NULL, "--only-cached", "one");
    cr_assert_eq(kept.status, 0, "%s", kept.err);
    cr_assert_str_eq(kept.out, "alpha beta gamma delta\n");
}

Test(cli_ask, a_second_ctrl_c_does_not_wait)
{
    static terminal t;
    mock_behave(&mock, "{'hang': true}");
    on_terminal(&t, "one");
    cr_assert(test_wait_until(mock_open_calls(&mock) == 1, 10000));
    press_ctrl_c(&t);
    cr_assert(shows(&t, "[stopped; "), "%s", t.seen);
    press_ctrl_c(&t);
    cr_assert_eq(end_of(&t), 128 + SIGINT);
}

/* ---- Bodies of the protocols -------------------------------------------------------------------- */

static const struct body {
    const char *protocol, *path, *rest, *object, *end;
} bodies[] = {
    {"chat", "/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]",
     "\"object\":\"chat.completion\"", "data: [DONE]\n\n"},
    {"messages", "/v1/messages", "\"max_tokens\":99,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]",
     "\"type\":\"message\"", "event: message_stop\n"},
    {"responses", "/v1/responses", "\"input\":\"hi\"", "\"object\":\"response\"", "event: response.completed\n"},
    {"completions", "/v1/completions", "\"prompt\":\"hi\"", "\"object\":\"text_completion\"", "data: [DONE]\n\n"},
};

static int has(const char *text, const char *part)
{
    char *dense = strdup(text), *to = dense; /* without the spaces the two may differ in */
    for (const char *from = text; *from; from++)
        if (*from != ' ' || part[strcspn(part, " ")])
            *to++ = *from;
    *to = '\0';
    int found = strstr(dense, part) != NULL;
    free(dense);
    return found;
}

Test(cli_ask, bodies_are_answered_in_their_protocol)
{
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const struct body *b = &bodies[i];
        const char *whole = test_format("{\"model\":\"m\",%s}", b->rest);
        const char *stream = test_format("{\"model\":\"m\",\"stream\":true,%s}", b->rest);
        test_run_result first = piped(whole, "--protocol", b->protocol, "--body", "-");
        cr_assert_eq(first.status, 0, "%s %s", first.out, first.err);
        cr_expect(json_is_object(test_json(first.out)) && has(first.out, b->object), "%s", first.out);
        cr_expect_not_null(strstr(first.err, "[model, "), "%s", first.err);
        test_run_result replay = piped(stream, "--protocol", b->protocol, "--body", "-");
        cr_expect_eq(replay.status, 0);
        cr_expect_not_null(strstr(replay.out, b->end), "%s", replay.out);
        cr_expect_not_null(strstr(replay.err, "[exact, "), "%s", replay.err);
        cr_expect_eq(mock_calls(&mock, b->path), 1, "%s", b->path);
        test_run_result live = piped(stream, "--protocol", b->protocol, "--body", "-", "--no-cache");
        cr_expect_not_null(strstr(live.out, b->end), "%s", live.out);
        cr_expect_not_null(strstr(live.err, "[model, "), "%s", live.err);
    }
}

Test(cli_ask, a_body_comes_from_a_file_too_and_shares_its_answer_with_questions)
{
    const char *path = test_format("%s/body.json", test_folder());
    test_write_text(path, "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"model\": \"gpt-4o-mini\"}");
    cr_assert_eq(piped(NULL, "hi").status, 0);
    test_run_result got = piped(NULL, "--body", path);
    cr_assert_eq(got.status, 0, "%s", got.err);
    cr_assert_not_null(strstr(got.err, "[exact, "), "%s", got.err);
    cr_assert_eq(piped(NULL, "--body", "/nowhere/body.json").status, 2);
}

Test(cli_ask, a_stream_for_a_body_comes_as_it_comes)
{
    static terminal t;
    const char *path = test_format("%s/body.json", test_folder());
    test_write_text(path, test_format("{\"model\":\"m\",\"stream\":true,%s}", bodies[0].rest));
    mock_behave(&mock, "{'text': 'alpha beta gamma delta', 'chunk_chars': 6, 'stall_after_events': 3}");
    on_terminal(&t, "--protocol", "chat", "--body", path);
    cr_assert(shows(&t, "alpha"), "%s", t.seen);
    cr_assert_eq(mock_open_calls(&mock), 1);
    kill(t.pid, SIGKILL);
    end_of(&t);
}

Test(cli_ask, flags_hold_for_bodies_too)
{
    const char *whole = test_format("{\"model\":\"m\",%s}", bodies[0].rest);
    cr_expect_eq(piped(whole, "--body", "-", "--only-cached").status, 3);
    cr_expect_eq(piped(whole, "--body", "-", "--no-store").status, 0);
    cr_expect_eq(piped(whole, "--body", "-", "--only-cached").status, 3);
    cr_expect_eq(piped(whole, "--body", "-", "--tags", "x").status, 0);
    cr_expect_eq(piped(whole, "--body", "-", "--only-cached", "--exact").status, 0);
    cr_expect_eq(mock_calls(&mock, NULL), 2);
    test_run_result list =
        test_run((const char *const[]){CLI, "ls", "--json", "--tag", "x", NULL}, environment(), NULL);
    cr_expect_eq(test_count(list.out, "\n"), 1, "%s", list.out);
}

Test(cli_ask, an_error_of_the_service_is_shown_as_it_came)
{
    const char *whole = test_format("{\"model\":\"m\",%s}", bodies[1].rest);
    mock_behave(&mock, "{'status': 529}");
    test_run_result got = piped(whole, "--protocol", "messages", "--body", "-");
    cr_assert_eq(got.status, 4);
    cr_assert_not_null(strstr(got.out, "overloaded_error"), "%s", got.out);
    cr_assert_not_null(strstr(got.err, "status 529"), "%s", got.err);
    mock_reset(&mock);
    mock_behave(&mock, "{'cut_after_events': 3}");
    test_run_result cut = piped(test_format("{\"model\":\"m\",\"stream\":true,%s}", bodies[1].rest), "--protocol",
                                "messages", "--body", "-");
    cr_assert_eq(cut.status, 4, "%s", cut.err);
    cr_assert_not_null(strstr(cut.err, "llmcache-cli: "), "%s", cut.err);
}

Test(cli_ask, keys_for_callers_of_the_server_do_not_stand_in_the_way)
{
    const char *list[16];
    size_t n = 0;
    for (const char *const *at = environment(); *at; at++)
        list[n++] = *at;
    list[n++] = "LLMCACHE_API_KEYS=one=a-key-for-callers";
    list[n++] = "LLMCACHE_CREDENTIAL=caller";
    list[n] = NULL;
    test_run_result got = test_run((const char *const[]){CLI, "ask", "--body", "-", NULL}, list,
                                   test_format("{\"model\":\"m\",%s}", bodies[0].rest));
    cr_assert_eq(got.status, 0, "%s %s", got.out, got.err);
}

Test(cli_ask, what_does_not_go_together_is_refused)
{
    cr_expect_eq(piped("{}", "--protocol", "chat").status, 2);
    cr_expect_eq(piped("{}", "--protocol", "telepathy", "--body", "-").status, 2);
    cr_expect_eq(piped("{}", "--body", "-", "question").status, 2);
    cr_expect_eq(piped("{}", "--body", "-", "--system", "s").status, 2);
    cr_expect_eq(piped("{}", "--body", "-", "--no-cache", "--only-cached").status, 2);
    cr_expect_eq(mock_calls(&mock, NULL), 0);
}

Test(cli_ask, a_reader_that_leaves_early_is_no_failure_and_a_full_disk_is)
{
    const char *body = test_format("{\"model\":\"m\",\"stream\":true,%s}", bodies[0].rest);
    const char *path = test_format("%s/body.json", test_folder());
    test_write_text(path, body);
    mock_behave(&mock, "{'chunk_delay_ms': 20}");
    const char *line = test_format("%s ask --body %s | head -c 20; exit ${PIPESTATUS[0]}", CLI, path);
    test_run_result left = test_run((const char *const[]){"bash", "-c", line, NULL}, environment(), NULL);
    cr_expect_eq(left.status, 0, "%s", left.err);
    cr_expect_eq(piped(body, "--body", "-", "--only-cached").status, 0, "it was kept all the same");
    line = test_format("%s ask --body %s --no-cache > /dev/full", CLI, path);
    test_run_result full = test_run((const char *const[]){"bash", "-c", line, NULL}, environment(), NULL);
    cr_expect_eq(full.status, 1);
    cr_expect_not_null(strstr(full.err, "No space left"), "%s", full.err);
}

/* llmcache-cli ask: one question, answered from the cache or by the model. */
#include "cli_ask.h"
#include "cli_call.h"
#include "cli_live.h"
#include "cli_print.h"

#include <stdio.h>
#include <string.h>

static json_t *text(const char *bytes)
{
    return shown_string(bytes);
}

static int print_answer_json(const llmcache_answer *answer, json_t *explained)
{
    json_t *value = json_pack(
        "{s:o, s:s, s:f, s:s, s:I, s:o, s:o, s:b, s:s, s:f, s:I, s:{s:I, s:I}}", "answer",
        text(llmcache_answer_text(answer)), "source", llmcache_answer_source_name(answer),
        "similarity", llmcache_answer_similarity(answer), "id",
        llmcache_answer_id(answer), "age_ms", (json_int_t)llmcache_answer_age_ms(answer),
        "model", text(llmcache_answer_model(answer)), "question",
        text(llmcache_answer_question(answer)), "stored", llmcache_answer_stored(answer),
        "why", llmcache_answer_why(answer), "latency_ms",
        (double)llmcache_answer_latency_us(answer) / 1000.0, "model_latency_ms",
        (json_int_t)llmcache_answer_model_latency_ms(answer), "usage", "input_tokens",
        (json_int_t)llmcache_answer_input_tokens(answer), "output_tokens",
        (json_int_t)llmcache_answer_output_tokens(answer));
    if (explained)
        json_object_set(value, "explain", explained);
    return print_json(value);
}

/* ---- For people ----------------------------------------------------------------- */

/* What a streamed answer needs on its way to the terminal. */
typedef struct live_answer {
    cli_session *cli;
    int64_t start_us, first_us; /* monotonic; first_us 0: nothing came yet */
} live_answer;

static int on_text(void *user, const char *words, size_t size)
{
    live_answer *live = user;
    if (!live->first_us)
        live->first_us = live_now_us();
    return live_write(live->cli, words, size);
}

static void print_whole(const char *words)
{
    print_text(stdout, words);
    if (!*words || words[strlen(words) - 1] != '\n')
        putchar('\n');
    fflush(stdout);
}

/* The answer is the data; where it came from is said beside it. */
static void print_source(const llmcache_answer *answer, int64_t first_us)
{
    char span[PRINT_SPAN_SIZE];
    fprintf(stderr, "[%s, %s", llmcache_answer_source_name(answer),
            print_short_span(llmcache_answer_latency_us(answer), span));
    if (first_us && llmcache_answer_source(answer) == LLMCACHE_SOURCE_MODEL)
        fprintf(stderr, ", first words after %s", print_short_span(first_us, span));
    if (llmcache_answer_source(answer) == LLMCACHE_SOURCE_SEMANTIC)
        fprintf(stderr, ", similarity %.4f", llmcache_answer_similarity(answer));
    if (llmcache_answer_age_ms(answer))
        fprintf(stderr, ", %s old", print_span(llmcache_answer_age_ms(answer), span));
    fprintf(stderr, ", %s%s%s", llmcache_answer_model(answer),
            *llmcache_answer_id(answer) ? ", " : "", llmcache_answer_id(answer));
    if (*llmcache_answer_why(answer))
        fprintf(stderr, ", %s", llmcache_answer_why(answer));
    fputs("]\n", stderr);
}

static int ask_live(cli_session *cli, const char *question, llmcache_ask_options options)
{
    llmcache_error err;
    llmcache_answer *answer;
    live_answer live = {.cli = cli, .start_us = live_now_us()};
    options.on_text = on_text;
    options.on_text_user = &live;
    live_wait(cli);
    int code = llmcache_ask(cli->cache, question, &options, &answer, &err);
    live_finish(cli);
    if (!code) {
        if (!live_interrupted())
            print_source(answer, live.first_us ? live.first_us - live.start_us : 0);
        llmcache_answer_free(answer);
        return CLI_OK;
    }
    return live_interrupted() || cli->output_error ? CLI_OK : cli_fail(cli, &err);
}

static int ask_whole(cli_session *cli, const char *question,
                     const llmcache_ask_options *options, json_t *explained)
{
    llmcache_error err;
    llmcache_answer *answer;
    int code = CLI_OK;
    if (!cli->json)
        live_wait(cli);
    int failed = llmcache_ask(cli->cache, question, options, &answer, &err);
    live_wait_over();
    if (failed)
        return cli_fail(cli, &err);
    if (live_interrupted()) {
        code = CLI_OK; /* it is kept; nobody wants to see it */
    } else if (cli->json) {
        code = print_answer_json(answer, explained);
    } else {
        print_whole(llmcache_answer_text(answer));
        print_source(answer, 0);
    }
    llmcache_answer_free(answer);
    return code;
}

static int ask(cli_session *cli, const char *question,
               const llmcache_ask_options *options)
{
    json_t *explained = NULL;
    if (cli_value(cli, "explain")) {
        int code = ask_explain(cli, question, options, &explained);
        if (code)
            return code;
    }
    if (explained && !cli->json)
        ask_print_explained(stderr, explained);
    if (!options->no_store)
        live_catch_interrupt();
    int live = cli->width && !cli->json && !cli_value(cli, "no-stream");
    int code = live ? ask_live(cli, question, *options)
                    : ask_whole(cli, question, options, explained);
    json_decref(explained);
    return code;
}

static int run(cli_session *cli)
{
    llmcache_ask_options options;
    char *question = NULL;
    if (call_is_wanted(cli))
        return call_run(cli);
    int code = ask_question(cli, &question);
    if (!code)
        code = ask_options(cli, &options);
    if (!code)
        code = cli_open(cli);
    if (!code)
        code = ask(cli, question, &options);
    ask_question_free(question);
    return code;
}

static const cli_flag flags[] = {
    {"system", "TEXT", "system prompt"},
    {"tags", "A,B", "labels kept with the answer, for ls and purge"},
    {"exact", NULL, "do not match by meaning"},
    {"no-cache", NULL, "do not answer from the cache; the new answer is kept"},
    {"no-store", NULL, "do not keep the answer"},
    {"only-cached", NULL, "never ask the model; exit code 3 when it would be needed"},
    {"no-stream", NULL, "on a terminal: show the answer when it is whole"},
    {"protocol", "NAME", "chat, messages, responses, completions or embeddings: what --body is"},
    {"body", "FILE", "a whole request of that protocol, - for standard input; answered in its form"},
    {"explain", NULL, "also show how the cache looked at the question"},
    {NULL, NULL, NULL},
};

const cli_command cmd_ask = {
    .name = "ask",
    .arguments = "[QUESTION...]",
    .summary =
        "Ask a question; without one on the command line, read it from standard input",
    .detail = "The answer goes to standard output, on a terminal as it comes, where it came from "
              "to standard\nerror. --model, --ttl, --namespace and --threshold are settings, and "
              "apply to this question.\nCtrl-C stops showing it; the answer is still waited for and "
              "kept, unless it is pressed again.",
    .flags = flags,
    .maximum = -1,
    .run = run,
};

/* llmcache-cli ask: one question, answered from the cache or by the model. */
#include "cli_ask.h"
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
        json_object_set_new(value, "explain", explained);
    return print_json(value);
}

/* The answer is the data; where it came from is said beside it. */
static void print_answer(const llmcache_answer *answer)
{
    char age[PRINT_SPAN_SIZE], took[PRINT_SPAN_SIZE];
    const char *words = llmcache_answer_text(answer);
    int64_t us = llmcache_answer_latency_us(answer);

    print_text(stdout, words);
    if (!*words || words[strlen(words) - 1] != '\n')
        putchar('\n');
    fflush(stdout);

    if (us < 10000)
        snprintf(took, sizeof took, "%.2f ms", (double)us / 1000.0);
    else
        print_span(us / 1000, took);
    fprintf(stderr, "[%s, %s", llmcache_answer_source_name(answer), took);
    if (llmcache_answer_source(answer) == LLMCACHE_SOURCE_SEMANTIC)
        fprintf(stderr, ", similarity %.4f", llmcache_answer_similarity(answer));
    if (llmcache_answer_age_ms(answer))
        fprintf(stderr, ", %s old", print_span(llmcache_answer_age_ms(answer), age));
    fprintf(stderr, ", %s%s%s", llmcache_answer_model(answer),
            *llmcache_answer_id(answer) ? ", " : "", llmcache_answer_id(answer));
    if (*llmcache_answer_why(answer))
        fprintf(stderr, ", %s", llmcache_answer_why(answer));
    fputs("]\n", stderr);
}

static int ask(cli_session *cli, const char *question,
               const llmcache_ask_options *options)
{
    llmcache_error err;
    llmcache_answer *answer;
    json_t *explained = NULL;
    int code = CLI_OK;

    if (cli_value(cli, "explain"))
        code = ask_explain(cli, question, options, &explained);
    if (code)
        return code;
    if (explained && !cli->json)
        ask_print_explained(stderr, explained);
    if (llmcache_ask(cli->cache, question, options, &answer, &err)) {
        json_decref(explained);
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        code = print_answer_json(answer, explained);
    } else {
        print_answer(answer);
        json_decref(explained);
    }
    llmcache_answer_free(answer);
    return code;
}

static int run(cli_session *cli)
{
    llmcache_ask_options options;
    char *question = NULL;
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
    {"explain", NULL, "also show how the cache looked at the question"},
    {NULL, NULL, NULL},
};

const cli_command cmd_ask = {
    .name = "ask",
    .arguments = "[QUESTION...]",
    .summary =
        "Ask a question; without one on the command line, read it from standard input",
    .detail = "The answer goes to standard output, where it came from to standard error. "
              "--model, --ttl,\n"
              "--namespace and --threshold are settings, and apply to this question.",
    .flags = flags,
    .maximum = -1,
    .run = run,
};

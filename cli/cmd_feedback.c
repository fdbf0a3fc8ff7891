/*
 * llmcache-cli wrong, right and feedback: a person's word about an answer that was
 * served. A wrong one is removed, and its pair of questions is never matched again.
 */
#include "cli_print.h"

#include <llmcache/observe.h>
#include <stdio.h>
#include <string.h>

static int say(cli_session *cli, const char *id, int good, const char *question)
{
    llmcache_error err;
    llmcache_feedback_report report = {.struct_size = sizeof report};
    int code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_feedback_about(cli->cache, id, good, question, &report, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(json_pack("{s:o, s:b, s:s, s:I, s:I}", "id", shown_string(id),
                                    "good", good, "verdict", good ? "right" : "wrong",
                                    "removed", (json_int_t)report.removed, "pairs",
                                    (json_int_t)report.pairs));
    printf("%s %s\n", report.removed ? "removed" : good ? "kept" : "gone before:", id);
    if (report.pairs)
        printf("%s %llu pair%s of questions\n", good ? "right:" : "never matched again:",
               (unsigned long long)report.pairs, report.pairs == 1 ? "" : "s");
    return CLI_OK;
}

static const char *question_after(const cli_session *cli, int count)
{
    return cli->argument_count > count ? cli->arguments[count] : NULL;
}

static int run_wrong(cli_session *cli)
{
    return say(cli, cli->arguments[0], 0, question_after(cli, 1));
}

static int run_right(cli_session *cli)
{
    return say(cli, cli->arguments[0], 1, question_after(cli, 1));
}

static int run_feedback(cli_session *cli)
{
    const char *word = cli->arguments[1];
    int good = strcmp(word, "good") == 0 || strcmp(word, "right") == 0;
    if (!good && strcmp(word, "bad") != 0 && strcmp(word, "wrong") != 0)
        return cli_usage(cli, "\"%.60s\" is neither good nor bad", word);
    return say(cli, cli->arguments[0], good, question_after(cli, 2));
}

static const char detail[] =
    "ID is the answer's, as ask --json and the header X-LLMCache-Id have it. QUESTION is "
    "the one that\n"
    "got it, in its own words: then exactly this pair is judged. Without it the pair is "
    "looked up among the\n"
    "hits of the last week; when several wordings got this answer, all of them are.";

const cli_command cmd_wrong = {
    .name = "wrong",
    .arguments = "ID [QUESTION]",
    .summary = "Say that an answer was wrong: it is removed everywhere, and its pair of "
               "questions never matched again",
    .detail = detail,
    .minimum = 1,
    .maximum = 2,
    .run = run_wrong,
};

const cli_command cmd_right = {
    .name = "right",
    .arguments = "ID [QUESTION]",
    .summary = "Say that an answer was right for the question that got it",
    .detail = detail,
    .minimum = 1,
    .maximum = 2,
    .run = run_right,
};

const cli_command cmd_feedback = {
    .name = "feedback",
    .arguments = "ID good|bad [QUESTION]",
    .summary = "The same as right (good) and wrong (bad)",
    .minimum = 2,
    .maximum = 3,
    .run = run_feedback,
};

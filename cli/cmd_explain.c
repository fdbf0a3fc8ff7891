/* llmcache-cli explain: what the cache would do with a question, without asking or
 * changing anything. */
#include "cli_ask.h"
#include "cli_call.h"
#include "cli_print.h"

static int explain_question(cli_session *cli, json_t **explained)
{
    llmcache_ask_options options;
    char *question = NULL;
    int code = ask_question(cli, &question);
    if (!code)
        code = ask_options(cli, &options);
    if (!code)
        code = cli_open(cli);
    if (!code)
        code = ask_explain(cli, question, &options, explained);
    ask_question_free(question);
    return code;
}

static int run(cli_session *cli)
{
    json_t *explained;
    int code = call_is_wanted(cli) ? call_explain(cli, &explained) : explain_question(cli, &explained);
    if (code)
        return code;
    if (cli->json)
        return print_json(explained);
    ask_print_explained(stdout, explained);
    json_decref(explained);
    return CLI_OK;
}

static const cli_flag flags[] = {
    {"system", "TEXT", "system prompt"},
    {"exact", NULL, "do not match by meaning"},
    {"protocol", "NAME", "chat, messages, responses, completions or embeddings: what --body is"},
    {"body", "FILE", "a whole request of that protocol, - for standard input"},
    {NULL, NULL, NULL},
};

const cli_command cmd_explain = {
    .name = "explain",
    .arguments = "[QUESTION...]",
    .summary = "Show what the cache would do with a question, and why: nothing is asked or changed",
    .detail = "On a miss it names the kept answer whose request is nearest and the fields that differ\n"
              "(temperature, a tool, a date in the system prompt), and what stopped each candidate\n"
              "found by meaning. --model, --namespace, --ttl and --threshold are settings, as for ask.",
    .flags = flags,
    .maximum = -1,
    .run = run,
};

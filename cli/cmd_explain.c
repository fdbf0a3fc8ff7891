/* llmcache-cli explain: what the cache would do with a question, without asking or
 * changing anything. */
#include "cli_ask.h"
#include "cli_print.h"

static int explain(cli_session *cli, const char *question,
                   const llmcache_ask_options *options)
{
    json_t *explained;
    int code = ask_explain(cli, question, options, &explained);
    if (code)
        return code;
    if (cli->json)
        return print_json(explained);
    ask_print_explained(stdout, explained);
    json_decref(explained);
    return CLI_OK;
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
        code = explain(cli, question, &options);
    ask_question_free(question);
    return code;
}

static const cli_flag flags[] = {
    {"system", "TEXT", "system prompt"},
    {"exact", NULL, "do not match by meaning"},
    {NULL, NULL, NULL},
};

const cli_command cmd_explain = {
    .name = "explain",
    .arguments = "[QUESTION...]",
    .summary =
        "Show how the cache looks at a question: candidate, similarity, and why not",
    .flags = flags,
    .maximum = -1,
    .run = run,
};

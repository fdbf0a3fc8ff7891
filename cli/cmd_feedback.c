/* llmcache-cli feedback: says whether a kept answer was right. A wrong one is removed. */
#include "cli_print.h"

#include <stdio.h>
#include <string.h>

static int run(cli_session *cli)
{
    llmcache_error err;
    const char *id = cli->arguments[0], *word = cli->arguments[1];
    int good = strcmp(word, "good") == 0;
    if (!good && strcmp(word, "bad") != 0)
        return cli_usage(cli, "\"%.60s\" is neither good nor bad", word);
    int code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_feedback(cli->cache, id, good, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(json_pack("{s:o, s:b}", "id", shown_string(id), "good", good));
    printf("%s %s\n", good ? "kept" : "removed", id);
    return CLI_OK;
}

const cli_command cmd_feedback = {
    .name = "feedback",
    .arguments = "ID good|bad",
    .summary =
        "Say that a kept answer was right or wrong; a wrong one is removed everywhere",
    .minimum = 2,
    .maximum = 2,
    .run = run,
};

/* llmcache-cli health: the state of every part, from what is known when the cache has
 * opened. */
#include "cli_ask.h"
#include "cli_print.h"

#include <stdio.h>
#include <string.h>

static int show(cli_session *cli, llmcache_status status, const char *json)
{
    static const char *const words[] = {"ok", "degraded", "down"};
    static const print_colour colours[] = {PRINT_GREEN, PRINT_YELLOW, PRINT_RED};
    json_t *parts = json_loads(json, JSON_ALLOW_NUL, NULL);
    int code = status == LLMCACHE_STATUS_DOWN ? CLI_FAILED : CLI_OK;
    if (cli->json) {
        int printed =
            print_json(json_pack("{s:s, s:s, s:o}", "status", words[status], "version",
                                 llmcache_version(), "parts", parts));
        return printed ? printed : code;
    }
    printf("%s%s%s\n", print_start(cli, colours[status]), words[status], print_end(cli));
    ask_print_explained(stdout, parts);
    json_decref(parts);
    return code;
}

static int run(cli_session *cli)
{
    llmcache_error err;
    llmcache_status status;
    char *json;
    int code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_health(cli->cache, &status, &json, &err))
        return cli_fail(cli, &err);
    code = show(cli, status, json);
    llmcache_free(json);
    return code;
}

const cli_command cmd_health = {
    .name = "health",
    .arguments = "",
    .summary =
        "Show the state of every part; exit code 1 when nothing new can be answered",
    .run = run,
};

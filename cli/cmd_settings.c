/* llmcache-cli settings: every setting, the value in force, and where it came from. */
#include "cli_print.h"

#include <stdio.h>
#include <string.h>

static json_t *text(const char *bytes)
{
    return shown_string(bytes);
}

static int show(const cli_session *cli, const llmcache_setting *row)
{
    if (cli->json)
        return print_json(json_pack(
            "{s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "name", row->name, "type", row->type,
            "value", text(row->value), "default", row->default_value, "environment",
            row->environment, "origin", row->origin, "help", row->help));
    int changed = strcmp(row->origin, "default") != 0;
    printf("%s", print_start(cli, changed ? PRINT_BOLD : PRINT_PLAIN));
    print_cell(row->name, 26);
    printf(" %-12s ", row->origin);
    print_cell(row->value, 0);
    printf("%s\n", print_end(cli));
    return CLI_OK;
}

static int run(cli_session *cli)
{
    llmcache_setting row;
    int code = CLI_OK;
    for (size_t i = 0; !code && llmcache_options_get(cli->options, i, &row) == 0; i++)
        code = show(cli, &row);
    return code;
}

const cli_command cmd_settings = {
    .name = "settings",
    .arguments = "",
    .summary = "Show every setting, the value in force, and where it came from",
    .run = run,
};

/* llmcache-cli doctor: checks every configured part for real and says how to mend what is
 * wrong. */
#include "cli_print.h"

#include <stdio.h>
#include <string.h>

static void show(const cli_session *cli, const json_t *row)
{
    const char *part = json_string_value(json_object_get(row, "part"));
    const char *detail = json_string_value(json_object_get(row, "detail"));
    const char *mend = json_string_value(json_object_get(row, "mend"));
    int ok = json_is_true(json_object_get(row, "ok"));
    printf("%s%-4s%s %-12s ", print_start(cli, ok ? PRINT_GREEN : PRINT_RED),
           ok ? "ok" : "BAD", print_end(cli), part ? part : "?");
    print_cell(detail ? detail : "", 0);
    putchar('\n');
    if (mend && *mend && !ok) {
        fputs("                  mend: ", stdout);
        print_cell(mend, 0);
        putchar('\n');
    }
}

static int run(cli_session *cli)
{
    llmcache_error err;
    char *json;
    int code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_doctor(cli->cache, &json, &err))
        return cli_fail(cli, &err);
    json_t *rows = json_loads(json, JSON_ALLOW_NUL, NULL), *row;
    size_t i;
    llmcache_free(json);
    json_array_foreach(rows, i, row)
    {
        if (!json_is_true(json_object_get(row, "ok")))
            code = CLI_FAILED;
        if (!cli->json)
            show(cli, row);
    }
    if (!cli->json) {
        json_decref(rows);
        return code;
    }
    int printed = print_json(rows);
    return printed ? printed : code;
}

const cli_command cmd_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "Check every configured part, and say how to mend what is wrong",
    .detail = "Waits for the store, the embedder and the model's service up to their "
              "time limits. Exit\n"
              "code 1 when something needs mending.",
    .run = run,
};

/* llmcache-cli ls: the entries of the store. */
#include "cli_entry.h"
#include "cli_print.h"

#include <stdio.h>

typedef struct listing {
    cli_session *cli;
    int64_t now_ms;
    uint64_t count;
    int code;
} listing;

/* Stops when nobody reads any more, or memory runs out. */
static int show(void *user, const llmcache_entry *entry)
{
    listing *list = user;
    if (list->cli->json) {
        list->code = print_json(shown_entry(entry, list->now_ms, 0));
    } else {
        if (list->count == 0)
            entry_print_heading(list->cli);
        entry_print_row(list->cli, entry, list->now_ms);
    }
    list->count++;
    return list->code || ferror(stdout);
}

static int run(cli_session *cli)
{
    llmcache_error err;
    llmcache_filter filter;
    listing list = {.cli = cli, .now_ms = entry_now_ms()};
    int code = entry_filter(cli, &filter);
    filter.records = cli_value(cli, "records") ? 2 : 1;
    if (!code)
        code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_each(cli->cache, &filter, show, &list, &err))
        return cli_fail(cli, &err);
    if (!cli->json && list.count == 0)
        fputs("No entries.\n", stderr);
    return list.code;
}

static const cli_flag flags[] = {
    ENTRY_FILTER_FLAGS,
    {"records", NULL, "the records searched by meaning, instead of the exact entries"},
    {NULL, NULL, NULL},
};

const cli_command cmd_ls = {
    .name = "ls",
    .arguments = "",
    .summary = "List the kept answers",
    .flags = flags,
    .run = run,
};

/* llmcache-cli purge: removes all entries that match; --all must be said for all of them.
 */
#include "cli_entry.h"
#include "cli_print.h"

#include <stdio.h>

static int is_empty(const llmcache_filter *filter)
{
    return !filter->space && !filter->id && !filter->model && !filter->tag &&
           !filter->contains && !filter->older_than_ms && !filter->limit;
}

/* What would go: shown on standard error, so that the data stays one number. */
typedef struct shown_list {
    cli_session *cli;
    int64_t now_ms;
} shown_list;

static int show(void *user, const llmcache_entry *entry)
{
    shown_list *list = user;
    entry_print_row(list->cli, entry, list->now_ms);
    return ferror(stdout);
}

static int purge(cli_session *cli, llmcache_filter *filter)
{
    llmcache_error err;
    uint64_t removed;
    shown_list list = {cli, entry_now_ms()};
    if (filter->dry_run && !cli->json) {
        llmcache_filter shown = *filter;
        shown.records = 1;
        entry_print_heading(cli);
        if (llmcache_each(cli->cache, &shown, show, &list, &err))
            return cli_fail(cli, &err);
    }
    if (llmcache_purge(cli->cache, filter, &removed, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(json_pack("{s:I, s:b}", "removed", (json_int_t)removed,
                                    "dry_run", filter->dry_run));
    printf("%s %llu\n", filter->dry_run ? "would remove" : "removed",
           (unsigned long long)removed);
    return CLI_OK;
}

static int run(cli_session *cli)
{
    llmcache_filter filter;
    int code = entry_filter(cli, &filter);
    int all = cli_value(cli, "all") != NULL;
    filter.dry_run = cli_value(cli, "dry-run") != NULL;
    if (!code && is_empty(&filter) && !all)
        code = cli_usage(cli, "purge needs a condition, or --all to remove everything");
    if (!code && !is_empty(&filter) && all)
        code = cli_usage(cli, "--all and a condition exclude each other");
    if (!code)
        code = cli_open(cli);
    return code ? code : purge(cli, &filter);
}

static const cli_flag flags[] = {
    {"all", NULL, "everything in the store"},
    {"namespace", "NAME", "only of this namespace"},
    {"model", "NAME", "only of this model"},
    {"tag", "TAG", "only with this tag"},
    {"contains", "TEXT", "only questions that contain this"},
    {"id", "ID", "only this id, or its first 6 or more digits"},
    {"older-than", "TIME", "only older than 30s, 15m, 12h, 7d"},
    {"limit", "N", "at most this many"},
    {"dry-run", NULL, "show and count, remove nothing"},
    {NULL, NULL, NULL},
};

const cli_command cmd_purge = {
    .name = "purge",
    .arguments = "",
    .summary = "Remove the kept answers that match every condition given",
    .flags = flags,
    .run = run,
};

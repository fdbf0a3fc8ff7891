/* llmcache-cli purge: removes all entries that match; --all must be said for all of them.
 */
#include "cli_entry.h"
#include "cli_print.h"

#include <llmcache/observe.h>
#include <stdio.h>

/* What would go: both kinds of data, each answer once. */
typedef struct going {
    cli_session *cli;
    int64_t now_ms;
    json_t *entries; /* with --json */
} going;

static int show(void *user, const llmcache_entry *entry)
{
    going *list = user;
    if (list->cli->json)
        return json_array_append_new(list->entries, shown_head(entry, list->now_ms));
    entry_print_row(list->cli, entry, list->now_ms);
    return ferror(stdout);
}

static int list_going(cli_session *cli, const llmcache_filter *filter, json_t **entries)
{
    llmcache_error err;
    going list = {cli, entry_now_ms(), cli->json ? json_array() : NULL};
    if (!cli->json)
        entry_print_heading(cli);
    if (llmcache_each(cli->cache, filter, show, &list, &err)) {
        json_decref(list.entries);
        return cli_fail(cli, &err);
    }
    *entries = list.entries;
    return CLI_OK;
}

static int purge(cli_session *cli, const llmcache_filter *filter)
{
    llmcache_error err;
    uint64_t removed;
    json_t *entries = NULL;
    int code = filter->dry_run ? list_going(cli, filter, &entries) : CLI_OK;
    if (code)
        return code;
    uint64_t observed = 0;
    int both = cli_value(cli, "observations") != NULL;
    if (llmcache_purge(cli->cache, filter, &removed, &err) ||
        (both && llmcache_observations_purge(cli->cache, filter, &observed, &err))) {
        json_decref(entries);
        return cli_fail(cli, &err);
    }
    if (cli->json)
        return print_json(json_pack("{s:I, s:I, s:b, s:o*}", "removed", (json_int_t)removed,
                                    "observations", (json_int_t)observed, "dry_run",
                                    filter->dry_run, "entries", entries));
    printf("%s %llu\n", filter->dry_run ? "would remove" : "removed",
           (unsigned long long)removed);
    if (both)
        printf("observations: %llu\n", (unsigned long long)observed);
    return CLI_OK;
}

static int run(cli_session *cli)
{
    llmcache_filter filter;
    int code = entry_filter(cli, &filter);
    int all = cli_value(cli, "all") != NULL;
    filter.dry_run = cli_value(cli, "dry-run") != NULL;
    if (!code && entry_filter_is_empty(&filter) && !all)
        code = cli_usage(cli, "purge needs a condition, or --all to remove everything");
    if (!code && !entry_filter_is_empty(&filter) && all)
        code = cli_usage(cli, "--all and a condition exclude each other");
    int no_answer = filter.tag || filter.tag_pattern || filter.search;
    if (!code && no_answer && cli_value(cli, "observations"))
        code = cli_usage(cli, "observations have neither tags nor an answer to search in");
    if (!code)
        code = cli_open(cli);
    return code ? code : purge(cli, &filter);
}

static const cli_flag flags[] = {
    {"all", NULL, "every answer in the store"},
    ENTRY_FILTER_FLAGS,
    {"observations", NULL, "and the observations that match; otherwise they stay"},
    {"dry-run", NULL, "list and count, remove nothing"},
    {NULL, NULL, NULL},
};

const cli_command cmd_purge = {
    .name = "purge",
    .arguments = "",
    .summary = "Remove the kept answers that match every condition given",
    .flags = flags,
    .run = run,
};

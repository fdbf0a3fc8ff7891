/*
 * llmcache-cli observations: what was learnt about pairs of questions. Shown, exported as
 * JSON lines that judge and tune read, taken in from such lines, removed.
 */
#include "cli_entry.h"
#include "cli_print.h"
#include "shown_observation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Showing -------------------------------------------------------------------- */

typedef struct observed_list {
    cli_session *cli;
    int64_t now_ms;
    uint64_t count;
    int code;
} observed_list;

enum { AGE_COLUMNS = 10, VERDICT_COLUMNS = 9, SOURCE_COLUMNS = 12 };

static void print_row(const observed_list *list, const llmcache_observation *o)
{
    char age[PRINT_SPAN_SIZE];
    print_cell(print_span(list->now_ms - o->time_ms, age), AGE_COLUMNS);
    fputs("  ", stdout);
    print_cell(llmcache_verdict_name(o->verdict), VERDICT_COLUMNS);
    fputs("  ", stdout);
    print_cell(llmcache_observer_name(o->observer), SOURCE_COLUMNS);
    printf("  %6.4f  ", o->similarity);
    print_cell(*o->asked ? o->asked : "(not kept)", 0);
    fputs("  |  ", stdout);
    print_cell(*o->candidate ? o->candidate : "(not kept)", 0);
    putchar('\n');
}

static int show(void *user, const llmcache_observation *o)
{
    observed_list *list = user;
    if (list->cli->json)
        list->code = print_json(shown_observation(o));
    else
        print_row(list, o);
    list->count++;
    return list->code || ferror(stdout);
}

static int list_all(cli_session *cli, const llmcache_filter *filter)
{
    llmcache_error err;
    observed_list list = {.cli = cli, .now_ms = entry_now_ms()};
    if (llmcache_observations(cli->cache, filter, show, &list, &err))
        return cli_fail(cli, &err);
    if (!cli->json && list.count == 0)
        fputs("No observations.\n", stderr);
    return list.code;
}

/* ---- Removing ------------------------------------------------------------------- */

static int remove_matching(cli_session *cli, const llmcache_filter *filter)
{
    llmcache_error err;
    uint64_t removed;
    if (llmcache_observations_purge(cli->cache, filter, &removed, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(json_pack("{s:I, s:b}", "removed", (json_int_t)removed,
                                    "dry_run", filter->dry_run));
    printf("%s %llu\n", filter->dry_run ? "would remove" : "removed",
           (unsigned long long)removed);
    return CLI_OK;
}

/* ---- Taking in ------------------------------------------------------------------ */

typedef struct import_run {
    cli_session *cli;
    const char *name; /* of the file */
    const char *space;
    size_t line, count;
} import_run;

static int import_row(import_run *run, const json_t *row)
{
    llmcache_error err;
    llmcache_observation observation;
    shown_features features;
    const char *wrong = shown_observation_read(row, run->space, &observation, &features);
    if (wrong)
        return cli_usage(run->cli, "%.80s, line %zu: %s", run->name, run->line, wrong);
    if (llmcache_observe(run->cli->cache, &observation, &err)) {
        char reason[LLMCACHE_MESSAGE_SIZE];
        snprintf(reason, sizeof reason, "%s", err.message);
        snprintf(err.message, sizeof err.message, "%.80s, line %zu: %.120s", run->name,
                 run->line, reason);
        return cli_fail(run->cli, &err);
    }
    run->count++;
    return CLI_OK;
}

static int import_line(import_run *run, const char *text, size_t size)
{
    json_error_t error;
    run->line++;
    if (!text[strspn(text, " \t\r\n")])
        return CLI_OK;
    json_t *row = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!row)
        return cli_usage(run->cli, "%.80s, line %zu: %.120s", run->name, run->line,
                         error.text);
    int code = import_row(run, row);
    json_decref(row);
    return code;
}

static int import_lines(import_run *run, FILE *file)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t size;
    int code = CLI_OK;
    while (code == CLI_OK && (size = getline(&text, &room, file)) >= 0)
        code = import_line(run, text, (size_t)size);
    if (code == CLI_OK && ferror(file)) {
        llmcache_error err = {.code = LLMCACHE_IO, .retry_after_ms = -1};
        snprintf(err.message, sizeof err.message, "%.150s could not be read", run->name);
        code = cli_fail(run->cli, &err);
    }
    free(text);
    return code;
}

static int import(cli_session *cli, const char *name)
{
    const char *space = cli_value(cli, "namespace");
    import_run run = {.cli = cli, .name = name, .space = space ? space : "default"};
    int from_input = strcmp(name, "-") == 0;
    FILE *file = from_input ? stdin : fopen(name, "r");
    if (!file)
        return cli_usage(cli, "%.150s: %s", name, strerror(errno));
    int code = import_lines(&run, file);
    if (!from_input)
        fclose(file);
    if (code)
        return code;
    if (cli->json)
        return print_json(json_pack("{s:I}", "imported", (json_int_t)run.count));
    printf("imported %zu\n", run.count);
    return CLI_OK;
}

/* ---- The command ---------------------------------------------------------------- */

/* What was judged, unless the flags say more; NULL when they contradict. */
static int read_which(cli_session *cli, llmcache_filter *filter)
{
    const char *verdict = cli_value(cli, "verdict");
    int all = cli_value(cli, "all") != NULL;
    int code = entry_filter(cli, filter);
    filter->dry_run = cli_value(cli, "dry-run") != NULL;
    filter->tag = all ? NULL : "judged";
    if (code || !verdict)
        return code;
    if (all)
        return cli_usage(cli, "--all and --verdict exclude each other");
    if (shown_verdict(verdict) < 0)
        return cli_usage(cli, "--verdict is right, wrong or unjudged, not \"%.60s\"",
                         verdict);
    filter->tag = verdict;
    return CLI_OK;
}

static int has_condition(const cli_session *cli, const llmcache_filter *filter)
{
    return filter->space || filter->id || filter->model || filter->contains ||
           filter->older_than_ms || filter->limit || cli_value(cli, "verdict") ||
           cli_value(cli, "all");
}

static int run(cli_session *cli)
{
    llmcache_filter filter;
    const char *file = cli_value(cli, "import");
    int removing = cli_value(cli, "remove") != NULL;
    int code = read_which(cli, &filter);
    if (!code && file && removing)
        code = cli_usage(cli, "--import and --remove exclude each other");
    if (!code && removing && !has_condition(cli, &filter))
        code = cli_usage(cli, "--remove needs a condition, or --all for everything");
    if (!code)
        code = cli_open(cli);
    if (code)
        return code;
    return file       ? import(cli, file)
           : removing ? remove_matching(cli, &filter)
                      : list_all(cli, &filter);
}

static const cli_flag flags[] = {
    {"all", NULL, "those that nobody judged too"},
    {"verdict", "WORD", "only right, wrong or unjudged"},
    {"namespace", "NAME", "only of this namespace; --import: where a line names none"},
    {"model", "NAME", "only of this model"},
    {"contains", "TEXT", "only where the question asked contains this"},
    {"id", "ID", "only this one, or by its first 6 or more digits"},
    {"older-than", "TIME", "only older than 30s, 15m, 12h, 7d"},
    {"limit", "N", "at most this many"},
    {"import", "FILE", "takes in JSON lines with a, b and label; - for standard input"},
    {"remove", NULL, "removes what matches"},
    {"dry-run", NULL, "with --remove: counts only"},
    {NULL, NULL, NULL},
};

const cli_command cmd_observations = {
    .name = "observations",
    .arguments = "",
    .summary = "Show, export, take in or remove what was learnt about pairs of questions",
    .detail = "With --json each line has a, b and label, as judge and tune read them, "
              "and what else is known.",
    .flags = flags,
    .run = run,
};

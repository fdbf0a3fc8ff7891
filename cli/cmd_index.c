/* llmcache-cli index: what can be found by meaning, and making it anew from the kept
 * answers. */
#include "cli_print.h"

#include <stdio.h>
#include <string.h>

/* Records of one embedding space. */
typedef struct space {
    char name[128];
    size_t dimension;
    uint64_t records;
} space;

enum { MAX_SPACES = 32 };

typedef struct index_census {
    uint64_t entries;
    uint64_t records;
    space spaces[MAX_SPACES]; /* the last one counts all that did not find a place */
    int space_count;
} index_census;

static int count_entry(void *user, const llmcache_entry *entry)
{
    index_census *census = user;
    (void)entry;
    census->entries++;
    return 0;
}

static int count_record(void *user, const llmcache_entry *entry)
{
    index_census *census = user;
    const char *name = entry->embedder ? entry->embedder : "";
    int i = 0;
    while (i < census->space_count && strncmp(census->spaces[i].name, name, 127) != 0)
        i++;
    if (i == MAX_SPACES)
        i--;
    if (i == census->space_count) {
        census->space_count++;
        snprintf(census->spaces[i].name, sizeof census->spaces[i].name, "%s", name);
        census->spaces[i].dimension = entry->dimension;
    }
    census->spaces[i].records++;
    census->records++;
    return 0;
}

static int print_census(const cli_session *cli, const index_census *census)
{
    if (!cli->json) {
        print_fact(cli, "embedder", "%s", cli_setting(cli, "embedder"));
        print_fact(cli, "index", "%s", cli_setting(cli, "index"));
        print_fact(cli, "entries", "%llu", (unsigned long long)census->entries);
        print_fact(cli, "records", "%llu", (unsigned long long)census->records);
        for (int i = 0; i < census->space_count; i++)
            print_fact(cli, "  of embedding space", "%s, %zu dimensions: %llu",
                       census->spaces[i].name, census->spaces[i].dimension,
                       (unsigned long long)census->spaces[i].records);
        return CLI_OK;
    }
    json_t *spaces = json_array();
    for (int i = 0; i < census->space_count; i++)
        json_array_append_new(
            spaces,
            json_pack("{s:o, s:I, s:I}", "space", shown_string(census->spaces[i].name),
                      "dimension", (json_int_t)census->spaces[i].dimension, "records",
                      (json_int_t)census->spaces[i].records));
    return print_json(json_pack("{s:I, s:I, s:o}", "entries", (json_int_t)census->entries,
                                "records", (json_int_t)census->records, "spaces",
                                spaces));
}

static int status(cli_session *cli)
{
    llmcache_error err;
    index_census census = {0};
    llmcache_filter filter = {.struct_size = sizeof filter, .records = 1};
    if (llmcache_each(cli->cache, &filter, count_entry, &census, &err))
        return cli_fail(cli, &err);
    filter.records = 2;
    if (llmcache_each(cli->cache, &filter, count_record, &census, &err))
        return cli_fail(cli, &err);
    return print_census(cli, &census);
}

static int rebuild(cli_session *cli)
{
    llmcache_error err;
    llmcache_rebuild_report report;
    if (llmcache_rebuild(cli->cache, &report, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:I}", "entries", (json_int_t)report.entries,
            "records", (json_int_t)report.records, "embedded",
            (json_int_t)report.embedded, "skipped", (json_int_t)report.skipped, "failed",
            (json_int_t)report.failed, "dropped", (json_int_t)report.dropped));
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {{"entries seen", report.entries},
                {"records seen", report.records},
                {"new records", report.embedded},
                {"not matched by meaning", report.skipped},
                {"failed", report.failed},
                {"of another embedder, removed", report.dropped}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        print_fact(cli, rows[i].name, "%llu", (unsigned long long)rows[i].count);
    return report.failed ? CLI_FAILED : CLI_OK;
}

static int run(cli_session *cli)
{
    const char *what = cli->argument_count ? cli->arguments[0] : "status";
    int is_rebuild = strcmp(what, "rebuild") == 0;
    if (!is_rebuild && strcmp(what, "status") != 0)
        return cli_usage(cli, "\"%.60s\" is neither status nor rebuild", what);
    int code = cli_open(cli);
    if (code)
        return code;
    return is_rebuild ? rebuild(cli) : status(cli);
}

const cli_command cmd_index = {
    .name = "index",
    .arguments = "[status|rebuild]",
    .summary = "Show what can be found by meaning, or make it anew from the kept answers",
    .detail = "rebuild embeds every kept question that has no record of the configured "
              "embedder, and\n"
              "removes the records of others. Exit code 1 when some could not be made.",
    .maximum = 1,
    .run = run,
};

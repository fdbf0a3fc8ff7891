/* llmcache-cli stats: counters, for people, as JSON or as Prometheus text. */
#include "cli_print.h"

#include <stdio.h>

static int count_one(void *user, const llmcache_entry *record)
{
    ++*(unsigned long long *)user;
    return 0;
}

/* In the store: this process has only just begun to load them into its index. */
static unsigned long long count_records(cli_session *cli)
{
    const llmcache_filter records = {.struct_size = sizeof records, .records = 2};
    unsigned long long count = 0;
    llmcache_each(cli->cache, &records, count_one, &count, NULL);
    return count;
}

static int print_prometheus(cli_session *cli)
{
    llmcache_error err;
    char *text;
    if (llmcache_metrics(cli->cache, LLMCACHE_PROMETHEUS, &text, &err))
        return cli_fail(cli, &err);
    fputs(text, stdout);
    llmcache_free(text);
    return CLI_OK;
}

static int print_stats(cli_session *cli)
{
    llmcache_error err;
    char *text;
    if (llmcache_metrics(cli->cache, LLMCACHE_JSON, &text, &err))
        return cli_fail(cli, &err);
    json_t *stats = json_loads(text, JSON_ALLOW_NUL, NULL);
    llmcache_free(text);
    json_object_set_new(stats, "records", json_integer((json_int_t)count_records(cli)));
    return print_json(stats);
}

static void print_bytes(const cli_session *cli, const char *name, uint64_t bytes)
{
    if (bytes < 1024 * 1024)
        print_fact(cli, name, "%.1f KiB", (double)bytes / 1024);
    else
        print_fact(cli, name, "%.1f MiB", (double)bytes / (1024 * 1024));
}

static void print_counts(const cli_session *cli, const llmcache_counters *c)
{
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {{"questions", c->requests},
                {"exact hits", c->hits_exact},
                {"semantic hits", c->hits_semantic},
                {"shared with another caller", c->hits_shared},
                {"stale answers served", c->hits_stale},
                {"model asked", c->misses},
                {"errors", c->errors},
                {"answers kept", c->stored},
                {"answers not kept", c->not_stored},
                {"passed on uncached", c->bypassed},
                {"candidates refused", c->rejected},
                {"store errors", c->store_errors},
                {"embedder errors", c->embed_errors},
                {"tokens saved, input", c->tokens_saved_input},
                {"tokens saved, output", c->tokens_saved_output}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        print_fact(cli, rows[i].name, "%llu", (unsigned long long)rows[i].count);
}

/* One field that keeps most repeats from being hits is worth a line. */
static void print_note(cli_session *cli)
{
    const llmcache_filter some = {.struct_size = sizeof some, .limit = 20000};
    llmcache_error err;
    char *json;
    if (llmcache_lint(cli->cache, &some, &json, &err))
        return;
    json_t *lint = json_loads(json, JSON_ALLOW_NUL, NULL);
    llmcache_free(json);
    const json_t *worst = json_array_get(json_object_get(lint, "fields"), 0);
    const char *says = json_string_value(json_object_get(worst, "says"));
    if (says && json_number_value(json_object_get(worst, "share")) >= 0.5 &&
        json_integer_value(json_object_get(worst, "prevented")) >= 10) {
        printf("note: ");
        print_text(stdout, says);
        printf(" (llmcache-cli lint-traffic)\n");
    }
    json_decref(lint);
}

static int run(cli_session *cli)
{
    llmcache_counters c;
    char saved[PRINT_SPAN_SIZE];
    int code = cli_open(cli);
    if (code)
        return code;
    if (cli_value(cli, "prometheus"))
        return print_prometheus(cli);
    if (cli->json)
        return print_stats(cli);

    llmcache_stats(cli->cache, &c, sizeof c);
    print_fact(cli, "store", "%s", cli_setting(cli, "store"));
    print_fact(cli, "entries", "%llu", (unsigned long long)c.entries);
    print_fact(cli, "searchable by meaning", "%llu", count_records(cli));
    print_bytes(cli, "memory cache", c.memory_bytes);
    if (c.requests)
        print_counts(cli, &c);
    if (c.saved_ms)
        print_fact(cli, "model time saved", "%s", print_span((int64_t)c.saved_ms, saved));
    print_note(cli);
    return CLI_OK;
}

static const cli_flag flags[] = {
    {"prometheus", NULL, "the text that Prometheus reads"},
    {NULL, NULL, NULL},
};

const cli_command cmd_stats = {
    .name = "stats",
    .arguments = "",
    .summary = "Show what the store holds",
    .detail = "Hits and misses are counted by the process that answers: ask a running "
              "llmcache-server for\n"
              "its own at /metrics and /metrics/json.",
    .flags = flags,
    .run = run,
};

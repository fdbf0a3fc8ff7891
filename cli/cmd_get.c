/* llmcache-cli get: one entry, whole. */
#include "cli_entry.h"
#include "cli_print.h"

#include <stdio.h>

static void show_facts(const cli_session *cli, const llmcache_entry *entry)
{
    char time[PRINT_SPAN_SIZE];
    print_fact(cli, "id", "%s", entry->id);
    print_fact(cli, "namespace", "%s", entry->space ? entry->space : "");
    print_fact(cli, "model", "%s", entry->model ? entry->model : "");
    print_fact(cli, "protocol", "%s", entry->protocol ? entry->protocol : "");
    print_fact(cli, "created", "%s", print_time(entry->created_ms, time));
    print_fact(cli, "expires", "%s", print_time(entry->expires_ms, time));
    print_fact(cli, "model took", "%s", print_span(entry->model_ms, time));
    print_fact(cli, "tokens", "%lld in, %lld out", (long long)entry->input_tokens,
               (long long)entry->output_tokens);
    if (entry->tags && *entry->tags)
        print_fact(cli, "tags", "%s", entry->tags);
}

static void show_section(const cli_session *cli, const char *name, const char *text)
{
    printf("\n%s%s%s\n", print_start(cli, PRINT_BOLD), name, print_end(cli));
    print_text(stdout, text ? text : "");
    putchar('\n');
}

typedef struct showing {
    const cli_session *cli;
    int code; /* of the printing: llmcache_get does not pass it on */
} showing;

static int show(void *user, const llmcache_entry *entry)
{
    showing *s = user;
    const cli_session *cli = s->cli;
    if (cli->json)
        return s->code = print_json(shown_entry(entry, entry_now_ms(), 1));
    json_t *answer = shown_answer(entry);
    show_facts(cli, entry);
    show_section(cli, "Question", entry->question);
    show_section(cli, "Answer", json_string_value(answer));
    json_decref(answer);
    return 0;
}

static int run(cli_session *cli)
{
    llmcache_error err;
    showing s = {.cli = cli};
    int code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_get(cli->cache, cli->arguments[0], show, &s, &err))
        return cli_fail(cli, &err);
    return s.code;
}

const cli_command cmd_get = {
    .name = "get",
    .arguments = "ID",
    .summary = "Show one kept answer; its id, or the first 6 or more digits of it",
    .minimum = 1,
    .maximum = 1,
    .run = run,
};

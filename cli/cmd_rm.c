/* llmcache-cli rm: removes entries by id. Each id must name exactly one. */
#include "cli_print.h"

#include <stdio.h>

typedef struct found_id {
    char id[LLMCACHE_ID_SIZE];
} found_id;

static int keep_id(void *user, const llmcache_entry *entry)
{
    found_id *found = user;
    snprintf(found->id, sizeof found->id, "%s", entry->id);
    return 0;
}

static int remove_one(cli_session *cli, const char *id)
{
    llmcache_error err;
    found_id found = {""};
    uint64_t removed;
    if (llmcache_get(cli->cache, id, keep_id, &found, &err))
        return cli_fail(cli, &err);
    llmcache_filter filter = {.struct_size = sizeof filter, .id = found.id};
    if (llmcache_purge(cli->cache, &filter, &removed, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(
            json_pack("{s:s, s:I}", "id", found.id, "removed", (json_int_t)removed));
    printf("removed %s\n", found.id);
    return CLI_OK;
}

/* Goes on after an id that is not there; the first failure is the exit code. */
static int run(cli_session *cli)
{
    int code = cli_open(cli), first = code;
    for (int i = 0; !code && i < cli->argument_count; i++) {
        int one = remove_one(cli, cli->arguments[i]);
        if (!first)
            first = one;
    }
    return first;
}

const cli_command cmd_rm = {
    .name = "rm",
    .arguments = "ID...",
    .summary = "Remove kept answers by id",
    .minimum = 1,
    .maximum = -1,
    .run = run,
};

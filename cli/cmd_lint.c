/* llmcache-cli lint-traffic: names the fields of requests that change all the time and so prevent hits. */
#include "cli_entry.h"
#include "cli_print.h"

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static void print_field(const cli_session *cli, const json_t *field)
{
    const json_t *example = json_object_get(field, "example");
    const char *first = json_string_value(json_array_get(example, 0));
    const char *second = json_string_value(json_array_get(example, 1));
    printf("\n%s%3.0f %%%s  ", print_start(cli, PRINT_BOLD),
           100 * json_number_value(json_object_get(field, "share")), print_end(cli));
    print_text(stdout, text_of(field, "says"));
    printf("\n       %lld values in %lld entries", number_of(field, "values"),
           number_of(field, "entries"));
    if (first && second && *second)
        printf(", for example %s and %s", first, second);
    printf("\n       %s\n", text_of(field, "advice"));
}

static void print_lint(const cli_session *cli, const json_t *lint)
{
    size_t i;
    json_t *field;
    print_text(stdout, text_of(lint, "summary"));
    putchar('\n');
    json_array_foreach(json_object_get(lint, "fields"), i, field)
        print_field(cli, field);
    if (!json_is_true(json_object_get(lint, "complete")))
        fprintf(stderr, "Not all of the store was looked at: these are figures of a part of it.\n");
}

static int run(cli_session *cli)
{
    llmcache_error err;
    llmcache_filter filter;
    char *json;
    int code = entry_filter(cli, &filter);
    if (!code)
        code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_lint(cli->cache, &filter, &json, &err))
        return cli_fail(cli, &err);
    json_t *lint = json_loads(json, JSON_ALLOW_NUL, NULL);
    llmcache_free(json);
    if (!lint)
        return cli_usage(cli, "the findings could not be read");
    if (cli->json)
        return print_json(lint);
    print_lint(cli, lint);
    json_decref(lint);
    return CLI_OK;
}

static const cli_flag flags[] = {
    ENTRY_FILTER_FLAGS,
    {NULL, NULL, NULL},
};

const cli_command cmd_lint = {
    .name = "lint-traffic",
    .arguments = "",
    .summary = "Name the fields of requests that change all the time and so prevent hits",
    .detail = "Looks at the kept answers: which of their requests are alike but for a date in the system\n"
              "prompt, a random seed, an id, the order of the tools? Says how often, and what to do.",
    .flags = flags,
    .run = run,
};

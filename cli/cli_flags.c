/*
 * The command line. A flag is `--name value` or `--name=value`; `--` ends the flags;
 * flags and arguments may come in any order. A name is looked up first among the
 * command's own flags, then among the settings, so that every setting is a flag without a
 * second list of them.
 */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags that every command has. */
static const cli_flag common[] = {
    {"json", NULL, "one JSON document, or one a line for lists"},
    {"help", NULL, "show help"},
    {"version", NULL, "show the version"},
    {NULL, NULL, NULL},
};

static const cli_flag *find_flag(const cli_flag *flags, const char *name, size_t size)
{
    for (; flags && flags->name; flags++)
        if (strlen(flags->name) == size && memcmp(flags->name, name, size) == 0)
            return flags;
    return NULL;
}

/* Is it a setting? *is_switch: one that may stand without a value. */
static int is_setting(const cli_session *cli, const char *name, size_t size,
                      int *is_switch)
{
    llmcache_setting row;
    for (size_t i = 0; llmcache_options_get(cli->options, i, &row) == 0; i++)
        if (strlen(row.name) == size && memcmp(row.name, name, size) == 0) {
            *is_switch = strcmp(row.type, "switch") == 0;
            return 1;
        }
    return 0;
}

static int keep_flag(cli_session *cli, const cli_flag *flag, const char *value)
{
    if (cli->flag_count == CLI_MAX_FLAGS)
        return cli_usage(cli, "too many flags");
    cli->flags[cli->flag_count++] = (cli_given){flag->name, value};
    cli->json |= strcmp(flag->name, "json") == 0;
    return CLI_OK;
}

static int keep_setting(cli_session *cli, const char *name, size_t size,
                        const char *value)
{
    llmcache_error err;
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)size, name);
    return llmcache_options_set(cli->options, key, value, &err) ? cli_fail(cli, &err)
                                                                : CLI_OK;
}

/* Reads the flag at argv[*at] and moves *at past its value. */
static int read_flag(cli_session *cli, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t size = strcspn(name, "=");
    const char *value = name[size] == '=' ? name + size + 1 : NULL;
    const cli_flag *flag = find_flag(common, name, size);
    if (!flag && cli->command)
        flag = find_flag(cli->command->flags, name, size);
    int bare = flag && !flag->value, is_switch = 0;

    if (bare && value)
        return cli_usage(cli, "--%s takes no value", flag->name);
    if (!flag && !is_setting(cli, name, size, &is_switch))
        return cli_usage(cli, "there is no flag --%.*s", (int)size, name);
    if (!value && is_switch)
        value = "yes";
    if (!value && !bare) {
        if (*at + 1 >= argc)
            return cli_usage(cli, "--%.*s needs a value", (int)size, name);
        value = argv[++*at];
    }
    return flag ? keep_flag(cli, flag, bare ? "" : value)
                : keep_setting(cli, name, size, value);
}

static const cli_command *find_command(const cli_command *const *commands, int count,
                                       const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* The command comes first, or after settings: the first word that is neither a flag nor
 * its value. */
static int find_command_word(const cli_session *cli, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0)
            continue;
        if (strncmp(argv[i], "--", 2) != 0)
            return i;
        if (!argv[i][2])
            return argc;
        size_t size = strcspn(argv[i] + 2, "=");
        int is_switch = 0;
        if (!argv[i][2 + size] && is_setting(cli, argv[i] + 2, size, &is_switch) &&
            !is_switch)
            i++;
    }
    return argc;
}

static int check_count(const cli_session *cli)
{
    const cli_command *command = cli->command;
    if (cli->argument_count < command->minimum)
        return cli_usage(cli, "%s needs %s", command->name, command->arguments);
    if (command->maximum >= 0 && cli->argument_count > command->maximum)
        return cli_usage(cli, "%s takes no \"%.60s\"", command->name,
                         cli->arguments[command->maximum]);
    return CLI_OK;
}

int cli_read(cli_session *cli, const cli_command *const *commands, int count, int argc,
             char **argv)
{
    int word = find_command_word(cli, argc, argv), only_arguments = 0, code = CLI_OK;
    if (word < argc) {
        cli->command = find_command(commands, count, argv[word]);
        if (!cli->command)
            return cli_usage(cli, "there is no command \"%.60s\"", argv[word]);
    }
    cli->arguments = argv; /* arguments are moved to its front, over what was read */
    for (int i = 1; i < argc && code == CLI_OK; i++) {
        if (i == word)
            continue;
        if (!only_arguments && strcmp(argv[i], "--") == 0)
            only_arguments = 1;
        else if (!only_arguments && strcmp(argv[i], "-h") == 0)
            code = keep_flag(cli, &common[1], "");
        else if (!only_arguments && strncmp(argv[i], "--", 2) == 0)
            code = read_flag(cli, argc, argv, &i);
        else
            cli->arguments[cli->argument_count++] = argv[i];
    }
    if (code == CLI_OK && cli->command && !cli_value(cli, "help") &&
        !cli_value(cli, "version"))
        code = check_count(cli);
    return code;
}

/* ---- Looking values up ---------------------------------------------------------- */

const char *cli_value(const cli_session *cli, const char *name)
{
    for (int i = cli->flag_count - 1; i >= 0; i--)
        if (strcmp(cli->flags[i].name, name) == 0)
            return cli->flags[i].value;
    return NULL;
}

int cli_duration(const cli_session *cli, const char *name, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                 {"h", 3600000}, {"d", 86400000}, {"", 1000}};
    const char *text = cli_value(cli, name);
    char *end;
    if (!text)
        return CLI_OK;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (end != text && strcmp(end, units[i].unit) == 0 && !errno && number >= 0 &&
            number <= INT64_MAX / units[i].ms) {
            *ms = number * units[i].ms;
            return CLI_OK;
        }
    return cli_usage(cli, "--%s: \"%.60s\" is not a duration such as 30s, 15m, 12h, 7d",
                     name, text);
}

int cli_number(const cli_session *cli, const char *name, int64_t low, int64_t *number)
{
    const char *text = cli_value(cli, name);
    char *end;
    if (!text)
        return CLI_OK;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < low)
        return cli_usage(cli, "--%s: \"%.60s\" is not a whole number from %lld", name,
                         text, (long long)low);
    *number = value;
    return CLI_OK;
}

int cli_share(const cli_session *cli, const char *name, double *share)
{
    const char *text = cli_value(cli, name);
    char *end;
    if (!text)
        return CLI_OK;
    double value = strtod(text, &end);
    if (end != text && *end == '%') {
        value /= 100;
        end++;
    }
    if (end == text || *end || !(value > 0 && value < 1))
        return cli_usage(cli, "--%s takes a share such as 5%% or 0.05, not \"%.40s\"", name, text);
    *share = value;
    return CLI_OK;
}

const char *cli_setting(const cli_session *cli, const char *name)
{
    llmcache_setting row;
    for (size_t i = 0; llmcache_options_get(cli->options, i, &row) == 0; i++)
        if (strcmp(row.name, name) == 0)
            return row.value;
    return "";
}

/*
 * llmcache-cli: asks through the cache and manages it from a shell.
 *
 * Data goes to standard output, everything else to standard error; the exit code says how
 * it ended. Reading the command line decides everything: a command then runs once, with
 * one cache that it opens itself, so that --help works with no configuration at all.
 */
#include "cli.h"
#include "cli_live.h"
#include "cli_print.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run_help(cli_session *cli);

static const cli_command cmd_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "Show help",
    .maximum = 1,
    .run = run_help,
};

/* ---- Help ----------------------------------------------------------------------- */

static const cli_command *const commands[] = {
    &cmd_ask,   &cmd_explain,  &cmd_ls,       &cmd_get,    &cmd_rm,
    &cmd_purge, &cmd_lint, &cmd_wrong, &cmd_right, &cmd_feedback, &cmd_observations, &cmd_policy,
    &cmd_judge, &cmd_tune, &cmd_stats,    &cmd_health, &cmd_index,
    &cmd_model, &cmd_embed, &cmd_similarity, &cmd_score, &cmd_doctor,   &cmd_settings, &cmd_help};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_settings_help(void)
{
    llmcache_setting row;
    printf("\nSettings, each also a variable of the environment or of .env (--store is "
           "LLMCACHE_STORE):\n");
    for (size_t i = 0; llmcache_options_get(NULL, i, &row) == 0; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", row.name, row.type);
        printf("  %-34s %s%s%s%s\n", left, row.help, *row.default_value ? " [" : "",
               row.default_value, *row.default_value ? "]" : "");
    }
}

static void print_help(void)
{
    printf("llmcache-cli %s: ask a language model through its cache, and manage the "
           "cache.\n\n"
           "Usage: llmcache-cli COMMAND [FLAGS] [ARGUMENTS]\n\nCommands:\n",
           llmcache_version());
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", commands[i]->name, commands[i]->arguments);
        printf("  %-24s %s\n", left, commands[i]->summary);
    }
    printf(
        "\nFlags of every command:\n"
        "  --json                   one JSON document, or one a line for lists\n"
        "  --help, --version\n"
        "\nExit codes:\n"
        "  0  done\n"
        "  1  it failed: store, disk, memory, output; doctor: something needs mending\n"
        "  2  a bad command line, setting or question; no provider configured\n"
        "  3  no such entry; with --only-cached: the answer is not cached\n"
        "  4  the model's service answered with an error or could not be reached\n"
        "  5  tune: the bound on wrong answers cannot be met with these labels, or they are too few\n");
    print_settings_help();
}

static void print_command_help(const cli_command *command)
{
    printf("Usage: llmcache-cli %s [FLAGS] %s\n\n%s.\n", command->name,
           command->arguments, command->summary);
    if (command->detail)
        printf("\n%s\n", command->detail);
    if (command->flags)
        printf("\nFlags:\n");
    for (const cli_flag *flag = command->flags; flag && flag->name; flag++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", flag->name,
                 flag->value ? flag->value : "");
        printf("  %-24s %s\n", left, flag->help);
    }
    printf("\nEvery setting is a flag too; llmcache-cli --help lists them.\n");
}

static const cli_command *command_named(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int run_help(cli_session *cli)
{
    const cli_command *command = NULL;
    if (cli->argument_count) {
        command = command_named(cli->arguments[0]);
        if (!command)
            return cli_usage(cli, "there is no command \"%.60s\"", cli->arguments[0]);
        print_command_help(command);
    } else {
        print_help();
    }
    return CLI_OK;
}

/* ---- Failing -------------------------------------------------------------------- */

static int exit_of(int code)
{
    switch (code) {
    case LLMCACHE_OK:
        return CLI_OK;
    case LLMCACHE_INVALID:
    case LLMCACHE_SETTING:
    case LLMCACHE_NO_PROVIDER:
    case LLMCACHE_TOO_LARGE:
        return CLI_USAGE;
    case LLMCACHE_NOT_FOUND:
        return CLI_NOT_FOUND;
    case LLMCACHE_UPSTREAM:
    case LLMCACHE_NETWORK:
    case LLMCACHE_TIMEOUT:
        return CLI_UPSTREAM;
    default:
        return CLI_FAILED;
    }
}

int cli_fail(const cli_session *cli, const llmcache_error *err)
{
    if (cli->json)
        print_error_json(err);
    else
        fprintf(stderr, "llmcache-cli: %s\n", err->message);
    return exit_of(err->code);
}

int cli_usage(const cli_session *cli, const char *format, ...)
{
    llmcache_error err = {.code = LLMCACHE_INVALID, .retry_after_ms = -1};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err.message, sizeof err.message, format, arguments);
    va_end(arguments);
    cli_fail(cli, &err);
    if (!cli->json)
        fprintf(stderr, "Try: llmcache-cli help%s%s\n", cli->command ? " " : "",
                cli->command ? cli->command->name : "");
    return CLI_USAGE;
}

int cli_open(cli_session *cli)
{
    llmcache_error err;
    return llmcache_open(cli->options, &cli->cache, &err) ? cli_fail(cli, &err) : CLI_OK;
}

/* ---- Running -------------------------------------------------------------------- */

static int wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return 1;
    return argc < 2;
}

static int run(cli_session *cli)
{
    if (cli_value(cli, "version")) {
        printf("llmcache-cli %s\n", llmcache_version());
        return CLI_OK;
    }
    if (cli_value(cli, "help") || !cli->command) {
        if (cli->command)
            print_command_help(cli->command);
        else
            print_help();
        return cli_value(cli, "help") ? CLI_OK : CLI_USAGE;
    }
    return cli->command->run(cli);
}

/* A reader that left (head, less) is no failure of ours; a full disk is. */
static int finish_output(int code, int error)
{
    if (!error && (fflush(stdout) != 0 || ferror(stdout)))
        error = errno;
    if (!error || error == EPIPE)
        return code;
    fprintf(stderr, "llmcache-cli: writing the output failed: %s\n", strerror(error));
    return CLI_FAILED;
}

int main(int argc, char **argv)
{
    llmcache_error err;
    cli_session cli = {0};

    signal(SIGPIPE, SIG_IGN);
    print_look(&cli);
    int asked = wants_help(argc, argv);
    if ((asked ? llmcache_options_new_bare : llmcache_options_new)(&cli.options, &err))
        return cli_fail(&cli, &err);

    int code = cli_read(&cli, commands, COMMAND_COUNT, argc, argv);
    if (code == CLI_OK)
        code = run(&cli);
    llmcache_close(cli.cache);
    llmcache_options_free(cli.options);
    live_end_interrupted();
    return finish_output(code, cli.output_error);
}

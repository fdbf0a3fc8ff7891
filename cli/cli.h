/*
 * llmcache-cli: what its files share. One cmd_*.c holds one command; llmcache_cli.c holds
 * the table of them, cli_flags.c reads the command line, cli_print.c writes for people,
 * cli_entry.c shows entries.
 *
 * Everything goes through <llmcache/llmcache.h>: what this program can do, any program
 * can.
 */
#ifndef CLI_H
#define CLI_H

#include <llmcache/llmcache.h>

#include <stddef.h>
#include <stdint.h>

/* Exit codes, as --help and docs/cli.md say. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* the operation failed: store, disk, memory, output */
    CLI_USAGE = 2,  /* a bad command line, setting or question; no provider configured */
    CLI_NOT_FOUND = 3, /* no such entry; with --only-cached: not cached */
    CLI_UPSTREAM =
        4, /* the model's service answered with an error or could not be reached */
    CLI_UNMET = 5 /* tune: the bound cannot be met with these labels */
};

/* One flag of a command. Settings are flags of every command and need no row. */
typedef struct cli_flag {
    const char *name;  /* without its dashes */
    const char *value; /* how --help calls the value, NULL for a switch */
    const char *help;
} cli_flag;

typedef struct cli_session cli_session;

typedef struct cli_command {
    const char *name;
    const char *arguments; /* as shown by --help: "ID..." */
    const char *summary;   /* one line */
    const char *detail;    /* paragraphs for the command's own --help, NULL for none */
    const cli_flag *flags; /* ends with a row of NULL, NULL for none */
    int minimum, maximum;  /* number of arguments; maximum -1: any */
    int (*run)(cli_session *cli); /* returns a cli_exit */
} cli_command;

typedef struct cli_given {
    const char *name;
    const char *value; /* "" for a switch */
} cli_given;

enum { CLI_MAX_FLAGS = 64 };

/* One run of the program. Strings are borrowed from argv. */
struct cli_session {
    const cli_command *command;
    llmcache_options *options;
    llmcache *cache; /* opened by cli_open */
    cli_given flags[CLI_MAX_FLAGS];
    int flag_count;
    char **arguments; /* what is neither flag nor command */
    int argument_count;
    int json;   /* --json */
    int colour; /* standard output is a terminal that shows colour */
    int width;  /* columns of the terminal, 0 when standard output is not one */
    int output_error; /* errno of the first write that failed, 0: none did yet */
};

/* ---- cli_flags.c ---------------------------------------------------------------- */

/*
 * Reads the command line into *cli: the command, its flags, the arguments. Settings go to
 * cli->options. Returns CLI_OK or CLI_USAGE (after saying why). cli->command stays NULL
 * when none is named.
 */
int cli_read(cli_session *cli, const cli_command *const *commands, int count, int argc,
             char **argv);

/* The value of one of the command's flags ("" for a switch), NULL when it was not given.
 */
const char *cli_value(const cli_session *cli, const char *name);

/* The same read as a duration (7d, 12h, 30m, 45s, 100ms) or a whole number; absent leaves
 * *out. */
int cli_duration(const cli_session *cli, const char *name, int64_t *ms);
int cli_number(const cli_session *cli, const char *name, int64_t low, int64_t *number);

/* The same read as a share of the whole, above 0 and below 1: 5% or 0.05. */
int cli_share(const cli_session *cli, const char *name, double *share);

/* The value in force of a setting, "" when there is none. */
const char *cli_setting(const cli_session *cli, const char *name);

/* ---- llmcache_cli.c ------------------------------------------------------------- */

/* Opens cli->cache. CLI_OK, or an exit code after saying why. */
int cli_open(cli_session *cli);

/* Says on standard error what failed (one JSON object with --json) and returns its exit
 * code. */
int cli_fail(const cli_session *cli, const llmcache_error *err);

/* A mistake on the command line: says it, points to --help, returns CLI_USAGE. */
int cli_usage(const cli_session *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- The commands, one file each ------------------------------------------------ */

extern const cli_command cmd_ask, cmd_explain, cmd_stats, cmd_health, cmd_ls, cmd_get,
    cmd_rm, cmd_purge, cmd_lint, cmd_wrong, cmd_right, cmd_feedback, cmd_observations, cmd_policy, cmd_judge, cmd_tune,
    cmd_index, cmd_model, cmd_doctor, cmd_settings, cmd_embed,
    cmd_similarity, cmd_score;

#endif

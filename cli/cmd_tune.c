/* llmcache-cli tune: thresholds, and the score's numbers, chosen by labelled pairs. */
#include "cli_pairs.h"
#include "cli_print.h"
#include "cli_progress.h"
#include "env_file.h"
#include "tune_show.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 8 };

static int show_progress(void *user, size_t done, size_t total)
{
    return cli_progress_show(user, "judging", done, total, 0);
}

/* llmcache_tune's object; a new reference. */
static int tune(cli_session *cli, const cli_pairs *pairs, llmcache_tune_options *options, json_t **report)
{
    llmcache_error err;
    cli_progress line = {0};
    char *text;
    int code = cli_open(cli);
    if (code)
        return code;
    options->progress = show_progress;
    options->user = &line;
    code = llmcache_tune(cli->cache, pairs->pairs, pairs->count, options, &text, &err);
    cli_progress_end(&line);
    if (code)
        return cli_fail(cli, &err);
    *report = json_loads(text, 0, NULL);
    llmcache_free(text);
    return *report ? CLI_OK : cli_usage(cli, "out of memory");
}

static int failed_to_write(const cli_session *cli, const char *path)
{
    llmcache_error err = {.code = LLMCACHE_IO, .retry_after_ms = -1};
    snprintf(err.message, sizeof err.message, "%.100s could not be written: %s", path, strerror(errno));
    return cli_fail(cli, &err);
}

/* ---- Writing -------------------------------------------------------------------- */

/* The file of score weights: --weights, or score-weights.json beside the file of settings. */
static void weights_path(const cli_session *cli, char path[PATH_MAX])
{
    const char *named = cli_value(cli, "weights"), *env = cli_value(cli, "write");
    const char *slash = env ? strrchr(env, '/') : NULL;
    if (named)
        snprintf(path, PATH_MAX, "%s", named);
    else
        snprintf(path, PATH_MAX, "%.*sscore-weights.json", slash ? (int)(slash + 1 - env) : 0, env ? env : "");
}

static int write_weights(const cli_session *cli, const json_t *report, const char *path)
{
    char *text = json_dumps(json_object_get(report, "score_weights"), JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    int code = text ? env_file_replace(path, text, (unsigned)strlen(text)) : -1;
    free(text);
    return code ? failed_to_write(cli, path) : CLI_OK;
}

/* What is to stand in the environment; `weights` "" without a file of them. */
static int lines_of(const json_t *report, const char *weights, env_line lines[MAX_LINES])
{
    const char *setting;
    json_t *value;
    int count = 0;
    json_object_foreach(json_object_get(report, "settings"), setting, value)
    {
        env_name(setting, lines[count].name);
        snprintf(lines[count++].value, sizeof lines->value, "%s", json_string_value(value));
    }
    if (*weights) {
        env_name("score-weights", lines[count].name);
        snprintf(lines[count++].value, sizeof lines->value, "%s", weights);
    }
    return count;
}

/* Prints what to write, or writes it where that was asked for. */
static int settle(const cli_session *cli, json_t *report)
{
    char path[PATH_MAX] = "", whole[PATH_MAX];
    env_line lines[MAX_LINES];
    const char *env = cli_value(cli, "write");
    int fitted = json_is_object(json_object_get(report, "score_weights"));
    int writes_weights = fitted && (env || cli_value(cli, "weights")), code = CLI_OK;
    if (fitted)
        weights_path(cli, path);
    if (writes_weights && (code = write_weights(cli, report, path)) != CLI_OK)
        return code;
    if (writes_weights && realpath(path, whole) && strlen(whole) < sizeof lines->value)
        snprintf(path, sizeof path, "%s", whole);
    int count = lines_of(report, path, lines);
    if (count && env && env_file_set(env, lines, count))
        return failed_to_write(cli, env);
    json_object_set_new(report, "written", env && count ? shown_string(env) : json_null());
    if (cli->json || !count)
        return CLI_OK;
    printf("\n%s%s:\n", env ? "Written to " : "To be set, in .env say (--write .env does it)",
           env ? env : "");
    for (int i = 0; i < count; i++)
        printf("%s=%s\n", lines[i].name, lines[i].value);
    if (fitted && !writes_weights)
        printf("(--weights FILE writes the fitted numbers)\n");
    return CLI_OK;
}

static int draw(const cli_session *cli, const json_t *report)
{
    const char *path = cli_value(cli, "svg");
    FILE *to = path ? fopen(path, "we") : NULL;
    if (!path)
        return CLI_OK;
    int failed = !to || tune_svg(report, to);
    if (to && fclose(to))
        failed = 1;
    return failed ? failed_to_write(cli, path) : CLI_OK;
}

/* ---- The command ---------------------------------------------------------------- */

static int finish(const cli_session *cli, json_t *report)
{
    if (!cli->json)
        tune_print(cli, report);
    int code = draw(cli, report);
    if (!code)
        code = settle(cli, report);
    int met = json_is_true(json_object_get(report, "met"));
    if (cli->json && !code)
        code = print_json(json_incref(report));
    return code ? code : met ? CLI_OK : CLI_UNMET;
}

static int run(cli_session *cli)
{
    cli_pairs pairs;
    json_t *report = NULL;
    int64_t seed = 0;
    llmcache_tune_options options = {.struct_size = sizeof options,
                                     .max_wrong = 0.01,
                                     .confidence = 0.95,
                                     .refit = cli_value(cli, "refit") != NULL};
    int code = cli_share(cli, "max-wrong", &options.max_wrong);
    if (!code)
        code = cli_share(cli, "confidence", &options.confidence);
    if (!code)
        code = cli_number(cli, "seed", 0, &seed);
    if (code)
        return code;
    options.seed = (uint64_t)seed;
    code = cli_pairs_read(cli, &pairs);
    if (!code)
        code = tune(cli, &pairs, &options, &report);
    if (!code)
        code = finish(cli, report);
    json_decref(report);
    cli_pairs_done(&pairs);
    return code;
}

static const cli_flag flags[] = {
    {"max-wrong", "SHARE", "greatest share of wrong answers among hits [1%]"},
    {"confidence", "SHARE", "how sure that must be [95%]"},
    {"refit", NULL, "fit the score's numbers to the labels too"},
    {"seed", "N", "another split of the pairs [0]"},
    {"svg", "FILE", "draw the curve"},
    {"write", "FILE", "set what was found in this file of settings (.env)"},
    {"weights", "FILE", "with --refit: where the fitted numbers go"},
    {NULL, NULL, NULL},
};

const cli_command cmd_tune = {
    .name = "tune",
    .arguments = "FILE...",
    .summary = "Choose the threshold by labelled pairs, with a bound on wrong answers",
    .detail =
        "FILE is as for judge. One half of the pairs chooses the lowest threshold whose share of wrong "
        "hits is\n"
        "bounded, the other half confirms it. Without --write nothing is changed. Exit code 5: the "
        "bound could\n"
        "not be met with these labels; what is missing is said.",
    .flags = flags,
    .minimum = 1,
    .maximum = -1,
    .run = run,
};

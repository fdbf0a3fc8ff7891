/* llmcache-cli tune: thresholds, and the score's numbers, chosen by labelled pairs. */
#include "cli_pairs.h"
#include "cli_print.h"
#include "cli_progress.h"
#include "tune_settle.h"
#include "tune_show.h"

#include <llmcache/observe.h>
#include <llmcache/tune.h>
#include <stdlib.h>
#include <string.h>

static int show_progress(void *user, size_t done, size_t total)
{
    return cli_progress_show(user, "judging", done, total, 0);
}

/* The library's object; a new reference. `pairs` NULL: by what the store has observed. */
static int tune(cli_session *cli, const cli_pairs *pairs, llmcache_tune_options *options, json_t **report)
{
    llmcache_filter filter = {.struct_size = sizeof filter, .space = cli_value(cli, "namespace")};
    llmcache_error err;
    cli_progress line = {0};
    char *text;
    int code = cli_open(cli);
    if (code)
        return code;
    options->progress = show_progress;
    options->user = &line;
    code = pairs ? llmcache_tune(cli->cache, pairs->pairs, pairs->count, options, &text, &err)
                 : llmcache_tune_observations(cli->cache, &filter, options, &text, &err);
    cli_progress_end(&line);
    if (code)
        return cli_fail(cli, &err);
    *report = json_loads(text, 0, NULL);
    llmcache_free(text);
    return *report ? CLI_OK : cli_usage(cli, "out of memory");
}

/* ---- Writing -------------------------------------------------------------------- */

static int draw(const cli_session *cli, const json_t *report)
{
    const char *path = cli_value(cli, "svg");
    FILE *to = path ? fopen(path, "we") : NULL;
    if (!path)
        return CLI_OK;
    int failed = !to || tune_svg(report, to);
    if (to && fclose(to))
        failed = 1;
    return failed ? tune_failed_to_write(cli, path) : CLI_OK;
}

/* ---- The command ---------------------------------------------------------------- */

static int finish(const cli_session *cli, json_t *report)
{
    if (!cli->json)
        tune_print(cli, report);
    int code = draw(cli, report);
    if (!code)
        code = tune_settle(cli, report);
    int met = json_is_true(json_object_get(report, "met")) ||
              json_is_string(json_object_get(report, "applied"));
    if (cli->json && !code)
        code = print_json(json_incref(report));
    return code ? code : met ? CLI_OK : CLI_UNMET;
}

/* "feedback,judge" as bits. */
static int read_observers(const cli_session *cli, unsigned *observers)
{
    const char *at = cli_value(cli, "source");
    for (size_t size; at && *at; at += size + (at[size] == ',')) {
        int observer = LLMCACHE_BY_FEEDBACK;
        size = strcspn(at, ",");
        for (; observer <= LLMCACHE_BY_IMPORT; observer++) {
            const char *name = llmcache_observer_name(observer);
            if (strlen(name) == size && memcmp(name, at, size) == 0)
                break;
        }
        if (observer > LLMCACHE_BY_IMPORT)
            return cli_usage(cli, "--source is of feedback, judge, exploration, shadow, import, not \"%.*s\"",
                             size < 60 ? (int)size : 60, at);
        *observers |= 1u << observer;
    }
    return CLI_OK;
}

static int read_options(const cli_session *cli, llmcache_tune_options *options)
{
    int64_t seed = 0, labels = 0;
    *options = (llmcache_tune_options){.struct_size = sizeof *options,
                                       .max_wrong = 0.01,
                                       .confidence = 0.95,
                                       .refit = cli_value(cli, "refit") || cli_value(cli, "from-observations"),
                                       .language = cli_value(cli, "language")};
    int code = cli_share(cli, "max-wrong", &options->max_wrong);
    if (!code)
        code = cli_share(cli, "confidence", &options->confidence);
    if (!code)
        code = cli_number(cli, "seed", 0, &seed);
    if (!code)
        code = cli_number(cli, "min-labels", 1, &labels);
    if (!code)
        code = read_observers(cli, &options->observers);
    options->seed = (uint64_t)seed;
    options->min_labels = (size_t)labels;
    return code;
}

/* What does not go together. */
static int check(const cli_session *cli)
{
    static const char *const of_observations[] = {"namespace", "language", "source", "min-labels"};
    int observed = cli_value(cli, "from-observations") != NULL, undo = cli_value(cli, "undo") != NULL;
    if (undo && (observed || cli->argument_count || cli_value(cli, "apply") || cli_value(cli, "refit")))
        return cli_usage(cli, "--undo stands alone, but for --weights");
    if (observed && cli->argument_count)
        return cli_usage(cli, "either FILE or --from-observations");
    if (!observed && !undo && !cli->argument_count)
        return cli_usage(cli, "tune needs a FILE of labelled pairs, or --from-observations");
    for (size_t i = 0; !observed && i < sizeof of_observations / sizeof *of_observations; i++)
        if (cli_value(cli, of_observations[i]))
            return cli_usage(cli, "--%s belongs to --from-observations", of_observations[i]);
    if (cli_value(cli, "apply") && !observed && !cli_value(cli, "refit"))
        return cli_usage(cli, "--apply needs --refit or --from-observations");
    return CLI_OK;
}

static int run(cli_session *cli)
{
    cli_pairs pairs = {0};
    json_t *report = NULL;
    llmcache_tune_options options;
    int observed = cli_value(cli, "from-observations") != NULL;
    int code = check(cli);
    if (!code && cli_value(cli, "undo"))
        return tune_undo(cli);
    if (!code)
        code = read_options(cli, &options);
    if (!code && !observed)
        code = cli_pairs_read(cli, &pairs);
    if (!code)
        code = tune(cli, observed ? NULL : &pairs, &options, &report);
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
    {"weights", "FILE", "where the fitted numbers go, or are"},
    {"from-observations", NULL, "refit by the judged observations of the store"},
    {"namespace", "NAME", "only observations of this namespace"},
    {"language", "en|zh", "only pairs of this language"},
    {"source", "NAMES", "only words of these: feedback,judge,exploration,shadow,import"},
    {"min-labels", "N", "of a language, below which its numbers stay [500]"},
    {"apply", NULL, "write fitted numbers that are surely better; FILE.previous keeps those before"},
    {"undo", NULL, "put FILE.previous back"},
    {NULL, NULL, NULL},
};

const cli_command cmd_tune = {
    .name = "tune",
    .arguments = "[FILE...]",
    .summary = "Choose threshold and score by labelled pairs, with a bound on wrong answers",
    .detail =
        "FILE is as for judge. One half of the pairs chooses the lowest threshold whose share of wrong "
        "hits is\n"
        "bounded, the other half confirms it. Without --write nothing is changed. Exit code 5: the "
        "bound could\n"
        "not be met with these labels; what is missing is said. --from-observations takes the labels from\n"
        "the store instead.",
    .flags = flags,
    .maximum = -1,
    .run = run,
};

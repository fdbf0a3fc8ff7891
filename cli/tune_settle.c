#include "tune_settle.h"

#include "cli_print.h"
#include "env_file.h"
#include "weights_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 8 };

/* What is to be done with a report. */
typedef struct settling {
    const cli_session *cli;
    json_t *report;
    const char *env;      /* --write */
    int apply, fitted, writes; /* --apply; there are numbers; their file is written */
    char path[PATH_MAX];  /* of that file */
    env_line lines[MAX_LINES];
    int count;
} settling;

int tune_failed_to_write(const cli_session *cli, const char *path)
{
    llmcache_error err = {.code = LLMCACHE_IO, .retry_after_ms = -1};
    snprintf(err.message, sizeof err.message, "%.100s could not be written: %s", path, strerror(errno));
    return cli_fail(cli, &err);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* ---- Lines of settings ----------------------------------------------------------- */

/* The part of a setting that the file of fitted numbers speaks for, else NULL. */
static const json_t *refitted(const json_t *report, const char *setting)
{
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(report, "parts"), i, part)
    {
        const json_t *refit = json_object_get(part, "refit");
        if (strcmp(text_of(part, "setting"), setting) == 0 && strcmp(text_of(refit, "state"), "better") == 0)
            return part;
    }
    return NULL;
}

static int is_set(const json_t *part)
{
    return strcmp(text_of(part, "current_from"), "setting") == 0;
}

static void add_line(settling *s, const char *setting, const char *value)
{
    env_line *line = &s->lines[s->count++];
    env_name(setting, line->name);
    snprintf(line->value, sizeof line->value, "%.511s", value); /* paths are shorter: weights_file_path */
}

/* A threshold that stands in the file of numbers needs no line, unless an older line would be before it. */
static void gather_lines(settling *s)
{
    const char *setting;
    json_t *value;
    json_object_foreach(json_object_get(s->report, "settings"), setting, value)
    {
        const json_t *part = s->apply ? refitted(s->report, setting) : NULL;
        if (!part || is_set(part))
            add_line(s, setting, json_string_value(value));
    }
    if (s->fitted && !(s->apply && weights_file_is_set(s->cli, s->path)))
        add_line(s, "score-weights", s->path);
}

/* ---- The fitted numbers ---------------------------------------------------------- */

/* A threshold that was set for the old numbers would hold for the new ones too. */
static int check_thresholds(const settling *s)
{
    const char *setting;
    json_t *value;
    json_object_foreach(json_object_get(s->report, "settings"), setting, value)
    {
        const json_t *part = refitted(s->report, setting);
        if (s->apply && !s->env && part && is_set(part))
            return cli_usage(s->cli, "%s is set and would hold for the new numbers too: empty it, or --write FILE"
                                     " sets both; nothing was applied",
                             setting);
    }
    return CLI_OK;
}

static int settle_weights(settling *s)
{
    char whole[PATH_MAX];
    int code = CLI_OK;
    if (s->apply)
        code = weights_file_path(s->cli, s->path);
    else if (cli_value(s->cli, "weights") || s->env)
        code = weights_file_path(s->cli, s->path);
    else
        snprintf(s->path, sizeof s->path, "score-weights.json");
    if (!code)
        code = check_thresholds(s);
    if (code || !s->writes)
        return code;
    if (weights_file_write(s->report, s->path))
        return tune_failed_to_write(s->cli, s->path);
    if (realpath(s->path, whole) && strlen(whole) < WEIGHTS_PATH_MAX)
        snprintf(s->path, sizeof s->path, "%s", whole);
    return CLI_OK;
}

/* ---- Telling --------------------------------------------------------------------- */

static void note(settling *s)
{
    char previous[PATH_MAX + 16], line[PATH_MAX + 128];
    const env_line *last = s->count ? &s->lines[s->count - 1] : NULL;
    int applied = s->apply && s->writes;
    int needed = applied && !s->env && last && strcmp(last->name, "LLMCACHE_SCORE_WEIGHTS") == 0;
    snprintf(previous, sizeof previous, "%s.previous", s->path);
    snprintf(line, sizeof line, "%s=%s", needed ? last->name : "", s->path);
    json_object_set_new(s->report, "written", s->env && s->count ? shown_string(s->env) : json_null());
    if (!cli_value(s->cli, "from-observations") && !s->apply)
        return;
    json_object_set_new(s->report, "applied", applied ? shown_string(s->path) : json_null());
    json_object_set_new(s->report, "previous", applied ? shown_string(previous) : json_null());
    json_object_set_new(s->report, "setting_needed", needed ? shown_string(line) : json_null());
}

static void tell(const settling *s)
{
    if (s->apply && s->writes)
        printf("\nApplied: the numbers are in %s, those before in %s.previous (tune --undo puts them back).\n"
               "A server reads them at its next start. Scores then mean something else: where policy is verified,\n"
               "reset what was learned (llmcache-cli policy reset).\n",
               s->path, s->path);
    else if (s->apply)
        printf("\nNothing was applied: no fitted numbers are surely better.\n");
    if (!s->count)
        return;
    printf("\n%s%s:\n", s->env ? "Written to " : "To be set, in .env say (--write .env does it)",
           s->env ? s->env : "");
    for (int i = 0; i < s->count; i++)
        printf("%s=%s\n", s->lines[i].name, s->lines[i].value);
    if (s->fitted && !s->writes)
        printf("(--apply, or --weights FILE, writes the fitted numbers)\n");
}

/* ---- The calls ------------------------------------------------------------------- */

int tune_settle(const cli_session *cli, json_t *report)
{
    settling s = {.cli = cli,
                  .report = report,
                  .env = cli_value(cli, "write"),
                  .apply = cli_value(cli, "apply") != NULL,
                  .fitted = json_is_object(json_object_get(report, "score_weights"))};
    s.writes = s.fitted && (s.apply || s.env || cli_value(cli, "weights"));
    int code = s.fitted ? settle_weights(&s) : CLI_OK;
    if (code)
        return code;
    gather_lines(&s);
    if (s.count && s.env && env_file_set(s.env, s.lines, s.count))
        return tune_failed_to_write(cli, s.env);
    note(&s);
    if (!cli->json)
        tell(&s);
    return CLI_OK;
}

int tune_undo(const cli_session *cli)
{
    char path[PATH_MAX];
    int code = weights_file_path(cli, path);
    if (code)
        return code;
    if (weights_file_undo(path)) {
        llmcache_error err = {.code = LLMCACHE_NOT_FOUND, .retry_after_ms = -1};
        if (errno != ENOENT)
            return tune_failed_to_write(cli, path);
        snprintf(err.message, sizeof err.message, "%.150s has none before it to go back to", path);
        return cli_fail(cli, &err);
    }
    if (cli->json)
        return print_json(json_pack("{s:o}", "undone", shown_string(path)));
    printf("%s is as it was before. A server reads it at its next start.\n", path);
    return CLI_OK;
}

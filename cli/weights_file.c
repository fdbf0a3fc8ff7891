#include "weights_file.h"

#include "env_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "score-weights.json"

/* ---- Where it is ------------------------------------------------------------------ */

static int beside(const char *file, char path[PATH_MAX])
{
    const char *slash = strrchr(file, '/');
    int folder = slash ? (int)(slash + 1 - file) : 0;
    return snprintf(path, PATH_MAX, "%.*s" NAME, folder, file) < PATH_MAX ? 0 : -1;
}

/* The file of a store sqlite: as the library reads it. -1: no such store, or no home. */
static int store_file(const char *store, char file[PATH_MAX])
{
    const char *home = getenv("HOME"), *caches = getenv("XDG_CACHE_HOME");
    const char *given = store + strlen("sqlite:");
    if (strncmp(store, "sqlite:", strlen("sqlite:")) != 0)
        return -1;
    if (strncmp(given, "///", 3) == 0)
        given += 2;
    int size = -1;
    if (!*given && caches && *caches == '/')
        size = snprintf(file, PATH_MAX, "%s/llmcache/cache.db", caches);
    else if (!*given && home && *home == '/')
        size = snprintf(file, PATH_MAX, "%s/.cache/llmcache/cache.db", home);
    else if (strncmp(given, "~/", 2) == 0 && home)
        size = snprintf(file, PATH_MAX, "%s%s", home, given + 1);
    else if (*given && *given != '~')
        size = snprintf(file, PATH_MAX, "%s", given);
    return size >= 0 && size < PATH_MAX ? 0 : -1;
}

int weights_file_path(const cli_session *cli, char path[PATH_MAX])
{
    char file[PATH_MAX];
    const char *named = cli_value(cli, "weights"), *env = cli_value(cli, "write");
    int code = -1;
    if (!named && *cli_setting(cli, "score-weights"))
        named = cli_setting(cli, "score-weights");
    if (named)
        code = snprintf(path, PATH_MAX, "%s", named) < PATH_MAX ? 0 : -1;
    else if (env)
        code = beside(env, path);
    else if (store_file(cli_setting(cli, "store"), file) == 0)
        code = beside(file, path);
    else
        return cli_usage(cli, "the store is no file to put the numbers beside: say --weights FILE");
    return code || strlen(path) >= WEIGHTS_PATH_MAX ? cli_usage(cli, "the name of the file of numbers is too long")
                                                    : CLI_OK;
}

int weights_file_is_set(const cli_session *cli, const char *path)
{
    char wanted[PATH_MAX], set[PATH_MAX];
    const char *setting = cli_setting(cli, "score-weights");
    return *setting && realpath(path, wanted) && realpath(setting, set) && strcmp(wanted, set) == 0;
}

/* ---- What was there before ------------------------------------------------------- */

static int previous_name(const char *path, const char *end, char name[PATH_MAX])
{
    if (snprintf(name, PATH_MAX, "%s.previous%s", path, end) < PATH_MAX)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

static int copy(const char *path, const char *to)
{
    char *text = NULL, piece[4096];
    size_t size = 0, got;
    FILE *from = fopen(path, "re"), *into = from ? open_memstream(&text, &size) : NULL;
    while (into && (got = fread(piece, 1, sizeof piece, from)) > 0)
        fwrite(piece, 1, got, into);
    int failed = !into || ferror(from);
    if (into && fclose(into))
        failed = 1;
    if (from)
        fclose(from);
    int code = failed ? -1 : env_file_replace(to, text, (unsigned)size);
    free(text);
    return code;
}

/* The very file, under another name: mode, owner and bytes stay. Where the file system has no links, a copy. */
static int keep(const char *path, const char *previous)
{
    char fresh[PATH_MAX];
    if (previous_name(path, ".new", fresh))
        return -1;
    unlink(fresh);
    if (link(path, fresh))
        return copy(path, previous);
    int code = env_file_rename(fresh, previous), why = errno;
    if (code)
        unlink(fresh);
    errno = why;
    return code;
}

/* A language's row with the numbers that were in force. */
static json_t *row_before(const json_t *part)
{
    json_t *weights = json_deep_copy(json_object_get(json_object_get(part, "refit"), "before"));
    const char *from = json_string_value(json_object_get(part, "current_from"));
    json_t *row = json_pack("{s:i, s:O}", "labels", 0, "bias", json_object_get(weights, "bias"));
    if (from && strcmp(from, "score-weights") == 0)
        json_object_set(row, "threshold", json_object_get(part, "current"));
    json_object_del(weights, "bias");
    json_object_set_new(row, "weights", weights);
    return row;
}

static json_t *file_before(const json_t *report)
{
    size_t i;
    json_t *part, *file = json_deep_copy(json_object_get(report, "score_weights"));
    json_array_foreach(json_object_get(report, "parts"), i, part)
    {
        const char *state =
            json_string_value(json_object_get(json_object_get(part, "refit"), "state"));
        const char *name = json_string_value(json_object_get(part, "part"));
        if (state && name && strcmp(state, "better") == 0)
            json_object_set_new(json_object_get(file, "languages"), name, row_before(part));
    }
    return file;
}

/* ---- Exchanging ------------------------------------------------------------------ */

static int write_json(const json_t *file, const char *path)
{
    char *text = file ? json_dumps(file, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
    if (!text)
        errno = ENOMEM;
    int code = text ? env_file_replace(path, text, (unsigned)strlen(text)) : -1;
    free(text);
    return code;
}

int weights_file_write(const json_t *report, const char *path)
{
    char previous[PATH_MAX];
    struct stat there;
    if (previous_name(path, "", previous))
        return -1;
    int code = stat(path, &there);
    if (code == 0) {
        code = keep(path, previous);
    } else if (errno == ENOENT) {
        json_t *file = file_before(report);
        code = write_json(file, previous);
        json_decref(file);
    }
    return code ? code : write_json(json_object_get(report, "score_weights"), path);
}

int weights_file_undo(const char *path)
{
    char previous[PATH_MAX];
    return previous_name(path, "", previous) ? -1 : env_file_rename(previous, path);
}

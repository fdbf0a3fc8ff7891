#include "cli_ask.h"
#include "cli_print.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_QUESTION = 64 * 1024 * 1024
}; /* the library's own limit is stricter and says so better */

/* ---- The question --------------------------------------------------------------- */

static char *join(char **words, int count)
{
    size_t size = 1;
    for (int i = 0; i < count; i++)
        size += strlen(words[i]) + 1;
    char *text = malloc(size), *at = text;
    for (int i = 0; text && i < count; i++) {
        at = stpcpy(at, words[i]);
        *at++ = i + 1 < count ? ' ' : '\0';
    }
    return text;
}

char *ask_read_all(FILE *from, size_t *size)
{
    size_t room = 4096, used = 0;
    char *text = malloc(room);
    while (text) {
        used += fread(text + used, 1, room - used - 1, from);
        if (used < room - 1)
            break;
        char *more = room < MAX_QUESTION ? realloc(text, room *= 2) : NULL;
        if (!more)
            free(text);
        text = more;
    }
    if (text)
        text[used] = '\0';
    *size = used;
    return text;
}

static int read_input(const cli_session *cli, char **question)
{
    size_t size;
    if (isatty(STDIN_FILENO))
        fputs("The question, ended by Ctrl-D:\n", stderr);
    char *text = ask_read_all(stdin, &size);
    if (!text || ferror(stdin)) {
        free(text);
        return cli_usage(cli, "the question could not be read from standard input");
    }
    if (memchr(text, '\0', size)) {
        free(text);
        return cli_usage(cli, "the question holds a NUL byte");
    }
    while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        text[--size] = '\0';
    *question = text;
    return CLI_OK;
}

int ask_question(const cli_session *cli, char **question)
{
    int count = cli->argument_count;
    if (count == 0 || (count == 1 && strcmp(cli->arguments[0], "-") == 0)) {
        int code = read_input(cli, question);
        if (code)
            return code;
    } else {
        *question = join(cli->arguments, count);
    }
    if (!*question)
        return cli_usage(cli, "out of memory");
    return **question ? CLI_OK : cli_usage(cli, "the question is empty");
}

void ask_question_free(char *question)
{
    free(question);
}

/* ---- How it is to be treated ---------------------------------------------------- */

int ask_options(const cli_session *cli, llmcache_ask_options *options)
{
    *options =
        (llmcache_ask_options){.struct_size = sizeof *options,
                               .system = cli_value(cli, "system"),
                               .tags = cli_value(cli, "tags"),
                               .exact_only = cli_value(cli, "exact") != NULL,
                               .no_read = cli_value(cli, "no-cache") != NULL,
                               .no_store = cli_value(cli, "no-store") != NULL,
                               .only_cached = cli_value(cli, "only-cached") != NULL};
    if (options->no_read && options->only_cached)
        return cli_usage(cli, "--no-cache and --only-cached exclude each other");
    return CLI_OK;
}

/* ---- What the cache thinks of it ------------------------------------------------ */

int ask_explain(cli_session *cli, const char *question,
                const llmcache_ask_options *options, json_t **explained)
{
    llmcache_error err;
    char *json;
    if (llmcache_explain(cli->cache, question, options, &json, &err))
        return cli_fail(cli, &err);
    return ask_read_explained(cli, json, explained);
}

int ask_read_explained(const cli_session *cli, char *take_json, json_t **explained)
{
    *explained = json_loads(take_json, JSON_ALLOW_NUL, NULL);
    llmcache_free(take_json);
    return *explained ? CLI_OK : cli_usage(cli, "the explanation could not be read");
}

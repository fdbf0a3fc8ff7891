#include "cli_pairs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file while it is read. */
typedef struct pair_file {
    const char *shown; /* its name */
    const char *source; /* what its pairs are from when they do not say; NULL */
    size_t line;
} pair_file;

static int refuse(const cli_session *cli, const pair_file *file, const char *why)
{
    return cli_usage(cli, "%.80s, line %zu: %s", file->shown, file->line, why);
}

static int make_room(cli_pairs *pairs)
{
    if (pairs->count < pairs->room)
        return 0;
    size_t room = pairs->room ? pairs->room * 2 : 256;
    llmcache_pair *grown = realloc(pairs->pairs, room * sizeof *grown);
    if (grown)
        pairs->pairs = grown;
    const char **kinds = realloc(pairs->kinds, room * sizeof *kinds);
    if (kinds)
        pairs->kinds = kinds;
    size_t *lines = realloc(pairs->lines, room * sizeof *lines);
    if (lines)
        pairs->lines = lines;
    if (!grown || !kinds || !lines)
        return -1;
    pairs->room = room;
    return 0;
}

static int is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

/* 0 or 1, true or false; -1 without one, -2 for what is no label. */
static int label_of(const json_t *row)
{
    const json_t *label = json_object_get(row, "label");
    if (!label || json_is_null(label))
        return -1;
    if (json_is_boolean(label))
        return json_is_true(label);
    json_int_t value = json_integer_value(label);
    return json_is_integer(label) && (value == 0 || value == 1) ? (int)value : -2;
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text && *text ? text : NULL;
}

static int add(const cli_session *cli, cli_pairs *pairs, const pair_file *file,
               const json_t *row)
{
    const char *a = text_of(row, "a"), *b = text_of(row, "b");
    const char *source = text_of(row, "source");
    if (!source)
        source = text_of(row, "set");
    int label = label_of(row);
    if (!a || !b)
        return refuse(cli, file, "it needs \"a\" and \"b\", two questions");
    if (is_blank(a) || is_blank(b))
        return refuse(cli, file, "a question is blank");
    if (label == -2)
        return refuse(cli, file, "\"label\" must be 0 or 1");
    if (make_room(pairs))
        return refuse(cli, file, "out of memory");
    pairs->kinds[pairs->count] = text_of(row, "kind");
    pairs->lines[pairs->count] = file->line;
    pairs->pairs[pairs->count++] =
        (llmcache_pair){.struct_size = sizeof(llmcache_pair),
                        .a = a,
                        .b = b,
                        .label = label,
                        .source = source ? source : file->source};
    return CLI_OK;
}

static int read_line(const cli_session *cli, cli_pairs *pairs, const pair_file *file,
                     const char *line, size_t size)
{
    json_error_t why;
    char said[256];
    json_t *row = json_loadb(line, size, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(row)) {
        snprintf(said, sizeof said, "%s%.120s",
                 row ? "it is no JSON object" : "it is not JSON: ", row ? "" : why.text);
        json_decref(row);
        return refuse(cli, file, said);
    }
    if (json_array_append_new(pairs->rows, row))
        return refuse(cli, file, "out of memory");
    return add(cli, pairs, file, row);
}

static int read_lines(const cli_session *cli, cli_pairs *pairs, pair_file *file, FILE *from)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int code = CLI_OK;
    while (code == CLI_OK && (size = getline(&line, &room, from)) >= 0) {
        file->line++;
        if (strspn(line, " \t\r\n") < (size_t)size)
            code = read_line(cli, pairs, file, line, (size_t)size);
    }
    free(line);
    if (code == CLI_OK && ferror(from))
        code = cli_usage(cli, "%.80s could not be read: %s", file->shown, strerror(errno));
    return code;
}

static int read_file(const cli_session *cli, cli_pairs *pairs, const char *path)
{
    const char *slash = strrchr(path, '/');
    int is_input = strcmp(path, "-") == 0;
    pair_file file = {.shown = is_input ? "standard input" : path};
    if (cli->argument_count > 1)
        file.source = slash ? slash + 1 : path;
    FILE *from = is_input ? stdin : fopen(path, "re");
    if (!from)
        return cli_usage(cli, "%.80s cannot be opened: %s", path, strerror(errno));
    int code = read_lines(cli, pairs, &file, from);
    if (!is_input)
        fclose(from);
    return code;
}

int cli_pairs_read(cli_session *cli, cli_pairs *pairs)
{
    int code = CLI_OK;
    *pairs = (cli_pairs){.rows = json_array()};
    for (int i = 0; code == CLI_OK && i < cli->argument_count; i++)
        code = read_file(cli, pairs, cli->arguments[i]);
    if (code == CLI_OK && !pairs->count)
        code = cli_usage(cli, "there is no pair to be judged");
    return code;
}

void cli_pairs_done(cli_pairs *pairs)
{
    free(pairs->pairs);
    free(pairs->kinds);
    free(pairs->lines);
    json_decref(pairs->rows);
}

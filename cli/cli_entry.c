#include "cli_entry.h"
#include "cli_print.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t entry_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- The text of an answer
 * -------------------------------------------------------------------- */

/* Joins the texts of an array of parts: [{"type": "text", "text": "..."}, ...]. */
static json_t *join_parts(const json_t *parts)
{
    json_t *all = json_string(""), *part;
    size_t i;
    json_array_foreach(parts, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        const json_t *content = json_object_get(part, "content");
        json_t *more = json_is_string(text)     ? json_incref((json_t *)(uintptr_t)text)
                       : json_is_array(content) ? join_parts(content)
                                                : NULL;
        if (all && more && json_string_length(more)) {
            json_t *joined =
                json_sprintf("%s%s", json_string_value(all), json_string_value(more));
            json_decref(all);
            all = joined;
        }
        json_decref(more);
    }
    return all;
}

json_t *entry_text(const llmcache_entry *entry)
{
    json_t *body = json_loadb(entry->body, entry->body_size, JSON_ALLOW_NUL, NULL);
    const json_t *choice = json_array_get(json_object_get(body, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const json_t *parts =
        json_object_get(message ? message : body, "content"); /* chat, messages */
    if (!parts)
        parts = json_object_get(choice, "text"); /* completions */
    if (!parts)
        parts = json_object_get(body, "output"); /* responses */
    json_t *text = json_is_string(parts) ? json_incref((json_t *)(uintptr_t)parts)
                                         : join_parts(parts);
    json_decref(body);
    return text;
}

/* ---- As JSON
 * ---------------------------------------------------------------------------------- */

static json_t *text_json(const char *text)
{
    return text ? print_string(text, strlen(text)) : json_string("");
}

static json_t *body_json(const llmcache_entry *entry)
{
    json_t *body =
        json_loadb(entry->body, entry->body_size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    return body ? body : print_string(entry->body, entry->body_size);
}

static json_t *tags_json(const char *tags)
{
    json_t *list = json_array();
    for (const char *at = tags ? tags : ""; list && *at;) {
        size_t size = strcspn(at, ",");
        if (size)
            json_array_append_new(list, print_string(at, size));
        at += size + (at[size] == ',');
    }
    return list;
}

json_t *entry_json(const llmcache_entry *entry, int64_t now_ms, int whole)
{
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "id",
        entry->id, "namespace", text_json(entry->space), "protocol",
        text_json(entry->protocol), "model", text_json(entry->model), "question",
        text_json(entry->question), "tags", tags_json(entry->tags), "created_ms",
        (json_int_t)entry->created_ms, "expires_ms", (json_int_t)entry->expires_ms,
        "age_ms",
        (json_int_t)(now_ms > entry->created_ms ? now_ms - entry->created_ms : 0),
        "model_ms", (json_int_t)entry->model_ms, "input_tokens",
        (json_int_t)entry->input_tokens, "output_tokens",
        (json_int_t)entry->output_tokens, "body_bytes", (json_int_t)entry->body_size,
        "embedder", text_json(entry->embedder));
    if (object && whole) {
        json_object_set_new(object, "dimension",
                            json_integer((json_int_t)entry->dimension));
        json_object_set_new(object, "answer", entry_text(entry));
        json_object_set_new(object, "body", body_json(entry));
    }
    return object;
}

/* ---- As a list
 * --------------------------------------------------------------------------------- */

enum {
    ID_COLUMNS = LLMCACHE_ID_SIZE - 1,
    AGE_COLUMNS = 10,
    SPACE_COLUMNS = 14,
    MODEL_COLUMNS = 20
};

static int question_columns(const cli_session *cli)
{
    int rest =
        cli->width - (ID_COLUMNS + AGE_COLUMNS + SPACE_COLUMNS + MODEL_COLUMNS + 8);
    return !cli->width ? 0 : rest < 16 ? 16 : rest;
}

void entry_print_heading(const cli_session *cli)
{
    printf("%s%-*s  %-*s  %-*s  %-*s  %s%s\n", print_start(cli, PRINT_BOLD), ID_COLUMNS,
           "ID", AGE_COLUMNS, "AGE", SPACE_COLUMNS, "NAMESPACE", MODEL_COLUMNS, "MODEL",
           "QUESTION", print_end(cli));
}

void entry_print_row(const cli_session *cli, const llmcache_entry *entry, int64_t now_ms)
{
    char age[PRINT_SPAN_SIZE];
    print_cell(entry->id, ID_COLUMNS);
    fputs("  ", stdout);
    print_cell(print_span(now_ms - entry->created_ms, age), AGE_COLUMNS);
    fputs("  ", stdout);
    print_cell(entry->space ? entry->space : "", SPACE_COLUMNS);
    fputs("  ", stdout);
    print_cell(entry->model ? entry->model : "", MODEL_COLUMNS);
    fputs("  ", stdout);
    print_cell(entry->question ? entry->question : "", question_columns(cli));
    putchar('\n');
}

/* ---- Which entries
 * ----------------------------------------------------------------------------- */

int entry_filter(const cli_session *cli, llmcache_filter *filter)
{
    *filter = (llmcache_filter){.struct_size = sizeof *filter,
                                .space = cli_value(cli, "namespace"),
                                .id = cli_value(cli, "id"),
                                .model = cli_value(cli, "model"),
                                .tag = cli_value(cli, "tag"),
                                .contains = cli_value(cli, "contains")};
    int code = cli_duration(cli, "older-than", &filter->older_than_ms);
    return code ? code : cli_number(cli, "limit", 1, &filter->limit);
}

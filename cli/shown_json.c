#include "shown_json.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- Text ----------------------------------------------------------------------- */

static const char substitute[] = "\xEF\xBF\xBD"; /* U+FFFD */

json_t *shown_bytes(const char *text, size_t size)
{
    json_t *string = json_stringn(text, size);
    if (string)
        return string;
    char *clean = malloc(size * 3 + 1);
    size_t used = 0, step;
    for (size_t at = 0; clean && at < size; at += step) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                   (utf8proc_ssize_t)(size - at), &cp);
        const char *from = length > 0 ? text + at : substitute;
        size_t bytes = length > 0 ? (size_t)length : sizeof substitute - 1;
        memcpy(clean + used, from, bytes);
        used += bytes;
        step = length > 0 ? bytes : 1;
    }
    if (clean)
        string = json_stringn(clean, used);
    free(clean);
    return string;
}

json_t *shown_string(const char *text)
{
    return text ? shown_bytes(text, strlen(text)) : json_string("");
}

/* ---- The text of an answer ------------------------------------------------------ */

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

json_t *shown_answer(const llmcache_entry *entry)
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

/* ---- As JSON -------------------------------------------------------------------- */

static json_t *body_json(const llmcache_entry *entry)
{
    json_t *body =
        json_loadb(entry->body, entry->body_size, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    return body ? body : shown_bytes(entry->body, entry->body_size);
}

static json_t *tags_json(const char *tags)
{
    json_t *list = json_array();
    for (const char *at = tags ? tags : ""; list && *at;) {
        size_t size = strcspn(at, ",");
        if (size)
            json_array_append_new(list, shown_bytes(at, size));
        at += size + (at[size] == ',');
    }
    return list;
}

json_t *shown_entry(const llmcache_entry *entry, int64_t now_ms, int whole)
{
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "id",
        entry->id, "namespace", shown_string(entry->space), "protocol",
        shown_string(entry->protocol), "model", shown_string(entry->model), "question",
        shown_string(entry->question), "tags", tags_json(entry->tags), "created_ms",
        (json_int_t)entry->created_ms, "expires_ms", (json_int_t)entry->expires_ms,
        "age_ms",
        (json_int_t)(now_ms > entry->created_ms ? now_ms - entry->created_ms : 0),
        "model_ms", (json_int_t)entry->model_ms, "input_tokens",
        (json_int_t)entry->input_tokens, "output_tokens",
        (json_int_t)entry->output_tokens, "body_bytes", (json_int_t)entry->body_size,
        "embedder", shown_string(entry->embedder));
    if (object && whole) {
        json_object_set_new(object, "dimension",
                            json_integer((json_int_t)entry->dimension));
        json_object_set_new(object, "answer", shown_answer(entry));
        json_object_set_new(object, "body", body_json(entry));
    }
    return object;
}

json_t *shown_head(const llmcache_entry *entry, int64_t now_ms)
{
    size_t size = strlen(entry->question);
    if (size > 200)
        for (size = 200; size && (entry->question[size] & 0xc0) == 0x80;)
            size--;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:o}", "id", entry->id, "namespace",
                     shown_string(entry->space), "protocol", shown_string(entry->protocol),
                     "model", shown_string(entry->model), "tags", tags_json(entry->tags),
                     "age_ms",
                     (json_int_t)(now_ms > entry->created_ms ? now_ms - entry->created_ms : 0),
                     "question", shown_bytes(entry->question, size));
}

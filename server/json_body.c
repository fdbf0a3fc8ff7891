#include "json_body.h"
#include "json_memory.h"

#include <stdio.h>
#include <string.h>

static const double MAX_SECONDS = 3153600000.0; /* a hundred years */

int json_body_refuse(json_body *body, const char *name, const char *code,
                     const char *message)
{
    if (!body->refused)
        reply_error(body->x, 422, NULL, code, name, message);
    body->refused = 1;
    return -1;
}

int json_body_read(exchange *x, json_body *body)
{
    json_error_t why;
    *body = (json_body){.x = x};
    if (request_body(x))
        return -1;
    body->root = json_loadb(x->body.data, x->body.size, JSON_REJECT_DUPLICATES, &why);
    if (json_memory_failed()) {
        reply_error(x, 500, NULL, "out_of_memory", NULL, "out of memory");
        json_body_done(body);
        return -1;
    }
    if (json_is_object(body->root))
        return 0;
    json_body_refuse(body, NULL, x->body.size ? "invalid_json" : "missing",
                     x->body.size == 0 ? "the body is empty; a JSON object is expected"
                     : body->root      ? "the body is JSON, but not an object"
                                       : "the body is not valid JSON");
    json_body_done(body);
    return -1;
}

void json_body_done(json_body *body)
{
    json_decref(body->root);
    body->root = NULL;
}

static const json_t *find(const json_body *body, const char *name)
{
    const json_t *value = json_object_get(body->root, name);
    return json_is_null(value) ? NULL : value;
}

static void wrong_type(json_body *body, const char *name, const char *wanted)
{
    char message[128];
    snprintf(message, sizeof message, "%s must be %s", name, wanted);
    json_body_refuse(body, name, "wrong_type", message);
}

const char *json_body_text(json_body *body, const char *name, const char *absent)
{
    const json_t *value = find(body, name);
    if (!value)
        return absent;
    if (json_is_string(value))
        return json_string_value(value);
    wrong_type(body, name, "a string");
    return absent;
}

int json_body_flag(json_body *body, const char *name, int absent)
{
    const json_t *value = find(body, name);
    if (!value)
        return absent;
    if (json_is_boolean(value))
        return json_is_true(value);
    wrong_type(body, name, "true or false");
    return absent;
}

double json_body_number(json_body *body, const char *name, double low, double high,
                        double absent)
{
    const json_t *value = find(body, name);
    double number = json_number_value(value);
    char wanted[64];
    if (!value)
        return absent;
    if (json_is_number(value) && number >= low && number <= high)
        return number;
    snprintf(wanted, sizeof wanted, "a number from %.15g to %.15g", low, high);
    wrong_type(body, name, wanted);
    return absent;
}

/* ---- As they came --------------------------------------------------------------- */

/* What jansson has read is JSON, so that only strings and brackets need a look. */
static const char *past_string(const char *at)
{
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

static const char *past_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *past_value(const char *at)
{
    int depth = 0;
    do {
        if (*at == '"') {
            at = past_string(at);
            continue;
        }
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at++;
    } while (depth > 0 || !strchr(",}] \t\r\n", *at));
    return at;
}

const char *json_body_raw(const json_body *body, const char *name, size_t *size)
{
    size_t length = strlen(name);
    const char *at = past_space(past_space(body->x->body.data) + 1);
    while (*at == '"') {
        const char *key = at + 1, *end = past_string(at);
        const char *value = past_space(past_space(end) + 1);
        at = past_value(value);
        if ((size_t)(end - 1 - key) == length && memcmp(key, name, length) == 0) {
            *size = (size_t)(at - value);
            return value;
        }
        at = past_space(at);
        if (*at == ',')
            at = past_space(at + 1);
    }
    return NULL;
}

/* ---- Questions ------------------------------------------------------------------ */

/* "a,b" or ["a", "b"]. */
static const char *read_tags(json_body *body)
{
    const json_t *value = find(body, "tags");
    size_t i, used = 0;
    json_t *tag;
    if (!json_is_array(value))
        return json_body_text(body, "tags", NULL);
    json_array_foreach((json_t *)(uintptr_t)value, i, tag)
    {
        const char *text = json_string_value(tag);
        if (!text || strchr(text, ','))
            wrong_type(body, "tags", "a list of strings without commas");
        int size = snprintf(body->tags + used, sizeof body->tags - used, "%s%s",
                            i ? "," : "", text ? text : "");
        used += size > 0 ? (size_t)size : 0;
        if (used >= sizeof body->tags) {
            json_body_refuse(body, "tags", "too_long", "tags are too long");
            return NULL;
        }
    }
    return body->tags;
}

int json_body_question(json_body *body, const char **question,
                       llmcache_ask_options *options)
{
    *question = json_body_text(body, "question", NULL);
    if (!*question && !body->refused)
        return json_body_refuse(body, "question", "missing", "question is required");
    if (*question && !**question)
        return json_body_refuse(body, "question", "empty", "question must not be empty");
    *options = (llmcache_ask_options){
        .struct_size = sizeof *options,
        .model = json_body_text(body, "model", NULL),
        .system = json_body_text(body, "system", NULL),
        .space = json_body_text(body, "namespace", NULL),
        .tags = read_tags(body),
        .ttl_ms = (int64_t)(json_body_number(body, "ttl", 0, MAX_SECONDS, 0) * 1000),
        .threshold = json_body_number(body, "threshold", 0, 1, 0),
        .no_read = json_body_flag(body, "no_cache", 0),
        .no_store = json_body_flag(body, "no_store", 0),
        .only_cached = json_body_flag(body, "only_cached", 0),
        .exact_only = json_body_flag(body, "exact", 0)};
    return body->refused ? -1 : 0;
}

/*
 * What the mock says: text that names the question and carries a digest of everything
 * that shapes the answer, tokens of it, and JSON that fits a schema.
 */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *mock_text_of(json_t *object, const char *name, const char *standard)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : standard;
}

/* ---- Tokens
 * ---------------------------------------------------------------------------------- */

static size_t character(const char *text, size_t size)
{
    unsigned char lead = (unsigned char)*text;
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return length < size ? length : size;
}

static size_t characters(const char *text, size_t size, size_t count)
{
    size_t at = 0;
    while (count-- && at < size)
        at += character(text + at, size - at);
    return at;
}

size_t mock_token(const mock_call *call, const char *text, size_t size)
{
    long wanted = mock_rule_int(call, "chunk_chars", 0);
    if (wanted > 0 || size > 65536)
        return characters(text, size, wanted > 0 ? (size_t)wanted : 4096);
    size_t at = 0;
    while (at < size && text[at] == ' ')
        at++;
    if (at < size && (unsigned char)text[at] >= 0x80)
        return at + character(text + at, size - at);
    while (at < size && text[at] != ' ' && (unsigned char)text[at] < 0x80)
        at++;
    return at;
}

long mock_count(const mock_call *call, const char *text)
{
    long count = 0;
    for (size_t left = strlen(text), step; left; left -= step, text += step, count++)
        step = mock_token(call, text, left);
    return count;
}

/* ---- The question
 * ---------------------------------------------------------------------------- */

/* Text of a message's content: a string, or the last part with text. */
static const char *content_text(json_t *content)
{
    if (json_is_string(content))
        return json_string_value(content);
    for (size_t i = json_array_size(content); i-- > 0;) {
        const char *text = mock_text_of(json_array_get(content, i), "text", NULL);
        if (text)
            return text;
    }
    return NULL;
}

const char *mock_user_text(const mock_call *call)
{
    json_t *list = json_object_get(call->json, "messages");
    if (!list)
        list = json_object_get(call->json, "input");
    if (!list)
        list = json_object_get(call->json, "prompt");
    if (json_is_string(list))
        return json_string_value(list);
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_t *message = json_array_get(list, i);
        if (json_is_string(message))
            return json_string_value(message);
        const char *text = content_text(json_object_get(message, "content"));
        if (text && strcmp(mock_text_of(message, "role", ""), "user") == 0)
            return text;
    }
    return "";
}

static int add_digest(const char *data, size_t size, void *user)
{
    uint64_t *hash = user;
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ (unsigned char)data[i]) * 0x100000001b3u;
    return 0;
}

/* All fields but those that only say how the answer is to be delivered. */
static json_t *shaping_fields(const mock_call *call)
{
    static const char *const delivery[] = {
        "stream",           "stream_options",   "user", "metadata", "service_tier",
        "prompt_cache_key", "safety_identifier", "encoding_format"};
    json_t *copy = json_copy(call->json);
    for (size_t i = 0; i < sizeof delivery / sizeof *delivery; i++)
        json_object_del(copy, delivery[i]);
    return copy;
}

/* The same whether the answer is streamed or not. */
long mock_input_tokens(const mock_call *call)
{
    json_t *copy = shaping_fields(call);
    char *text = copy ? json_dumps(copy, JSON_COMPACT) : NULL;
    long tokens = (long)((text ? strlen(text) : call->body_size) / 4) + 1;
    free(text);
    json_decref(copy);
    return tokens;
}

/* Of the path and the fields that shape an answer. */
static uint64_t digest(const mock_call *call)
{
    uint64_t hash = 0xcbf29ce484222325u;
    json_t *copy = shaping_fields(call);
    add_digest(call->path, strlen(call->path), &hash);
    if (copy)
        json_dump_callback(copy, add_digest, &hash,
                           JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    json_decref(copy);
    return hash;
}

/* ---- The answer
 * ------------------------------------------------------------------------------ */

/* The schema a structured answer is to fit: NULL none, json_null for any JSON. */
static json_t *wanted_schema(const mock_call *call)
{
    json_t *format = json_object_get(call->json, "response_format");
    if (!format)
        format = json_object_get(json_object_get(call->json, "text"), "format");
    if (!format)
        format = json_object_get(json_object_get(call->json, "output_config"), "format");
    const char *type = mock_text_of(format, "type", "text");
    if (strcmp(type, "json_object") == 0)
        return json_null();
    if (strcmp(type, "json_schema") != 0)
        return NULL;
    json_t *inner = json_object_get(format, "json_schema");
    return json_object_get(inner ? inner : format, "schema");
}

static char *structured(const mock_call *call, json_t *schema, uint64_t hash)
{
    char mark[32];
    snprintf(mark, sizeof mark, "%016llx", (unsigned long long)hash);
    json_t *value = json_is_null(schema) ? json_pack("{s:s, s:s}", "answer",
                                                     mock_user_text(call), "digest", mark)
                                         : mock_instance(schema, schema, mark, 0);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    return text;
}

static char *plain(const mock_call *call, uint64_t hash)
{
    const char *user = mock_user_text(call);
    size_t shown = characters(user, strlen(user), 60);
    mock_bytes text = {0};
    mock_print(&text, "You asked: %.*s%s My answer is %08x.", (int)shown, user,
               user[shown] ? " ..." : "", (unsigned)(hash ^ hash >> 32));
    if (mock_rule_true(call, "tell_key")) {
        char key[256] = "";
        if (!mock_header(call, "x-api-key", key, sizeof key))
            mock_header(call, "authorization", key, sizeof key);
        const char *word = strrchr(key, ' ');
        mock_print(&text, " You are %s.", word ? word + 1 : key);
    }
    if (mock_rule_true(call, "unique"))
        mock_print(&text, " (call %llu)", (unsigned long long)call->number);
    long huge = mock_rule_int(call, "huge", 0);
    for (size_t line = 0; (long)text.size < huge; line++)
        mock_print(&text, " word%zu", line);
    if (huge > 0)
        text.size = (size_t)huge, text.data[huge] = '\0';
    return text.data;
}

/* Cuts at the first stop string; the one found, or NULL. */
static const char *cut_at(char *text, json_t *stops)
{
    const char *found = NULL;
    char *first = NULL;
    for (size_t i = 0; i < (json_is_string(stops) ? 1 : json_array_size(stops)); i++) {
        const char *stop =
            json_string_value(json_is_string(stops) ? stops : json_array_get(stops, i));
        char *at = stop && *stop ? strstr(text, stop) : NULL;
        if (at && (!first || at < first)) {
            first = at;
            found = stop;
        }
    }
    if (first)
        *first = '\0';
    return found;
}

static long allowed_tokens(const mock_call *call)
{
    static const char *const names[] = {"max_completion_tokens", "max_tokens",
                                        "max_output_tokens"};
    for (size_t i = 0; i < 3; i++) {
        json_t *limit = json_object_get(call->json, names[i]);
        if (json_is_integer(limit))
            return (long)json_integer_value(limit);
    }
    return -1;
}

char *mock_answer(const mock_call *call, const char **finish, const char **sequence)
{
    const char *fixed = mock_rule_text(call, "text");
    json_t *schema = wanted_schema(call);
    uint64_t hash = fixed ? 0 : digest(call);
    char *text = fixed    ? strdup(fixed)
                 : schema ? structured(call, schema, hash)
                          : plain(call, hash);
    if (mock_rule_true(call, "empty"))
        *text = '\0';
    *finish = "stop";
    json_t *stops = json_object_get(call->json, "stop");
    *sequence =
        cut_at(text, stops ? stops : json_object_get(call->json, "stop_sequences"));
    if (*sequence)
        *finish = "sequence";
    long limit = allowed_tokens(call);
    size_t at = 0, size = strlen(text);
    for (; limit > 0 && at < size; limit--)
        at += mock_token(call, text + at, size - at);
    if (limit == 0 && at < size) {
        text[at] = '\0';
        *finish = "length";
        *sequence = NULL;
    }
    return text;
}

/* A tool's answer at the end means that it is time for text. */
static int tool_answered(json_t *list)
{
    json_t *last =
        json_array_get(list, json_array_size(list) ? json_array_size(list) - 1 : 0);
    json_t *content = json_object_get(last, "content");
    json_t *part = json_array_get(content, 0);
    return strcmp(mock_text_of(last, "role", ""), "tool") == 0 ||
           strcmp(mock_text_of(last, "role", ""), "function") == 0 ||
           strcmp(mock_text_of(last, "type", ""), "function_call_output") == 0 ||
           strcmp(mock_text_of(part, "type", ""), "tool_result") == 0;
}

int mock_wants_tool(const mock_call *call)
{
    json_t *choice = json_object_get(call->json, "tool_choice");
    json_t *list = json_object_get(call->json, "messages");
    const char *word = json_is_string(choice) ? json_string_value(choice)
                                              : mock_text_of(choice, "type", "auto");
    int any = json_array_size(json_object_get(call->json, "tools")) > 0 ||
              json_array_size(json_object_get(call->json, "functions")) > 0;
    return any && strcmp(word, "none") != 0 && !mock_rule_true(call, "no_tools") &&
           !tool_answered(list ? list : json_object_get(call->json, "input"));
}

/* ---- Instances of a schema
 * ------------------------------------------------------------------- */

static json_t *follow(json_t *schema, json_t *root)
{
    const char *ref = mock_text_of(schema, "$ref", NULL);
    if (!ref || strncmp(ref, "#/", 2) != 0)
        return schema;
    json_t *at = root;
    for (const char *part = ref + 2; at && *part; part += strspn(part, "/")) {
        char name[128];
        size_t size = strcspn(part, "/");
        snprintf(name, sizeof name, "%.*s", (int)size, part);
        at = json_object_get(at, name);
        part += size;
    }
    return at;
}

static json_t *object_of(json_t *schema, json_t *root, const char *text, int depth)
{
    json_t *object = json_object(), *property;
    const char *name;
    json_object_foreach(json_object_get(schema, "properties"), name, property)
        json_object_set_new(object, name, mock_instance(property, root, text, depth + 1));
    return object;
}

static const char *type_of(json_t *schema)
{
    json_t *type = json_object_get(schema, "type");
    if (json_is_array(type))
        type = json_array_get(type, 0);
    return json_is_string(type)                    ? json_string_value(type)
           : json_object_get(schema, "properties") ? "object"
                                                   : "string";
}

json_t *mock_instance(json_t *schema, json_t *root, const char *text, int depth)
{
    schema = follow(schema, root);
    if (!schema || depth > 8)
        return json_null();
    json_t *one = json_object_get(schema, "const");
    if (!one)
        one = json_array_get(json_object_get(schema, "enum"), 0);
    if (one)
        return json_deep_copy(one);
    static const char *const unions[] = {"anyOf", "oneOf", "allOf"};
    for (size_t i = 0; i < 3; i++)
        if ((one = json_array_get(json_object_get(schema, unions[i]), 0)))
            return mock_instance(one, root, text, depth + 1);
    const char *type = type_of(schema);
    if (strcmp(type, "object") == 0)
        return object_of(schema, root, text, depth);
    if (strcmp(type, "array") == 0)
        return json_pack("[o]", mock_instance(json_object_get(schema, "items"), root,
                                              text, depth + 1));
    if (strcmp(type, "integer") == 0)
        return json_integer(7);
    if (strcmp(type, "number") == 0)
        return json_real(2.5);
    if (strcmp(type, "boolean") == 0)
        return json_true();
    return strcmp(type, "null") == 0 ? json_null() : json_string(text);
}

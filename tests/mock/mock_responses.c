/* /v1/responses: one object, or typed events with rising sequence numbers that end in
 * that object. */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct response {
    const mock_call *call;
    char id[48];
    const char *status; /* completed, incomplete, failed, queued */
    const char *reason; /* of incomplete */
    json_t *output;     /* owned */
    mock_reply *reply;
    int sequence;
} response;

/* ---- The object
 * ------------------------------------------------------------------------------ */

/* A token each, where `include` asks for it. */
static json_t *logprobs_of(const mock_call *call, const char *text, size_t size)
{
    json_t *list = json_array(), *what;
    size_t i, step;
    int wanted = 0;
    json_array_foreach(json_object_get(call->json, "include"), i, what) wanted |=
        json_is_string(what) &&
        strcmp(json_string_value(what), "message.output_text.logprobs") == 0;
    for (; wanted && size; text += step, size -= step) {
        step = mock_token(call, text, size);
        json_array_append_new(list, json_pack("{s:s%, s:f, s:[], s:[]}", "token", text,
                                              step, "logprob", -0.25, "bytes",
                                              "top_logprobs"));
    }
    return list;
}

static json_t *text_part(const mock_call *call, const char *text)
{
    return json_pack("{s:s, s:[], s:o, s:s}", "type", "output_text", "annotations",
                     "logprobs", logprobs_of(call, text, strlen(text)), "text", text);
}

static json_t *message_item(const response *r, const char *text)
{
    const char *refusal = mock_rule_text(r->call, "refusal");
    json_t *part = refusal
                       ? json_pack("{s:s, s:s}", "type", "refusal", "refusal", refusal)
                       : text_part(r->call, text);
    char id[64];
    snprintf(id, sizeof id, "msg_mock%06llu", (unsigned long long)r->call->number);
    return json_pack("{s:s, s:s, s:s, s:[o], s:s}", "id", id, "type", "message", "status",
                     strcmp(r->status, "incomplete") == 0 ? "incomplete" : "completed",
                     "content", part, "role", "assistant");
}

static json_t *reasoning_item(const response *r, const char *text)
{
    char id[64];
    snprintf(id, sizeof id, "rs_mock%06llu", (unsigned long long)r->call->number);
    return json_pack("{s:s, s:s, s:[{s:s, s:s}], s:s}", "id", id, "type", "reasoning",
                     "summary", "type", "summary_text", "text", text, "encrypted_content",
                     "gAAAAABo+/encrypted==");
}

static json_t *function_item(const response *r, json_t *tool, size_t number)
{
    json_t *schema = json_object_get(tool, "parameters");
    json_t *value = schema ? mock_instance(schema, schema, mock_user_text(r->call), 0)
                           : json_object();
    char *arguments = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY), id[64],
         call_id[64];
    snprintf(id, sizeof id, "fc_mock%06llu_%zu", (unsigned long long)r->call->number,
             number);
    snprintf(call_id, sizeof call_id, "call_mock%06llu_%zu",
             (unsigned long long)r->call->number, number);
    json_t *item =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "type", "function_call",
                  "status", "completed", "arguments", arguments, "call_id", call_id,
                  "name", mock_text_of(tool, "name", ""));
    free(arguments);
    json_decref(value);
    return item;
}

static json_t *usage_of(const response *r)
{
    char *text = json_dumps(r->output, JSON_COMPACT);
    long in = mock_input_tokens(r->call), out = mock_count(r->call, text);
    free(text);
    return json_pack("{s:I, s:{s:i}, s:I, s:{s:i}, s:I}", "input_tokens", (json_int_t)in,
                     "input_tokens_details", "cached_tokens", 0, "output_tokens",
                     (json_int_t)out, "output_tokens_details", "reasoning_tokens", 0,
                     "total_tokens", (json_int_t)(in + out));
}

/* A field of the request as the response repeats it, or its default (taken). */
static void repeat(const response *r, json_t *root, const char *name, json_t *standard)
{
    json_t *given = json_object_get(r->call->json, name);
    json_object_set(root, name, given && !json_is_null(given) ? given : standard);
    json_decref(standard);
}

/* The whole object in a status; takes output and usage. */
static json_t *object_of(const response *r, const char *status, json_t *output,
                         json_t *usage)
{
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:s, s:b, s:n}", "id", r->id, "object", "response",
                  "created_at", (json_int_t)(1700000000 + r->call->number), "status",
                  status, "background", 0, "error");
    if (strcmp(status, "failed") == 0)
        json_object_set_new(root, "error",
                            json_pack("{s:s, s:s}", "code", "server_error", "message",
                                      "The model failed."));
    json_object_set_new(root, "incomplete_details",
                        strcmp(status, "incomplete")
                            ? json_null()
                            : json_pack("{s:s}", "reason", r->reason));
    repeat(r, root, "instructions", json_null());
    repeat(r, root, "max_output_tokens", json_null());
    json_object_set_new(root, "model",
                        json_string(mock_text_of(r->call->json, "model", "")));
    json_object_set_new(root, "output", output);
    repeat(r, root, "parallel_tool_calls", json_true());
    repeat(r, root, "previous_response_id", json_null());
    repeat(r, root, "prompt_cache_key", json_null());
    repeat(r, root, "reasoning", json_pack("{s:n, s:n}", "effort", "summary"));
    repeat(r, root, "safety_identifier", json_null());
    repeat(r, root, "service_tier", json_string("default"));
    repeat(r, root, "store", json_true());
    repeat(r, root, "temperature", json_real(1.0));
    repeat(r, root, "text", json_pack("{s:{s:s}}", "format", "type", "text"));
    repeat(r, root, "tool_choice", json_string("auto"));
    repeat(r, root, "tools", json_array());
    repeat(r, root, "top_p", json_real(1.0));
    repeat(r, root, "truncation", json_string("disabled"));
    json_object_set_new(root, "usage", usage);
    repeat(r, root, "user", json_null());
    repeat(r, root, "metadata", json_object());
    return root;
}

/* ---- Events
 * ---------------------------------------------------------------------------------- */

/* Takes `more`, whose members follow type and sequence number. */
static void event(response *r, const char *type, json_t *more)
{
    json_t *root =
        json_pack("{s:s, s:i}", "type", type, "sequence_number", r->sequence++);
    json_object_update(root, more);
    json_decref(more);
    mock_event(r->reply, type, root);
}

static void object_event(response *r, const char *type, const char *status)
{
    event(
        r, type,
        json_pack("{s:o}", "response", object_of(r, status, json_array(), json_null())));
}

/* The text in pieces, then whole: <kind>.delta ..., <kind>.done. */
static void text_events(response *r, const char *kind, const char *field,
                        const char *text, json_t *where)
{
    char type[80];
    int logprobs = strcmp(kind, "response.output_text") == 0;
    snprintf(type, sizeof type, "%s.delta", kind);
    for (size_t at = 0, left = strlen(text), step; left; left -= step, at += step) {
        step = mock_token(r->call, text + at, left);
        json_t *more = json_deep_copy(where);
        json_object_set_new(more, "delta", json_stringn(text + at, step));
        if (logprobs)
            json_object_set_new(more, "logprobs", logprobs_of(r->call, text + at, step));
        event(r, type, more);
    }
    snprintf(type, sizeof type, "%s.done", kind);
    json_t *more = json_deep_copy(where);
    json_object_set_new(more, field, json_string(text));
    if (logprobs)
        json_object_set_new(more, "logprobs", logprobs_of(r->call, text, strlen(text)));
    event(r, type, more);
}

static void message_events(response *r, size_t index, json_t *item)
{
    json_t *part = json_array_get(json_object_get(item, "content"), 0);
    json_t *where = json_pack("{s:O, s:I, s:i}", "item_id", json_object_get(item, "id"),
                              "output_index", (json_int_t)index, "content_index", 0);
    const char *refusal = mock_text_of(part, "refusal", NULL);
    json_t *more = json_deep_copy(where);
    json_object_set_new(more, "part",
                        refusal
                            ? json_pack("{s:s, s:s}", "type", "refusal", "refusal", "")
                            : text_part(r->call, ""));
    event(r, "response.content_part.added", more);
    if (refusal)
        text_events(r, "response.refusal", "refusal", refusal, where);
    else
        text_events(r, "response.output_text", "text", mock_text_of(part, "text", ""),
                    where);
    json_object_set(where, "part", part);
    event(r, "response.content_part.done", where);
}

static void reasoning_events(response *r, size_t index, json_t *item)
{
    json_t *part = json_array_get(json_object_get(item, "summary"), 0);
    json_t *where = json_pack("{s:O, s:I, s:i}", "item_id", json_object_get(item, "id"),
                              "output_index", (json_int_t)index, "summary_index", 0);
    json_t *more = json_deep_copy(where);
    json_object_set_new(more, "part",
                        json_pack("{s:s, s:s}", "type", "summary_text", "text", ""));
    event(r, "response.reasoning_summary_part.added", more);
    text_events(r, "response.reasoning_summary_text", "text",
                mock_text_of(part, "text", ""), where);
    json_object_set(where, "part", part);
    event(r, "response.reasoning_summary_part.done", where);
}

static void item_events(response *r, size_t index, json_t *item)
{
    const char *type = mock_text_of(item, "type", "");
    json_t *start = json_deep_copy(item);
    if (json_object_get(start, "status"))
        json_object_set_new(start, "status", json_string("in_progress"));
    if (strcmp(type, "message") == 0)
        json_object_set_new(start, "content", json_array());
    if (strcmp(type, "reasoning") == 0)
        json_object_set_new(start, "summary", json_array());
    if (strcmp(type, "function_call") == 0)
        json_object_set_new(start, "arguments", json_string(""));
    event(r, "response.output_item.added",
          json_pack("{s:I, s:o}", "output_index", (json_int_t)index, "item", start));
    if (strcmp(type, "message") == 0)
        message_events(r, index, item);
    if (strcmp(type, "reasoning") == 0)
        reasoning_events(r, index, item);
    if (strcmp(type, "function_call") == 0) {
        json_t *where = json_pack("{s:O, s:I}", "item_id", json_object_get(item, "id"),
                                  "output_index", (json_int_t)index);
        text_events(r, "response.function_call_arguments", "arguments",
                    mock_text_of(item, "arguments", ""), where);
        json_decref(where);
    }
    event(r, "response.output_item.done",
          json_pack("{s:I, s:O}", "output_index", (json_int_t)index, "item", item));
}

static void stream_response(response *r)
{
    json_t *item;
    size_t i;
    r->reply->type = "text/event-stream; charset=utf-8";
    object_event(r, "response.created", "in_progress");
    object_event(r, "response.in_progress", "in_progress");
    json_array_foreach(r->output, i, item) item_events(r, i, item);
    char type[64];
    snprintf(type, sizeof type, "response.%s", r->status);
    if (!mock_rule_true(r->call, "no_done"))
        event(r, type,
              json_pack("{s:o}", "response",
                        object_of(r, r->status, json_incref(r->output), usage_of(r))));
}

/* ---- The answer
 * ------------------------------------------------------------------------------ */

/* The first tool; the first two where it is said that they may be called in parallel. */
static void call_tools(response *r)
{
    json_t *tools = json_object_get(r->call->json, "tools");
    size_t most =
        json_is_true(json_object_get(r->call->json, "parallel_tool_calls")) ? 2 : 1;
    for (size_t i = 0; i < most && i < json_array_size(tools); i++)
        json_array_append_new(r->output, function_item(r, json_array_get(tools, i), i));
}

static void make_output(response *r)
{
    const char *finish, *sequence, *told = mock_rule_text(r->call, "finish");
    const char *reasoning = mock_rule_text(r->call, "reasoning");
    char *text = mock_answer(r->call, &finish, &sequence);
    r->status = "completed";
    if (json_is_true(json_object_get(r->call->json, "background")))
        r->status = "queued";
    else if (told && (strcmp(told, "failed") == 0 || strcmp(told, "cancelled") == 0))
        r->status = told;
    else if ((told && strcmp(told, "stop") != 0) || strcmp(finish, "length") == 0)
        r->status = "incomplete";
    r->reason = told && strcmp(told, "content_filter") == 0 ? told : "max_output_tokens";
    r->output = json_array();
    if (reasoning)
        json_array_append_new(r->output, reasoning_item(r, reasoning));
    if (mock_wants_tool(r->call))
        call_tools(r);
    else if (strcmp(r->status, "queued") != 0 && strcmp(r->status, "failed") != 0)
        json_array_append_new(r->output, message_item(r, text));
    free(text);
}

/* Only ids that this service has given out can be continued. */
static int known(const mock_call *call, const char *id)
{
    unsigned long long number = 0;
    return sscanf(id, "resp_mock%llu", &number) == 1 && number > 0 &&
           number < call->number;
}

void mock_responses(const mock_call *call, mock_reply *reply)
{
    const char *previous = mock_text_of(call->json, "previous_response_id", NULL);
    if (previous && !known(call, previous)) {
        mock_refuse(reply, 404, "invalid_request_error", "previous_response_id",
                    "previous_response_not_found", "Previous response not found.");
        return;
    }
    response r = {.call = call, .reply = reply};
    snprintf(r.id, sizeof r.id, "resp_mock%06llu", (unsigned long long)call->number);
    make_output(&r);
    if (json_is_true(json_object_get(call->json, "stream")))
        stream_response(&r);
    else
        mock_whole(reply, 200,
                   object_of(&r, r.status, json_incref(r.output), usage_of(&r)));
    json_decref(r.output);
}

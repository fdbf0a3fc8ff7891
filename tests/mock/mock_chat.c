/*
 * /v1/chat/completions and /v1/completions, whole and as a stream. Field order and nulls
 * are those of the service, since clients show them.
 */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { first_created = 1700000000 };

/* One answer under way: what both forms need to know. */
typedef struct answer {
    const mock_call *call;
    char id[48];
    const char *model;
    json_t *created;
    char *text;         /* owned */
    const char *finish; /* as the service names it */
    const char *refusal, *reasoning;
    json_t *tools; /* calls: [{name, arguments}], NULL for none; owned */
    int legacy;    /* function_call instead of tool_calls */
    int logprobs;
    size_t choices;
} answer;

/* ---- What is answered
 * ------------------------------------------------------------------------ */

static void add_call(json_t *calls, json_t *function, const mock_call *call)
{
    json_t *schema = json_object_get(function, "parameters");
    json_t *value =
        schema ? mock_instance(schema, schema, mock_user_text(call), 0) : json_object();
    char *arguments = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_array_append_new(calls, json_pack("{s:s, s:s}", "name",
                                           mock_text_of(function, "name", ""),
                                           "arguments", arguments));
    free(arguments);
    json_decref(value);
}

/* The named tool, or the first one; the first two where they may be called in parallel.
 */
static json_t *choose_tools(const mock_call *call)
{
    json_t *calls = json_array(), *list = json_object_get(call->json, "tools"), *tool;
    json_t *choice =
        json_object_get(json_object_get(call->json, "tool_choice"), "function");
    const char *named = mock_text_of(choice, "name", NULL);
    size_t limit =
               json_is_true(json_object_get(call->json, "parallel_tool_calls")) ? 2 : 1,
           i;
    if (!list) {
        add_call(calls, json_array_get(json_object_get(call->json, "functions"), 0),
                 call);
        return calls;
    }
    json_array_foreach(list, i, tool)
    {
        json_t *function = json_object_get(tool, "function");
        if (json_array_size(calls) < limit &&
            (!named || strcmp(named, mock_text_of(function, "name", "")) == 0))
            add_call(calls, function, call);
    }
    return calls;
}

static const char *finish_of(const answer *a, const char *finish)
{
    const char *told = mock_rule_text(a->call, "finish");
    if (told)
        return told;
    if (a->tools)
        return a->legacy ? "function_call" : "tool_calls";
    return strcmp(finish, "sequence") == 0 ? "stop" : finish;
}

static answer make_answer(const mock_call *call, const char *prefix)
{
    answer a = {.call = call, .model = mock_text_of(call->json, "model", "")};
    const char *finish, *sequence;
    snprintf(a.id, sizeof a.id, "%s-mock%06llu", prefix,
             (unsigned long long)call->number);
    a.created = json_integer(first_created + (json_int_t)call->number);
    a.text = mock_answer(call, &finish, &sequence);
    a.refusal = mock_rule_text(call, "refusal");
    a.reasoning = mock_rule_text(call, "reasoning");
    a.legacy =
        !json_object_get(call->json, "tools") && json_object_get(call->json, "functions");
    if (mock_wants_tool(call))
        a.tools = choose_tools(call);
    a.finish = finish_of(&a, finish);
    a.logprobs = json_is_true(json_object_get(call->json, "logprobs"));
    json_int_t n = json_integer_value(json_object_get(call->json, "n"));
    a.choices = n > 1 && n <= 128 ? (size_t)n : 1;
    return a;
}

static void answer_done(answer *a)
{
    json_decref(a->created);
    json_decref(a->tools);
    free(a->text);
}

static json_t *usage_of(const answer *a)
{
    long in = mock_input_tokens(a->call);
    long thought = a->reasoning ? mock_count(a->call, a->reasoning) : 0;
    long out = mock_count(a->call, a->text) * (long)a->choices + thought;
    return json_pack("{s:I, s:I, s:I, s:{s:i, s:i}, s:{s:I, s:i, s:i, s:i}}",
                     "prompt_tokens", (json_int_t)in, "completion_tokens",
                     (json_int_t)out, "total_tokens", (json_int_t)(in + out),
                     "prompt_tokens_details", "cached_tokens", 0, "audio_tokens", 0,
                     "completion_tokens_details", "reasoning_tokens", (json_int_t)thought,
                     "audio_tokens", 0, "accepted_prediction_tokens", 0,
                     "rejected_prediction_tokens", 0);
}

/* The choice's own text: later choices say which they are. */
static char *choice_text(const answer *a, size_t index)
{
    char *text = NULL;
    if (index == 0)
        return strdup(a->text);
    if (asprintf(&text, "%s (choice %zu)", a->text, index) < 0)
        exit(1);
    return text;
}

static json_t *one_logprob(const char *token, size_t size, size_t rank)
{
    json_t *bytes = json_array();
    for (size_t i = 0; i < size; i++)
        json_array_append_new(bytes, json_integer((unsigned char)token[i]));
    return json_pack("{s:s%, s:f, s:o}", "token", token, size, "logprob",
                     -0.015625 * (double)(size % 7 + 1) - (double)rank, "bytes", bytes);
}

/* With as many alternatives as were asked for: itself, less likely each time. */
static json_t *token_logprob(const answer *a, const char *token, size_t size)
{
    json_int_t top =
        json_integer_value(json_object_get(a->call->json, "top_logprobs"));
    json_t *one = one_logprob(token, size, 0), *list = json_array();
    for (json_int_t rank = 0; rank < top && rank < 20; rank++)
        json_array_append_new(list, one_logprob(token, size, (size_t)rank));
    json_object_set_new(one, "top_logprobs", list);
    return one;
}

/* {content, refusal} for `size` bytes of text; null when not asked for. */
static json_t *logprobs_of(const answer *a, const char *text, size_t size)
{
    if (!a->logprobs)
        return json_null();
    json_t *list = json_array();
    for (size_t step; size; text += step, size -= step) {
        step = mock_token(a->call, text, size);
        json_array_append_new(list, token_logprob(a, text, step));
    }
    return json_pack("{s:o, s:n}", "content", list, "refusal");
}

static json_t *tool_calls_of(const answer *a)
{
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach(a->tools, i, one)
    {
        char id[64];
        snprintf(id, sizeof id, "call_mock%06llu_%zu",
                 (unsigned long long)a->call->number, i);
        json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "id", id, "type",
                                              "function", "function", one));
    }
    return list;
}

/* Fields of the rule's `extra` object go into the message: some that no client knows. */
static void add_extra(const answer *a, json_t *message)
{
    json_object_update(message, json_object_get(a->call->rule, "extra"));
}

/* ---- Whole
 * ----------------------------------------------------------------------------------- */

static json_t *message_of(const answer *a, const char *text)
{
    json_t *message = json_pack("{s:s}", "role", "assistant");
    json_object_set_new(message, "content",
                        a->tools || a->refusal ? json_null() : json_string(text));
    json_object_set_new(message, "refusal",
                        a->refusal ? json_string(a->refusal) : json_null());
    json_object_set_new(message, "annotations", json_array());
    if (a->reasoning)
        json_object_set_new(message, "reasoning_content", json_string(a->reasoning));
    if (a->tools && a->legacy)
        json_object_set(message, "function_call", json_array_get(a->tools, 0));
    else if (a->tools)
        json_object_set_new(message, "tool_calls", tool_calls_of(a));
    add_extra(a, message);
    return message;
}

static json_t *whole_choices(const answer *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->choices; i++) {
        char *text = choice_text(a, i);
        json_t *logprobs =
            a->tools || a->refusal ? json_null() : logprobs_of(a, text, strlen(text));
        json_array_append_new(list,
                              json_pack("{s:I, s:o, s:o, s:s}", "index", (json_int_t)i,
                                        "message", message_of(a, text), "logprobs",
                                        logprobs, "finish_reason", a->finish));
        free(text);
    }
    return list;
}

static void whole_chat(const answer *a, mock_reply *reply)
{
    json_t *root =
        json_pack("{s:s, s:s, s:O, s:s, s:o}", "id", a->id, "object", "chat.completion",
                  "created", a->created, "model", a->model, "choices", whole_choices(a));
    if (mock_rule_int(a->call, "usage", 1))
        json_object_set_new(root, "usage", usage_of(a));
    json_object_set_new(root, "service_tier", json_string("default"));
    json_object_set_new(root, "system_fingerprint", json_string("fp_mock"));
    mock_whole(reply, 200, root);
}

/* ---- Streamed
 * -------------------------------------------------------------------------------- */

static int asks_usage(const mock_call *call)
{
    json_t *options = json_object_get(call->json, "stream_options");
    return json_is_true(json_object_get(options, "include_usage"));
}

/* One chunk; takes choices. */
static void chunk(const answer *a, mock_reply *reply, const char *object, json_t *choices,
                  json_t *usage)
{
    json_t *root =
        json_pack("{s:s, s:s, s:O, s:s}", "id", a->id, "object", object, "created",
                  a->created, "model", a->model);
    if (strcmp(object, "text_completion") != 0)
        json_object_set_new(root, "service_tier", json_string("default"));
    json_object_set_new(root, "system_fingerprint", json_string("fp_mock"));
    json_object_set_new(root, "choices", choices);
    if (asks_usage(a->call))
        json_object_set_new(root, "usage", usage ? usage : json_null());
    if (mock_rule_true(a->call, "obfuscation"))
        json_object_set_new(root, "obfuscation",
                            json_string(&"xJ3kQ9"[reply->events % 5]));
    mock_event(reply, NULL, root);
}

/* A chunk with one choice; takes delta and logprobs (NULL: null). */
static void delta(const answer *a, mock_reply *reply, size_t index, json_t *take,
                  json_t *logprobs, const char *finish)
{
    json_t *choice =
        json_pack("{s:I, s:o, s:o, s:s?}", "index", (json_int_t)index, "delta", take,
                  "logprobs", logprobs ? logprobs : json_null(), "finish_reason", finish);
    chunk(a, reply, "chat.completion.chunk", json_pack("[o]", choice), NULL);
}

/* `text` in tokens, each as the one field of a delta. */
static void text_deltas(const answer *a, mock_reply *reply, size_t index,
                        const char *field, const char *text)
{
    for (size_t left = strlen(text), step; left; left -= step, text += step) {
        step = mock_token(a->call, text, left);
        delta(a, reply, index, json_pack("{s:s%}", field, text, step), NULL, NULL);
    }
}

static void tool_deltas(const answer *a, mock_reply *reply, size_t index)
{
    json_t *calls = tool_calls_of(a), *one;
    size_t i;
    json_array_foreach(calls, i, one)
    {
        json_t *function = json_object_get(one, "function");
        const char *rest = mock_text_of(function, "arguments", "");
        json_t *head =
            json_pack("{s:I, s:O, s:s, s:{s:O, s:s}}", "index", (json_int_t)i, "id",
                      json_object_get(one, "id"), "type", "function", "function", "name",
                      json_object_get(function, "name"), "arguments", "");
        delta(a, reply, index, json_pack("{s:[o]}", "tool_calls", head), NULL, NULL);
        for (size_t left = strlen(rest), step; left; left -= step, rest += step) {
            step = left > 5 ? 5 : left;
            while (step < left && ((unsigned char)rest[step] & 0xc0) == 0x80)
                step++;
            delta(a, reply, index,
                  json_pack("{s:[{s:I, s:{s:s%}}]}", "tool_calls", "index", (json_int_t)i,
                            "function", "arguments", rest, step),
                  NULL, NULL);
        }
    }
    json_decref(calls);
}

static void function_deltas(const answer *a, mock_reply *reply, size_t index)
{
    json_t *one = json_array_get(a->tools, 0);
    const char *arguments = mock_text_of(one, "arguments", "");
    size_t half = strlen(arguments) / 2;
    while (((unsigned char)arguments[half] & 0xc0) == 0x80)
        half++;
    delta(a, reply, index,
          json_pack("{s:{s:O, s:s%}}", "function_call", "name",
                    json_object_get(one, "name"), "arguments", arguments, half),
          NULL, NULL);
    delta(a, reply, index,
          json_pack("{s:{s:s}}", "function_call", "arguments", arguments + half), NULL,
          NULL);
}

/* Citations follow the text (`last`), everything else goes before it. */
static void extra_deltas(const answer *a, mock_reply *reply, size_t index, int last)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(a->call->rule, "extra"), name, value)
    {
        const char *text = json_string_value(value);
        if ((strcmp(name, "annotations") == 0) != last)
            continue;
        if (text)
            text_deltas(a, reply, index, name, text);
        else
            delta(a, reply, index, json_pack("{s:O}", name, value), NULL, NULL);
    }
}

/* Everything of a choice that comes before its text. */
static void open_choice(const answer *a, mock_reply *reply, size_t index)
{
    json_t *content = a->tools ? json_null() : json_string("");
    delta(
        a, reply, index,
        json_pack("{s:s, s:o, s:n}", "role", "assistant", "content", content, "refusal"),
        NULL, NULL);
    if (a->reasoning)
        text_deltas(a, reply, index, "reasoning_content", a->reasoning);
    extra_deltas(a, reply, index, 0);
    if (a->refusal)
        text_deltas(a, reply, index, "refusal", a->refusal);
    if (a->tools && a->legacy)
        function_deltas(a, reply, index);
    else if (a->tools)
        tool_deltas(a, reply, index);
}

/* The choices' texts, a token of each in turn, as the service interleaves them. */
static void interleave(const answer *a, mock_reply *reply)
{
    char *texts[128], *at[128];
    for (size_t i = 0; i < a->choices; i++)
        at[i] = texts[i] = choice_text(a, i);
    for (size_t left = a->choices; left;) {
        left = 0;
        for (size_t i = 0; i < a->choices; i++) {
            size_t step = mock_token(a->call, at[i], strlen(at[i]));
            if (!step)
                continue;
            json_t *logprobs = logprobs_of(a, at[i], step);
            delta(a, reply, i, json_pack("{s:s%}", "content", at[i], step), logprobs,
                  NULL);
            at[i] += step;
            left++;
        }
    }
    for (size_t i = 0; i < a->choices; i++)
        free(texts[i]);
}

static void streamed_chat(const answer *a, mock_reply *reply)
{
    reply->type = "text/event-stream; charset=utf-8";
    for (size_t i = 0; i < a->choices; i++)
        open_choice(a, reply, i);
    if (!a->tools && !a->refusal)
        interleave(a, reply);
    for (size_t i = 0; i < a->choices; i++) {
        extra_deltas(a, reply, i, 1);
        delta(a, reply, i, json_object(), NULL, a->finish);
    }
    if (asks_usage(a->call) && mock_rule_int(a->call, "usage", 1))
        chunk(a, reply, "chat.completion.chunk", json_array(), usage_of(a));
    if (!mock_rule_true(a->call, "no_done"))
        mock_event_text(reply, NULL, "[DONE]", 6);
}

void mock_chat(const mock_call *call, mock_reply *reply)
{
    answer a = make_answer(call, "chatcmpl");
    if (json_is_true(json_object_get(call->json, "stream")))
        streamed_chat(&a, reply);
    else
        whole_chat(&a, reply);
    answer_done(&a);
}

/* ---- /v1/completions
 * ------------------------------------------------------------------------- */

/* {tokens, token_logprobs, top_logprobs, text_offset}; null when not asked for. */
static json_t *text_logprobs(const answer *a, const char *text, size_t size, size_t offset)
{
    json_t *tokens = json_array(), *probabilities = json_array(), *offsets = json_array();
    for (size_t step; size; text += step, size -= step, offset += step) {
        step = mock_token(a->call, text, size);
        json_array_append_new(tokens, json_stringn(text, step));
        json_array_append_new(probabilities, json_real(-0.125 * (double)(step % 5 + 1)));
        json_array_append_new(offsets, json_integer((json_int_t)offset));
    }
    return json_pack("{s:o, s:o, s:n, s:o}", "tokens", tokens, "token_logprobs",
                     probabilities, "top_logprobs", "text_offset", offsets);
}

/* `offset`: where in the choice's text these bytes begin. */
static json_t *text_choice(const answer *a, const char *text, size_t size, size_t offset,
                           size_t index, const char *finish)
{
    json_t *wanted = json_object_get(a->call->json, "logprobs");
    int with = json_is_integer(wanted) && size;
    return json_pack("{s:s%, s:I, s:o, s:s?}", "text", text, size, "index",
                     (json_int_t)index, "logprobs",
                     with ? text_logprobs(a, text, size, offset) : json_null(),
                     "finish_reason", finish);
}

static void streamed_text(const answer *a, mock_reply *reply)
{
    reply->type = "text/event-stream; charset=utf-8";
    for (size_t i = 0; i < a->choices; i++) {
        char *text = choice_text(a, i);
        for (size_t at = 0, step; text[at]; at += step) {
            step = mock_token(a->call, text + at, strlen(text + at));
            chunk(a, reply, "text_completion",
                  json_pack("[o]", text_choice(a, text + at, step, at, i, NULL)), NULL);
        }
        chunk(a, reply, "text_completion",
              json_pack("[o]", text_choice(a, "", 0, 0, i, a->finish)), NULL);
        free(text);
    }
    if (asks_usage(a->call))
        chunk(a, reply, "text_completion", json_array(), usage_of(a));
    if (!mock_rule_true(a->call, "no_done"))
        mock_event_text(reply, NULL, "[DONE]", 6);
}

static void whole_text(const answer *a, mock_reply *reply)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->choices; i++) {
        char *text = choice_text(a, i);
        json_array_append_new(list, text_choice(a, text, strlen(text), 0, i, a->finish));
        free(text);
    }
    mock_whole(reply, 200,
               json_pack("{s:s, s:s, s:O, s:s, s:o, s:o, s:s}", "id", a->id, "object",
                         "text_completion", "created", a->created, "model", a->model,
                         "choices", list, "usage", usage_of(a), "system_fingerprint",
                         "fp_mock"));
}

void mock_completions(const mock_call *call, mock_reply *reply)
{
    answer a = make_answer(call, "cmpl");
    size_t prompts = json_array_size(json_object_get(call->json, "prompt"));
    if (prompts > 1 &&
        json_is_string(json_array_get(json_object_get(call->json, "prompt"), 0)))
        a.choices = prompts * a.choices > 128 ? 128 : prompts * a.choices;
    if (json_is_true(json_object_get(call->json, "stream")))
        streamed_text(&a, reply);
    else
        whole_text(&a, reply);
    answer_done(&a);
}

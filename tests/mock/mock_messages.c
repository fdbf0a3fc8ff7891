/* /v1/messages (whole and as a stream of named events) and /v1/messages/count_tokens. */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Blocks
 * ---------------------------------------------------------------------------------- */

static void add_tool(json_t *blocks, json_t *tool, const mock_call *call)
{
    char id[64];
    snprintf(id, sizeof id, "toolu_mock%06llu_%zu", (unsigned long long)call->number,
             json_array_size(blocks));
    json_t *schema = json_object_get(tool, "input_schema");
    json_t *input =
        schema ? mock_instance(schema, schema, mock_user_text(call), 0) : json_object();
    json_array_append_new(
        blocks, json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id", id, "name",
                          mock_text_of(tool, "name", ""), "input", input));
}

static json_t *chosen_tool(const mock_call *call)
{
    json_t *tools = json_object_get(call->json, "tools"), *tool;
    const char *named =
        mock_text_of(json_object_get(call->json, "tool_choice"), "name", NULL);
    size_t i;
    json_array_foreach(
        tools, i, tool) if (!named || strcmp(named, mock_text_of(tool, "name", "")) ==
                                          0) return tool;
    return NULL;
}

static int thinks(const mock_call *call)
{
    const char *type =
        mock_text_of(json_object_get(call->json, "thinking"), "type", "disabled");
    return strcmp(type, "enabled") == 0 || strcmp(type, "adaptive") == 0;
}

/* The content of the answer; *finish and *sequence as the service names them. */
static json_t *make_blocks(const mock_call *call, const char **finish,
                           const char **sequence)
{
    json_t *blocks = json_array();
    char *text = mock_answer(call, finish, sequence);
    if (thinks(call))
        json_array_append_new(
            blocks, json_pack("{s:s, s:s, s:s}", "type", "thinking", "thinking",
                              "Let me see what was asked.", "signature",
                              "EqQBCkYIBxgCKkBmb+/0c2lnbmF0dXJlIG9mIHRoZSBtb2Nr=="));
    if (mock_rule_true(call, "redacted_thinking"))
        json_array_append_new(
            blocks, json_pack("{s:s, s:s}", "type", "redacted_thinking", "data",
                              "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIw=="));
    json_array_append_new(blocks, json_pack("{s:s, s:s}", "type", "text", "text", text));
    free(text);
    json_t *tool = mock_wants_tool(call) ? chosen_tool(call) : NULL;
    if (tool)
        add_tool(blocks, tool, call);
    const char *told = mock_rule_text(call, "finish");
    *finish = told                               ? told
              : tool                             ? "tool_use"
              : strcmp(*finish, "length") == 0   ? "max_tokens"
              : strcmp(*finish, "sequence") == 0 ? "stop_sequence"
                                                 : "end_turn";
    if (strcmp(*finish, "stop_sequence") != 0)
        *sequence = NULL;
    return blocks;
}

static long output_tokens(const mock_call *call, json_t *blocks)
{
    char *text = json_dumps(blocks, JSON_COMPACT);
    long count = mock_count(call, text);
    free(text);
    return count;
}

static json_t *usage_of(const mock_call *call, long out)
{
    return json_pack("{s:I, s:i, s:i, s:{s:i, s:i}, s:I, s:s}", "input_tokens",
                     (json_int_t)mock_input_tokens(call), "cache_creation_input_tokens",
                     0, "cache_read_input_tokens", 0, "cache_creation",
                     "ephemeral_5m_input_tokens", 0, "ephemeral_1h_input_tokens", 0,
                     "output_tokens", (json_int_t)out, "service_tier", "standard");
}

/* Takes content and usage. */
static json_t *message_of(const mock_call *call, json_t *content, const char *finish,
                          const char *sequence, json_t *usage)
{
    char id[48];
    snprintf(id, sizeof id, "msg_mock%06llu", (unsigned long long)call->number);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s?, s:s?, s:o}", "id", id, "type",
                     "message", "role", "assistant", "model",
                     mock_text_of(call->json, "model", ""), "content", content,
                     "stop_reason", finish, "stop_sequence", sequence, "usage", usage);
}

/* ---- Streamed
 * -------------------------------------------------------------------------------- */

static void block_delta(mock_reply *reply, size_t index, const char *type,
                        const char *field, const char *text, size_t size)
{
    mock_event(reply, "content_block_delta",
               json_pack("{s:s, s:I, s:{s:s, s:s%}}", "type", "content_block_delta",
                         "index", (json_int_t)index, "delta", "type", type, field, text,
                         size));
}

static void text_deltas(mock_reply *reply, size_t index, const char *type,
                        const char *field, const char *text)
{
    for (size_t left = strlen(text), step; left; left -= step, text += step) {
        step = mock_token(reply->call, text, left);
        block_delta(reply, index, type, field, text, step);
    }
}

static void input_deltas(mock_reply *reply, size_t index, json_t *input)
{
    char *text = json_dumps(input, JSON_COMPACT);
    block_delta(reply, index, "input_json_delta", "partial_json", "", 0);
    for (size_t at = 0, left = strlen(text), step; left; left -= step, at += step) {
        step = left > 7 ? 7 : left;
        while (step < left && ((unsigned char)text[at + step] & 0xc0) == 0x80)
            step++;
        block_delta(reply, index, "input_json_delta", "partial_json", text + at, step);
    }
    free(text);
}

/* The block as content_block_start shows it: without what its deltas bring. */
static json_t *empty_block(json_t *block)
{
    json_t *start = json_copy(block);
    static const char *const brought[] = {"text", "thinking", "signature"};
    for (size_t i = 0; i < 3; i++)
        if (json_object_get(start, brought[i]))
            json_object_set_new(start, brought[i], json_string(""));
    if (json_object_get(start, "input"))
        json_object_set_new(start, "input", json_object());
    return start;
}

static void stream_block(mock_reply *reply, size_t index, json_t *block)
{
    mock_event(reply, "content_block_start",
               json_pack("{s:s, s:I, s:o}", "type", "content_block_start", "index",
                         (json_int_t)index, "content_block", empty_block(block)));
    if (index == 0)
        mock_event(reply, "ping", json_pack("{s:s}", "type", "ping"));
    text_deltas(reply, index, "thinking_delta", "thinking",
                mock_text_of(block, "thinking", ""));
    const char *signature = mock_text_of(block, "signature", NULL);
    if (signature)
        block_delta(reply, index, "signature_delta", "signature", signature,
                    strlen(signature));
    text_deltas(reply, index, "text_delta", "text", mock_text_of(block, "text", ""));
    if (json_object_get(block, "input"))
        input_deltas(reply, index, json_object_get(block, "input"));
    mock_event(reply, "content_block_stop",
               json_pack("{s:s, s:I}", "type", "content_block_stop", "index",
                         (json_int_t)index));
}

static void stream_message(const mock_call *call, mock_reply *reply, json_t *blocks,
                           const char *finish, const char *sequence)
{
    json_t *block;
    size_t i;
    reply->type = "text/event-stream; charset=utf-8";
    mock_event(reply, "message_start",
               json_pack("{s:s, s:o}", "type", "message_start", "message",
                         message_of(call, json_array(), NULL, NULL, usage_of(call, 1))));
    json_array_foreach(blocks, i, block) stream_block(reply, i, block);
    mock_event(reply, "message_delta",
               json_pack("{s:s, s:{s:s, s:s?}, s:{s:I}}", "type", "message_delta",
                         "delta", "stop_reason", finish, "stop_sequence", sequence,
                         "usage", "output_tokens",
                         (json_int_t)output_tokens(call, blocks)));
    if (!mock_rule_true(call, "no_done"))
        mock_event(reply, "message_stop", json_pack("{s:s}", "type", "message_stop"));
}

void mock_messages(const mock_call *call, mock_reply *reply)
{
    const char *finish, *sequence;
    json_t *blocks = make_blocks(call, &finish, &sequence);
    if (json_is_true(json_object_get(call->json, "stream")))
        stream_message(call, reply, blocks, finish, sequence);
    else
        mock_whole(reply, 200,
                   message_of(call, json_incref(blocks), finish, sequence,
                              usage_of(call, output_tokens(call, blocks))));
    json_decref(blocks);
}

void mock_count_tokens(const mock_call *call, mock_reply *reply)
{
    mock_whole(reply, 200,
               json_pack("{s:I}", "input_tokens", (json_int_t)mock_input_tokens(call)));
}

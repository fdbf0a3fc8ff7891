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

/* The named tool, or the first one; the first two where it is said that they may be
 * called in parallel. */
static void add_tools(json_t *blocks, const mock_call *call)
{
    json_t *tools = json_object_get(call->json, "tools"), *tool;
    json_t *choice = json_object_get(call->json, "tool_choice");
    const char *named = mock_text_of(choice, "name", NULL);
    int left = json_is_false(json_object_get(choice, "disable_parallel_tool_use")) ? 2 : 1;
    size_t i;
    json_array_foreach(tools, i, tool)
    {
        if (named && strcmp(named, mock_text_of(tool, "name", "")) != 0)
            continue;
        if (left-- > 0)
            add_tool(blocks, tool, call);
    }
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
    json_t *given = call->rule ? json_object_get(call->rule, "blocks") : NULL;
    if (given)
        json_array_extend(blocks, given);
    else
        json_array_append_new(blocks,
                              json_pack("{s:s, s:s}", "type", "text", "text", text));
    free(text);
    int tool = mock_wants_tool(call);
    if (tool)
        add_tools(blocks, call);
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

/* What message_delta says of it: all counts, or with the older servers the output's. */
static json_t *last_usage(const mock_call *call, long out)
{
    if (mock_rule_true(call, "brief_usage"))
        return json_pack("{s:I}", "output_tokens", (json_int_t)out);
    return json_pack("{s:I, s:i, s:i, s:I}", "input_tokens",
                     (json_int_t)mock_input_tokens(call), "cache_creation_input_tokens",
                     0, "cache_read_input_tokens", 0, "output_tokens", (json_int_t)out);
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

/* With fine-grained streaming the input comes as it is made: no empty first piece, and
 * longer ones. */
static void input_deltas(mock_reply *reply, size_t index, json_t *input)
{
    char *text = json_dumps(input, JSON_COMPACT), beta[256] = "";
    mock_header(reply->call, "anthropic-beta", beta, sizeof beta);
    int fine = strstr(beta, "fine-grained-tool-streaming") != NULL;
    size_t most = fine ? 31 : 7;
    if (!fine || strcmp(text, "{}") == 0)
        block_delta(reply, index, "input_json_delta", "partial_json", "", 0);
    for (size_t at = 0, left = strcmp(text, "{}") ? strlen(text) : 0, step; left;
         left -= step, at += step) {
        step = left > most ? most : left;
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
    if (json_object_get(start, "citations"))
        json_object_set_new(start, "citations", json_array());
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
    json_t *citation;
    size_t i;
    json_array_foreach(json_object_get(block, "citations"), i, citation)
        mock_event(reply, "content_block_delta",
                   json_pack("{s:s, s:I, s:{s:s, s:O}}", "type", "content_block_delta",
                             "index", (json_int_t)index, "delta", "type",
                             "citations_delta", "citation", citation));
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
               json_pack("{s:s, s:{s:s, s:s?}, s:o}", "type", "message_delta", "delta",
                         "stop_reason", finish, "stop_sequence", sequence, "usage",
                         last_usage(call, output_tokens(call, blocks))));
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

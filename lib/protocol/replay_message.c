/*
 * Anthropic messages as events: message_start, the blocks one after the other,
 * message_delta with the end and the counts, message_stop. Known kinds of blocks come in
 * deltas, all others whole in their start.
 */
#include "protocol/replay.h"

#include <string.h>

static void open_block_event(lc_player *player, const char *name, int index)
{
    lc_player_event(player, name);
    lc_buffer_format(player->out, ",\"index\":%d", index);
}

/* Deltas of one kind: {"type":KIND,MEMBER:piece}. At least one when `even_empty`. */
static void play_pieces(lc_player *player, int index, const char *kind,
                        const char *member, const lc_tree *text, int even_empty)
{
    for (size_t at = 0, end; at < text->size || even_empty; at = end, even_empty = 0) {
        end = lc_player_piece(player, text, at);
        open_block_event(player, "content_block_delta", index);
        lc_buffer_format(player->out, ",\"delta\":{\"type\":\"%s\",\"%s\":", kind,
                         member);
        lc_tree_write_string(text->text + at, end - at, player->out);
        lc_buffer_byte(player->out, '}');
        lc_player_event_end(player);
    }
}

/* content_block_start with the members in `empty` said as "" (or {} for input, [] for
 * citations). */
static void play_block_start(lc_player *player, int index, const lc_tree *block,
                             const char *const *empty)
{
    const lc_tree *type = lc_tree_find(block, "type");
    open_block_event(player, "content_block_start", index);
    lc_buffer_text(player->out, ",\"content_block\":{\"type\":");
    lc_tree_write(type, player->out);
    for (const char *const *name = empty; *name; name++)
        if (strcmp(*name, "type") != 0 && lc_tree_find(block, *name))
            lc_buffer_format(player->out, ",\"%s\":%s", *name,
                             strcmp(*name, "input") == 0       ? "{}"
                             : strcmp(*name, "citations") == 0 ? "[]"
                                                               : "\"\"");
    lc_player_members(player->out, block, empty);
    lc_buffer_byte(player->out, '}');
    lc_player_event_end(player);
}

static void play_text_block(lc_player *player, int index, const lc_tree *block,
                            const lc_tree *text)
{
    static const char *const plain[] = {"type", "text", NULL};
    static const char *const cited[] = {"type", "text", "citations", NULL};
    const lc_tree *citations = lc_tree_find(block, "citations");
    int has_citations = lc_tree_children(citations) != NULL;
    play_block_start(player, index, block, has_citations ? cited : plain);
    for (const lc_tree *one = has_citations ? citations->first : NULL; one;
         one = one->next) {
        open_block_event(player, "content_block_delta", index);
        lc_buffer_text(player->out, ",\"delta\":{\"type\":\"citations_delta\"");
        lc_player_member(player->out, "citation", one);
        lc_buffer_byte(player->out, '}');
        lc_player_event_end(player);
    }
    play_pieces(player, index, "text_delta", "text", text, 0);
}

static void play_thinking(lc_player *player, int index, const lc_tree *block,
                          const lc_tree *text)
{
    static const char *const empty[] = {"type", "thinking", "signature", NULL};
    static const char *const no_signature[] = {"type", "thinking", NULL};
    const lc_tree *signature = lc_tree_find(block, "signature");
    int is_signed = lc_tree_is_type(signature, LC_TREE_STRING);
    play_block_start(player, index, block, is_signed ? empty : no_signature);
    play_pieces(player, index, "thinking_delta", "thinking", text, 0);
    if (is_signed && signature->size) {
        lc_tree whole = *signature;
        size_t piece = player->piece;
        player->piece = 0; /* a second signature_delta would take the first one's place */
        play_pieces(player, index, "signature_delta", "signature", &whole, 0);
        player->piece = piece;
    }
}

static int play_tool_use(lc_player *player, int index, const lc_tree *block,
                         const lc_tree *input)
{
    static const char *const empty[] = {"type", "input", NULL};
    lc_buffer json;
    lc_buffer_init(&json, 0);
    if (input->size)
        lc_tree_write(input, &json);
    lc_tree text = {.type = LC_TREE_STRING,
                    .text = json.size ? json.data : "",
                    .size = (uint32_t)json.size};
    if (!json.broken) {
        play_block_start(player, index, block, empty);
        play_pieces(player, index, "input_json_delta", "partial_json", &text, 1);
    }
    int status = json.broken;
    lc_buffer_done(&json);
    return status;
}

/* tool_use, server_tool_use, mcp_tool_use ... */
static int is_tool_use(const lc_tree *type)
{
    return type->size >= 8 && memcmp(type->text + type->size - 8, "tool_use", 8) == 0;
}

static int play_block(lc_player *player, int index, const lc_tree *block)
{
    static const char *const only_type[] = {"type", NULL};
    const lc_tree *type = lc_tree_find(block, "type"),
                  *text = lc_tree_find(block, "text");
    const lc_tree *thinking = lc_tree_find(block, "thinking"),
                  *input = lc_tree_find(block, "input");
    int status = 0;
    if (!lc_tree_is_type(type, LC_TREE_STRING))
        return LLMCACHE_INVALID;
    if (lc_tree_is_text(type, "text") && lc_tree_is_type(text, LC_TREE_STRING))
        play_text_block(player, index, block, text);
    else if (lc_tree_is_text(type, "thinking") &&
             lc_tree_is_type(thinking, LC_TREE_STRING))
        play_thinking(player, index, block, thinking);
    else if (is_tool_use(type) && lc_tree_is_type(input, LC_TREE_OBJECT))
        status = play_tool_use(player, index, block, input);
    else
        play_block_start(player, index, block, only_type);
    open_block_event(player, "content_block_stop", index);
    lc_player_event_end(player);
    return status;
}

/* The message without its content and its end, as it was when it began. */
static void play_message_start(lc_player *player)
{
    static const char *const but[] = {
        "type", "content", "stop_reason", "stop_sequence", "stop_details", "usage", NULL};
    static const char *const but_output[] = {"output_tokens", NULL};
    lc_buffer *out = player->out;
    lc_player_event(player, "message_start");
    lc_buffer_text(out, ",\"message\":{\"type\":\"message\"");
    lc_player_members(out, player->answer, but);
    lc_buffer_text(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null");
    if (lc_tree_find(player->answer, "stop_details"))
        lc_buffer_text(out, ",\"stop_details\":null");
    /* Counted so far, as the service does: the first token. */
    lc_buffer_text(out, ",\"usage\":{\"output_tokens\":1");
    lc_player_members(out, lc_tree_find(player->answer, "usage"), but_output);
    lc_buffer_text(out, "}}");
    lc_player_event_end(player);
}

/* SDKs take the stop members from here even when they are not said, and the counts where
 * they are: some clients count only those, so a replay counts what the service counts. */
static void play_message_delta(lc_player *player)
{
    static const char *const counts[] = {"input_tokens", "cache_creation_input_tokens",
                                         "cache_read_input_tokens", "server_tool_use",
                                         "output_tokens_details"};
    lc_buffer *out = player->out;
    const lc_tree *usage = lc_tree_find(player->answer, "usage");
    const lc_tree *output = lc_tree_find(usage, "output_tokens");
    lc_player_event(player, "message_delta");
    lc_buffer_text(out, ",\"delta\":{\"stop_reason\":");
    lc_tree_write(lc_tree_find(player->answer, "stop_reason"), out);
    lc_player_member(out, "stop_sequence", lc_tree_find(player->answer, "stop_sequence"));
    const lc_tree *details = lc_tree_find(player->answer, "stop_details");
    if (details)
        lc_player_member(out, "stop_details", details);
    lc_buffer_text(out, "},\"usage\":{\"output_tokens\":");
    if (lc_tree_is_type(output, LC_TREE_NUMBER))
        lc_tree_write(output, out);
    else
        lc_buffer_byte(out, '0');
    for (size_t i = 0; player->include_usage && i < sizeof counts / sizeof *counts; i++) {
        const lc_tree *count = lc_tree_find(usage, counts[i]);
        if (!lc_tree_is_nothing(count))
            lc_player_member(out, counts[i], count);
    }
    lc_buffer_byte(out, '}');
    lc_player_event_end(player);
}

int lc_play_message(lc_player *player)
{
    const lc_tree *content = lc_tree_find(player->answer, "content");
    int index = 0;
    if (!lc_tree_is_type(content, LC_TREE_ARRAY) ||
        lc_tree_is_nothing(lc_tree_find(player->answer, "stop_reason")))
        return LLMCACHE_INVALID;
    play_message_start(player);
    for (const lc_tree *block = content->first; block; block = block->next) {
        int status = play_block(player, index++, block);
        if (status)
            return status;
    }
    play_message_delta(player);
    lc_player_event(player, "message_stop");
    lc_player_event_end(player);
    return player->out->broken;
}

/*
 * OpenAI responses as events: created, in_progress, each item of the output from added to
 * done, completed. Messages, reasoning and the calls of known tools come in deltas; what
 * is unknown is added and done.
 */
#include "protocol/replay.h"

#include <inttypes.h>
#include <string.h>

/* ---- Events ---------------------------------------------------------------------- */

/* An item of the output and, within it, a part. */
typedef struct place {
    const lc_tree *item;
    int output;
    const char
        *inner_name; /* "content_index" or "summary_index"; NULL: the item itself */
    int inner;
} place;

/* `name` has two halves, for the names that differ in their last word only. */
static void open_event(lc_player *player, const char *head, const char *tail)
{
    lc_buffer *out = player->out;
    lc_buffer_format(out,
                     "event: %s%s\ndata: {\"type\":\"%s%s\",\"sequence_number\":%" PRId64,
                     head, tail, head, tail, player->sequence++);
}

static void open_place(lc_player *player, const char *head, const char *tail,
                       const place *at)
{
    const lc_tree *id = lc_tree_find(at->item, "id");
    open_event(player, head, tail);
    lc_buffer_format(player->out, ",\"output_index\":%d,\"item_id\":", at->output);
    if (lc_tree_is_type(id, LC_TREE_STRING))
        lc_tree_write(id, player->out);
    else
        lc_buffer_text(player->out, "\"\"");
    if (at->inner_name)
        lc_buffer_format(player->out, ",\"%s\":%d", at->inner_name, at->inner);
}

/* HEAD.delta with pieces of the text, then HEAD.done with the whole of it as `done`. */
static void play_text(lc_player *player, const char *head, const place *at,
                      const char *done, const lc_tree *text, const lc_tree *logprobs,
                      int with_logprobs)
{
    const lc_tree *left = logprobs;
    for (size_t from = 0, end; from < text->size || left; from = end, left = NULL) {
        end = lc_player_piece(player, text, from);
        open_place(player, head, ".delta", at);
        lc_buffer_text(player->out, ",\"delta\":");
        lc_tree_write_string(text->text + from, end - from, player->out);
        if (left)
            lc_player_member(player->out, "logprobs", left);
        else if (with_logprobs)
            lc_buffer_text(player->out, ",\"logprobs\":[]");
        lc_player_event_end(player);
    }
    open_place(player, head, ".done", at);
    lc_player_member(player->out, done, text);
    if (logprobs)
        lc_player_member(player->out, "logprobs", logprobs);
    else if (with_logprobs)
        lc_buffer_text(player->out, ",\"logprobs\":[]");
    lc_player_event_end(player);
}

/* ---- Messages -------------------------------------------------------------------- */

static void play_annotations(lc_player *player, const place *at, const lc_tree *part)
{
    int index = 0;
    for (const lc_tree *one = lc_tree_children(lc_tree_find(part, "annotations")); one;
         one = one->next) {
        open_place(player, "response.output_text.annotation", ".added", at);
        lc_buffer_format(player->out, ",\"annotation_index\":%d", index++);
        lc_player_member(player->out, "annotation", one);
        lc_player_event_end(player);
    }
}

/* The part as it begins: its text empty, nothing attached yet. */
static void put_empty_part(lc_player *player, const lc_tree *part, const char *text)
{
    static const char *const later[] = {"text", "refusal", "annotations", "logprobs",
                                        NULL};
    lc_buffer_format(player->out, ",\"part\":{\"%s\":\"\"", text);
    if (lc_tree_find(part, "annotations"))
        lc_buffer_text(player->out, ",\"annotations\":[]");
    if (lc_tree_find(part, "logprobs"))
        lc_buffer_text(player->out, ",\"logprobs\":[]");
    lc_player_members(player->out, part, later);
    lc_buffer_byte(player->out, '}');
}

static void play_part_edge(lc_player *player, const char *head, const char *edge,
                           const place *at, const lc_tree *part, const char *empty)
{
    open_place(player, head, edge, at);
    if (empty)
        put_empty_part(player, part, empty);
    else
        lc_player_member(player->out, "part", part);
    lc_player_event_end(player);
}

static const struct part_kind {
    const char *type, *text, *head;
    int logprobs;
} part_kinds[] = {
    {"output_text", "text", "response.output_text", 1},
    {"refusal", "refusal", "response.refusal", 0},
    {"reasoning_text", "text", "response.reasoning_text", 0},
    {"summary_text", "text", "response.reasoning_summary_text", 0},
};

static void play_part(lc_player *player, const char *edge, const place *at,
                      const lc_tree *part)
{
    const struct part_kind *kind = NULL;
    const lc_tree *type = lc_tree_find(part, "type"),
                  *logprobs = lc_tree_find(part, "logprobs");
    for (size_t i = 0; i < sizeof part_kinds / sizeof *part_kinds && !kind; i++)
        if (lc_tree_is_text(type, part_kinds[i].type))
            kind = &part_kinds[i];
    const lc_tree *text = kind ? lc_tree_find(part, kind->text) : NULL;
    if (!lc_tree_is_type(text, LC_TREE_STRING)) {
        play_part_edge(player, edge, ".added", at, part, NULL);
    } else {
        play_part_edge(player, edge, ".added", at, part, kind->text);
        play_text(player, kind->head, at, kind->text, text,
                  kind->logprobs && lc_tree_children(logprobs) ? logprobs : NULL,
                  kind->logprobs);
        play_annotations(player, at, part);
    }
    play_part_edge(player, edge, ".done", at, part, NULL);
}

static void play_parts(lc_player *player, const place *item, const char *member,
                       const char *index, const char *edge)
{
    place at = {.item = item->item, .output = item->output, .inner_name = index};
    for (const lc_tree *part = lc_tree_children(lc_tree_find(item->item, member)); part;
         part = part->next, at.inner++)
        play_part(player, edge, &at, part);
}

/* ---- Calls of tools -------------------------------------------------------------- */

static const struct call_kind {
    const char *type;
    const char *text, *head;       /* what comes in deltas; NULL: nothing does */
    const char *state, *under_way; /* events about its state; NULL: none */
} call_kinds[] = {
    {"function_call", "arguments", "response.function_call_arguments", NULL, NULL},
    {"custom_tool_call", "input", "response.custom_tool_call_input", NULL, NULL},
    {"mcp_call", "arguments", "response.mcp_call_arguments", "response.mcp_call", NULL},
    {"mcp_list_tools", NULL, NULL, "response.mcp_list_tools", NULL},
    {"code_interpreter_call", "code", "response.code_interpreter_call_code",
     "response.code_interpreter_call", ".interpreting"},
    {"web_search_call", NULL, NULL, "response.web_search_call", ".searching"},
    {"file_search_call", NULL, NULL, "response.file_search_call", ".searching"},
    {"image_generation_call", NULL, NULL, "response.image_generation_call",
     ".generating"},
};

static const struct call_kind *kind_of(const lc_tree *item)
{
    const lc_tree *type = lc_tree_find(item, "type");
    for (size_t i = 0; i < sizeof call_kinds / sizeof *call_kinds; i++)
        if (lc_tree_is_text(type, call_kinds[i].type))
            return &call_kinds[i];
    return NULL;
}

static void play_state(lc_player *player, const struct call_kind *kind, const char *state,
                       const place *at)
{
    if (!kind->state || !state)
        return;
    open_place(player, kind->state, state, at);
    lc_player_event_end(player);
}

static void play_call(lc_player *player, const struct call_kind *kind, const place *at)
{
    const lc_tree *text = kind->text ? lc_tree_find(at->item, kind->text) : NULL;
    int failed = !lc_tree_is_nothing(lc_tree_find(at->item, "error"));
    play_state(player, kind, ".in_progress", at);
    if (lc_tree_is_type(text, LC_TREE_STRING))
        play_text(player, kind->head, at, kind->text, text, NULL, 0);
    play_state(player, kind, kind->under_way, at);
    play_state(player, kind, failed ? ".failed" : ".completed", at);
}

/* ---- Items ----------------------------------------------------------------------- */

/* What an item says only when it is done, and what stands there until then. */
static const char *before_done(const lc_tree *item, const lc_tree *member)
{
    static const char *const results[] = {"result", "output", "outputs", "results"};
    const struct call_kind *kind = kind_of(item);
    if (lc_tree_named(member, "status") && member->type == LC_TREE_STRING)
        return "\"in_progress\"";
    if (kind && kind->text && lc_tree_named(member, kind->text))
        return "\"\"";
    if (lc_tree_named(member, "content") || lc_tree_named(member, "summary"))
        return member->type == LC_TREE_ARRAY ? "[]" : NULL;
    for (size_t i = 0; i < sizeof results / sizeof *results && kind; i++)
        if (lc_tree_named(member, results[i]))
            return "null";
    return NULL;
}

static void put_item_begun(lc_player *player, const lc_tree *item)
{
    lc_buffer *out = player->out;
    lc_buffer_text(out, ",\"item\":{");
    for (const lc_tree *member = lc_tree_children(item); member; member = member->next) {
        const char *instead = before_done(item, member);
        if (member != item->first)
            lc_buffer_byte(out, ',');
        lc_tree_write_string(member->name, member->name_size, out);
        lc_buffer_byte(out, ':');
        if (instead)
            lc_buffer_text(out, instead);
        else
            lc_tree_write(member, out);
    }
    lc_buffer_byte(out, '}');
}

static void play_item(lc_player *player, const lc_tree *item, int output)
{
    const place at = {.item = item, .output = output};
    const struct call_kind *kind = kind_of(item);
    open_event(player, "response.output_item", ".added");
    lc_buffer_format(player->out, ",\"output_index\":%d", output);
    put_item_begun(player, item);
    lc_player_event_end(player);
    if (kind)
        play_call(player, kind, &at);
    play_parts(player, &at, "summary", "summary_index",
               "response.reasoning_summary_part");
    play_parts(player, &at, "content", "content_index", "response.content_part");
    open_event(player, "response.output_item", ".done");
    lc_buffer_format(player->out, ",\"output_index\":%d", output);
    lc_player_member(player->out, "item", item);
    lc_player_event_end(player);
}

/* ---- The response ---------------------------------------------------------------- */

static void play_begun(lc_player *player, const char *state)
{
    static const char *const later[] = {
        "status",       "output",      "usage", "error", "incomplete_details",
        "completed_at", "output_text", NULL};
    open_event(player, "response.", state);
    lc_buffer_text(
        player->out,
        ",\"response\":{\"status\":\"in_progress\",\"output\":[],\"usage\":null,"
        "\"error\":null,\"incomplete_details\":null");
    if (lc_tree_find(player->answer, "completed_at"))
        lc_buffer_text(player->out, ",\"completed_at\":null");
    lc_player_members(player->out, player->answer, later);
    lc_buffer_byte(player->out, '}');
    lc_player_event_end(player);
}

int lc_play_response(lc_player *player)
{
    const lc_tree *output = lc_tree_find(player->answer, "output");
    const lc_tree *status = lc_tree_find(player->answer, "status");
    int index = 0, whole = lc_tree_is_text(status, "completed");
    if (!lc_tree_is_type(output, LC_TREE_ARRAY) ||
        (!whole && !lc_tree_is_text(status, "incomplete")))
        return LLMCACHE_INVALID;
    play_begun(player, "created");
    play_begun(player, "in_progress");
    for (const lc_tree *item = output->first; item; item = item->next) {
        if (item->type != LC_TREE_OBJECT)
            return LLMCACHE_INVALID;
        play_item(player, item, index++);
    }
    open_event(player, "response.", whole ? "completed" : "incomplete");
    lc_player_member(player->out, "response", player->answer);
    lc_player_event_end(player);
    return player->out->broken;
}

/*
 * Whole answers as streams. A replay says in one delta what the model said in many; what
 * a client puts together from it is the same.
 */
#include "protocol/replay.h"

#include "base/error.h"

#include <string.h>

size_t lc_player_piece(const lc_player *player, const lc_tree *text, size_t at)
{
    size_t end = player->piece && player->piece < text->size - at ? at + player->piece
                                                                  : text->size;
    while (end < text->size && ((unsigned char)text->text[end] & 0xc0) == 0x80)
        end++;
    return end;
}

void lc_player_member(lc_buffer *out, const char *name, const lc_tree *value)
{
    lc_buffer_text(out, ",\"");
    lc_buffer_text(out, name);
    lc_buffer_text(out, "\":");
    if (value)
        lc_tree_write(value, out);
    else
        lc_buffer_text(out, "null");
}

static int is_one_of(const lc_tree *member, const char *const *names)
{
    while (*names && !lc_tree_named(member, *names))
        names++;
    return *names != NULL;
}

void lc_player_members(lc_buffer *out, const lc_tree *object, const char *const *but)
{
    for (const lc_tree *member = lc_tree_children(object); member;
         member = member->next) {
        if (is_one_of(member, but))
            continue;
        lc_buffer_byte(out, ',');
        lc_tree_write_string(member->name, member->name_size, out);
        lc_buffer_byte(out, ':');
        lc_tree_write(member, out);
    }
}

void lc_player_event(lc_player *player, const char *name)
{
    lc_buffer_text(player->out, "event: ");
    lc_buffer_text(player->out, name);
    lc_buffer_text(player->out, "\ndata: {\"type\":\"");
    lc_buffer_text(player->out, name);
    lc_buffer_byte(player->out, '"');
}

void lc_player_event_end(lc_player *player)
{
    lc_buffer_text(player->out, "}\n\n");
}

static int play(lc_protocol protocol, lc_player *player)
{
    if (player->answer->type != LC_TREE_OBJECT)
        return LLMCACHE_INVALID;
    switch (protocol) {
    case LC_PROTOCOL_CHAT:
        return lc_play_chat(player);
    case LC_PROTOCOL_COMPLETIONS:
        return lc_play_completion(player);
    case LC_PROTOCOL_MESSAGES:
        return lc_play_message(player);
    case LC_PROTOCOL_RESPONSES:
        return lc_play_response(player);
    default:
        return LLMCACHE_UNSUPPORTED;
    }
}

int lc_replay_pieces(lc_protocol protocol, const char *body, size_t size,
                     int include_usage, size_t piece_bytes, lc_buffer *events,
                     llmcache_error *err)
{
    lc_player player = {
        .out = events, .include_usage = include_usage, .piece = piece_bytes};
    lc_tree *answer;
    lc_buffer_init(&player.head, 0);
    int status = lc_tree_read(&player.arena, body, size, &answer, err);
    if (!status) {
        player.answer = answer;
        status = play(protocol, &player);
        status = status               ? status
                 : player.head.broken ? player.head.broken
                                      : events->broken;
        if (status == LLMCACHE_UNSUPPORTED)
            lc_fail(err, status, "replay: the answer does not have what was asked for");
        else if (status)
            lc_fail(err, status, "replay: %s",
                    status == LLMCACHE_INVALID ? "not a whole answer"
                                               : lc_code_text(status));
    }
    lc_buffer_done(&player.head);
    lc_arena_done(&player.arena);
    return status;
}

int lc_replay(lc_protocol protocol, const char *body, size_t size, int include_usage,
              lc_buffer *events, llmcache_error *err)
{
    return lc_replay_pieces(protocol, body, size, include_usage, 0, events, err);
}

/* What the replays of the protocols share. */
#ifndef LC_PROTOCOL_REPLAY_H
#define LC_PROTOCOL_REPLAY_H

#include "protocol/json_tree.h"
#include "protocol/protocol.h"

typedef struct lc_player {
    lc_arena arena;
    const lc_tree *answer; /* the whole one */
    lc_buffer *out;
    int include_usage;
    size_t piece;     /* bytes of text in one delta, roughly; 0: all of it */
    int64_t sequence; /* next sequence_number */
    lc_buffer head;   /* what every chunk begins with */
} lc_player;

/* Each gives 0, out->broken, LLMCACHE_INVALID (no whole answer) or LLMCACHE_UNSUPPORTED
 * (no usage). */
int lc_play_chat(lc_player *player);
int lc_play_completion(lc_player *player);
int lc_play_message(lc_player *player);
int lc_play_response(lc_player *player);

/* The next piece of a text: where the one that begins at `at` ends. Never inside a
 * character. */
size_t lc_player_piece(const lc_player *player, const lc_tree *text, size_t at);

/* "name":value with a comma before it; value NULL writes null. */
void lc_player_member(lc_buffer *out, const char *name, const lc_tree *value);
/* The members of an object, each with a comma before it, but for those named in `but`
 * (ends with NULL). */
void lc_player_members(lc_buffer *out, const lc_tree *object, const char *const *but);

/* event: NAME, data: {"type":NAME ... */
void lc_player_event(lc_player *player, const char *name);
void lc_player_event_end(lc_player *player);

#endif

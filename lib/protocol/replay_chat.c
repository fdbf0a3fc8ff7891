/*
 * Chat completions and completions as chunks, in the order in which OpenAI sends them:
 * role, text, tool calls, finish reason for each choice; usage when it was asked for;
 * [DONE]. SDKs read system_fingerprint and the like from the last chunk they saw, so
 * every chunk says them; what is unknown is said by the first.
 */
#include "protocol/merge.h"
#include "protocol/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Chunks ---------------------------------------------------------------------- */

static const char *const known[] = {
    "id", "created", "model", "service_tier", "system_fingerprint", NULL};
static const char *const not_known[] = {"id",      "created",      "model",
                                        "object",  "service_tier", "system_fingerprint",
                                        "choices", "usage",        NULL};

static void make_head(lc_player *player, const char *object)
{
    lc_buffer_text(&player->head, "data: {\"object\":\"");
    lc_buffer_text(&player->head, object);
    lc_buffer_byte(&player->head, '"');
    for (size_t i = 0; known[i]; i++) {
        const lc_tree *value = lc_tree_find(player->answer, known[i]);
        if (value)
            lc_player_member(&player->head, known[i], value);
    }
}

static void open_chunk(lc_player *player)
{
    int first = player->sequence++ == 0;
    lc_buffer_add(player->out, player->head.data, player->head.size);
    if (first)
        lc_player_members(player->out, player->answer, not_known);
    lc_buffer_text(player->out, ",\"choices\":[");
}

static void close_chunk(lc_player *player)
{
    lc_buffer_text(player->out,
                   player->include_usage ? "],\"usage\":null}\n\n" : "]}\n\n");
}

static int64_t index_of(const lc_tree *choice)
{
    int64_t index = 0;
    lc_tree_integer(lc_tree_find(choice, "index"), &index);
    return index;
}

/* {"index":0,"delta":{ ... the caller writes what is in the delta ... */
static void open_delta(lc_player *player, const lc_tree *choice)
{
    open_chunk(player);
    lc_buffer_format(player->out, "{\"index\":%" PRId64 ",\"delta\":{", index_of(choice));
}

/* `logprobs` and `reason`: NULL for null. */
static void end_choice(lc_player *player, const lc_tree *choice, const lc_tree *logprobs,
                       const lc_tree *reason)
{
    static const char *const said[] = {"index",    "message",       "text",
                                       "logprobs", "finish_reason", NULL};
    if (lc_tree_find(choice, "logprobs"))
        lc_player_member(player->out, "logprobs", logprobs);
    lc_player_member(player->out, "finish_reason", reason);
    if (reason)
        lc_player_members(player->out, choice, said);
    lc_buffer_byte(player->out, '}');
    close_chunk(player);
}

static void close_delta(lc_player *player, const lc_tree *choice, const lc_tree *logprobs,
                        const lc_tree *reason)
{
    lc_buffer_byte(player->out, '}');
    end_choice(player, choice, logprobs, reason);
}

/* ---- Messages -------------------------------------------------------------------- */

/* A text that is told in pieces. */
static int is_told(const lc_tree *member)
{
    return member->type == LC_TREE_STRING && !lc_merge_is_repeated(member) &&
           !lc_tree_named(member, "name");
}

static int is_called(const lc_tree *member)
{
    return (lc_tree_named(member, "tool_calls") ||
            lc_tree_named(member, "function_call")) &&
           lc_tree_children(member);
}

/* What a whole answer says and the beginning of a stream does not: that nothing is called
 * or cited, and what is cited, which follows the text. */
static int is_not_of_start(const lc_tree *message, const lc_tree *member)
{
    if (is_called(member))
        return 1;
    if (lc_tree_named(member, "tool_calls"))
        return lc_tree_is_type(member, LC_TREE_ARRAY);
    if (!lc_tree_named(member, "annotations") || !lc_tree_is_type(member, LC_TREE_ARRAY))
        return 0;
    return member->first || lc_tree_find(message, "refusal");
}

/* The role, and all that does not come in pieces. */
static void play_start(lc_player *player, const lc_tree *choice, const lc_tree *message)
{
    const lc_tree *role = lc_tree_find(message, "role");
    open_delta(player, choice);
    lc_buffer_text(player->out, "\"role\":");
    if (lc_tree_is_nothing(role))
        lc_buffer_text(player->out, "\"assistant\"");
    else
        lc_tree_write(role, player->out);
    for (const lc_tree *member = lc_tree_children(message); member;
         member = member->next) {
        if (lc_tree_named(member, "role") || is_not_of_start(message, member))
            continue;
        lc_buffer_byte(player->out, ',');
        lc_tree_write_string(member->name, member->name_size, player->out);
        lc_buffer_byte(player->out, ':');
        if (is_told(member))
            lc_buffer_text(player->out, "\"\"");
        else
            lc_tree_write(member, player->out);
    }
    close_delta(player, choice, NULL, NULL);
}

/* A text, in pieces. `logprobs`, when not NULL, go with the first piece, which is then
 * sent even if empty. */
static void play_text(lc_player *player, const lc_tree *choice, const lc_tree *text,
                      const lc_tree *logprobs)
{
    for (size_t at = 0, end; at < text->size || logprobs; at = end, logprobs = NULL) {
        end = lc_player_piece(player, text, at);
        open_delta(player, choice);
        lc_tree_write_string(text->name, text->name_size, player->out);
        lc_buffer_byte(player->out, ':');
        lc_tree_write_string(text->text + at, end - at, player->out);
        close_delta(player, choice, logprobs, NULL);
    }
}

/* `before` opens the delta up to the arguments' value, `after` closes it. */
static void play_arguments(lc_player *player, const lc_tree *choice,
                           const lc_tree *arguments, const char *before,
                           const char *after)
{
    for (size_t at = 0, end; at < arguments->size; at = end) {
        end = lc_player_piece(player, arguments, at);
        open_delta(player, choice);
        lc_buffer_text(player->out, before);
        lc_tree_write_string(arguments->text + at, end - at, player->out);
        lc_buffer_text(player->out, after);
        close_delta(player, choice, NULL, NULL);
    }
}

/* {"arguments":"" and the other members of a function that is called */
static void put_function(lc_player *player, const lc_tree *function)
{
    static const char *const but[] = {"arguments", NULL};
    lc_buffer_text(player->out, "{\"arguments\":\"\"");
    lc_player_members(player->out, function, but);
    lc_buffer_byte(player->out, '}');
}

static void play_tool_call(lc_player *player, const lc_tree *choice, const lc_tree *call,
                           int position)
{
    static const char *const but_function[] = {"index", "function", NULL},
                             *const but_index[] = {"index", NULL};
    const lc_tree *function = lc_tree_find(call, "function");
    const lc_tree *arguments = lc_tree_find(function, "arguments");
    int in_pieces = lc_tree_is_type(arguments, LC_TREE_STRING);
    open_delta(player, choice);
    lc_buffer_format(player->out, "\"tool_calls\":[{\"index\":%d", position);
    lc_player_members(player->out, call, in_pieces ? but_function : but_index);
    if (in_pieces) {
        lc_buffer_text(player->out, ",\"function\":");
        put_function(player, function);
    }
    lc_buffer_text(player->out, "}]");
    close_delta(player, choice, NULL, NULL);
    if (!in_pieces)
        return;
    char before[80];
    snprintf(before, sizeof before,
             "\"tool_calls\":[{\"index\":%d,\"function\":{\"arguments\":", position);
    play_arguments(player, choice, arguments, before, "}}]");
}

static void play_function_call(lc_player *player, const lc_tree *choice,
                               const lc_tree *call)
{
    const lc_tree *arguments = lc_tree_find(call, "arguments");
    int in_pieces = lc_tree_is_type(arguments, LC_TREE_STRING);
    open_delta(player, choice);
    lc_buffer_text(player->out, "\"function_call\":");
    if (in_pieces)
        put_function(player, call);
    else
        lc_tree_write(call, player->out);
    close_delta(player, choice, NULL, NULL);
    if (in_pieces)
        play_arguments(player, choice, arguments,
                       "\"function_call\":{\"arguments\":", "}");
}

static void play_citations(lc_player *player, const lc_tree *choice,
                           const lc_tree *annotations)
{
    if (!lc_tree_children(annotations))
        return;
    open_delta(player, choice);
    lc_buffer_text(player->out, "\"annotations\":");
    lc_tree_write(annotations, player->out);
    close_delta(player, choice, NULL, NULL);
}

/* NULL where they are null, and where they go with another part than the one at hand. */
static const lc_tree *logprobs_for(const lc_tree *choice, int text)
{
    const lc_tree *content = lc_tree_find(lc_tree_find(choice, "message"), "content");
    const lc_tree *logprobs = lc_tree_find(choice, "logprobs");
    int here = lc_tree_is_type(content, LC_TREE_STRING) == text;
    return lc_tree_is_nothing(logprobs) || !here ? NULL : logprobs;
}

static void begin_choice(lc_player *player, const lc_tree *choice)
{
    play_start(player, choice, lc_tree_find(choice, "message"));
}

static void play_choice(lc_player *player, const lc_tree *choice)
{
    const lc_tree *message = lc_tree_find(choice, "message");
    const lc_tree *content = lc_tree_find(message, "content");
    const lc_tree *calls = lc_tree_find(message, "tool_calls");
    const lc_tree *call = lc_tree_find(message, "function_call");
    int position = 0;
    /* Reasoning comes before what it led to, whatever it is called. */
    for (const lc_tree *member = message->first; member; member = member->next)
        if (is_told(member) && member != content)
            play_text(player, choice, member, NULL);
    if (lc_tree_is_type(content, LC_TREE_STRING))
        play_text(player, choice, content, logprobs_for(choice, 1));
    play_citations(player, choice, lc_tree_find(message, "annotations"));
    for (const lc_tree *item = lc_tree_children(calls); item; item = item->next)
        play_tool_call(player, choice, item, position++);
    if (lc_tree_children(call))
        play_function_call(player, choice, call);
}

static void end_message(lc_player *player, const lc_tree *choice)
{
    open_delta(player, choice);
    close_delta(player, choice, logprobs_for(choice, 0),
                lc_tree_find(choice, "finish_reason"));
}

/* ---- Completions ----------------------------------------------------------------- */

static void put_piece(lc_player *player, const lc_tree *choice, const char *text,
                      size_t size)
{
    open_chunk(player);
    lc_buffer_format(player->out, "{\"index\":%" PRId64 ",\"text\":", index_of(choice));
    lc_tree_write_string(text, size, player->out);
}

static void play_completion_choice(lc_player *player, const lc_tree *choice)
{
    const lc_tree *text = lc_tree_find(choice, "text");
    const lc_tree *logprobs = lc_tree_find(choice, "logprobs");
    logprobs = lc_tree_is_nothing(logprobs) ? NULL : logprobs;
    for (size_t at = 0, end; at < text->size || logprobs; at = end, logprobs = NULL) {
        end = lc_player_piece(player, text, at);
        put_piece(player, choice, text->text + at, end - at);
        end_choice(player, choice, logprobs, NULL);
    }
    put_piece(player, choice, "", 0);
    end_choice(player, choice, NULL, lc_tree_find(choice, "finish_reason"));
}

/* ---- Both ------------------------------------------------------------------------ */

typedef void step(lc_player *player, const lc_tree *choice);

static int play_choices(lc_player *player, const char *member, lc_tree_type type,
                        step *const *steps)
{
    const lc_tree *choices = lc_tree_find(player->answer, "choices");
    const lc_tree *usage = lc_tree_find(player->answer, "usage");
    if (!lc_tree_is_type(choices, LC_TREE_ARRAY) || !choices->first)
        return LLMCACHE_INVALID;
    if (player->include_usage && lc_tree_is_nothing(usage))
        return LLMCACHE_UNSUPPORTED;
    for (const lc_tree *choice = choices->first; choice; choice = choice->next)
        if (!lc_tree_is_type(lc_tree_find(choice, member), type))
            return LLMCACHE_INVALID;
    /* Choices go on side by side: none ends before all have begun. */
    for (; *steps; steps++)
        for (const lc_tree *choice = choices->first; choice; choice = choice->next)
            (*steps)(player, choice);
    if (player->include_usage) {
        lc_buffer_add(player->out, player->head.data, player->head.size);
        lc_buffer_text(player->out, ",\"choices\":[]");
        lc_player_member(player->out, "usage", usage);
        lc_buffer_text(player->out, "}\n\n");
    }
    return lc_buffer_text(player->out, "data: [DONE]\n\n");
}

int lc_play_chat(lc_player *player)
{
    make_head(player, "chat.completion.chunk");
    return player->head.broken
               ? player->head.broken
               : play_choices(player, "message", LC_TREE_OBJECT,
                              (step *const[]){begin_choice, play_choice, end_message, NULL});
}

int lc_play_completion(lc_player *player)
{
    make_head(player, "text_completion");
    return player->head.broken ? player->head.broken
                               : play_choices(player, "text", LC_TREE_STRING,
                                              (step *const[]){play_completion_choice, NULL});
}

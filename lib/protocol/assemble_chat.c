/*
 * OpenAI chat completions and completions: chunks of choices that may come interleaved. A
 * chat choice's `delta` goes on with its message; a completion's choice goes on itself.
 */
#include "protocol/assemble.h"

#include <string.h>

/* ---- Chunks ---------------------------------------------------------------------- */

static int join_choice(lc_assembler *assembler, const lc_tree *piece, int chat)
{
    lc_merge *merge = &assembler->merge;
    lc_tree *choice, *message;
    int64_t index;
    if (lc_tree_integer(lc_tree_find(piece, "index"), &index))
        return LLMCACHE_INVALID;
    int status = lc_merge_at(merge, assembler->parts, index, &choice);
    if (!status && chat)
        status = lc_merge_container(merge, choice, "message", LC_TREE_OBJECT, &message);
    for (lc_tree *member = lc_tree_children(piece); member && !status;
         member = member->next) {
        if (chat && lc_tree_named(member, "delta"))
            status = lc_merge_object(merge, message, member);
        else if (lc_tree_named(member, "logprobs") ||
                 (!chat && lc_tree_named(member, "text")))
            status = lc_merge_member(merge, choice, member);
        else
            status = lc_merge_replace(merge, choice, member);
    }
    return status;
}

static int join_choices(lc_assembler *assembler, const lc_tree *pieces, int chat)
{
    int status = 0;
    for (lc_tree *piece = lc_tree_children(pieces); piece && !status; piece = piece->next)
        status = join_choice(assembler, piece, chat);
    return status;
}

/* A usage of null says "not yet"; obfuscation hides the length of a chunk. */
static int is_of_streams(const lc_tree *member)
{
    return (lc_tree_named(member, "usage") && member->type == LC_TREE_NULL) ||
           lc_tree_named(member, "obfuscation");
}

static int join_chunk(lc_assembler *assembler, const lc_tree *event, int chat)
{
    int status = 0;
    for (lc_tree *member = event->first; member && !status; member = member->next) {
        if (lc_tree_named(member, "choices"))
            status = join_choices(assembler, member, chat);
        else if (!is_of_streams(member))
            status = lc_merge_replace(&assembler->merge, assembler->root, member);
    }
    return status;
}

static int chat_event(lc_assembler *assembler, const char *name, const lc_tree *event)
{
    return join_chunk(assembler, event, 1);
}

static int completion_event(lc_assembler *assembler, const char *name,
                            const lc_tree *event)
{
    return join_chunk(assembler, event, 0);
}

/* ---- The whole ------------------------------------------------------------------- */

/* A message says its content even when that is null, and its tool calls are numbered by
 * their order. */
static int finish_message(lc_assembler *assembler, lc_tree *message)
{
    const lc_tree *content = lc_tree_find(message, "content");
    lc_tree *calls = lc_tree_find(message, "tool_calls");
    int acts = lc_tree_children(calls) ||
               lc_tree_children(lc_tree_find(message, "function_call"));
    for (lc_tree *call = lc_tree_children(calls); call; call = call->next)
        if (call->type == LC_TREE_OBJECT)
            lc_tree_drop(call, "index");
    if (!lc_tree_find(message, "role") &&
        lc_assembler_say(assembler, message, "role", "assistant"))
        return LLMCACHE_MEMORY;
    /* The service that speaks of refusals lists citations in every whole answer, and in a
     * stream only where there are any. */
    if (lc_tree_find(message, "refusal") && !lc_tree_find(message, "annotations") &&
        lc_tree_set(&assembler->answer, message, "annotations", 11,
                    lc_tree_new(&assembler->answer, LC_TREE_ARRAY)))
        return LLMCACHE_MEMORY;
    if (content && !(acts && lc_tree_is_text(content, "")))
        return 0;
    return lc_tree_set(&assembler->answer, message, "content", 7,
                       lc_tree_new(&assembler->answer, LC_TREE_NULL));
}

static int finish_choices(lc_assembler *assembler, const char *object, int chat)
{
    int status = lc_assembler_say(assembler, assembler->root, "object", object);
    if (!assembler->parts->size)
        return lc_assembler_spoil(assembler, "it has no choices");
    for (lc_tree *choice = assembler->parts->first; choice && !status;
         choice = choice->next) {
        if (lc_tree_is_nothing(lc_tree_find(choice, "finish_reason")))
            return lc_assembler_spoil(assembler, "a choice is unfinished");
        if (chat)
            status = finish_message(assembler, lc_tree_find(choice, "message"));
    }
    return status ? status
                  : lc_tree_set(&assembler->answer, assembler->root, "choices", 7,
                                assembler->parts);
}

static int chat_finish(lc_assembler *assembler)
{
    return finish_choices(assembler, "chat.completion", 1);
}

static int completion_finish(lc_assembler *assembler)
{
    return finish_choices(assembler, "text_completion", 0);
}

/* ---- The text -------------------------------------------------------------------- */

/* Only the first choice's is shown to people. */
static const lc_tree *first_choice(const lc_tree *event)
{
    int64_t index;
    for (const lc_tree *piece = lc_tree_children(lc_tree_find(event, "choices")); piece;
         piece = piece->next)
        if (lc_tree_integer(lc_tree_find(piece, "index"), &index) == 0 && index == 0)
            return piece;
    return NULL;
}

static const lc_tree *chat_text(const lc_tree *event)
{
    return lc_tree_find(lc_tree_find(first_choice(event), "delta"), "content");
}

static const lc_tree *completion_text(const lc_tree *event)
{
    return lc_tree_find(first_choice(event), "text");
}

const lc_assembly lc_assembly_chat = {chat_event, chat_finish, 1, chat_text};
const lc_assembly lc_assembly_completion = {completion_event, completion_finish, 1,
                                            completion_text};

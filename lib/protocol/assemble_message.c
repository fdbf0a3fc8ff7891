/*
 * Anthropic messages: message_start brings the message, content_block_* its blocks one
 * after the other, message_delta how it ended. Input of tools comes as pieces of JSON
 * text, which are kept beside the block and read when all is there.
 */
#include "protocol/assemble.h"

#include <string.h>

/* `parts` holds {"index", "block", "json"} for each block. */

static int find_part(lc_assembler *assembler, const lc_tree *event, lc_tree **part)
{
    int64_t index;
    if (lc_tree_integer(lc_tree_find(event, "index"), &index))
        return LLMCACHE_INVALID;
    return lc_merge_at(&assembler->merge, assembler->parts, index, part);
}

static int start_block(lc_assembler *assembler, const lc_tree *event)
{
    lc_tree *part, *copy;
    const lc_tree *block = lc_tree_find(event, "content_block");
    int status = find_part(assembler, event, &part);
    if (status || lc_tree_find(part, "block") || !lc_tree_is_type(block, LC_TREE_OBJECT))
        return status ? status : LLMCACHE_INVALID;
    copy = lc_merge_copy(&assembler->merge, block, &status);
    return copy ? lc_tree_set(&assembler->answer, part, "block", 5, copy) : status;
}

/* Joins `piece` to part.json, which says what input will be. */
static int add_json(lc_assembler *assembler, lc_tree *part, const lc_tree *piece)
{
    lc_tree *json = lc_tree_find(part, "json");
    if (!lc_tree_is_type(piece, LC_TREE_STRING))
        return LLMCACHE_INVALID;
    if (!json) {
        json = lc_tree_string(&assembler->answer, "", 0);
        if (lc_tree_set(&assembler->answer, part, "json", 4, json))
            return LLMCACHE_MEMORY;
    }
    return lc_merge_text(&assembler->merge, json, piece);
}

static int add_citation(lc_assembler *assembler, lc_tree *block, const lc_tree *citation)
{
    lc_tree *list, *copy;
    if (!citation)
        return LLMCACHE_INVALID;
    int status =
        lc_merge_container(&assembler->merge, block, "citations", LC_TREE_ARRAY, &list);
    copy = status ? NULL : lc_merge_copy(&assembler->merge, citation, &status);
    return copy ? lc_tree_add(list, copy) : status;
}

/* text_delta, thinking_delta, signature_delta and those to come: members that go on with
 * the block's. */
static int join_block(lc_assembler *assembler, lc_tree *block, const lc_tree *delta)
{
    int status = 0;
    for (lc_tree *member = lc_tree_children(delta); member && !status;
         member = member->next)
        if (!lc_tree_named(member, "type"))
            status = lc_merge_member(&assembler->merge, block, member);
    return status;
}

static int change_block(lc_assembler *assembler, const lc_tree *event)
{
    lc_tree *part;
    const lc_tree *delta = lc_tree_find(event, "delta"),
                  *type = lc_tree_find(delta, "type");
    int status = find_part(assembler, event, &part);
    lc_tree *block = status ? NULL : lc_tree_find(part, "block");
    if (!block)
        return status ? status : LLMCACHE_INVALID;
    if (lc_tree_is_text(type, "input_json_delta"))
        return add_json(assembler, part, lc_tree_find(delta, "partial_json"));
    if (lc_tree_is_text(type, "citations_delta"))
        return add_citation(assembler, block, lc_tree_find(delta, "citation"));
    if (lc_tree_is_text(type, "signature_delta")) {
        /* A signature comes whole; a second one takes the first one's place. */
        lc_tree *signature = lc_tree_find(delta, "signature");
        return signature ? lc_merge_replace(&assembler->merge, block, signature)
                         : LLMCACHE_INVALID;
    }
    return join_block(assembler, block, delta);
}

static int replace_members(lc_assembler *assembler, lc_tree *into, const lc_tree *from)
{
    int status = 0;
    for (lc_tree *member = lc_tree_children(from); member && !status;
         member = member->next)
        status = lc_merge_replace(&assembler->merge, into, member);
    return status;
}

/* Everything but the message's content is in its start or here: stop reason, usage, and
 * what is new. */
static int change_message(lc_assembler *assembler, const lc_tree *event)
{
    int status = 0;
    lc_tree *usage;
    for (lc_tree *member = event->first; member && !status; member = member->next) {
        if (lc_tree_named(member, "type"))
            continue;
        if (lc_tree_named(member, "delta")) {
            status = replace_members(assembler, assembler->root, member);
        } else if (lc_tree_named(member, "usage")) {
            status = lc_merge_container(&assembler->merge, assembler->root, "usage",
                                        LC_TREE_OBJECT, &usage);
            status = status ? status : replace_members(assembler, usage, member);
            assembler->brief = lc_tree_is_nothing(lc_tree_find(member, "input_tokens"));
        } else {
            status = lc_merge_replace(&assembler->merge, assembler->root, member);
        }
    }
    return status;
}

static int start_message(lc_assembler *assembler, const lc_tree *event)
{
    const lc_tree *message = lc_tree_find(event, "message");
    if (assembler->root->size || !lc_tree_is_type(message, LC_TREE_OBJECT))
        return LLMCACHE_INVALID;
    return replace_members(assembler, assembler->root, message);
}

static int message_event(lc_assembler *assembler, const char *name, const lc_tree *event)
{
    const lc_tree *type = lc_tree_find(event, "type");
    if (lc_tree_is_text(type, "message_start"))
        return start_message(assembler, event);
    if (lc_tree_is_text(type, "ping"))
        return 0;
    if (!assembler->root->size)
        return LLMCACHE_INVALID;
    if (lc_tree_is_text(type, "content_block_start"))
        return start_block(assembler, event);
    if (lc_tree_is_text(type, "content_block_delta"))
        return change_block(assembler, event);
    if (lc_tree_is_text(type, "message_delta"))
        return change_message(assembler, event);
    if (lc_tree_is_text(type, "message_stop"))
        assembler->ended = 1;
    /* Kinds that come up later are to be ignored, says the protocol; the SDKs do. */
    return 0;
}

/* ---- The whole ------------------------------------------------------------------- */

static int finish_block(lc_assembler *assembler, lc_tree *part, lc_tree *content)
{
    lc_tree *block = lc_tree_find(part, "block"), *json = lc_tree_find(part, "json"),
            *input;
    if (!block)
        return LLMCACHE_INVALID;
    if (json && json->size) {
        int status =
            lc_tree_read(&assembler->answer, json->text, json->size, &input, NULL);
        if (status || lc_tree_set(&assembler->answer, block, "input", 5, input))
            return status ? status : LLMCACHE_MEMORY;
    }
    block->next = NULL;
    return lc_tree_add(content, block);
}

static int message_finish(lc_assembler *assembler)
{
    lc_tree *content = lc_tree_new(&assembler->answer, LC_TREE_ARRAY);
    if (lc_tree_is_nothing(lc_tree_find(assembler->root, "stop_reason")))
        return lc_assembler_spoil(assembler, "it has no stop reason");
    if (!content)
        return LLMCACHE_MEMORY;
    int status = 0;
    for (lc_tree *part = assembler->parts->first; part && !status; part = part->next)
        status = finish_block(assembler, part, content);
    if (status == LLMCACHE_INVALID)
        return lc_assembler_spoil(assembler, "a tool's input is not JSON");
    return status
               ? status
               : lc_tree_set(&assembler->answer, assembler->root, "content", 7, content);
}

static const lc_tree *message_text(const lc_tree *event)
{
    const lc_tree *block = lc_tree_find(event, "content_block"), *delta = lc_tree_find(event, "delta");
    if (lc_tree_is_text(lc_tree_find(block, "type"), "text"))
        return lc_tree_find(block, "text");
    return lc_tree_is_text(lc_tree_find(delta, "type"), "text_delta") ? lc_tree_find(delta, "text") : NULL;
}

const lc_assembly lc_assembly_message = {message_event, message_finish, 0, message_text};

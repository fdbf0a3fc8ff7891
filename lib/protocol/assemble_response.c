/*
 * OpenAI responses: the last event carries the whole response, so there is nothing to
 * join. Only where a service leaves `output` out of it are the items taken from the
 * events that finished them.
 */
#include "protocol/assemble.h"

#include <string.h>

/* `parts` holds {"index", "item"} for each finished item. */
static int keep_item(lc_assembler *assembler, const lc_tree *event)
{
    int64_t index;
    lc_tree *part;
    lc_tree *item = lc_tree_find(event, "item");
    if (!item || lc_tree_integer(lc_tree_find(event, "output_index"), &index))
        return LLMCACHE_INVALID;
    int status = lc_merge_at(&assembler->merge, assembler->parts, index, &part);
    lc_tree *copy = status ? NULL : lc_merge_copy(&assembler->merge, item, &status);
    return copy ? lc_tree_set(&assembler->answer, part, "item", 4, copy) : status;
}

static int end_response(lc_assembler *assembler, const lc_tree *event)
{
    int status = 0;
    const lc_tree *response = lc_tree_find(event, "response");
    if (!lc_tree_is_type(response, LC_TREE_OBJECT))
        return LLMCACHE_INVALID;
    assembler->ended = 1;
    assembler->merge.taken = 0; /* the items seen so far come again in here */
    for (lc_tree *member = response->first; member && !status; member = member->next)
        status = lc_merge_replace(&assembler->merge, assembler->root, member);
    return status;
}

static int response_event(lc_assembler *assembler, const char *name, const lc_tree *event)
{
    const lc_tree *type = lc_tree_find(event, "type");
    if (lc_tree_is_text(type, "response.output_item.done"))
        return keep_item(assembler, event);
    if (lc_tree_is_text(type, "response.failed"))
        return lc_assembler_spoil(assembler, "the stream carried an error");
    if (lc_tree_is_text(type, "response.completed") ||
        lc_tree_is_text(type, "response.incomplete"))
        return end_response(assembler, event);
    return 0;
}

static int response_finish(lc_assembler *assembler)
{
    if (lc_tree_children(lc_tree_find(assembler->root, "output")) ||
        !assembler->parts->size)
        return 0;
    lc_tree *output = lc_tree_new(&assembler->answer, LC_TREE_ARRAY);
    if (!output)
        return LLMCACHE_MEMORY;
    for (lc_tree *part = assembler->parts->first; part; part = part->next) {
        lc_tree *item = lc_tree_find(part, "item");
        if (!item)
            return lc_assembler_spoil(assembler, "an item is unfinished");
        item->next = NULL;
        lc_tree_add(output, item);
    }
    return lc_tree_set(&assembler->answer, assembler->root, "output", 6, output);
}

static const lc_tree *response_text(const lc_tree *event)
{
    if (!lc_tree_is_text(lc_tree_find(event, "type"), "response.output_text.delta"))
        return NULL;
    return lc_tree_find(event, "delta");
}

const lc_assembly lc_assembly_response = {response_event, response_finish, 0,
                                          response_text};

/*
 * Joining pieces. Searching members and indexes is linear, so both are capped: an answer
 * with thousands of fields or parallel calls is none that this joins.
 */
#include "protocol/merge.h"

#include <llmcache/llmcache.h>
#include <string.h>

enum { MOST_MEMBERS = 1024, MOST_INDEXES = 4096 };

/* Texts that a later piece repeats or replaces. All other texts are continued. */
static const char *const repeated[] = {"id",     "type",   "role", "format",
                                       "status", "object", "model"};

int lc_merge_is_repeated(const lc_tree *member)
{
    for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++)
        if (lc_tree_named(member, repeated[i]))
            return 1;
    return 0;
}

static int take(lc_merge *merge, size_t size)
{
    if (size > merge->max - merge->taken)
        return LLMCACHE_TOO_LARGE;
    merge->taken += size;
    return 0;
}

lc_tree *lc_merge_copy(lc_merge *merge, const lc_tree *piece, int *status)
{
    *status = take(merge, piece->end - piece->start + piece->name_size);
    lc_tree *copy = *status ? NULL : lc_tree_copy(merge->arena, piece);
    if (!copy && !*status)
        *status = LLMCACHE_MEMORY;
    return copy;
}

static int set_copy(lc_merge *merge, lc_tree *into, const lc_tree *member)
{
    int status;
    if (into->size > MOST_MEMBERS)
        return LLMCACHE_INVALID;
    lc_tree *copy = lc_merge_copy(merge, member, &status);
    return copy ? lc_tree_set(merge->arena, into, member->name, member->name_size, copy)
                : status;
}

/* Every chunk says id, model and the like again: what fits is written over the old value,
 * so that a long stream does not fill the arena with copies of its own head. */
int lc_merge_replace(lc_merge *merge, lc_tree *into, const lc_tree *member)
{
    lc_tree *old = lc_tree_member(into, member->name, member->name_size);
    if (!old)
        return set_copy(merge, into, member);
    if (member->type == LC_TREE_NULL || lc_tree_same(old, member))
        return 0;
    if (old->type != member->type || old->type == LC_TREE_ARRAY)
        return set_copy(merge, into, member);
    if (old->type == LC_TREE_OBJECT) {
        int status = 0;
        for (const lc_tree *child = member->first; child && !status; child = child->next)
            status = lc_merge_replace(merge, old, child);
        return status;
    }
    if (member->size > old->size)
        return set_copy(merge, into, member);
    memcpy((char *)old->text, member->text, member->size);
    old->size = member->size;
    return 0;
}

int lc_merge_text(lc_merge *merge, lc_tree *string, const lc_tree *piece)
{
    int status = take(merge, piece->size);
    return status ? status
                  : lc_tree_append(merge->arena, string, piece->text, piece->size);
}

int lc_merge_at(lc_merge *merge, lc_tree *array, int64_t index, lc_tree **item)
{
    int64_t other = -1;
    lc_tree *before = array->last;
    if (before &&
        (lc_tree_integer(lc_tree_find(before, "index"), &other) || other > index)) {
        before = NULL;
        for (lc_tree *at = array->first; at; at = at->next)
            if (lc_tree_integer(lc_tree_find(at, "index"), &other) == 0 && other <= index)
                before = at;
        other = -1;
        if (before)
            lc_tree_integer(lc_tree_find(before, "index"), &other);
    }
    if (before && other == index) {
        *item = before;
        return 0;
    }
    if (array->size >= MOST_INDEXES || index < 0)
        return LLMCACHE_INVALID;
    lc_tree *made = lc_tree_new(merge->arena, LC_TREE_OBJECT);
    if (!made ||
        lc_tree_set(merge->arena, made, "index", 5, lc_tree_number(merge->arena, index)))
        return LLMCACHE_MEMORY;
    lc_tree_insert(array, before, made);
    *item = made;
    return take(merge, 16);
}

static int append_items(lc_merge *merge, lc_tree *array, const lc_tree *pieces)
{
    int status = 0;
    int64_t index;
    lc_tree *item;
    for (lc_tree *piece = pieces->first; piece && !status; piece = piece->next) {
        if (lc_tree_integer(lc_tree_find(piece, "index"), &index) == 0) {
            status = lc_merge_at(merge, array, index, &item);
            status = status ? status : lc_merge_object(merge, item, piece);
        } else {
            item = lc_merge_copy(merge, piece, &status);
            status = item ? lc_tree_add(array, item) : status;
        }
    }
    return status;
}

int lc_merge_container(lc_merge *merge, lc_tree *object, const char *name,
                       lc_tree_type type, lc_tree **container)
{
    size_t size = strlen(name);
    lc_tree *found = lc_tree_member(object, name, size);
    if (found && found->type != LC_TREE_NULL) {
        *container = found;
        return found->type == type ? 0 : LLMCACHE_INVALID;
    }
    if (object->size >= MOST_MEMBERS)
        return LLMCACHE_INVALID;
    int status = take(merge, size + 5);
    *container = status ? NULL : lc_tree_new(merge->arena, type);
    return status ? status : lc_tree_set(merge->arena, object, name, size, *container);
}

static int join_text(lc_merge *merge, lc_tree *into, lc_tree *old, const lc_tree *member)
{
    /* Some services say a tool's name again with every piece of its arguments. */
    int again = lc_tree_named(member, "name") && lc_tree_same(old, member);
    if (again || (lc_merge_is_repeated(member) && !member->size))
        return 0;
    return lc_merge_is_repeated(member) ? set_copy(merge, into, member)
                                        : lc_merge_text(merge, old, member);
}

/* Goes on with a list of numbers: what follows takes the place of the closing bracket. */
static int join_numbers(lc_merge *merge, lc_tree *old, const lc_tree *member)
{
    const lc_tree more = {
        .type = LC_TREE_STRING, .text = member->text + 1, .size = member->size - 1};
    old->size--;
    if (lc_tree_append(merge->arena, old, ",", 1))
        return LLMCACHE_MEMORY;
    return lc_merge_text(merge, old, &more);
}

/* Of two arrays one of which may be packed. */
static int join_arrays(lc_merge *merge, lc_tree *old, const lc_tree *member)
{
    lc_tree items = *member;
    if (old->type == LC_TREE_NUMBERS && member->type == LC_TREE_NUMBERS)
        return join_numbers(merge, old, member);
    if ((old->type == LC_TREE_NUMBERS && lc_tree_unpack(merge->arena, old)) ||
        (items.type == LC_TREE_NUMBERS && lc_tree_unpack(merge->arena, &items)))
        return LLMCACHE_MEMORY;
    return append_items(merge, old, &items);
}

static int is_array(const lc_tree *value)
{
    return value->type == LC_TREE_ARRAY || value->type == LC_TREE_NUMBERS;
}

/* Starts an array empty and joins, since one piece may hold an index twice. */
static int first_array(lc_merge *merge, lc_tree *into, const lc_tree *member)
{
    lc_tree *array = lc_tree_new(merge->arena, LC_TREE_ARRAY);
    if (lc_tree_set(merge->arena, into, member->name, member->name_size, array))
        return LLMCACHE_MEMORY;
    int status = take(merge, member->name_size + 5);
    return status ? status : append_items(merge, array, member);
}

int lc_merge_member(lc_merge *merge, lc_tree *into, const lc_tree *member)
{
    lc_tree *old = lc_tree_member(into, member->name, member->name_size);
    int fresh = lc_tree_is_nothing(old) || (old->type == LC_TREE_STRING && !old->size);
    if (!old && into->size >= MOST_MEMBERS)
        return LLMCACHE_INVALID;
    if (member->type == LC_TREE_NULL)
        return old ? 0 : set_copy(merge, into, member);
    if (member->type == LC_TREE_ARRAY && fresh)
        return first_array(merge, into, member);
    if (fresh || (old->type < LC_TREE_STRING && member->type < LC_TREE_STRING))
        return set_copy(merge, into, member);
    if (is_array(old) && is_array(member))
        return join_arrays(merge, old, member);
    if (old->type != member->type)
        return member->type == LC_TREE_STRING && !member->size ? 0 : LLMCACHE_INVALID;
    if (member->type == LC_TREE_STRING)
        return join_text(merge, into, old, member);
    return lc_merge_object(merge, old, member);
}

int lc_merge_object(lc_merge *merge, lc_tree *into, const lc_tree *piece)
{
    int status = 0;
    for (lc_tree *member = lc_tree_children(piece); member && !status;
         member = member->next)
        status = lc_merge_member(merge, into, member);
    return status;
}

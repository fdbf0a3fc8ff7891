/* Open addressing, linear probing, at most three quarters full. */
#include "ask/lint_tables.h"

#include "base/memory.h"

#include <string.h>

enum { FIRST_ROOM = 1024 };

/* Keys are products of multiplications: their low bits need stirring. */
static size_t place_of(uint64_t key, size_t room)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u;
    return (size_t)(key >> 32) & (room - 1);
}

static uint64_t sample_bits(uint64_t key)
{
    return (key * 0xc2b2ae3d27d4eb4fu) >> 48;
}

/* ---- Groups ------------------------------------------------------------------------------- */

void lc_lint_groups_init(lc_lint_groups *groups, size_t most)
{
    *groups = (lc_lint_groups){.most = most};
}

void lc_lint_groups_done(lc_lint_groups *groups)
{
    lc_free(groups->slots);
    groups->slots = NULL;
}

static lc_lint_group *group_at(const lc_lint_groups *groups, uint64_t key)
{
    size_t at = place_of(key, groups->room);
    while (groups->slots[at].key && groups->slots[at].key != key)
        at = (at + 1) & (groups->room - 1);
    return &groups->slots[at];
}

/* Twice the room, or, where that is all there may be, half the groups. */
static int make_room(lc_lint_groups *groups)
{
    lc_lint_groups fresh = *groups;
    int most = groups->room == groups->most;
    fresh.room = !groups->room ? FIRST_ROOM : most ? groups->room : groups->room * 2;
    fresh.mask = most ? groups->mask * 2 + 1 : groups->mask;
    fresh.used = 0;
    fresh.slots = lc_zalloc_array(fresh.room, sizeof *fresh.slots);
    if (!fresh.slots)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < groups->room; i++) {
        const lc_lint_group *group = &groups->slots[i];
        if (!group->key || (sample_bits(group->key) & fresh.mask))
            continue;
        *group_at(&fresh, group->key) = *group;
        fresh.used++;
    }
    lc_free(groups->slots);
    *groups = fresh;
    return 0;
}

int lc_lint_groups_add(lc_lint_groups *groups, uint64_t key, const char *id)
{
    key += key == 0;
    while (groups->used >= groups->room / 4 * 3 && groups->mask < 0x7fff)
        if (make_room(groups))
            return LLMCACHE_MEMORY;
    if ((sample_bits(key) & groups->mask) || groups->used + 1 >= groups->room)
        return 0;
    lc_lint_group *group = group_at(groups, key);
    if (!group->key) {
        group->key = key;
        strncpy(group->id, id, sizeof group->id - 1);
        groups->used++;
    }
    group->count += group->count < UINT32_MAX;
    return 0;
}

const lc_lint_group *lc_lint_groups_find(const lc_lint_groups *groups, uint64_t key)
{
    key += key == 0;
    if (!groups->room || (sample_bits(key) & groups->mask))
        return NULL;
    const lc_lint_group *group = group_at(groups, key);
    return group->key ? group : NULL;
}

/* ---- Seen ---------------------------------------------------------------------------------- */

void lc_lint_seen_init(lc_lint_seen *seen, size_t most)
{
    *seen = (lc_lint_seen){.most = most};
}

void lc_lint_seen_done(lc_lint_seen *seen)
{
    lc_free(seen->slots);
    seen->slots = NULL;
}

static uint64_t *slot_at(const lc_lint_seen *seen, uint64_t key)
{
    size_t at = place_of(key, seen->room);
    while (seen->slots[at] && seen->slots[at] != key)
        at = (at + 1) & (seen->room - 1);
    return &seen->slots[at];
}

static int grow(lc_lint_seen *seen)
{
    lc_lint_seen fresh = *seen;
    fresh.room = seen->room ? seen->room * 2 : FIRST_ROOM;
    fresh.slots = lc_zalloc_array(fresh.room, sizeof *fresh.slots);
    if (!fresh.slots)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < seen->room; i++)
        if (seen->slots[i])
            *slot_at(&fresh, seen->slots[i]) = seen->slots[i];
    lc_free(seen->slots);
    *seen = fresh;
    return 0;
}

int lc_lint_seen_add(lc_lint_seen *seen, uint64_t key)
{
    key += key == 0;
    int crowded = seen->used >= seen->room / 4 * 3;
    if (crowded && seen->room < seen->most && grow(seen))
        return LLMCACHE_MEMORY;
    uint64_t *slot = slot_at(seen, key);
    if (*slot)
        return 0;
    if (seen->used >= seen->room / 4 * 3) {
        seen->full = 1;
        return 0;
    }
    *slot = key;
    seen->used++;
    return 1;
}

/* The table of names: see names.h. Removal shifts what follows back, so there are no graves to pass. */
#include "index/names.h"

#include "base/memory.h"

#include <string.h>

#define HEAD_SIZE ((LLMCACHE_ID_SIZE - 1) / 2)

uint64_t lc_space_hash(const char *space)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *space; space++)
        hash = (hash ^ (unsigned char)*space) * 0x100000001b3u;
    return hash;
}

/* Fingerprints are uniform, so their head is a hash already. */
static uint64_t hash_of(uint64_t space_hash, const unsigned char *head)
{
    uint64_t bytes;
    memcpy(&bytes, head, sizeof bytes);
    return bytes ^ space_hash;
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static uint64_t hash_at(const lc_name *name)
{
    return hash_of(name->partition->space_hash,
                   lc_partition_row(name->partition, name->row)->fingerprint);
}

lc_name *lc_names_find(const lc_names *names, const char *space, uint64_t space_hash,
                       const unsigned char *head)
{
    if (!names->room)
        return NULL;
    uint64_t hash = hash_of(space_hash, head);
    for (size_t at = hash & (names->room - 1);; at = (at + 1) & (names->room - 1)) {
        lc_name *name = &names->places[at];
        if (!name->partition)
            return NULL;
        if (name->tag == tag_of(hash) &&
            memcmp(lc_partition_row(name->partition, name->row)->fingerprint, head, HEAD_SIZE) == 0 &&
            strcmp(name->partition->space, space) == 0)
            return name;
    }
}

static void place(lc_name *places, size_t room, lc_name name, uint64_t hash)
{
    size_t at = hash & (room - 1);
    while (places[at].partition)
        at = (at + 1) & (room - 1);
    places[at] = name;
}

int lc_names_reserve(lc_names *names)
{
    if ((names->count + 1) * 8 <= names->room * 7)
        return 0;
    size_t room = names->room ? 2 * names->room : 64;
    lc_name *places = lc_zalloc_array(room, sizeof *places);
    if (!places)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < names->room; i++)
        if (names->places[i].partition)
            place(places, room, names->places[i], hash_at(&names->places[i]));
    lc_free(names->places);
    names->places = places;
    names->room = room;
    return 0;
}

void lc_names_add(lc_names *names, lc_partition *partition, uint32_t row)
{
    lc_name name = {.partition = partition, .row = row};
    uint64_t hash = hash_at(&name);
    name.tag = tag_of(hash);
    place(names->places, names->room, name, hash);
    names->count++;
}

void lc_names_remove(lc_names *names, lc_name *name)
{
    size_t mask = names->room - 1, hole = (size_t)(name - names->places);
    for (size_t at = (hole + 1) & mask; names->places[at].partition; at = (at + 1) & mask) {
        size_t home = hash_at(&names->places[at]) & mask;
        /* May it move back to the hole without passing its home? */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            names->places[hole] = names->places[at];
            hole = at;
        }
    }
    names->places[hole].partition = NULL;
    names->count--;
}

void lc_names_done(lc_names *names)
{
    lc_free(names->places);
    *names = (lc_names){0};
}

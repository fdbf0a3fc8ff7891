/*
 * Double-array trie with XOR addressing: the child of node `i` for byte `c` is at i ^
 * offset(i) ^ c, and is one if the unit there carries the label c. A node that ends an
 * entry has its value in the child for byte 0. Every index is checked, since the trie
 * comes from a file.
 */
#include "embed/charsmap.h"

#include "base/error.h"

#include <string.h>

#define HAS_LEAF (1u << 8)
#define IS_VALUE (1u << 31)

/* ---- Reading --------------------------------------------------------------------- */

int lc_charsmap_open(lc_span blob, lc_charsmap *map, llmcache_error *err)
{
    uint32_t size;
    *map = (lc_charsmap){0};
    if (blob.size == 0)
        return 0;
    if (blob.size < sizeof size)
        return lc_fail(err, LLMCACHE_CORRUPT, "the character map is damaged");
    memcpy(&size, blob.data, sizeof size);
    if (size > blob.size - sizeof size || size % 4)
        return lc_fail(err, LLMCACHE_CORRUPT, "the character map is damaged");
    map->units = blob.data + sizeof size;
    map->unit_count = size / 4;
    map->texts = (lc_span){map->units + size, blob.size - sizeof size - size};
    return 0;
}

/* A unit past the end is like an empty one: it has no label that a text could match. */
static uint32_t unit_at(const lc_charsmap *map, uint32_t i)
{
    uint32_t unit = 0;
    if (i < map->unit_count)
        memcpy(&unit, map->units + (size_t)4 * i, sizeof unit);
    return unit;
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

size_t lc_charsmap_match(const lc_charsmap *map, const char *text, size_t size,
                         lc_span *with)
{
    uint32_t node = offset_of(unit_at(map, 0)), value = 0;
    size_t longest = 0;
    for (size_t i = 0; i < size && text[i]; i++) {
        unsigned char byte = (unsigned char)text[i];
        node ^= byte;
        uint32_t unit = unit_at(map, node);
        if ((unit & (IS_VALUE | 0xff)) != byte)
            break;
        node ^= offset_of(unit);
        if (unit & HAS_LEAF) {
            longest = i + 1;
            value = unit_at(map, node) & ~IS_VALUE;
        }
    }
    if (longest == 0 || value >= map->texts.size)
        return 0;
    with->data = map->texts.data + value;
    with->size = strnlen(with->data, map->texts.size - value);
    return longest;
}

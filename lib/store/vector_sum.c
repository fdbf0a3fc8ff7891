/*
 * Four running values, each taking every fourth word of eight bytes by xor, an odd factor and a shift. All three
 * can be undone, so words that differ in one place never give the same four values.
 */
#include "store/vector_sum.h"

#include <string.h>

#define LANES  4
#define FACTOR 0x9e3779b97f4a7c15u /* 2^64 / golden ratio, odd */

static uint64_t mixed(uint64_t value)
{
    value *= FACTOR;
    return value ^ value >> 32;
}

static void add(uint64_t lanes[LANES], const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t words[LANES];
    lanes[0] = mixed(lanes[0] ^ size); /* so that what is added cannot run together */
    for (; size >= sizeof words; at += sizeof words, size -= sizeof words) {
        memcpy(words, at, sizeof words);
        for (int i = 0; i < LANES; i++)
            lanes[i] = mixed(lanes[i] ^ words[i]);
    }
    memset(words, 0, sizeof words);
    memcpy(words, at, size);
    for (int i = 0; size && i < LANES; i++)
        lanes[i] = mixed(lanes[i] ^ words[i]);
}

uint32_t lc_vector_sum(const llmcache_entry *entry)
{
    uint64_t lanes[LANES] = {1, 2, 3, 4}, all = 0;
    add(lanes, entry->space, strlen(entry->space));
    add(lanes, entry->fingerprint, sizeof entry->fingerprint);
    add(lanes, entry->partition, sizeof entry->partition);
    add(lanes, entry->embedder, strlen(entry->embedder));
    add(lanes, entry->vector, entry->dimension * sizeof *entry->vector);
    for (int i = 0; i < LANES; i++)
        all = mixed(all ^ lanes[i]);
    uint32_t sum = (uint32_t)(all ^ all >> 32);
    return sum ? sum : 1;
}

/*
 * Both texts' n-grams are hashed into one sorted list that remembers the side; a run of
 * equal hashes is one n-gram with its two counts. With 64-bit hashes two n-grams of one
 * text do not meet in practice.
 */
#include "decide/ngrams.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <llmcache/llmcache.h>
#include <math.h>
#include <stdlib.h>

#define SHORTEST 2
#define LONGEST  4

/* The text's characters between two spaces; at most size + 2. */
static size_t spread(const lc_reading *reading, uint32_t *characters)
{
    size_t count = 0, length;
    characters[count++] = ' ';
    for (size_t at = 0; at < reading->size; at += length)
        characters[count++] =
            lc_utf8_decode(reading->text + at, reading->size - at, &length);
    characters[count++] = ' ';
    return count;
}

/* Hashes with the side in their lowest bit. */
static size_t hash_all(const uint32_t *characters, size_t count, uint64_t side,
                       uint64_t *hashes)
{
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = 0x9e3779b97f4a7c15u;
        for (size_t n = 1; n <= LONGEST && i + n <= count; n++) {
            hash = (hash ^ characters[i + n - 1]) * 0xd6e8feb86659fd93u;
            hash ^= hash >> 32;
            if (n >= SHORTEST)
                hashes[written++] = (hash & ~(uint64_t)1) | side;
        }
    }
    return written;
}

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

int lc_ngrams_cosine(const lc_reading *a, const lc_reading *b, double *cosine)
{
    const size_t each = LONGEST - SHORTEST + 1;
    size_t room = (a->size > b->size ? a->size : b->size) + 2;
    uint32_t *characters = lc_alloc_array(room, sizeof *characters);
    uint64_t *hashes = lc_alloc_array(a->size + b->size + 4, each * sizeof *hashes);
    int code = LLMCACHE_MEMORY;
    if (!characters || !hashes)
        goto out;
    size_t in_a = hash_all(characters, spread(a, characters), 0, hashes);
    size_t in_b = hash_all(characters, spread(b, characters), 1, hashes + in_a);
    size_t count = in_a + in_b;
    double shared = 0;
    qsort(hashes, count, sizeof *hashes, by_value);
    for (size_t i = 0; i < count;) {
        size_t sides[2] = {0, 0};
        uint64_t gram = hashes[i] >> 1;
        for (; i < count && hashes[i] >> 1 == gram; i++)
            sides[hashes[i] & 1]++;
        shared += sqrt((double)sides[0] * (double)sides[1]);
    }
    *cosine = in_a && in_b ? shared / sqrt((double)in_a * (double)in_b) : 0;
    code = 0;
out:
    lc_free(characters);
    lc_free(hashes);
    return code;
}

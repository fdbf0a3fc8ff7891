/*
 * Texts are known by the first 64 bits of their SHA-256. Sorted by these, a text's number is its rank, and the
 * smallest number of what hangs together (a union-find with paths cut short) names it in any order.
 */
#include "decide/halves.h"

#include "base/memory.h"
#include "base/sha256.h"

#include <llmcache/llmcache.h>
#include <stdlib.h>
#include <string.h>

#define LARGE 10 /* more than a tenth of all pairs */

typedef struct text {
    uint64_t hash;
    size_t at; /* 2 * pair + side */
} text;

typedef struct halving {
    uint64_t seed;
    text *texts;
    uint64_t *hashes;  /* of each number */
    uint32_t *numbers; /* of each side of each pair */
    uint32_t *parents; /* of each number */
    uint32_t *sizes;   /* pairs of each root */
} halving;

static uint64_t hash_of(const char *words)
{
    unsigned char digest[LC_SHA256_SIZE];
    uint64_t hash;
    lc_sha256_once(words, strlen(words), digest);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

/* Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014): the finaliser. */
static lc_half half_of(uint64_t hash, uint64_t seed)
{
    uint64_t x = hash + 0x9e3779b97f4a7c15u * (seed + 1);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) & 1 ? LC_CONFIRMING : LC_CHOOSING;
}

static int by_hash(const void *x, const void *y)
{
    uint64_t a = ((const text *)x)->hash, b = ((const text *)y)->hash;
    return (a > b) - (a < b);
}

static void number(halving *h, const lc_two_hashes *pairs, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++)
        h->texts[i] = (text){i % 2 ? pairs[i / 2].b : pairs[i / 2].a, i};
    qsort(h->texts, 2 * count, sizeof *h->texts, by_hash);
    uint32_t next = 0;
    for (size_t i = 0; i < 2 * count; i++) {
        next += i && h->texts[i].hash != h->texts[i - 1].hash;
        h->numbers[h->texts[i].at] = next;
        h->hashes[next] = h->texts[i].hash;
        h->parents[next] = next;
    }
}

static uint32_t root_of(uint32_t *parents, uint32_t at)
{
    for (; parents[at] != at; at = parents[at])
        parents[at] = parents[parents[at]];
    return at;
}

static void join(halving *h, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t a = root_of(h->parents, h->numbers[2 * i]);
        uint32_t b = root_of(h->parents, h->numbers[2 * i + 1]);
        h->parents[a > b ? a : b] = a > b ? b : a;
    }
    for (size_t i = 0; i < count; i++)
        h->sizes[root_of(h->parents, h->numbers[2 * i])]++;
}

static void place(halving *h, size_t count, lc_place *places)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t a = h->numbers[2 * i], b = h->numbers[2 * i + 1];
        uint32_t root = root_of(h->parents, a);
        places[i] = (lc_place){half_of(h->hashes[root], h->seed), root};
        if (h->sizes[root] <= 1 || h->sizes[root] <= count / LARGE)
            continue;
        lc_half left = half_of(h->hashes[a], h->seed), right = half_of(h->hashes[b], h->seed);
        places[i] = (lc_place){left == right ? left : LC_ACROSS, a < b ? a : b};
    }
}

int lc_halves_by_hash(const lc_two_hashes *pairs, size_t count, uint64_t seed, lc_place *places)
{
    if (!count)
        return 0;
    halving h = {.seed = seed,
                 .texts = lc_alloc_array(2 * count, sizeof *h.texts),
                 .hashes = lc_alloc_array(2 * count, sizeof *h.hashes),
                 .numbers = lc_alloc_array(2 * count, sizeof *h.numbers),
                 .parents = lc_alloc_array(2 * count, sizeof *h.parents),
                 .sizes = lc_zalloc_array(2 * count, sizeof *h.sizes)};
    int code = h.texts && h.hashes && h.numbers && h.parents && h.sizes ? 0 : LLMCACHE_MEMORY;
    if (!code) {
        number(&h, pairs, count);
        join(&h, count);
        place(&h, count, places);
    }
    lc_free(h.texts);
    lc_free(h.hashes);
    lc_free(h.numbers);
    lc_free(h.parents);
    lc_free(h.sizes);
    return code;
}

int lc_halves(const lc_two_texts *pairs, size_t count, uint64_t seed, lc_place *places)
{
    lc_two_hashes *hashes = lc_alloc_array(count + 1, sizeof *hashes);
    if (!hashes)
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < count; i++)
        hashes[i] = (lc_two_hashes){hash_of(pairs[i].a), hash_of(pairs[i].b)};
    int code = lc_halves_by_hash(hashes, count, seed, places);
    lc_free(hashes);
    return code;
}

/*
 * Splitting labelled pairs in two, one half to choose on and one to confirm on. A text is in one half only, with
 * all pairs that have it: what was seen while choosing would otherwise be seen again while confirming.
 * Halves depend on the texts and the seed, never on the order of the list.
 */
#ifndef LC_DECIDE_HALVES_H
#define LC_DECIDE_HALVES_H

#include <stddef.h>
#include <stdint.h>

typedef enum lc_half { LC_CHOOSING, LC_CONFIRMING, LC_ACROSS } lc_half;

typedef struct lc_two_texts {
    const char *a, *b;
} lc_two_texts;

/* The same two by digests of theirs, where the texts themselves are not at hand. */
typedef struct lc_two_hashes {
    uint64_t a, b;
} lc_two_hashes;

typedef struct lc_place {
    lc_half half;   /* ACROSS: a text in each; the pair counts in neither */
    uint32_t group; /* pairs that hang together by their texts have the same */
} lc_place;

/*
 * Texts that hang together by pairs stay together, so nothing is across; but where more than a tenth of all pairs
 * hang together, each of those texts goes its own way, and pairs between the halves are lost.
 * 0 or LLMCACHE_MEMORY.
 */
int lc_halves(const lc_two_texts *pairs, size_t count, uint64_t seed, lc_place *places);
int lc_halves_by_hash(const lc_two_hashes *pairs, size_t count, uint64_t seed, lc_place *places);

#endif

/* What each input of a batch of embeddings has used, where the service only says it for all of them. */
#ifndef LC_PROTOCOL_USAGE_SHARES_H
#define LC_PROTOCOL_USAGE_SHARES_H

#include "base/sha256.h"
#include "protocol/json_tree.h"

enum { LC_MOST_COUNTS = 8 };

/* One input's part of an answer. */
typedef struct lc_share {
    const lc_tree *item;            /* its vector; not looked at here */
    const unsigned char *shape;     /* LC_SHA256_SIZE bytes: equal for equal inputs */
    uint64_t weight;                /* at least 1 */
    int64_t counts[LC_MOST_COUNTS]; /* of the integers in usage, by their place in it */
} lc_share;

/*
 * Fills in the counts by weight, so that they add up to what `usage` says. Equal inputs have equal counts, so
 * that the same batch adds up to the same when it is answered from what was kept. `count` is at least 1.
 * 0 or LLMCACHE_MEMORY.
 */
int lc_share_usage(const lc_tree *usage, lc_share *shares, size_t count);

#endif

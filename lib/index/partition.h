/*
 * One partition's vectors: rows in blocks of contiguous memory, removal by moving the last row into
 * the hole. No locks here: flat_index.c says who may touch a partition when.
 */
#ifndef LC_INDEX_PARTITION_H
#define LC_INDEX_PARTITION_H

#include "index/codes.h"

#include <llmcache/llmcache.h>

/* Rows of a full block. A partition's first block grows up to it by doubling: most hold one row or two. */
#define LC_BLOCK_ROWS 512u

typedef struct lc_row {
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE];
    int64_t expires_ms;
} lc_row;

/* One allocation, which begins at `high`: what a search reads of all rows stands together. */
typedef struct lc_block {
    uint8_t *high;
    int8_t *low;
    float *steps, *errors;
    lc_row *rows;
} lc_block;

typedef struct lc_partition {
    struct lc_partition *next; /* of the same bucket */
    unsigned char digest[LLMCACHE_FINGERPRINT_SIZE];
    uint64_t space_hash;
    lc_block first;   /* what `blocks` points to as long as there is one */
    lc_block *blocks;
    uint32_t block_count, block_room;
    uint32_t first_rows; /* rows the first block has room for */
    uint32_t count;      /* rows */
    uint32_t dimension;
    uint32_t stride;     /* bytes of a row in one plane */
    size_t bytes;        /* of all this */
    char space[];
} lc_partition;

/* NULL: no memory. */
lc_partition *lc_partition_new(const unsigned char digest[32], const char *space, size_t dimension);
void lc_partition_free(lc_partition *partition);

lc_row *lc_partition_row(const lc_partition *partition, size_t row);
lc_codes lc_partition_codes(const lc_partition *partition, size_t row);

/*
 * What makes room for one more row, made beside the partition so that no reader waits for it. prepare
 * returns LLMCACHE_MEMORY or 0; apply, under the write lock, cannot fail; done frees what is left over.
 */
typedef struct lc_growth {
    lc_block block;   /* a new block, or a larger first one */
    lc_block *blocks; /* a larger directory, or NULL */
    uint32_t block_room, first_rows;
} lc_growth;

int lc_growth_prepare(const lc_partition *partition, lc_growth *growth);
void lc_growth_apply(lc_partition *partition, lc_growth *growth);
void lc_growth_done(lc_growth *growth);

void lc_partition_write(lc_partition *partition, size_t at, const lc_row *row, const float *vector);

/* Moves the last row to `at`. Gives back a block that is not needed any more (high NULL: none). */
lc_block lc_partition_cut(lc_partition *partition, size_t at);
void lc_block_free(lc_block *block);

#endif

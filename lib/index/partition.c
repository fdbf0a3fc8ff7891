/* Blocks of rows: see partition.h. */
#include "index/partition.h"

#include "base/memory.h"

#include <string.h>

lc_partition *lc_partition_new(const unsigned char digest[32], const char *space, size_t dimension)
{
    size_t size = strlen(space) + 1;
    lc_partition *partition = lc_zalloc(sizeof *partition + size);
    if (!partition)
        return NULL;
    memcpy(partition->digest, digest, sizeof partition->digest);
    memcpy(partition->space, space, size);
    partition->dimension = dimension;
    partition->stride = lc_dot_stride(dimension);
    partition->bytes = lc_alloc_cost(partition);
    return partition;
}

void lc_block_free(lc_block *block)
{
    lc_free(block->vectors);
    lc_free(block->rows);
}

void lc_partition_free(lc_partition *partition)
{
    if (!partition)
        return;
    for (size_t i = 0; i < partition->block_count; i++)
        lc_block_free(&partition->blocks[i]);
    lc_free(partition->blocks);
    lc_free(partition);
}

lc_row *lc_partition_row(const lc_partition *partition, size_t row)
{
    return &partition->blocks[row / LC_BLOCK_ROWS].rows[row % LC_BLOCK_ROWS];
}

float *lc_partition_vector(const lc_partition *partition, size_t row)
{
    return partition->blocks[row / LC_BLOCK_ROWS].vectors + row % LC_BLOCK_ROWS * partition->stride;
}

static size_t block_cost(const lc_block *block)
{
    return lc_alloc_cost(block->vectors) + lc_alloc_cost(block->rows);
}

/* ---- Growth ------------------------------------------------------------------------------------ */

static int make_block(size_t rows, size_t stride, lc_block *block)
{
    size_t floats;
    if (__builtin_mul_overflow(rows, stride * sizeof(float), &floats))
        return LLMCACHE_MEMORY;
    block->vectors = lc_alloc_aligned(64, floats);
    block->rows = lc_alloc_array(rows, sizeof *block->rows);
    if (block->vectors && block->rows)
        return 0;
    lc_block_free(block);
    *block = (lc_block){0};
    return LLMCACHE_MEMORY;
}

/* A larger first block with what the present one holds. */
static int grow_first(const lc_partition *partition, lc_growth *growth)
{
    size_t rows = partition->first_rows * 2;
    if (make_block(rows, partition->stride, &growth->block))
        return LLMCACHE_MEMORY;
    const lc_block *old = &partition->blocks[0];
    memcpy(growth->block.vectors, old->vectors,
           partition->count * partition->stride * sizeof(float));
    memcpy(growth->block.rows, old->rows, partition->count * sizeof *old->rows);
    growth->first_rows = rows;
    return 0;
}

static int add_block(const lc_partition *partition, lc_growth *growth)
{
    size_t rows = partition->block_count ? LC_BLOCK_ROWS : 1;
    if (partition->block_count == partition->block_room) {
        growth->block_room = partition->block_room ? 2 * partition->block_room : 1;
        growth->blocks = lc_alloc_array(growth->block_room, sizeof *growth->blocks);
        if (!growth->blocks)
            return LLMCACHE_MEMORY;
        if (partition->block_count)
            memcpy(growth->blocks, partition->blocks,
                   partition->block_count * sizeof *growth->blocks);
    }
    growth->first_rows = partition->block_count ? partition->first_rows : rows;
    return make_block(rows, partition->stride, &growth->block);
}

int lc_growth_prepare(const lc_partition *partition, lc_growth *growth)
{
    *growth = (lc_growth){.first_rows = partition->first_rows};
    size_t last = partition->block_count ? partition->block_count - 1 : 0;
    size_t room = last ? (last + 1) * LC_BLOCK_ROWS : partition->first_rows;
    if (partition->count < room)
        return 0;
    int grows_first = partition->block_count == 1 && partition->first_rows < LC_BLOCK_ROWS;
    int code = grows_first ? grow_first(partition, growth) : add_block(partition, growth);
    if (code)
        lc_growth_done(growth);
    return code;
}

void lc_growth_apply(lc_partition *partition, lc_growth *growth)
{
    if (!growth->block.vectors)
        return;
    if (growth->blocks) {
        lc_block *old = partition->blocks;
        partition->bytes += lc_alloc_cost(growth->blocks) - lc_alloc_cost(old);
        partition->blocks = growth->blocks;
        partition->block_room = growth->block_room;
        growth->blocks = old;
    }
    partition->bytes += block_cost(&growth->block);
    if (partition->block_count && growth->first_rows != partition->first_rows) {
        lc_block old = partition->blocks[0];
        partition->bytes -= block_cost(&old);
        partition->blocks[0] = growth->block;
        growth->block = old;
    } else {
        partition->blocks[partition->block_count++] = growth->block;
        growth->block = (lc_block){0};
    }
    partition->first_rows = growth->first_rows;
}

void lc_growth_done(lc_growth *growth)
{
    lc_block_free(&growth->block);
    lc_free(growth->blocks);
    *growth = (lc_growth){0};
}

/* ---- Rows -------------------------------------------------------------------------------------- */

void lc_partition_write(lc_partition *partition, size_t at, const lc_row *row, const float *vector)
{
    size_t dimension = partition->dimension;
    float *to = lc_partition_vector(partition, at);
    memcpy(to, vector, dimension * sizeof *to);
    memset(to + dimension, 0, (partition->stride - dimension) * sizeof *to);
    *lc_partition_row(partition, at) = *row;
}

void lc_partition_append(lc_partition *partition, const lc_row *row, const float *vector)
{
    lc_partition_write(partition, partition->count++, row, vector);
}

lc_block lc_partition_cut(lc_partition *partition, size_t at)
{
    size_t last = --partition->count;
    if (at != last) {
        memcpy(lc_partition_vector(partition, at), lc_partition_vector(partition, last),
               partition->stride * sizeof(float));
        *lc_partition_row(partition, at) = *lc_partition_row(partition, last);
    }
    lc_block unused = {0};
    size_t blocks = partition->block_count;
    /* One empty block stays, so that adding and removing at an edge does not allocate each time. */
    if (blocks >= 2 && partition->count + LC_BLOCK_ROWS <= (blocks - 1) * LC_BLOCK_ROWS) {
        unused = partition->blocks[blocks - 1];
        partition->block_count--;
        partition->bytes -= block_cost(&unused);
    }
    return unused;
}

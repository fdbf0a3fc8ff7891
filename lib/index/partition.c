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
    partition->dimension = (uint32_t)dimension;
    partition->stride = (uint32_t)lc_codes_stride(dimension);
    partition->blocks = &partition->first;
    partition->block_room = 1;
    partition->bytes = lc_alloc_cost(partition);
    return partition;
}

void lc_block_free(lc_block *block)
{
    lc_free(block->high);
}

void lc_partition_free(lc_partition *partition)
{
    if (!partition)
        return;
    for (size_t i = 0; i < partition->block_count; i++)
        lc_block_free(&partition->blocks[i]);
    if (partition->blocks != &partition->first)
        lc_free(partition->blocks);
    lc_free(partition);
}

lc_row *lc_partition_row(const lc_partition *partition, size_t row)
{
    return &partition->blocks[row / LC_BLOCK_ROWS].rows[row % LC_BLOCK_ROWS];
}

lc_codes lc_partition_codes(const lc_partition *partition, size_t row)
{
    const lc_block *block = &partition->blocks[row / LC_BLOCK_ROWS];
    size_t at = row % LC_BLOCK_ROWS, byte = at * partition->stride;
    return (lc_codes){block->high + byte, block->low + byte, block->steps + at, block->errors + at};
}

/* ---- Growth ------------------------------------------------------------------------------------ */

static int make_block(size_t rows, size_t stride, lc_block *block)
{
    size_t row = 2 * stride + 2 * sizeof(float) + sizeof(lc_row), bytes = rows * row;
    /* Alignment matters to long runs only, and costs an allocation of its own size at worst. */
    uint8_t *memory = rows < LC_BLOCK_ROWS ? lc_alloc(bytes) : lc_alloc_aligned(64, bytes);
    if (!memory)
        return LLMCACHE_MEMORY;
    block->high = memory;
    block->low = (int8_t *)memory + rows * stride;
    block->steps = (float *)(void *)(memory + 2 * rows * stride);
    block->errors = block->steps + rows;
    block->rows = (lc_row *)(void *)(block->errors + rows);
    return 0;
}

/* A larger first block with what the present one holds. */
static int grow_first(const lc_partition *partition, lc_growth *growth)
{
    uint32_t rows = partition->first_rows * 2;
    if (make_block(rows, partition->stride, &growth->block))
        return LLMCACHE_MEMORY;
    const lc_block *old = &partition->blocks[0], *now = &growth->block;
    size_t count = partition->count;
    memcpy(now->high, old->high, count * partition->stride);
    memcpy(now->low, old->low, count * partition->stride);
    memcpy(now->steps, old->steps, count * sizeof *old->steps);
    memcpy(now->errors, old->errors, count * sizeof *old->errors);
    memcpy(now->rows, old->rows, count * sizeof *old->rows);
    growth->first_rows = rows;
    return 0;
}

static int add_block(const lc_partition *partition, lc_growth *growth)
{
    uint32_t rows = partition->block_count ? LC_BLOCK_ROWS : 1;
    if (partition->block_count == partition->block_room) {
        growth->block_room = 2 * partition->block_room;
        growth->blocks = lc_alloc_array(growth->block_room, sizeof *growth->blocks);
        if (!growth->blocks)
            return LLMCACHE_MEMORY;
        memcpy(growth->blocks, partition->blocks, partition->block_count * sizeof *growth->blocks);
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

static void change_directory(lc_partition *partition, lc_growth *growth)
{
    lc_block *old = partition->blocks == &partition->first ? NULL : partition->blocks;
    partition->bytes += lc_alloc_cost(growth->blocks) - lc_alloc_cost(old);
    partition->blocks = growth->blocks;
    partition->block_room = growth->block_room;
    growth->blocks = old;
}

void lc_growth_apply(lc_partition *partition, lc_growth *growth)
{
    if (!growth->block.high)
        return;
    if (growth->blocks)
        change_directory(partition, growth);
    partition->bytes += lc_alloc_cost(growth->block.high);
    if (partition->block_count && growth->first_rows != partition->first_rows) {
        lc_block old = partition->blocks[0];
        partition->bytes -= lc_alloc_cost(old.high);
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
    lc_codes to = lc_partition_codes(partition, at);
    lc_codes_write(vector, partition->dimension, &to);
    *lc_partition_row(partition, at) = *row;
}

static void move_row(lc_partition *partition, size_t to, size_t from)
{
    lc_codes new = lc_partition_codes(partition, to), old = lc_partition_codes(partition, from);
    memcpy(new.high, old.high, partition->stride);
    memcpy(new.low, old.low, partition->stride);
    *new.step = *old.step;
    *new.error = *old.error;
    *lc_partition_row(partition, to) = *lc_partition_row(partition, from);
}

lc_block lc_partition_cut(lc_partition *partition, size_t at)
{
    size_t last = --partition->count;
    if (at != last)
        move_row(partition, at, last);
    lc_block unused = {0};
    size_t blocks = partition->block_count;
    /* One empty block stays, so that adding and removing at an edge does not allocate each time. */
    if (blocks >= 2 && partition->count + LC_BLOCK_ROWS <= (blocks - 1) * LC_BLOCK_ROWS) {
        unused = partition->blocks[blocks - 1];
        partition->block_count--;
        partition->bytes -= lc_alloc_cost(unused.high);
    }
    return unused;
}

/* Blocks double in size up to a limit, so that small bodies cost one allocation and large
 * ones few. */
#include "protocol/arena.h"

#include "base/memory.h"

#include <stdalign.h>
#include <stdint.h>

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20 };

struct lc_arena_block {
    lc_arena_block *older;
    size_t size;
    alignas(max_align_t) char bytes[];
};

static void free_blocks(lc_arena_block *block)
{
    while (block) {
        lc_arena_block *older = block->older;
        lc_free(block);
        block = older;
    }
}

void lc_arena_done(lc_arena *arena)
{
    free_blocks(arena->block);
    *arena = (lc_arena){0};
}

void lc_arena_reset(lc_arena *arena)
{
    if (!arena->block)
        return;
    free_blocks(arena->block->older);
    arena->block->older = NULL;
    arena->used = 0;
    arena->total = arena->block->size;
}

static int add_block(lc_arena *arena, size_t need)
{
    size_t size = FIRST_BLOCK;
    if (arena->block && arena->block->size < LARGEST_BLOCK)
        size = arena->block->size * 2;
    else if (arena->block)
        size = LARGEST_BLOCK;
    if (size < need)
        size = need;
    lc_arena_block *block = lc_alloc(sizeof *block + size);
    if (!block)
        return -1;
    *block = (lc_arena_block){.older = arena->block, .size = size};
    arena->block = block;
    arena->used = 0;
    arena->total += size;
    return 0;
}

void *lc_arena_take(lc_arena *arena, size_t size)
{
    const size_t step =
        alignof(void *) > alignof(uint64_t) ? alignof(void *) : alignof(uint64_t);
    if (size > SIZE_MAX / 4)
        return NULL;
    size = (size + step - 1) / step * step;
    if ((!arena->block || size > arena->block->size - arena->used) &&
        add_block(arena, size))
        return NULL;
    char *piece = arena->block->bytes + arena->used;
    arena->used += size;
    return piece;
}

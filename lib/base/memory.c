/*
 * Allocation with a switch to fail on purpose. The counter is one relaxed atomic that is looked at
 * only while a test has armed it, so that normal running pays a predictable branch.
 */
#include "base/memory.h"

#include <llmcache/llmcache.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_least64_t countdown; /* 0: not armed */
static atomic_int failed;

void lc_memory_fail_at(uint64_t n)
{
    atomic_store(&failed, 0);
    atomic_store(&countdown, n);
}

int lc_memory_failed(void)
{
    return atomic_load(&failed);
}

static int must_fail(void)
{
    uint64_t left = atomic_load_explicit(&countdown, memory_order_relaxed);
    if (left == 0)
        return 0;
    if (atomic_fetch_sub(&countdown, 1) != 1)
        return 0;
    atomic_store(&failed, 1);
    return 1;
}

void *lc_alloc(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *lc_zalloc(size_t size)
{
    return must_fail() ? NULL : calloc(1, size ? size : 1);
}

void *lc_alloc_array(size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : lc_alloc(bytes);
}

void *lc_zalloc_array(size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : lc_zalloc(bytes);
}

void *lc_realloc(void *memory, size_t size)
{
    return must_fail() ? NULL : realloc(memory, size ? size : 1);
}

void *lc_realloc_array(void *memory, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : lc_realloc(memory, bytes);
}

void *lc_alloc_aligned(size_t alignment, size_t size)
{
    void *memory = NULL;
    if (must_fail() || posix_memalign(&memory, alignment, size ? size : 1))
        return NULL;
    return memory;
}

void lc_free(void *memory)
{
    free(memory);
}

size_t lc_alloc_cost(void *memory)
{
    return memory ? malloc_usable_size(memory) + sizeof(size_t) : 0;
}

char *lc_strdup(const char *text)
{
    return text ? lc_strndup(text, strlen(text)) : NULL;
}

char *lc_strndup(const char *text, size_t size)
{
    char *copy = size < SIZE_MAX ? lc_alloc(size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

void *lc_memdup(const void *bytes, size_t size)
{
    void *copy = lc_alloc(size);
    if (copy && size)
        memcpy(copy, bytes, size);
    return copy;
}

int lc_strset(char **slot, const char *text)
{
    char *copy = lc_strdup(text);
    if (text && !copy)
        return LLMCACHE_MEMORY;
    lc_free(*slot);
    *slot = copy;
    return 0;
}

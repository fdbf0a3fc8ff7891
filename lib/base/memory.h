/*
 * Memory: the one family every allocation of the library goes through, so that a test can make the
 * N-th one fail. Sizes of arrays are checked for overflow. All return NULL on failure.
 */
#ifndef LC_BASE_MEMORY_H
#define LC_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *lc_alloc(size_t size);
void *lc_zalloc(size_t size);
void *lc_alloc_array(size_t count, size_t size); /* uninitialised */
void *lc_zalloc_array(size_t count, size_t size);
void *lc_realloc(void *memory, size_t size);
void *lc_realloc_array(void *memory, size_t count, size_t size);
void *lc_alloc_aligned(size_t alignment, size_t size); /* free with lc_free */
void lc_free(void *memory);

/* What an allocation takes from the system: rounded up, with the allocator's own header. 0 for NULL. */
size_t lc_alloc_cost(void *memory);

char *lc_strdup(const char *text);              /* NULL for NULL */
char *lc_strndup(const char *text, size_t size); /* copies size bytes and adds a NUL */
void *lc_memdup(const void *bytes, size_t size);

/* Replaces *slot by a copy of text (NULL: by NULL). 0, or LLMCACHE_MEMORY with *slot unchanged. */
int lc_strset(char **slot, const char *text);

/* Test aid: the n-th allocation from now on fails (1: the next), 0 switches it off. Counts in all
 * threads. `lc_memory_failed` says whether it has happened since. */
void lc_memory_fail_at(uint64_t n);
int lc_memory_failed(void);

#endif

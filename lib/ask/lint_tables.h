/* Two tables of 64-bit keys for a walk over any number of entries, each bounded in bytes. */
#ifndef LC_ASK_LINT_TABLES_H
#define LC_ASK_LINT_TABLES_H

#include <llmcache/llmcache.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Groups: how many entries have a key, and the first of them ------------------------- */

typedef struct lc_lint_group {
    uint64_t key; /* 0: free */
    uint32_t count;
    char id[LLMCACHE_ID_SIZE];
} lc_lint_group;

typedef struct lc_lint_groups {
    lc_lint_group *slots;
    size_t room, used, most;
    uint64_t mask; /* only keys without these bits are kept: a sample of whole groups */
} lc_lint_groups;

/* `most` slots, a power of two. */
void lc_lint_groups_init(lc_lint_groups *groups, size_t most);
void lc_lint_groups_done(lc_lint_groups *groups);
/* Counts one more; 0, or LLMCACHE_MEMORY. */
int lc_lint_groups_add(lc_lint_groups *groups, uint64_t key, const char *id);
/* NULL when it was never added, or is not in the sample. */
const lc_lint_group *lc_lint_groups_find(const lc_lint_groups *groups, uint64_t key);

/* ---- Seen: a set ------------------------------------------------------------------------ */

typedef struct lc_lint_seen {
    uint64_t *slots;
    size_t room, used, most;
    int full; /* something was left out */
} lc_lint_seen;

void lc_lint_seen_init(lc_lint_seen *seen, size_t most);
void lc_lint_seen_done(lc_lint_seen *seen);
/* 1: new, 0: was there, or there is no room for more; LLMCACHE_MEMORY. */
int lc_lint_seen_add(lc_lint_seen *seen, uint64_t key);

#endif

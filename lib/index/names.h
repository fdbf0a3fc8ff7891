/*
 * Where each record of the index stands: (namespace, id) to partition and row. Open addressing with linear
 * probing; 16 bytes a place, the key itself is read from the row. For one thread at a time.
 */
#ifndef LC_INDEX_NAMES_H
#define LC_INDEX_NAMES_H

#include "index/partition.h"

typedef struct lc_name {
    lc_partition *partition; /* NULL: empty */
    uint32_t row;
    uint32_t tag; /* of the hash, so that most others are passed over without reading their row */
} lc_name;

typedef struct lc_names {
    lc_name *places;
    size_t room; /* a power of two, or 0 */
    size_t count;
} lc_names;

uint64_t lc_space_hash(const char *space);

/* `head` are the bytes behind the id. NULL when there is none. */
lc_name *lc_names_find(const lc_names *names, const char *space, uint64_t space_hash,
                       const unsigned char *head);

/* Room for one more; LLMCACHE_MEMORY or 0. */
int lc_names_reserve(lc_names *names);
/* Takes in a row that stands in its partition already. */
void lc_names_add(lc_names *names, lc_partition *partition, uint32_t row);
void lc_names_remove(lc_names *names, lc_name *name);
void lc_names_done(lc_names *names);

#endif

/*
 * Shelves: an array of S3-FIFO hashes, each under a lock of its own, with one budget of bytes for all.
 * What stands under a digest is on one shelf only, chosen by the digest's first bytes, so threads that
 * ask different things rarely meet, and a lock is held for a few cache misses. No two shelf locks are ever
 * held at once. When the budget is spent, eviction goes round the shelves: digests are uniform, so each
 * has its fair part, while one large entry may still take what many shelves give.
 */
#ifndef LC_STORE_SHELVES_H
#define LC_STORE_SHELVES_H

#include "store/s3fifo.h"

#include <pthread.h>

typedef struct lc_shelf {
    pthread_mutex_t lock; /* guards s3 and removes */
    lc_s3fifo s3;
    uint16_t number;
} __attribute__((aligned(64))) lc_shelf;

typedef struct lc_shelves {
    lc_shelf *shelf;
    uint32_t count; /* a power of two */
    size_t max_bytes;
    atomic_size_t bytes; /* of entries and structures */
    atomic_uint hand;    /* where eviction goes on */
    atomic_uint_least64_t evictions;
    /* Told of each entry evicted for want of room, no lock held; may be NULL. */
    void (*evicted)(void *user, const lc_entry *entry);
    void *user;
} lc_shelves;

int lc_shelves_init(lc_shelves *shelves, size_t max_bytes, llmcache_error *err);
void lc_shelves_done(lc_shelves *shelves);

/* The shelf of a digest (its first 8 bytes), locked. */
lc_shelf *lc_shelves_lock(lc_shelves *shelves, const unsigned char *head);
void lc_shelf_unlock(lc_shelf *shelf);

/* Evicts until `bytes` more fit, taking shelf locks one by one, and books them. 0 when they cannot fit: an
 * entry may take a quarter of the whole. Give them back with lc_shelves_release. */
int lc_shelves_reserve(lc_shelves *shelves, size_t bytes);
void lc_shelves_release(lc_shelves *shelves, size_t bytes);

/* Adds to a locked shelf; the entry's cost was reserved, what the structure grows by is booked here. */
lc_node *lc_shelf_add(lc_shelves *shelves, lc_shelf *shelf, const unsigned char digest[32],
                      lc_entry *entry);

/* Drops from a locked shelf and gives the bytes back; the caller unrefs the entry after unlocking. */
lc_entry *lc_shelf_drop(lc_shelves *shelves, lc_shelf *shelf, lc_node *node);

/* Evicts while there is more than the budget. Call without locks. */
void lc_shelves_trim(lc_shelves *shelves);

/* Empties all shelves; `gone` is told of each entry while its shelf is locked. */
void lc_shelves_clear(lc_shelves *shelves, void (*gone)(lc_entry *entry));

#endif

/*
 * A hash of 32-byte digests with the S3-FIFO order of eviction, for one thread at a time: the piece
 * the memory cache and the memory store are made of. Who uses it brings the lock, owns the items,
 * and decides when there is too much.
 *
 * Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction (SOSP 2023). New items
 * pass a small queue; only those used again while there enter the main one, so a scan flushes a tenth
 * of the cache and no more. A hit changes one counter and moves nothing.
 */
#ifndef LC_STORE_S3FIFO_H
#define LC_STORE_S3FIFO_H

#include "store/memory_cache.h"

enum lc_queue { LC_QUEUE_FREE, LC_QUEUE_SMALL, LC_QUEUE_MAIN, LC_QUEUE_ALIAS, LC_QUEUE_COUNT };

#define LC_NODES_A_BLOCK 128u

/* Nodes are named by number; 0 is none. */
typedef uint32_t lc_node_id;

typedef struct lc_node {
    unsigned char digest[32];
    union {
        lc_entry *entry; /* in SMALL and MAIN */
        struct {
            lc_node_id node;
            uint32_t serial; /* the node's serial when the alias was made */
        } target;            /* in ALIAS: a node of the shelf `shelf` */
    } to;
    lc_node_id chain; /* next of the same bucket, or of the free list */
    lc_node_id newer, older;
    uint32_t serial;  /* of this use of the node; no other use on the shelf has it */
    float similarity; /* of an alias */
    uint16_t shelf;
    uint8_t queue : 3, uses : 2, semantic : 1;
    uint8_t form; /* of an alias */
} lc_node;

typedef struct lc_queue_ends {
    lc_node_id newest, oldest;
    uint64_t count;
    uint64_t bytes; /* of the entries in it */
} lc_queue_ends;

/* Hashes of what was evicted from the small queue lately, with the time it was. */
typedef struct lc_ghost {
    uint32_t tag, time;
} lc_ghost;

typedef struct lc_s3fifo {
    lc_node **blocks; /* of LC_NODES_A_BLOCK each */
    uint32_t block_count, block_room;
    lc_node_id free;
    lc_node_id *buckets;
    lc_ghost *ghosts; /* as many as buckets */
    uint32_t bucket_count; /* a power of two, or 0 */
    uint32_t ghost_time;
    uint32_t serial; /* of the last node; survives lc_s3fifo_done, as aliases elsewhere may */
    lc_queue_ends queues[LC_QUEUE_COUNT];
    size_t bytes; /* of this structure's own memory */
} lc_s3fifo;

void lc_s3fifo_init(lc_s3fifo *s3);
void lc_s3fifo_done(lc_s3fifo *s3); /* leaves it empty; the entries must be gone */

lc_node *lc_s3fifo_at(const lc_s3fifo *s3, lc_node_id id);
lc_node_id lc_s3fifo_id_of(const lc_s3fifo *s3, const lc_node *node);

/* Nodes that may stand under a digest with this head (8 bytes), one after the other; NULL at the end. */
lc_node *lc_s3fifo_first(const lc_s3fifo *s3, const unsigned char *head);
lc_node *lc_s3fifo_next(const lc_s3fifo *s3, const lc_node *node);
lc_node *lc_s3fifo_find(const lc_s3fifo *s3, const unsigned char digest[32]);

/* Notes a use. */
static inline void lc_s3fifo_touch(lc_node *node)
{
    if (node->uses < 3)
        node->uses++;
}

/* A new node under the digest, holding the entry (queue chosen by what the ghosts remember) or, with entry
 * NULL, an alias to be filled in. NULL: no memory. */
lc_node *lc_s3fifo_add(lc_s3fifo *s3, const unsigned char digest[32], lc_entry *entry);

/* Frees the node. Gives back its entry (the reference is the caller's now), NULL for an alias. */
lc_entry *lc_s3fifo_drop(lc_s3fifo *s3, lc_node *node);

/* Evicts one entry and gives it back; NULL when there is none. */
lc_entry *lc_s3fifo_evict(lc_s3fifo *s3);

/* Drops the alias least worth keeping; 0 when there is none. */
int lc_s3fifo_evict_alias(lc_s3fifo *s3);

/* The entry takes more bytes than when it was added. */
void lc_s3fifo_grew(lc_s3fifo *s3, const lc_node *node, size_t bytes);

/* All that an entry takes, with its renderings. */
size_t lc_entry_cost(const lc_entry *entry);

#endif

/*
 * Chained hash over nodes in fixed blocks (they never move, and a node's number outlives growth), three
 * doubly linked queues through the nodes, and a ghost table: a direct-mapped array of tags with the
 * time they were evicted, as section 4.2 of the paper suggests; a tag counts for as many evictions as
 * there are entries in the main queue.
 */
#include "store/s3fifo.h"

#include "base/memory.h"

#include <string.h>

#define SMALL_SHARE 10 /* the small queue's part of all bytes is 1 in this many */
#define USES_TO_STAY 2 /* in the small queue, for a place in the main one */

void lc_s3fifo_init(lc_s3fifo *s3)
{
    *s3 = (lc_s3fifo){0};
}

void lc_s3fifo_done(lc_s3fifo *s3)
{
    for (uint32_t i = 0; i < s3->block_count; i++)
        lc_free(s3->blocks[i]);
    lc_free(s3->blocks);
    lc_free(s3->buckets);
    lc_free(s3->ghosts);
    *s3 = (lc_s3fifo){.serial = s3->serial};
}

size_t lc_entry_cost(const lc_entry *entry)
{
    size_t cost = entry->bytes;
    for (int i = 0; i < 2; i++)
        if (atomic_load_explicit(&entry->rendering[i], memory_order_acquire))
            cost += entry->rendering_size[i] + 1 + sizeof(size_t);
    return cost;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

lc_node *lc_s3fifo_at(const lc_s3fifo *s3, lc_node_id id)
{
    return id ? &s3->blocks[(id - 1) / LC_NODES_A_BLOCK][(id - 1) % LC_NODES_A_BLOCK] : NULL;
}

static uint64_t head_of(const unsigned char *digest)
{
    uint64_t head;
    memcpy(&head, digest, sizeof head);
    return head;
}

/* The low bits choose the shelf, so the bucket comes from others. */
static lc_node_id *bucket_of(const lc_s3fifo *s3, const unsigned char *head)
{
    return &s3->buckets[(uint32_t)(head_of(head) >> 24) & (s3->bucket_count - 1)];
}

static int grow_blocks(lc_s3fifo *s3)
{
    if (s3->block_count == s3->block_room) {
        uint32_t room = s3->block_room ? 2 * s3->block_room : 4;
        lc_node **blocks = lc_realloc_array(s3->blocks, room, sizeof *blocks);
        if (!blocks)
            return LLMCACHE_MEMORY;
        s3->bytes += (room - s3->block_room) * sizeof *blocks;
        s3->blocks = blocks;
        s3->block_room = room;
    }
    lc_node *block = lc_zalloc_array(LC_NODES_A_BLOCK, sizeof *block);
    if (!block)
        return LLMCACHE_MEMORY;
    s3->blocks[s3->block_count] = block;
    lc_node_id first = s3->block_count++ * LC_NODES_A_BLOCK + 1;
    for (uint32_t i = 0; i < LC_NODES_A_BLOCK; i++)
        block[i].chain = i + 1 < LC_NODES_A_BLOCK ? first + i + 1 : 0;
    s3->free = first;
    s3->bytes += LC_NODES_A_BLOCK * sizeof *block;
    return 0;
}

static void rehash(lc_s3fifo *s3, const lc_node_id *old, uint32_t old_count)
{
    for (uint32_t i = 0; i < old_count; i++) {
        for (lc_node_id id = old[i]; id;) {
            lc_node *node = lc_s3fifo_at(s3, id);
            lc_node_id next = node->chain;
            lc_node_id *bucket = bucket_of(s3, node->digest);
            node->chain = *bucket;
            *bucket = id;
            id = next;
        }
    }
}

/* Buckets for as many nodes as there may be. The ghosts start anew: what they forget costs one miss. */
static int grow_buckets(lc_s3fifo *s3)
{
    uint32_t count = s3->bucket_count ? 2 * s3->bucket_count : 64;
    lc_node_id *buckets = lc_zalloc_array(count, sizeof *buckets);
    lc_ghost *ghosts = lc_zalloc_array(count, sizeof *ghosts);
    if (!buckets || !ghosts) {
        lc_free(buckets);
        lc_free(ghosts);
        return LLMCACHE_MEMORY;
    }
    lc_node_id *old = s3->buckets;
    uint32_t old_count = s3->bucket_count;
    lc_free(s3->ghosts);
    s3->buckets = buckets;
    s3->ghosts = ghosts;
    s3->bucket_count = count;
    s3->bytes += (count - old_count) * (sizeof *buckets + sizeof *ghosts);
    rehash(s3, old, old_count);
    lc_free(old);
    return 0;
}

static uint64_t node_count(const lc_s3fifo *s3)
{
    return s3->queues[LC_QUEUE_SMALL].count + s3->queues[LC_QUEUE_MAIN].count +
           s3->queues[LC_QUEUE_ALIAS].count;
}

lc_node *lc_s3fifo_first(const lc_s3fifo *s3, const unsigned char *head)
{
    return s3->bucket_count ? lc_s3fifo_at(s3, *bucket_of(s3, head)) : NULL;
}

lc_node *lc_s3fifo_next(const lc_s3fifo *s3, const lc_node *node)
{
    return lc_s3fifo_at(s3, node->chain);
}

lc_node *lc_s3fifo_find(const lc_s3fifo *s3, const unsigned char digest[32])
{
    lc_node *node = lc_s3fifo_first(s3, digest);
    while (node && memcmp(node->digest, digest, sizeof node->digest) != 0)
        node = lc_s3fifo_next(s3, node);
    return node;
}

/* The link in the node's chain that leads to it. */
static lc_node_id *link_to(const lc_s3fifo *s3, const lc_node *node)
{
    lc_node_id *link = bucket_of(s3, node->digest);
    while (lc_s3fifo_at(s3, *link) != node)
        link = &lc_s3fifo_at(s3, *link)->chain;
    return link;
}

lc_node_id lc_s3fifo_id_of(const lc_s3fifo *s3, const lc_node *node)
{
    return *link_to(s3, node);
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static void enqueue(lc_s3fifo *s3, lc_node *node, lc_node_id id, enum lc_queue which)
{
    lc_queue_ends *queue = &s3->queues[which];
    node->queue = which & 7u;
    node->newer = 0;
    node->older = queue->newest;
    if (queue->newest)
        lc_s3fifo_at(s3, queue->newest)->newer = id;
    else
        queue->oldest = id;
    queue->newest = id;
    queue->count++;
    if (which != LC_QUEUE_ALIAS)
        queue->bytes += lc_entry_cost(node->to.entry);
}

static void dequeue(lc_s3fifo *s3, lc_node *node)
{
    lc_queue_ends *queue = &s3->queues[node->queue];
    if (node->newer)
        lc_s3fifo_at(s3, node->newer)->older = node->older;
    else
        queue->newest = node->older;
    if (node->older)
        lc_s3fifo_at(s3, node->older)->newer = node->newer;
    else
        queue->oldest = node->newer;
    queue->count--;
    if (node->queue != LC_QUEUE_ALIAS)
        queue->bytes -= lc_entry_cost(node->to.entry);
}

/* ---- Ghosts ---------------------------------------------------------------------------------- */

static lc_ghost *ghost_of(const lc_s3fifo *s3, const unsigned char *digest, uint32_t *tag)
{
    memcpy(tag, digest + 8, sizeof *tag);
    *tag |= 1; /* 0 is an empty place */
    return &s3->ghosts[(uint32_t)(head_of(digest) >> 24) & (s3->bucket_count - 1)];
}

static void remember_ghost(lc_s3fifo *s3, const unsigned char *digest)
{
    uint32_t tag;
    lc_ghost *ghost = ghost_of(s3, digest, &tag);
    *ghost = (lc_ghost){tag, s3->ghost_time++};
}

/* Was it evicted from the small queue lately? Asked once: it is in a queue from here on. */
static int take_ghost(lc_s3fifo *s3, const unsigned char *digest)
{
    uint32_t tag;
    lc_ghost *ghost = ghost_of(s3, digest, &tag);
    if (ghost->tag != tag)
        return 0;
    ghost->tag = 0;
    return s3->ghost_time - ghost->time <= s3->queues[LC_QUEUE_MAIN].count;
}

/* ---- Adding and dropping ----------------------------------------------------------------------- */

lc_node *lc_s3fifo_add(lc_s3fifo *s3, const unsigned char digest[32], lc_entry *entry)
{
    if (!s3->free && grow_blocks(s3))
        return NULL;
    if (node_count(s3) >= s3->bucket_count && grow_buckets(s3) && !s3->bucket_count)
        return NULL;
    lc_node_id id = s3->free;
    lc_node *node = lc_s3fifo_at(s3, id);
    s3->free = node->chain;
    *node = (lc_node){.to.entry = entry, .serial = ++s3->serial};
    memcpy(node->digest, digest, sizeof node->digest);
    lc_node_id *bucket = bucket_of(s3, digest);
    node->chain = *bucket;
    *bucket = id;
    enum lc_queue queue = !entry                  ? LC_QUEUE_ALIAS
                          : take_ghost(s3, digest) ? LC_QUEUE_MAIN
                                                   : LC_QUEUE_SMALL;
    enqueue(s3, node, id, queue);
    return node;
}

lc_entry *lc_s3fifo_drop(lc_s3fifo *s3, lc_node *node)
{
    lc_entry *entry = node->queue == LC_QUEUE_ALIAS ? NULL : node->to.entry;
    lc_node_id *link = link_to(s3, node), id = *link;
    dequeue(s3, node);
    *link = node->chain;
    node->chain = s3->free;
    node->queue = LC_QUEUE_FREE;
    s3->free = id;
    return entry;
}

void lc_s3fifo_grew(lc_s3fifo *s3, const lc_node *node, size_t bytes)
{
    s3->queues[node->queue].bytes += bytes;
}

/* ---- Eviction ---------------------------------------------------------------------------------- */

static void move(lc_s3fifo *s3, lc_node *node, lc_node_id id, enum lc_queue queue)
{
    dequeue(s3, node);
    enqueue(s3, node, id, queue);
}

/* Algorithm 1, evictS: the used ones move on to the main queue. NULL when the small queue ran empty. */
static lc_entry *evict_small(lc_s3fifo *s3)
{
    lc_node_id id;
    while ((id = s3->queues[LC_QUEUE_SMALL].oldest) != 0) {
        lc_node *node = lc_s3fifo_at(s3, id);
        if (node->uses < USES_TO_STAY) {
            remember_ghost(s3, node->digest);
            return lc_s3fifo_drop(s3, node);
        }
        node->uses = 0;
        move(s3, node, id, LC_QUEUE_MAIN);
    }
    return NULL;
}

/* Algorithm 1, evictM: the used ones go round once more for each use. */
static lc_entry *evict_main(lc_s3fifo *s3)
{
    lc_node_id id;
    while ((id = s3->queues[LC_QUEUE_MAIN].oldest) != 0) {
        lc_node *node = lc_s3fifo_at(s3, id);
        if (!node->uses)
            return lc_s3fifo_drop(s3, node);
        node->uses--;
        move(s3, node, id, LC_QUEUE_MAIN);
    }
    return NULL;
}

lc_entry *lc_s3fifo_evict(lc_s3fifo *s3)
{
    const lc_queue_ends *small = &s3->queues[LC_QUEUE_SMALL], *large = &s3->queues[LC_QUEUE_MAIN];
    lc_entry *entry = NULL;
    if (small->bytes * SMALL_SHARE >= small->bytes + large->bytes)
        entry = evict_small(s3);
    if (!entry)
        entry = evict_main(s3);
    return entry ? entry : evict_small(s3);
}

int lc_s3fifo_evict_alias(lc_s3fifo *s3)
{
    lc_node_id id;
    while ((id = s3->queues[LC_QUEUE_ALIAS].oldest) != 0) {
        lc_node *node = lc_s3fifo_at(s3, id);
        if (!node->uses) {
            lc_s3fifo_drop(s3, node);
            return 1;
        }
        node->uses--;
        move(s3, node, id, LC_QUEUE_ALIAS);
    }
    return 0;
}

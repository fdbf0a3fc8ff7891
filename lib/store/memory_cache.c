/*
 * The cache in memory. Answers stand on shelves (shelves.h) under their fingerprints. Another digest is an
 * alias: it stands on its own shelf and names the answer's node and the serial of that node's use,
 * so that an answer that leaves takes all its aliases with it without anyone looking for them; a dead
 * alias is dropped when it is next met, or by age. A find takes one lock, or one after the other two.
 *
 * Generations: each (namespace, id) falls into one of a few counters that only rise. A removal raises
 * the counter before it takes the shelf's lock, a put compares under that lock: so what was read from
 * the store before the removal either is not put, or is put before the removal finds it. A new answer raises
 * it too, under the lock: what was read before it came is older.
 */
#include "store/memory_cache.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "store/shelves.h"
#include "store/store.h"

#include <string.h>

#define GENERATIONS 512
#define ALIAS_SHARE 8 /* aliases may take one part in this many of the budget */
#define HEAD_SIZE   ((LLMCACHE_ID_SIZE - 1) / 2)

struct lc_memory_cache {
    lc_shelves shelves;
    uint64_t max_aliases; /* a shelf */
    atomic_int enabled;
    atomic_int_least64_t until_ms; /* nothing is found from then on; monotonic */
    atomic_uint_least64_t epoch; /* part of every generation */
    atomic_uint_least64_t generations[GENERATIONS];
};

int lc_memory_cache_new(size_t max_bytes, lc_memory_cache **cache, llmcache_error *err)
{
    lc_memory_cache *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    int code = lc_shelves_init(&made->shelves, max_bytes, err);
    if (code) {
        lc_free(made);
        return code;
    }
    atomic_fetch_add(&made->shelves.bytes, sizeof *made);
    made->max_aliases = max_bytes / ALIAS_SHARE / made->shelves.count / sizeof(lc_node);
    atomic_store(&made->enabled, 1);
    atomic_store(&made->until_ms, INT64_MAX);
    *cache = made;
    return 0;
}

void lc_memory_cache_free(lc_memory_cache *cache)
{
    if (!cache)
        return;
    lc_shelves_done(&cache->shelves);
    lc_free(cache);
}

/* ---- Generations ------------------------------------------------------------------------------- */

/* FNV-1a over the namespace and the bytes behind the id. */
static atomic_uint_least64_t *slot_of(lc_memory_cache *cache, const char *space,
                                      const unsigned char *head)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *at = space; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    for (size_t i = 0; i < HEAD_SIZE; i++)
        hash = (hash ^ head[i]) * 0x100000001b3u;
    return &cache->generations[(hash >> 32) % GENERATIONS];
}

/* Both parts only rise, so their sum stays the same only if both do. */
static uint64_t generation_of(lc_memory_cache *cache, const char *space, const unsigned char *head)
{
    return atomic_load(&cache->epoch) + atomic_load(slot_of(cache, space, head));
}

uint64_t lc_memory_cache_generation(lc_memory_cache *cache, const char *space,
                                    const unsigned char fingerprint[32])
{
    return generation_of(cache, space, fingerprint);
}

/* ---- Finding ----------------------------------------------------------------------------------- */

static int expired(const lc_entry *entry, int64_t now_ms)
{
    return entry->expires_ms && entry->expires_ms <= now_ms;
}

/* Takes a reference on the answer in `node`, or drops it when its time is over. Unlocks the shelf. */
static int take_answer(lc_memory_cache *cache, lc_shelf *shelf, lc_node *node, int64_t now_ms,
                       lc_memory_hit *hit)
{
    lc_entry *gone = NULL;
    int found = !expired(node->to.entry, now_ms);
    if (found) {
        hit->entry = lc_entry_ref(node->to.entry);
        lc_s3fifo_touch(node);
    } else {
        gone = lc_shelf_drop(&cache->shelves, shelf, node);
    }
    lc_shelf_unlock(shelf);
    lc_entry_unref(gone);
    return found;
}

/* The node an alias names, on a locked shelf; NULL when the answer has left. */
static lc_node *target_of(lc_shelf *shelf, const lc_node *alias)
{
    lc_node_id id = alias->to.target.node;
    if ((id - 1) / LC_NODES_A_BLOCK >= shelf->s3.block_count)
        return NULL;
    lc_node *node = lc_s3fifo_at(&shelf->s3, id);
    int holds = node->queue == LC_QUEUE_SMALL || node->queue == LC_QUEUE_MAIN;
    return holds && node->serial == alias->to.target.serial ? node : NULL;
}

/* Drops the alias if it still is the one that was seen. */
static void drop_alias(lc_memory_cache *cache, const lc_node *seen)
{
    lc_shelf *shelf = lc_shelves_lock(&cache->shelves, seen->digest);
    lc_node *node = lc_s3fifo_find(&shelf->s3, seen->digest);
    if (node && node->serial == seen->serial)
        lc_shelf_drop(&cache->shelves, shelf, node);
    lc_shelf_unlock(shelf);
}

static int follow_alias(lc_memory_cache *cache, const lc_node *alias, int64_t now_ms,
                        lc_memory_hit *hit)
{
    lc_shelf *shelf = &cache->shelves.shelf[alias->shelf];
    pthread_mutex_lock(&shelf->lock);
    lc_node *node = target_of(shelf, alias);
    if (!node) {
        lc_shelf_unlock(shelf);
        drop_alias(cache, alias);
        return 0;
    }
    return take_answer(cache, shelf, node, now_ms, hit);
}

void lc_memory_cache_trust_until(lc_memory_cache *cache, int64_t until_ms)
{
    atomic_store(&cache->until_ms, until_ms);
}

static int may_find(lc_memory_cache *cache)
{
    int64_t until_ms = atomic_load_explicit(&cache->until_ms, memory_order_acquire);
    return atomic_load_explicit(&cache->enabled, memory_order_acquire) &&
           (until_ms == INT64_MAX || lc_mono_ms() < until_ms);
}

int lc_memory_cache_find(lc_memory_cache *cache, const unsigned char digest[32], int64_t now_ms,
                         lc_memory_hit *hit)
{
    lc_memory_hit found = {.similarity = 1};
    if (!may_find(cache))
        return 0;
    lc_shelf *shelf = lc_shelves_lock(&cache->shelves, digest);
    lc_node *node = lc_s3fifo_find(&shelf->s3, digest);
    int here = 0;
    if (!node) {
        lc_shelf_unlock(shelf);
    } else if (node->queue != LC_QUEUE_ALIAS) {
        here = take_answer(cache, shelf, node, now_ms, &found);
    } else {
        lc_s3fifo_touch(node);
        lc_node alias = *node;
        lc_shelf_unlock(shelf);
        found.semantic = alias.semantic;
        found.form = alias.form;
        found.similarity = alias.semantic ? (double)alias.similarity : 1;
        here = follow_alias(cache, &alias, now_ms, &found);
    }
    if (here)
        *hit = found;
    return here;
}

/* ---- Putting ----------------------------------------------------------------------------------- */

static int still_true(lc_memory_cache *cache, const lc_entry *entry, uint64_t generation)
{
    if (!atomic_load(&cache->enabled) || atomic_load(&entry->dead))
        return 0;
    return generation == UINT64_MAX ||
           generation == generation_of(cache, entry->facts.space, entry->facts.fingerprint);
}

/* Puts the entry on its locked shelf; *old receives what stood there. 1 if it was kept. */
static int place(lc_memory_cache *cache, lc_shelf *shelf, lc_entry *entry, uint64_t generation,
                 lc_entry **old)
{
    const unsigned char *digest = entry->facts.fingerprint;
    if (!still_true(cache, entry, generation))
        return 0;
    lc_node *node = lc_s3fifo_find(&shelf->s3, digest);
    if (node && node->queue != LC_QUEUE_ALIAS && node->to.entry == entry)
        return 0;
    if (node)
        *old = lc_shelf_drop(&cache->shelves, shelf, node);
    if (*old)
        atomic_store(&(*old)->dead, 1);
    if (!lc_shelf_add(&cache->shelves, shelf, digest, entry))
        return 0;
    lc_entry_ref(entry);
    return 1;
}

static int put(lc_memory_cache *cache, lc_entry *entry, uint64_t generation, int is_new)
{
    size_t cost = lc_entry_cost(entry);
    if (!lc_shelves_reserve(&cache->shelves, cost)) {
        /* What is too large to keep still replaces what it replaces. */
        lc_memory_cache_remove(cache, entry->facts.space, entry->facts.id);
        return 0;
    }
    lc_entry *old = NULL;
    lc_shelf *shelf = lc_shelves_lock(&cache->shelves, entry->facts.fingerprint);
    int kept = place(cache, shelf, entry, generation, &old);
    /* What was read from the store meanwhile may be older. */
    if (kept && is_new)
        atomic_fetch_add(slot_of(cache, entry->facts.space, entry->facts.fingerprint), 1);
    /* A rendering may have come between; it comes under this lock. */
    size_t booked = kept ? lc_entry_cost(entry) : 0;
    lc_shelves_release(&cache->shelves, cost - booked);
    lc_shelf_unlock(shelf);
    lc_entry_unref(old);
    lc_shelves_trim(&cache->shelves);
    return kept;
}

int lc_memory_cache_put(lc_memory_cache *cache, lc_entry *entry, uint64_t generation)
{
    put(cache, entry, generation, 0);
    return 0;
}

void lc_memory_cache_put_new(lc_memory_cache *cache, lc_entry *entry, uint64_t generation)
{
    if (!put(cache, entry, generation, 1))
        lc_memory_cache_remove(cache, entry->facts.space, entry->facts.id);
}

/* ---- Aliases ----------------------------------------------------------------------------------- */

/* Fills in where the entry stands now; 0 when it does not. */
static int locate(lc_memory_cache *cache, lc_entry *entry, lc_node *alias)
{
    lc_shelf *shelf = lc_shelves_lock(&cache->shelves, entry->facts.fingerprint);
    lc_node *node = lc_s3fifo_find(&shelf->s3, entry->facts.fingerprint);
    int here = node && node->queue != LC_QUEUE_ALIAS && node->to.entry == entry;
    if (here) {
        alias->shelf = shelf->number;
        alias->to.target.node = lc_s3fifo_id_of(&shelf->s3, node);
        alias->to.target.serial = node->serial;
    }
    lc_shelf_unlock(shelf);
    return here;
}

int lc_memory_cache_alias(lc_memory_cache *cache, const unsigned char digest[32], lc_entry *entry,
                          int semantic, int form, double similarity)
{
    lc_node target = {0};
    if (atomic_load(&entry->dead) || !locate(cache, entry, &target))
        return 0;
    lc_shelf *shelf = lc_shelves_lock(&cache->shelves, digest);
    lc_s3fifo *s3 = &shelf->s3;
    lc_node *node = lc_s3fifo_find(s3, digest);
    /* An answer of its own is nearer than any alias. */
    if (!node || node->queue == LC_QUEUE_ALIAS) {
        if (!node && s3->queues[LC_QUEUE_ALIAS].count >= cache->max_aliases)
            lc_s3fifo_evict_alias(s3);
        if (!node)
            node = lc_shelf_add(&cache->shelves, shelf, digest, NULL);
        if (node) {
            node->to.target = target.to.target;
            node->shelf = target.shelf;
            node->semantic = semantic != 0;
            node->form = (uint8_t)form;
            node->similarity = (float)similarity;
        }
    }
    lc_shelf_unlock(shelf);
    lc_shelves_trim(&cache->shelves);
    return 0;
}

/* ---- Renderings -------------------------------------------------------------------------------- */

void lc_memory_cache_render(lc_memory_cache *cache, lc_entry *entry, int which, char *take_text,
                            size_t size)
{
    lc_shelf *shelf = lc_shelves_lock(&cache->shelves, entry->facts.fingerprint);
    if (atomic_load_explicit(&entry->rendering[which], memory_order_relaxed)) {
        lc_shelf_unlock(shelf);
        lc_free(take_text);
        return;
    }
    size_t before = lc_entry_cost(entry);
    entry->rendering_size[which] = size;
    atomic_store_explicit(&entry->rendering[which], take_text, memory_order_release);
    lc_node *node = lc_s3fifo_find(&shelf->s3, entry->facts.fingerprint);
    if (node && node->queue != LC_QUEUE_ALIAS && node->to.entry == entry) {
        size_t more = lc_entry_cost(entry) - before;
        lc_s3fifo_grew(&shelf->s3, node, more);
        atomic_fetch_add_explicit(&cache->shelves.bytes, more, memory_order_relaxed);
    }
    lc_shelf_unlock(shelf);
    lc_shelves_trim(&cache->shelves);
}

/* ---- Removing ---------------------------------------------------------------------------------- */

/* An answer with this id on a locked shelf. */
static lc_node *find_by_id(lc_shelf *shelf, const char *space, const unsigned char *head)
{
    lc_node *node = lc_s3fifo_first(&shelf->s3, head);
    for (; node; node = lc_s3fifo_next(&shelf->s3, node))
        if (memcmp(node->digest, head, HEAD_SIZE) == 0 && node->queue != LC_QUEUE_ALIAS &&
            strcmp(node->to.entry->facts.space, space) == 0)
            return node;
    return NULL;
}

void lc_memory_cache_remove(lc_memory_cache *cache, const char *space, const char *id)
{
    unsigned char head[HEAD_SIZE];
    if (lc_unhex(id, head, sizeof head))
        return;
    atomic_fetch_add(slot_of(cache, space, head), 1);
    lc_entry *entry;
    do {
        lc_shelf *shelf = lc_shelves_lock(&cache->shelves, head);
        lc_node *node = find_by_id(shelf, space, head);
        entry = node ? lc_shelf_drop(&cache->shelves, shelf, node) : NULL;
        if (entry)
            atomic_store(&entry->dead, 1);
        lc_shelf_unlock(shelf);
        lc_entry_unref(entry);
    } while (entry);
}

static void kill_entry(lc_entry *entry)
{
    atomic_store(&entry->dead, 1);
}

void lc_memory_cache_clear(lc_memory_cache *cache)
{
    atomic_fetch_add(&cache->epoch, 1);
    lc_shelves_clear(&cache->shelves, kill_entry);
}

static void drop_semantic(lc_memory_cache *cache, lc_shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
    for (lc_node_id id = shelf->s3.queues[LC_QUEUE_ALIAS].oldest; id;) {
        lc_node *node = lc_s3fifo_at(&shelf->s3, id);
        id = node->newer;
        if (node->semantic)
            lc_shelf_drop(&cache->shelves, shelf, node);
    }
    pthread_mutex_unlock(&shelf->lock);
}

void lc_memory_cache_forget_semantic(lc_memory_cache *cache)
{
    for (uint32_t i = 0; i < cache->shelves.count; i++)
        drop_semantic(cache, &cache->shelves.shelf[i]);
}

void lc_memory_cache_enable(lc_memory_cache *cache, int enabled)
{
    /* Clearing on the way back too: it raises the generation of what was read while nobody watched. */
    atomic_store(&cache->enabled, 0);
    lc_memory_cache_clear(cache);
    atomic_store(&cache->enabled, enabled != 0);
}

void lc_memory_cache_stats(lc_memory_cache *cache, lc_memory_stats *stats)
{
    lc_memory_stats sum = {.bytes = atomic_load(&cache->shelves.bytes),
                           .evictions = atomic_load(&cache->shelves.evictions)};
    for (uint32_t i = 0; i < cache->shelves.count; i++) {
        lc_shelf *shelf = &cache->shelves.shelf[i];
        pthread_mutex_lock(&shelf->lock);
        const lc_queue_ends *queues = shelf->s3.queues;
        uint64_t answers = queues[LC_QUEUE_SMALL].count + queues[LC_QUEUE_MAIN].count;
        sum.answers += answers;
        sum.digests += answers + queues[LC_QUEUE_ALIAS].count;
        pthread_mutex_unlock(&shelf->lock);
    }
    *stats = sum;
}

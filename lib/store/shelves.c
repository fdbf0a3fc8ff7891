/* Locks and the common budget of the shelves; what is on them and in which order is s3fifo.c. */
#include "store/shelves.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

#define BYTES_A_SHELF ((size_t)1 << 20)
#define MAX_SHELVES   64u

static uint32_t shelves_for(size_t max_bytes)
{
    uint32_t count = 1;
    while (count < MAX_SHELVES && count * BYTES_A_SHELF < max_bytes)
        count *= 2;
    return count;
}

int lc_shelves_init(lc_shelves *shelves, size_t max_bytes, llmcache_error *err)
{
    uint32_t count = shelves_for(max_bytes);
    lc_shelf *shelf = lc_alloc_aligned(sizeof *shelf, count * sizeof *shelf);
    if (!shelf)
        return lc_fail_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        /* Spins a little before it sleeps: the lock is held for less than a thread switch takes. */
        shelf[i].lock = (pthread_mutex_t)PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
        shelf[i].number = (uint16_t)i;
        lc_s3fifo_init(&shelf[i].s3);
    }
    *shelves = (lc_shelves){.shelf = shelf, .count = count, .max_bytes = max_bytes};
    atomic_store(&shelves->bytes, count * sizeof *shelf);
    return 0;
}

void lc_shelves_done(lc_shelves *shelves)
{
    if (!shelves->shelf)
        return;
    lc_shelves_clear(shelves, NULL);
    for (uint32_t i = 0; i < shelves->count; i++)
        pthread_mutex_destroy(&shelves->shelf[i].lock);
    lc_free(shelves->shelf);
    shelves->shelf = NULL;
}

lc_shelf *lc_shelves_lock(lc_shelves *shelves, const unsigned char *head)
{
    uint16_t low;
    memcpy(&low, head, sizeof low);
    lc_shelf *shelf = &shelves->shelf[low & (shelves->count - 1)];
    pthread_mutex_lock(&shelf->lock);
    return shelf;
}

void lc_shelf_unlock(lc_shelf *shelf)
{
    pthread_mutex_unlock(&shelf->lock);
}

/* ---- The budget -------------------------------------------------------------------------------- */

/* Evicts one entry from the next shelf that has one; 0 when all are empty. */
static int evict_one(lc_shelves *shelves)
{
    for (uint32_t tried = 0; tried < shelves->count; tried++) {
        unsigned at = atomic_fetch_add_explicit(&shelves->hand, 1, memory_order_relaxed);
        lc_shelf *shelf = &shelves->shelf[at & (shelves->count - 1)];
        pthread_mutex_lock(&shelf->lock);
        lc_entry *entry = lc_s3fifo_evict(&shelf->s3);
        size_t cost = entry ? lc_entry_cost(entry) : 0;
        pthread_mutex_unlock(&shelf->lock);
        if (entry) {
            lc_shelves_release(shelves, cost);
            atomic_fetch_add_explicit(&shelves->evictions, 1, memory_order_relaxed);
            if (shelves->evicted)
                shelves->evicted(shelves->user, entry);
            lc_entry_unref(entry);
            return 1;
        }
    }
    return 0;
}

void lc_shelves_release(lc_shelves *shelves, size_t bytes)
{
    atomic_fetch_sub_explicit(&shelves->bytes, bytes, memory_order_relaxed);
}

static int over_budget(lc_shelves *shelves)
{
    return atomic_load_explicit(&shelves->bytes, memory_order_relaxed) > shelves->max_bytes;
}

int lc_shelves_reserve(lc_shelves *shelves, size_t bytes)
{
    if (bytes > shelves->max_bytes / 4)
        return 0;
    atomic_fetch_add_explicit(&shelves->bytes, bytes, memory_order_relaxed);
    while (over_budget(shelves)) {
        if (!evict_one(shelves)) {
            lc_shelves_release(shelves, bytes);
            return 0;
        }
    }
    return 1;
}

void lc_shelves_trim(lc_shelves *shelves)
{
    while (over_budget(shelves) && evict_one(shelves))
        ;
}

/* ---- One shelf --------------------------------------------------------------------------------- */

lc_node *lc_shelf_add(lc_shelves *shelves, lc_shelf *shelf, const unsigned char digest[32],
                      lc_entry *entry)
{
    size_t before = shelf->s3.bytes;
    lc_node *node = lc_s3fifo_add(&shelf->s3, digest, entry);
    atomic_fetch_add_explicit(&shelves->bytes, shelf->s3.bytes - before, memory_order_relaxed);
    return node;
}

lc_entry *lc_shelf_drop(lc_shelves *shelves, lc_shelf *shelf, lc_node *node)
{
    lc_entry *entry = lc_s3fifo_drop(&shelf->s3, node);
    if (entry)
        lc_shelves_release(shelves, lc_entry_cost(entry));
    return entry;
}

/* Drops all entries of one queue. */
static void empty_queue(lc_shelves *shelves, lc_shelf *shelf, enum lc_queue queue,
                        void (*gone)(lc_entry *entry))
{
    lc_node_id id;
    while ((id = shelf->s3.queues[queue].oldest) != 0) {
        lc_entry *entry = lc_shelf_drop(shelves, shelf, lc_s3fifo_at(&shelf->s3, id));
        if (entry && gone)
            gone(entry);
        lc_entry_unref(entry);
    }
}

void lc_shelves_clear(lc_shelves *shelves, void (*gone)(lc_entry *entry))
{
    for (uint32_t i = 0; i < shelves->count; i++) {
        lc_shelf *shelf = &shelves->shelf[i];
        pthread_mutex_lock(&shelf->lock);
        empty_queue(shelves, shelf, LC_QUEUE_SMALL, gone);
        empty_queue(shelves, shelf, LC_QUEUE_MAIN, gone);
        empty_queue(shelves, shelf, LC_QUEUE_ALIAS, gone);
        lc_shelves_release(shelves, shelf->s3.bytes);
        lc_s3fifo_done(&shelf->s3);
        pthread_mutex_unlock(&shelf->lock);
    }
}

/*
 * The store memory: entries on shelves (shelves.h), bounded in bytes, gone with the process. Each part
 * of an entry is an immutable lc_entry of its own, a record being one with a vector. Parts and
 * namespaces of one fingerprint share a bucket and are told apart by looking. Observations have shelves of
 * their own, so that answers never push them out, nor they answers. Callbacks run on a reference, never
 * under a lock.
 */
#include "base/error.h"
#include "base/memory.h"
#include "store/shelves.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD_SIZE     ((LLMCACHE_ID_SIZE - 1) / 2)
#define DEFAULT_BYTES ((size_t)256 << 20)
#define OBSERVED_PART 16                 /* one in so many bytes is for observations */
#define OBSERVED_LEAST ((size_t)64 << 10)

typedef struct memory_store {
    lc_shelves answers, observed;
    size_t max_bytes;
    atomic_int_least64_t entries, records, observations;
} memory_store;

/* Of what stands with the answers. */
static int part_of(const lc_entry *entry)
{
    return entry->facts.vector ? LLMCACHE_PART_EMBED : LLMCACHE_PART_PROMPT;
}

/* Is it of this part? What stands with the observations is. */
static int is_of(const lc_entry *entry, int part)
{
    return part == LLMCACHE_PART_OBSERVATION || part_of(entry) == part;
}

static lc_shelves *shelves_of(memory_store *store, int part)
{
    return part == LLMCACHE_PART_OBSERVATION ? &store->observed : &store->answers;
}

static atomic_int_least64_t *count_of(memory_store *store, int part)
{
    return part == LLMCACHE_PART_EMBED         ? &store->records
           : part == LLMCACHE_PART_OBSERVATION ? &store->observations
                                               : &store->entries;
}

/* The node of one part on a locked shelf; NULL when there is none. */
static lc_node *find(const lc_shelf *shelf, int part, const llmcache_key *key)
{
    size_t size = key->head_only ? HEAD_SIZE : LLMCACHE_FINGERPRINT_SIZE;
    lc_node *node = lc_s3fifo_first(&shelf->s3, key->fingerprint);
    for (; node; node = lc_s3fifo_next(&shelf->s3, node))
        if (memcmp(node->digest, key->fingerprint, size) == 0 &&
            is_of(node->to.entry, part) &&
            strcmp(node->to.entry->facts.space, key->space) == 0)
            return node;
    return NULL;
}

static int expired(const lc_entry *entry, int64_t now_ms)
{
    return entry->facts.expires_ms && entry->facts.expires_ms <= now_ms;
}

static int get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
               llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    memory_store *store = self;
    lc_shelf *shelf = lc_shelves_lock(shelves_of(store, part), key->fingerprint);
    lc_node *node = find(shelf, part, key);
    lc_entry *entry = NULL;
    if (node && !expired(node->to.entry, now_ms)) {
        entry = lc_entry_ref(node->to.entry);
        lc_s3fifo_touch(node);
    }
    lc_shelf_unlock(shelf);
    if (!entry)
        return lc_fail(err, LLMCACHE_NOT_FOUND, "no such entry");
    fn(user, &entry->facts);
    lc_entry_unref(entry);
    return 0;
}

/* Drops one part; 1 if it was there. */
static int drop(memory_store *store, int part, const llmcache_key *key)
{
    lc_shelves *shelves = shelves_of(store, part);
    lc_shelf *shelf = lc_shelves_lock(shelves, key->fingerprint);
    lc_node *node = find(shelf, part, key);
    lc_entry *entry = node ? lc_shelf_drop(shelves, shelf, node) : NULL;
    lc_shelf_unlock(shelf);
    if (!entry)
        return 0;
    atomic_fetch_sub(count_of(store, part), 1);
    lc_entry_unref(entry);
    return 1;
}

static int put_part(memory_store *store, int part, const llmcache_entry *facts, llmcache_error *err)
{
    llmcache_entry kept = *facts;
    kept.shape = part == LLMCACHE_PART_PROMPT ? lc_entry_shape(facts) : "";
    lc_entry *entry = part == LLMCACHE_PART_EMBED ? lc_entry_new_record(&kept) : lc_entry_new(&kept);
    if (!entry)
        return lc_fail_memory(err);
    lc_shelves *shelves = shelves_of(store, part);
    llmcache_key key = {.space = entry->facts.space};
    memcpy(key.fingerprint, facts->fingerprint, sizeof key.fingerprint);
    if (!lc_shelves_reserve(shelves, entry->bytes)) {
        drop(store, part, &key);
        lc_entry_unref(entry);
        return lc_fail(err, LLMCACHE_TOO_LARGE, "the entry takes more than a quarter of the memory: store");
    }
    lc_shelf *shelf = lc_shelves_lock(shelves, facts->fingerprint);
    lc_node *node = find(shelf, part, &key);
    lc_entry *old = node ? lc_shelf_drop(shelves, shelf, node) : NULL;
    node = lc_shelf_add(shelves, shelf, facts->fingerprint, entry);
    lc_shelf_unlock(shelf);
    atomic_fetch_add(count_of(store, part), (node != NULL) - (old != NULL));
    lc_entry_unref(old);
    if (!node) {
        lc_shelves_release(shelves, entry->bytes);
        lc_entry_unref(entry);
        return lc_fail_memory(err);
    }
    lc_shelves_trim(shelves);
    return 0;
}

static int put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
               llmcache_error *err)
{
    int code = 0;
    if ((parts & LLMCACHE_PART_EMBED) && (!entry->vector || !entry->dimension))
        return lc_fail(err, LLMCACHE_INVALID, "a record needs a vector");
    if (parts & LLMCACHE_PART_PROMPT)
        code = put_part(self, LLMCACHE_PART_PROMPT, entry, err);
    if (!code && (parts & LLMCACHE_PART_EMBED))
        code = put_part(self, LLMCACHE_PART_EMBED, entry, err);
    if (!code && (parts & LLMCACHE_PART_OBSERVATION))
        code = put_part(self, LLMCACHE_PART_OBSERVATION, entry, err);
    return code;
}

/* Drops a part of all entries the key means: a head may mean several. */
static int drop_all(memory_store *store, int part, const llmcache_key *key)
{
    int any = 0;
    while (drop(store, part, key))
        any = 1;
    return any;
}

static int remove_keys(void *self, int parts, const llmcache_key *keys, size_t count,
                       int64_t deadline_ms, uint64_t *removed, llmcache_error *err)
{
    uint64_t gone = 0;
    for (size_t i = 0; i < count; i++) {
        int any = (parts & LLMCACHE_PART_PROMPT) && drop_all(self, LLMCACHE_PART_PROMPT, &keys[i]);
        if (parts & LLMCACHE_PART_EMBED)
            any |= drop_all(self, LLMCACHE_PART_EMBED, &keys[i]);
        if (parts & LLMCACHE_PART_OBSERVATION)
            any |= drop_all(self, LLMCACHE_PART_OBSERVATION, &keys[i]);
        gone += any != 0;
    }
    *removed = gone;
    return 0;
}

/* ---- Walking ----------------------------------------------------------------------------------- */

typedef struct found {
    lc_entry **entries; /* referenced */
    size_t count, room;
} found;

static int keep(found *list, lc_entry *entry)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        lc_entry **entries = lc_realloc_array(list->entries, room, sizeof *entries);
        if (!entries)
            return LLMCACHE_MEMORY;
        list->entries = entries;
        list->room = room;
    }
    list->entries[list->count++] = lc_entry_ref(entry);
    return 0;
}

static int collect_queue(const lc_s3fifo *s3, enum lc_queue queue, int part, const char *space,
                         int64_t now_ms, found *list)
{
    for (lc_node_id id = s3->queues[queue].oldest; id;) {
        lc_node *node = lc_s3fifo_at(s3, id);
        lc_entry *entry = node->to.entry;
        if (is_of(entry, part) && !expired(entry, now_ms) &&
            (!space || strcmp(space, entry->facts.space) == 0) && keep(list, entry))
            return LLMCACHE_MEMORY;
        id = node->newer;
    }
    return 0;
}

static int collect(lc_shelf *shelf, int part, const char *space, int64_t now_ms, found *list)
{
    pthread_mutex_lock(&shelf->lock);
    int code = collect_queue(&shelf->s3, LC_QUEUE_SMALL, part, space, now_ms, list);
    if (!code)
        code = collect_queue(&shelf->s3, LC_QUEUE_MAIN, part, space, now_ms, list);
    pthread_mutex_unlock(&shelf->lock);
    return code;
}

static int each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                void *user, uint64_t *damaged, llmcache_error *err)
{
    const lc_shelves *shelves = shelves_of(self, part);
    int code = 0, stop = 0;
    if (damaged)
        *damaged = 0;
    for (uint32_t i = 0; i < shelves->count && !code && !stop; i++) {
        found list = {0};
        code = collect(&shelves->shelf[i], part, space, now_ms, &list);
        for (size_t k = 0; k < list.count; k++) {
            if (!code && !stop)
                stop = fn(user, &list.entries[k]->facts);
            lc_entry_unref(list.entries[k]);
        }
        lc_free(list.entries);
    }
    return code ? lc_fail_memory(err) : 0;
}

/* Drops what has expired in one queue of a shelf. */
static void sweep_queue(memory_store *store, lc_shelves *shelves, lc_shelf *shelf, enum lc_queue queue,
                        int64_t now_ms)
{
    pthread_mutex_lock(&shelf->lock);
    for (lc_node_id id = shelf->s3.queues[queue].oldest; id;) {
        lc_node *node = lc_s3fifo_at(&shelf->s3, id);
        id = node->newer;
        if (!expired(node->to.entry, now_ms))
            continue;
        int part = shelves == &store->observed ? LLMCACHE_PART_OBSERVATION : part_of(node->to.entry);
        atomic_fetch_sub(count_of(store, part), 1);
        lc_entry_unref(lc_shelf_drop(shelves, shelf, node));
    }
    pthread_mutex_unlock(&shelf->lock);
}

static void sweep_shelves(memory_store *store, lc_shelves *shelves, int64_t now_ms)
{
    for (uint32_t i = 0; i < shelves->count; i++) {
        sweep_queue(store, shelves, &shelves->shelf[i], LC_QUEUE_SMALL, now_ms);
        sweep_queue(store, shelves, &shelves->shelf[i], LC_QUEUE_MAIN, now_ms);
    }
}

static int sweep(void *self, int64_t now_ms, llmcache_error *err)
{
    memory_store *store = self;
    sweep_shelves(store, &store->answers, now_ms);
    sweep_shelves(store, &store->observed, now_ms);
    return 0;
}

/* ---- The rest ---------------------------------------------------------------------------------- */

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static void stats(void *self, llmcache_store_stats *out)
{
    memory_store *store = self;
    *out = (llmcache_store_stats){.entries = (uint64_t)atomic_load(&store->entries),
                                  .records = (uint64_t)atomic_load(&store->records),
                                  .bytes = atomic_load(&store->answers.bytes) +
                                           atomic_load(&store->observed.bytes),
                                  .connected = 1,
                                  .observations = (uint64_t)atomic_load(&store->observations)};
    snprintf(out->detail, sizeof out->detail, "in this process's memory, at most %zu MiB",
             store->max_bytes >> 20);
}

static void close_store(void *self)
{
    memory_store *store = self;
    lc_shelves_done(&store->answers);
    lc_shelves_done(&store->observed);
    lc_free(store);
}

static void forget(void *user, const lc_entry *entry)
{
    atomic_fetch_sub(count_of(user, part_of(entry)), 1);
}

static void forget_observation(void *user, const lc_entry *entry)
{
    atomic_fetch_sub(count_of(user, LLMCACHE_PART_OBSERVATION), 1);
}

static int make_shelves(memory_store *store, llmcache_error *err)
{
    size_t observed = store->max_bytes / OBSERVED_PART;
    int code = lc_shelves_init(&store->answers, store->max_bytes - observed, err);
    if (code)
        return code;
    if (observed < OBSERVED_LEAST)
        observed = OBSERVED_LEAST;
    code = lc_shelves_init(&store->observed, observed, err);
    if (code)
        return code;
    store->answers.evicted = forget;
    store->observed.evicted = forget_observation;
    store->answers.user = store->observed.user = store;
    return 0;
}

int lc_store_open_memory(const lc_store_options *options, lc_store *store, llmcache_error *err)
{
    static const llmcache_store_ops ops = {
        .version = LLMCACHE_BACKEND_VERSION, .name = "memory", .get = get, .put = put,
        .remove = remove_keys, .each = each, .sweep = sweep, .ping = ping, .stats = stats,
        .close = close_store};
    memory_store *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    made->max_bytes = options->max_bytes > 0 ? (size_t)options->max_bytes : DEFAULT_BYTES;
    int code = make_shelves(made, err);
    if (code) {
        close_store(made);
        return code;
    }
    *store = (lc_store){.ops = ops, .self = made};
    return 0;
}

/*
 * The flat index: changes. Partitions are spread over shards, each with a readers-writer lock that prefers
 * writers. Changes are made by one thread at a time, under `changing`, which also guards the names; what takes
 * long (growing, coding a vector) is made beside what readers see, and the shard is write-locked for a few
 * copies only. How a search lives with that is in flat_search.c.
 *
 * Lock order: changing, then one shard.
 */
#include "index/flat_inside.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "index/vector_check.h"

#include <string.h>

#define HEAD_SIZE     ((LLMCACHE_ID_SIZE - 1) / 2)
#define SWEEP_ROWS    4096u /* removed at most before others may change something */

static void init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

static void clear_all(lc_flat *flat);

int lc_flat_new(lc_flat **flat, llmcache_error *err)
{
    lc_flat *made = lc_alloc_aligned(64, sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    memset(made, 0, sizeof *made);
    made->scan = lc_scan_best();
    pthread_mutex_init(&made->changing, NULL);
    for (unsigned i = 0; i < LC_FLAT_SHARDS; i++)
        init_lock(&made->shards[i].lock);
    *flat = made;
    return 0;
}

void lc_flat_free(lc_flat *flat)
{
    if (!flat)
        return;
    clear_all(flat);
    for (unsigned i = 0; i < LC_FLAT_SHARDS; i++)
        pthread_rwlock_destroy(&flat->shards[i].lock);
    pthread_mutex_destroy(&flat->changing);
    lc_free(flat);
}

/* ---- Partitions of a shard --------------------------------------------------------------------- */

lc_flat_shard *lc_flat_shard_of(lc_flat *flat, const unsigned char *digest)
{
    return &flat->shards[digest[0] % LC_FLAT_SHARDS];
}

static lc_partition **bucket_of(const lc_flat_shard *s, const unsigned char *digest)
{
    uint64_t head;
    memcpy(&head, digest + 1, sizeof head);
    return &s->buckets[head & (s->bucket_count - 1)];
}

lc_partition *lc_flat_find(const lc_flat_shard *s, const unsigned char *digest)
{
    lc_partition *at = s->bucket_count ? *bucket_of(s, digest) : NULL;
    while (at && memcmp(at->digest, digest, sizeof at->digest) != 0)
        at = at->next;
    return at;
}

static int grow_buckets(lc_flat *flat, lc_flat_shard *s)
{
    size_t count = s->bucket_count ? 2 * s->bucket_count : 8;
    lc_partition **buckets = lc_zalloc_array(count, sizeof *buckets), **old = s->buckets;
    if (!buckets)
        return LLMCACHE_MEMORY;
    pthread_rwlock_wrlock(&s->lock);
    size_t old_count = s->bucket_count;
    s->buckets = buckets;
    s->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (lc_partition *at = old[i], *next; at; at = next) {
            next = at->next;
            lc_partition **bucket = bucket_of(s, at->digest);
            at->next = *bucket;
            *bucket = at;
        }
    }
    pthread_rwlock_unlock(&s->lock);
    atomic_fetch_add(&flat->bytes, (count - old_count) * sizeof *buckets);
    lc_free(old);
    return 0;
}

/* Links a new, empty partition. */
static int add_partition(lc_flat *flat, lc_flat_shard *s, lc_partition *partition)
{
    if (s->count >= s->bucket_count && grow_buckets(flat, s) && !s->bucket_count)
        return LLMCACHE_MEMORY;
    partition->space_hash = lc_space_hash(partition->space);
    pthread_rwlock_wrlock(&s->lock);
    lc_partition **bucket = bucket_of(s, partition->digest);
    partition->next = *bucket;
    *bucket = partition;
    s->count++;
    pthread_rwlock_unlock(&s->lock);
    atomic_fetch_add(&flat->partitions, 1);
    atomic_fetch_add(&flat->bytes, partition->bytes);
    return 0;
}

/* Takes an empty partition out and frees it. */
static void drop_partition(lc_flat *flat, lc_flat_shard *s, lc_partition *partition)
{
    pthread_rwlock_wrlock(&s->lock);
    lc_partition **link = bucket_of(s, partition->digest);
    while (*link != partition)
        link = &(*link)->next;
    *link = partition->next;
    s->count--;
    pthread_rwlock_unlock(&s->lock);
    atomic_fetch_sub(&flat->partitions, 1);
    atomic_fetch_sub(&flat->bytes, partition->bytes);
    lc_partition_free(partition);
}

/* ---- Changing ---------------------------------------------------------------------------------- */

int lc_flat_check(lc_flat *flat, const float *vector, size_t dimension, llmcache_error *err)
{
    return lc_vector_check(vector, dimension, atomic_load_explicit(&flat->dimension, memory_order_relaxed), err);
}

/* Removes one row and, with its last one, the partition. */
static void remove_row(lc_flat *flat, lc_name *name)
{
    lc_partition *partition = name->partition;
    size_t at = name->row, last = partition->count - 1;
    lc_flat_shard *s = lc_flat_shard_of(flat, partition->digest);
    lc_names_remove(&flat->names, name);
    lc_name *moved = at == last ? NULL
                                : lc_names_find(&flat->names, partition->space,
                                                partition->space_hash,
                                                lc_partition_row(partition, last)->fingerprint);
    size_t before = partition->bytes;
    pthread_rwlock_wrlock(&s->lock);
    lc_block unused = lc_partition_cut(partition, at);
    pthread_rwlock_unlock(&s->lock);
    if (moved)
        moved->row = (uint32_t)at;
    lc_block_free(&unused);
    atomic_fetch_sub(&flat->bytes, before - partition->bytes);
    atomic_fetch_sub(&flat->records, 1);
    if (!partition->count)
        drop_partition(flat, s, partition);
}

/* The record's partition, new and empty where there was none. */
static int have_partition(lc_flat *flat, lc_flat_shard *s, const lc_record *record, lc_partition **out,
                          llmcache_error *err)
{
    lc_partition *partition = lc_flat_find(s, record->partition);
    if (partition && strcmp(partition->space, record->space) != 0)
        return lc_fail(err, LLMCACHE_INVALID, "index: a partition belongs to another namespace");
    if (!partition) {
        partition = lc_partition_new(record->partition, record->space, record->dimension);
        if (!partition || add_partition(flat, s, partition)) {
            lc_partition_free(partition);
            return lc_fail_memory(err);
        }
    }
    *out = partition;
    return 0;
}

static int reserve_name(lc_flat *flat)
{
    int code = lc_names_reserve(&flat->names);
    atomic_store_explicit(&flat->names_bytes, lc_alloc_cost(flat->names.places), memory_order_relaxed);
    return code;
}

/* The partition with room for one more row. */
static int make_room(lc_flat *flat, lc_flat_shard *s, const lc_record *record, lc_partition **out,
                     llmcache_error *err)
{
    lc_partition *partition = NULL;
    lc_growth growth;
    int code = have_partition(flat, s, record, &partition, err);
    if (code)
        return code;
    if (partition->count == UINT32_MAX || reserve_name(flat) || lc_growth_prepare(partition, &growth)) {
        if (!partition->count)
            drop_partition(flat, s, partition);
        return lc_fail_memory(err);
    }
    size_t before = partition->bytes;
    pthread_rwlock_wrlock(&s->lock);
    lc_growth_apply(partition, &growth);
    pthread_rwlock_unlock(&s->lock);
    lc_growth_done(&growth);
    atomic_fetch_add(&flat->bytes, partition->bytes - before);
    *out = partition;
    return 0;
}

/* A known fingerprint in the same partition: its row is written anew. */
static void replace_row(lc_flat_shard *s, const lc_name *name, const lc_row *row, const float *vector)
{
    pthread_rwlock_wrlock(&s->lock);
    lc_partition_write(name->partition, name->row, row, vector);
    pthread_rwlock_unlock(&s->lock);
}

static int add_row(lc_flat *flat, const lc_record *record, const lc_row *row, llmcache_error *err)
{
    lc_flat_shard *s = lc_flat_shard_of(flat, record->partition);
    uint64_t space_hash = lc_space_hash(record->space);
    lc_partition *partition = NULL;
    lc_name *old = lc_names_find(&flat->names, record->space, space_hash, row->fingerprint);
    if (old && memcmp(old->partition->digest, record->partition, sizeof old->partition->digest) == 0) {
        replace_row(s, old, row, record->vector);
        return 0;
    }
    int code = make_room(flat, s, record, &partition, err);
    if (code)
        return code;
    old = lc_names_find(&flat->names, record->space, space_hash, row->fingerprint);
    if (old)
        remove_row(flat, old);
    lc_partition_write(partition, partition->count, row, record->vector); /* no reader looks there yet */
    pthread_rwlock_wrlock(&s->lock);
    partition->count++;
    pthread_rwlock_unlock(&s->lock);
    lc_names_add(&flat->names, partition, partition->count - 1);
    atomic_fetch_add(&flat->records, 1);
    return 0;
}

static int add(void *self, const lc_record *record, int64_t deadline_ms, llmcache_error *err)
{
    lc_flat *flat = self;
    lc_row row = {.expires_ms = record->expires_ms};
    memcpy(row.fingerprint, record->fingerprint, sizeof row.fingerprint);
    pthread_mutex_lock(&flat->changing);
    int code = lc_flat_check(flat, record->vector, record->dimension, err);
    if (!code)
        code = add_row(flat, record, &row, err);
    if (!code)
        atomic_store_explicit(&flat->dimension, record->dimension, memory_order_relaxed);
    pthread_mutex_unlock(&flat->changing);
    return code;
}

/* ---- Removing ---------------------------------------------------------------------------------- */

static int remove_id(void *self, const char *space, const char *id, int64_t deadline_ms, int *removed,
                     llmcache_error *err)
{
    lc_flat *flat = self;
    unsigned char head[HEAD_SIZE];
    lc_name *name = NULL;
    if (lc_unhex(id, head, sizeof head) == 0) {
        pthread_mutex_lock(&flat->changing);
        name = lc_names_find(&flat->names, space, lc_space_hash(space), head);
        if (name)
            remove_row(flat, name);
        pthread_mutex_unlock(&flat->changing);
    }
    if (removed)
        *removed = name != NULL;
    return 0;
}

static void clear_shard(lc_flat *flat, lc_flat_shard *s)
{
    pthread_rwlock_wrlock(&s->lock);
    lc_partition **buckets = s->buckets;
    size_t count = s->bucket_count;
    s->buckets = NULL;
    s->bucket_count = s->count = 0;
    pthread_rwlock_unlock(&s->lock);
    for (size_t i = 0; i < count; i++) {
        for (lc_partition *at = buckets[i], *next; at; at = next) {
            next = at->next;
            atomic_fetch_sub(&flat->partitions, 1);
            atomic_fetch_sub(&flat->records, at->count);
            atomic_fetch_sub(&flat->bytes, at->bytes);
            lc_partition_free(at);
        }
    }
    atomic_fetch_sub(&flat->bytes, count * sizeof *buckets);
    lc_free(buckets);
}

static void clear_all(lc_flat *flat)
{
    pthread_mutex_lock(&flat->changing);
    for (unsigned i = 0; i < LC_FLAT_SHARDS; i++)
        clear_shard(flat, &flat->shards[i]);
    lc_names_done(&flat->names);
    atomic_store(&flat->names_bytes, 0);
    atomic_store(&flat->dimension, 0);
    pthread_mutex_unlock(&flat->changing);
}

static int clear(void *self, int64_t deadline_ms, llmcache_error *err)
{
    clear_all(self);
    return 0;
}

/* ---- Sweeping ---------------------------------------------------------------------------------- */

/* Removes up to `most` of what has expired in one partition, which may go with it; how many. */
static uint64_t sweep_partition(lc_flat *flat, lc_partition *partition, int64_t now_ms, uint64_t most)
{
    uint64_t gone = 0, left = partition->count;
    for (size_t at = left; left && gone < most && at-- > 0;) {
        const lc_row *row = lc_partition_row(partition, at);
        if (!row->expires_ms || row->expires_ms > now_ms)
            continue;
        gone++;
        left--;
        remove_row(flat, lc_names_find(&flat->names, partition->space, partition->space_hash,
                                       row->fingerprint));
    }
    return gone;
}

/* Less than SWEEP_ROWS: the bucket is done. */
static uint64_t sweep_bucket(lc_flat *flat, lc_flat_shard *s, size_t bucket, int64_t now_ms)
{
    uint64_t gone = 0;
    for (lc_partition *at = s->buckets[bucket], *next; at && gone < SWEEP_ROWS; at = next) {
        next = at->next;
        gone += sweep_partition(flat, at, now_ms, SWEEP_ROWS - gone);
    }
    return gone;
}

/* Lets others in between; what they move out of the way meanwhile is left to the next sweep. */
static uint64_t sweep_shard(lc_flat *flat, lc_flat_shard *s, int64_t now_ms)
{
    uint64_t gone = 0;
    int more = 1;
    for (size_t bucket = 0; more;) {
        pthread_mutex_lock(&flat->changing);
        for (uint64_t some = 0; some < SWEEP_ROWS && (more = bucket < s->bucket_count);) {
            uint64_t now = sweep_bucket(flat, s, bucket, now_ms);
            bucket += now < SWEEP_ROWS;
            some += now;
            gone += now;
        }
        pthread_mutex_unlock(&flat->changing);
    }
    return gone;
}

static uint64_t sweep(void *self, int64_t now_ms)
{
    lc_flat *flat = self;
    uint64_t gone = 0;
    for (unsigned i = 0; i < LC_FLAT_SHARDS; i++)
        gone += sweep_shard(flat, &flat->shards[i], now_ms);
    return gone;
}

/* ---- The table --------------------------------------------------------------------------------- */

static void stats(void *self, lc_index_stats *out)
{
    lc_flat *flat = self;
    *out = (lc_index_stats){.records = atomic_load(&flat->records),
                            .partitions = atomic_load(&flat->partitions),
                            .bytes = atomic_load(&flat->bytes) + atomic_load(&flat->names_bytes) +
                                     sizeof *flat};
}

static void close_flat(void *self)
{
    lc_flat_free(self);
}

const lc_index_ops lc_flat_ops = {
    .name = "flat", .add = add, .remove = remove_id, .clear = clear, .sweep = sweep,
    .search = lc_flat_search, .stats = stats, .close = close_flat};

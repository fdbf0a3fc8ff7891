/*
 * The flat index: exact search by scanning a partition's vectors, which stand one after the other in
 * memory (partition.h), with the widest dot product the machine has (dot.h). A partition is small
 * next to the whole, so this beats any graph or list, needs no training, and forgets at once.
 *
 * Partitions are spread over shards, each with a readers-writer lock that prefers writers. Changes are
 * made by one thread at a time, under `changing`, which also guards the names; what takes long (growing)
 * is made beside the partition, and the shard is write-locked for a few copies only. A search
 * holds the read lock for one slice of rows at a time, so a change waits for a slice, not for
 * a million rows. Rows move only when one is removed, which changes the partition's version: a search that
 * sees another version than at its start begins anew, the last time without letting go.
 *
 * Lock order: changing, then one shard.
 */
#include "index/index.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "index/names.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define SHARDS        64u
#define SLICE_ROWS    (8 * LC_BLOCK_ROWS)
#define SCORES        64u
#define MAX_RESTARTS  2
#define MAX_DIMENSION 65536u
#define HEAD_SIZE     ((LLMCACHE_ID_SIZE - 1) / 2)

typedef struct shard {
    pthread_rwlock_t lock; /* guards all below and the partitions in it */
    lc_partition **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
    uint64_t versions; /* the last one given out */
} __attribute__((aligned(64))) shard;

struct lc_index {
    lc_dot dot;
    pthread_mutex_t changing; /* one change at a time; guards names */
    lc_names names;
    atomic_size_t dimension; /* 0 while empty */
    atomic_uint_least64_t records, partitions, bytes;
    shard shards[SHARDS];
};

static void init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

int lc_index_new(lc_index **index, llmcache_error *err)
{
    lc_index *made = lc_alloc_aligned(64, sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    memset(made, 0, sizeof *made);
    made->dot = lc_dot_best();
    pthread_mutex_init(&made->changing, NULL);
    for (unsigned i = 0; i < SHARDS; i++)
        init_lock(&made->shards[i].lock);
    *index = made;
    return 0;
}

void lc_index_free(lc_index *index)
{
    if (!index)
        return;
    lc_index_clear(index);
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_rwlock_destroy(&index->shards[i].lock);
    pthread_mutex_destroy(&index->changing);
    lc_free(index);
}

/* ---- Partitions of a shard --------------------------------------------------------------------- */

static shard *shard_of(lc_index *index, const unsigned char digest[32])
{
    return &index->shards[digest[0] % SHARDS];
}

static lc_partition **bucket_of(const shard *s, const unsigned char *digest)
{
    uint64_t head;
    memcpy(&head, digest + 1, sizeof head);
    return &s->buckets[head & (s->bucket_count - 1)];
}

static lc_partition *find_partition(const shard *s, const unsigned char *digest)
{
    lc_partition *at = s->bucket_count ? *bucket_of(s, digest) : NULL;
    while (at && memcmp(at->digest, digest, sizeof at->digest) != 0)
        at = at->next;
    return at;
}

static int grow_buckets(lc_index *index, shard *s)
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
    atomic_fetch_add(&index->bytes, (count - old_count) * sizeof *buckets);
    lc_free(old);
    return 0;
}

/* Links a new, empty partition. */
static int add_partition(lc_index *index, shard *s, lc_partition *partition)
{
    if (s->count >= s->bucket_count && grow_buckets(index, s) && !s->bucket_count)
        return LLMCACHE_MEMORY;
    partition->space_hash = lc_space_hash(partition->space);
    pthread_rwlock_wrlock(&s->lock);
    lc_partition **bucket = bucket_of(s, partition->digest);
    partition->version = ++s->versions;
    partition->next = *bucket;
    *bucket = partition;
    s->count++;
    pthread_rwlock_unlock(&s->lock);
    atomic_fetch_add(&index->partitions, 1);
    atomic_fetch_add(&index->bytes, partition->bytes);
    return 0;
}

/* Takes an empty partition out and frees it. */
static void drop_partition(lc_index *index, shard *s, lc_partition *partition)
{
    pthread_rwlock_wrlock(&s->lock);
    lc_partition **link = bucket_of(s, partition->digest);
    while (*link != partition)
        link = &(*link)->next;
    *link = partition->next;
    s->count--;
    pthread_rwlock_unlock(&s->lock);
    atomic_fetch_sub(&index->partitions, 1);
    atomic_fetch_sub(&index->bytes, partition->bytes);
    lc_partition_free(partition);
}

/* ---- Changing ---------------------------------------------------------------------------------- */

static int unit_length(const float *vector, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)vector[i] * vector[i];
    return fabs(sum - 1) < 1e-3; /* false for NaN, too */
}

static int check_vector(lc_index *index, const float *vector, size_t dimension, llmcache_error *err)
{
    size_t ours = atomic_load_explicit(&index->dimension, memory_order_relaxed);
    if (!dimension || dimension > MAX_DIMENSION || (ours && ours != dimension))
        return lc_fail(err, LLMCACHE_INVALID, "index: a vector of dimension %zu among those of %zu",
                       dimension, ours);
    if (!unit_length(vector, dimension))
        return lc_fail(err, LLMCACHE_INVALID, "index: a vector is not of unit length");
    return 0;
}

/* Removes one row and, with its last one, the partition. */
static void remove_row(lc_index *index, lc_name *name)
{
    lc_partition *partition = name->partition;
    size_t at = name->row, last = partition->count - 1;
    shard *s = shard_of(index, partition->digest);
    lc_names_remove(&index->names, name);
    lc_name *moved = at == last ? NULL
                                : lc_names_find(&index->names, partition->space,
                                                partition->space_hash,
                                                lc_partition_row(partition, last)->fingerprint);
    size_t before = partition->bytes;
    pthread_rwlock_wrlock(&s->lock);
    lc_block unused = lc_partition_cut(partition, at);
    partition->version = ++s->versions;
    pthread_rwlock_unlock(&s->lock);
    if (moved)
        moved->row = (uint32_t)at;
    lc_block_free(&unused);
    atomic_fetch_sub(&index->bytes, before - partition->bytes);
    atomic_fetch_sub(&index->records, 1);
    if (!partition->count)
        drop_partition(index, s, partition);
}

/* The partition with room for one more row; it may be new and empty. */
static int make_room(lc_index *index, shard *s, const char *space, const unsigned char digest[32],
                     size_t dimension, lc_partition **out, llmcache_error *err)
{
    lc_partition *partition = find_partition(s, digest);
    lc_growth growth;
    if (partition && strcmp(partition->space, space) != 0)
        return lc_fail(err, LLMCACHE_INVALID, "index: a partition belongs to another namespace");
    if (!partition) {
        partition = lc_partition_new(digest, space, dimension);
        if (!partition || add_partition(index, s, partition)) {
            lc_partition_free(partition);
            return lc_fail_memory(err);
        }
    }
    if (partition->count >= UINT32_MAX || lc_names_reserve(&index->names) ||
        lc_growth_prepare(partition, &growth)) {
        if (!partition->count)
            drop_partition(index, s, partition);
        return lc_fail_memory(err);
    }
    size_t before = partition->bytes;
    pthread_rwlock_wrlock(&s->lock);
    lc_growth_apply(partition, &growth);
    pthread_rwlock_unlock(&s->lock);
    lc_growth_done(&growth);
    atomic_fetch_add(&index->bytes, partition->bytes - before);
    *out = partition;
    return 0;
}

static int add_row(lc_index *index, const char *space, const unsigned char digest[32],
                   const lc_row *row, const float *vector, size_t dimension, llmcache_error *err)
{
    shard *s = shard_of(index, digest);
    uint64_t space_hash = lc_space_hash(space);
    lc_partition *partition = NULL;
    lc_name *old = lc_names_find(&index->names, space, space_hash, row->fingerprint);
    if (old && memcmp(old->partition->digest, digest, sizeof old->partition->digest) == 0) {
        pthread_rwlock_wrlock(&s->lock);
        lc_partition_write(old->partition, old->row, row, vector);
        pthread_rwlock_unlock(&s->lock);
        return 0;
    }
    int code = make_room(index, s, space, digest, dimension, &partition, err);
    if (code)
        return code;
    old = lc_names_find(&index->names, space, space_hash, row->fingerprint);
    if (old)
        remove_row(index, old);
    pthread_rwlock_wrlock(&s->lock);
    lc_partition_append(partition, row, vector);
    pthread_rwlock_unlock(&s->lock);
    lc_names_add(&index->names, partition, (uint32_t)partition->count - 1);
    atomic_fetch_add(&index->records, 1);
    return 0;
}

int lc_index_add(lc_index *index, const char *space, const unsigned char fingerprint[32],
                 const unsigned char partition[32], const float *vector, size_t dimension,
                 int64_t expires_ms, llmcache_error *err)
{
    lc_row row = {.expires_ms = expires_ms};
    memcpy(row.fingerprint, fingerprint, sizeof row.fingerprint);
    pthread_mutex_lock(&index->changing);
    int code = check_vector(index, vector, dimension, err);
    if (!code)
        code = add_row(index, space, partition, &row, vector, dimension, err);
    if (!code)
        atomic_store_explicit(&index->dimension, dimension, memory_order_relaxed);
    pthread_mutex_unlock(&index->changing);
    return code;
}

int lc_index_remove(lc_index *index, const char *space, const char *id)
{
    unsigned char head[HEAD_SIZE];
    if (lc_unhex(id, head, sizeof head))
        return 0;
    pthread_mutex_lock(&index->changing);
    lc_name *name = lc_names_find(&index->names, space, lc_space_hash(space), head);
    if (name)
        remove_row(index, name);
    pthread_mutex_unlock(&index->changing);
    return name != NULL;
}

static void clear_shard(lc_index *index, shard *s)
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
            atomic_fetch_sub(&index->partitions, 1);
            atomic_fetch_sub(&index->records, at->count);
            atomic_fetch_sub(&index->bytes, at->bytes);
            lc_partition_free(at);
        }
    }
    atomic_fetch_sub(&index->bytes, count * sizeof *buckets);
    lc_free(buckets);
}

void lc_index_clear(lc_index *index)
{
    pthread_mutex_lock(&index->changing);
    for (unsigned i = 0; i < SHARDS; i++)
        clear_shard(index, &index->shards[i]);
    lc_names_done(&index->names);
    atomic_store(&index->dimension, 0);
    pthread_mutex_unlock(&index->changing);
}

/* Removes what has expired in one partition, which may go with it. */
static uint64_t sweep_partition(lc_index *index, lc_partition *partition, int64_t now_ms)
{
    uint64_t gone = 0, left = partition->count;
    for (size_t at = left; at-- > 0;) {
        const lc_row *row = lc_partition_row(partition, at);
        if (!row->expires_ms || row->expires_ms > now_ms)
            continue;
        gone++;
        left--;
        remove_row(index, lc_names_find(&index->names, partition->space, partition->space_hash,
                                        row->fingerprint));
        if (!left)
            break;
    }
    return gone;
}

uint64_t lc_index_sweep(lc_index *index, int64_t now_ms)
{
    uint64_t gone = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&index->changing);
        shard *s = &index->shards[i];
        for (size_t b = 0; b < s->bucket_count; b++) {
            for (lc_partition *at = s->buckets[b], *next; at; at = next) {
                next = at->next;
                gone += sweep_partition(index, at, now_ms);
            }
        }
        pthread_mutex_unlock(&index->changing);
    }
    return gone;
}

/* ---- Searching --------------------------------------------------------------------------------- */

typedef struct search {
    lc_dot_fn dot;
    const float *query; /* padded, aligned */
    size_t dimension;
    int64_t now_ms;
    lc_neighbour *out;
    size_t k, count;
    float floor; /* a score must be above it to matter */
} search;

static void insert(search *q, const lc_row *row, float score)
{
    size_t at = q->count < q->k ? q->count++ : q->k - 1;
    for (; at > 0 && q->out[at - 1].similarity < (double)score; at--)
        q->out[at] = q->out[at - 1];
    memcpy(q->out[at].fingerprint, row->fingerprint, sizeof row->fingerprint);
    q->out[at].similarity = score;
    if (q->count == q->k)
        q->floor = (float)q->out[q->k - 1].similarity;
}

/* Rows from `from` to `to`, all of one block. */
static void scan_block(search *q, const lc_partition *partition, size_t from, size_t to)
{
    float scores[SCORES];
    for (size_t at = from; at < to; at += SCORES) {
        size_t rows = to - at < SCORES ? to - at : SCORES;
        q->dot(q->query, lc_partition_vector(partition, at), partition->stride, rows, scores);
        for (size_t i = 0; i < rows; i++) {
            if (!(scores[i] > q->floor))
                continue;
            const lc_row *row = lc_partition_row(partition, at + i);
            if (!row->expires_ms || row->expires_ms > q->now_ms)
                insert(q, row, scores[i]);
        }
    }
}

static void scan(search *q, const lc_partition *partition, size_t from, size_t to)
{
    while (from < to) {
        size_t end = (from / LC_BLOCK_ROWS + 1) * LC_BLOCK_ROWS;
        if (end > to)
            end = to;
        scan_block(q, partition, from, end);
        from = end;
    }
}

/* One pass over the partition, slice by slice. 0 when rows moved meanwhile: the result is not exact. */
static int pass(search *q, shard *s, const unsigned char *digest, size_t slice)
{
    uint64_t version = 0;
    size_t at = 0, end = 0;
    q->count = 0;
    q->floor = -2;
    do {
        pthread_rwlock_rdlock(&s->lock);
        const lc_partition *partition = find_partition(s, digest);
        if (partition && partition->dimension != q->dimension)
            partition = NULL; /* all was cleared and begun anew since the query was checked */
        if (partition && at == 0) {
            version = partition->version;
            end = partition->count;
        }
        int same = partition && partition->version == version;
        if (same && at < end) {
            size_t to = end - at > slice ? at + slice : end;
            scan(q, partition, at, to);
            at = to;
        }
        pthread_rwlock_unlock(&s->lock);
        if (!same)
            return at == 0 && !partition;
    } while (at < end);
    return 1;
}

static float *padded(const float *vector, size_t dimension)
{
    size_t stride = lc_dot_stride(dimension);
    float *query = lc_alloc_aligned(64, stride * sizeof *query);
    if (!query)
        return NULL;
    memcpy(query, vector, dimension * sizeof *query);
    memset(query + dimension, 0, (stride - dimension) * sizeof *query);
    return query;
}

int lc_index_search(lc_index *index, const unsigned char partition[32], const float *vector,
                    size_t dimension, int64_t now_ms, lc_neighbour *out, size_t k, size_t *count,
                    llmcache_error *err)
{
    if (!k || !atomic_load(&index->records)) {
        *count = 0;
        return 0;
    }
    int code = check_vector(index, vector, dimension, err);
    if (code)
        return code;
    float *query = padded(vector, dimension);
    if (!query)
        return lc_fail_memory(err);
    search q = {.dot = index->dot.rows, .query = query, .dimension = dimension,
                .now_ms = now_ms, .out = out, .k = k};
    shard *s = shard_of(index, partition);
    for (int tries = 0; !pass(&q, s, partition, tries < MAX_RESTARTS ? SLICE_ROWS : SIZE_MAX);)
        tries++;
    lc_free(query);
    for (size_t i = 0; i < q.count && out[i].similarity > 1; i++)
        out[i].similarity = 1; /* by rounding */
    *count = q.count;
    return 0;
}

void lc_index_stats_read(lc_index *index, lc_index_stats *stats)
{
    *stats = (lc_index_stats){.records = atomic_load(&index->records),
                              .partitions = atomic_load(&index->partitions),
                              .bytes = atomic_load(&index->bytes) + sizeof *index};
}

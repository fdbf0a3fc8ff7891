/* The flat index for other kinds of index: what is in it, and judging candidates. See flat_index.h. */
#include "index/flat_inside.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

size_t lc_flat_count(lc_flat *flat, const unsigned char *partition, size_t *dimension)
{
    lc_flat_shard *shard = lc_flat_shard_of(flat, partition);
    pthread_rwlock_rdlock(&shard->lock);
    const lc_partition *found = lc_flat_find(shard, partition);
    size_t count = found ? found->count : 0;
    *dimension = found ? found->dimension : 0;
    pthread_rwlock_unlock(&shard->lock);
    return count;
}

/* ---- Which are large ------------------------------------------------------------------------------- */

typedef struct large {
    unsigned char digest[LLMCACHE_FINGERPRINT_SIZE];
    size_t count;
} large;

/* Under the shard's lock. How many there are; the first `room` of them are written. */
static size_t list_large(const lc_flat_shard *shard, size_t least, large *list, size_t room)
{
    size_t found = 0;
    for (size_t i = 0; i < shard->bucket_count; i++)
        for (const lc_partition *at = shard->buckets[i]; at; at = at->next) {
            if (at->count < least)
                continue;
            if (found < room) {
                memcpy(list[found].digest, at->digest, sizeof at->digest);
                list[found].count = at->count;
            }
            found++;
        }
    return found;
}

static int each_of_shard(lc_flat_shard *shard, size_t least, lc_flat_partition_fn fn, void *user)
{
    pthread_rwlock_rdlock(&shard->lock);
    size_t room = list_large(shard, least, NULL, 0);
    pthread_rwlock_unlock(&shard->lock);
    if (!room)
        return 0;
    large *list = lc_alloc_array(room, sizeof *list);
    if (!list)
        return LLMCACHE_MEMORY;
    pthread_rwlock_rdlock(&shard->lock);
    size_t found = list_large(shard, least, list, room);
    pthread_rwlock_unlock(&shard->lock);
    int code = 0;
    for (size_t i = 0; !code && i < found && i < room; i++)
        code = fn(user, list[i].digest, list[i].count);
    lc_free(list);
    return code;
}

int lc_flat_each_large(lc_flat *flat, size_t least, lc_flat_partition_fn fn, void *user)
{
    int code = 0;
    for (size_t i = 0; !code && i < LC_FLAT_SHARDS; i++)
        code = each_of_shard(&flat->shards[i], least, fn, user);
    return code;
}

/* ---- Rows ------------------------------------------------------------------------------------------ */

size_t lc_flat_read(lc_flat *flat, const unsigned char *partition, size_t end, size_t most,
                    size_t dimension, unsigned char *fingerprints, float *vectors)
{
    lc_flat_shard *shard = lc_flat_shard_of(flat, partition);
    size_t from = end > most ? end - most : 0;
    pthread_rwlock_rdlock(&shard->lock);
    const lc_partition *found = lc_flat_find(shard, partition);
    size_t have = found && found->dimension == dimension ? found->count : 0;
    if (end > have) /* shorter by now: what was at its end stands elsewhere, before `from` or among these */
        end = have;
    for (size_t at = from; at < end; at++) {
        lc_codes codes = lc_partition_codes(found, at);
        lc_codes_read(&codes, dimension, vectors + (at - from) * dimension);
        memcpy(fingerprints + (at - from) * LLMCACHE_FINGERPRINT_SIZE,
               lc_partition_row(found, at)->fingerprint, LLMCACHE_FINGERPRINT_SIZE);
    }
    pthread_rwlock_unlock(&shard->lock);
    return end > from ? end - from : 0;
}

/* ---- Judging --------------------------------------------------------------------------------------- */

int lc_flat_judge(lc_flat *flat, const lc_query *query, const unsigned char *fingerprints, size_t candidates,
                  lc_neighbour *out, size_t k, size_t *count, llmcache_error *err)
{
    lc_flat_scan scan;
    uint64_t space_hash = lc_space_hash(query->space);
    int code = lc_flat_scan_begin(flat, query, out, k, &scan, err);
    if (code)
        return code;
    pthread_mutex_lock(&flat->changing); /* the names; whoever changes rows holds it, too */
    for (size_t i = 0; i < candidates; i++) {
        const lc_name *name = lc_names_find(&flat->names, query->space, space_hash,
                                            fingerprints + i * LLMCACHE_FINGERPRINT_SIZE);
        if (name && name->partition->dimension == query->dimension &&
            memcmp(name->partition->digest, query->partition, LLMCACHE_FINGERPRINT_SIZE) == 0)
            lc_flat_scan_judge(&scan, name->partition, name->row);
    }
    pthread_mutex_unlock(&flat->changing);
    *count = scan.count;
    lc_flat_scan_end(&scan);
    return 0;
}

/*
 * The flat index: searching. The high bytes of all rows of the partition are multiplied with the query; a row
 * whose bound (codes.h) is not below the k-th best found so far is multiplied in full.
 *
 * The read lock is held for one slice of rows at a time, so a change waits for a slice, not for a million rows.
 * Rows are looked at from the last to the first. A row moves only when one before it is removed, and then
 * from the end to an earlier place: it may be met twice, never missed. So a search needs to know nothing of
 * what was changed meanwhile, but that a fingerprint is to be found once.
 */
#include "index/flat_inside.h"

#include "base/error.h"

#include <string.h>

#define SLICE_BLOCKS  8
#define STRAIGHT_ROWS 16 /* of fewer, all are multiplied in full */
#define WARM          8

typedef struct search {
    const lc_scan *scan;
    lc_coded_query query;
    const unsigned char *digest;
    size_t dimension;
    int64_t now_ms;
    lc_neighbour *out;
    size_t k, count;
} search;

static void insert(search *q, const unsigned char *fingerprint, double similarity)
{
    for (size_t i = 0; i < q->count; i++)
        if (memcmp(q->out[i].fingerprint, fingerprint, sizeof q->out[i].fingerprint) == 0)
            return;
    size_t at = q->count < q->k ? q->count++ : q->k - 1;
    for (; at > 0 && q->out[at - 1].similarity < similarity; at--)
        q->out[at] = q->out[at - 1];
    memcpy(q->out[at].fingerprint, fingerprint, sizeof q->out[at].fingerprint);
    q->out[at].similarity = similarity;
    if (q->count == q->k)
        q->query.test.floor = (float)q->out[q->k - 1].similarity;
}

/* Multiplies a row in full. */
static void judge(search *q, const lc_block *block, size_t at)
{
    const lc_row *row = &block->rows[at];
    size_t stride = q->query.stride;
    if (row->expires_ms && row->expires_ms <= q->now_ms)
        return;
    lc_codes codes = {block->high + at * stride, block->low + at * stride, &block->steps[at],
                      &block->errors[at]};
    double similarity = lc_codes_product(q->scan, &q->query, &codes);
    if (q->count < q->k || similarity > q->out[q->k - 1].similarity)
        insert(q, row->fingerprint, similarity);
}

/* The best `most` (at most WARM) by what the high bytes say. */
static size_t pick_best(const int32_t *sums, const float *steps, size_t rows, size_t most, uint16_t *best)
{
    float kept[WARM];
    size_t count = 0;
    for (size_t i = 0; i < rows; i++) {
        float score = (float)sums[i] * steps[i];
        if (count == most && score <= kept[most - 1])
            continue;
        size_t at = count < most ? count++ : most - 1;
        for (; at > 0 && kept[at - 1] < score; at--) {
            kept[at] = kept[at - 1];
            best[at] = best[at - 1];
        }
        kept[at] = score;
        best[at] = (uint16_t)i;
    }
    return count;
}

static void scan_block(search *q, const lc_block *block, size_t rows)
{
    int32_t sums[LC_BLOCK_ROWS];
    uint16_t found[LC_BLOCK_ROWS];
    q->scan->sums(q->query.codes, block->high, q->query.stride, rows, sums);
    if (q->count < q->k) {
        /* With good ones known early, few others need to be looked at. */
        size_t count = pick_best(sums, block->steps, rows, q->k < WARM ? q->k : WARM, found);
        for (size_t i = 0; i < count; i++)
            judge(q, block, found[i]);
    }
    size_t count = q->scan->above(&q->query.test, sums, block->steps, block->errors, rows, found);
    for (size_t i = 0; i < count; i++)
        judge(q, block, found[i]);
}

/* Looks at rows below `end`; returns where to go on, 0 when done. */
static size_t scan_slice(search *q, const lc_partition *partition, size_t end)
{
    if (partition->count <= STRAIGHT_ROWS) {
        for (size_t at = 0; at < end; at++)
            judge(q, &partition->blocks[0], at);
        return 0;
    }
    for (int i = 0; end && i < SLICE_BLOCKS; i++) {
        size_t block = (end - 1) / LC_BLOCK_ROWS, from = block * LC_BLOCK_ROWS;
        scan_block(q, &partition->blocks[block], end - from);
        end = from;
    }
    return end;
}

static void scan_all(search *q, lc_flat_shard *shard)
{
    size_t end = SIZE_MAX;
    while (end) {
        pthread_rwlock_rdlock(&shard->lock);
        const lc_partition *partition = lc_flat_find(shard, q->digest);
        /* Another dimension: all was cleared and begun anew since the query was checked. */
        if (!partition || partition->dimension != q->dimension)
            end = 0;
        else
            end = scan_slice(q, partition, partition->count < end ? partition->count : end);
        pthread_rwlock_unlock(&shard->lock);
    }
}

int lc_flat_search(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                   llmcache_error *err)
{
    lc_flat *flat = self;
    search q = {.scan = flat->scan, .digest = query->partition, .dimension = query->dimension,
                .now_ms = query->now_ms, .out = out, .k = k};
    if (!k || !atomic_load(&flat->records)) {
        *count = 0;
        return 0;
    }
    int code = lc_flat_check(flat, query->vector, query->dimension, err);
    if (code)
        return code;
    if (lc_query_code(query->vector, query->dimension, &q.query))
        return lc_fail_memory(err);
    q.query.test.floor = -3; /* below any bound */
    scan_all(&q, lc_flat_shard_of(flat, query->partition));
    lc_query_done(&q.query);
    *count = q.count;
    return 0;
}

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

static void insert(lc_flat_scan *q, const unsigned char *fingerprint, double similarity)
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

void lc_flat_scan_judge(lc_flat_scan *q, const lc_partition *partition, size_t at)
{
    const lc_row *row = lc_partition_row(partition, at);
    if (row->expires_ms && row->expires_ms <= q->asked->now_ms)
        return;
    lc_codes codes = lc_partition_codes(partition, at);
    double similarity = lc_codes_product(q->form, &q->query, &codes);
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

/* `rows` rows from the first of a block. */
static void scan_block(lc_flat_scan *q, const lc_partition *partition, size_t from, size_t rows)
{
    const lc_block *block = &partition->blocks[from / LC_BLOCK_ROWS];
    int32_t sums[LC_BLOCK_ROWS];
    uint16_t found[LC_BLOCK_ROWS];
    q->form->sums(q->query.codes, block->high, q->query.stride, rows, sums);
    if (q->count < q->k) {
        /* With good ones known early, few others need to be looked at. */
        size_t count = pick_best(sums, block->steps, rows, q->k < WARM ? q->k : WARM, found);
        for (size_t i = 0; i < count; i++)
            lc_flat_scan_judge(q, partition, from + found[i]);
    }
    size_t count = q->form->above(&q->query.test, sums, block->steps, block->errors, rows, found);
    for (size_t i = 0; i < count; i++)
        lc_flat_scan_judge(q, partition, from + found[i]);
}

/* Looks at rows below `end`; returns where to go on, 0 when done. */
static size_t scan_slice(lc_flat_scan *q, const lc_partition *partition, size_t end)
{
    if (partition->count <= STRAIGHT_ROWS) {
        for (size_t at = 0; at < end; at++)
            lc_flat_scan_judge(q, partition, at);
        return 0;
    }
    for (int i = 0; end && i < SLICE_BLOCKS; i++) {
        size_t from = (end - 1) / LC_BLOCK_ROWS * LC_BLOCK_ROWS;
        scan_block(q, partition, from, end - from);
        end = from;
    }
    return end;
}

static void scan_all(lc_flat_scan *q, lc_flat_shard *shard)
{
    size_t end = SIZE_MAX;
    while (end) {
        pthread_rwlock_rdlock(&shard->lock);
        const lc_partition *partition = lc_flat_find(shard, q->asked->partition);
        /* Another dimension: all was cleared and begun anew since the query was checked. */
        if (!partition || partition->dimension != q->asked->dimension)
            end = 0;
        else
            end = scan_slice(q, partition, partition->count < end ? partition->count : end);
        pthread_rwlock_unlock(&shard->lock);
    }
}

int lc_flat_scan_begin(lc_flat *flat, const lc_query *query, lc_neighbour *out, size_t k, lc_flat_scan *q,
                       llmcache_error *err)
{
    int code = lc_flat_check(flat, query->vector, query->dimension, err);
    if (code)
        return code;
    *q = (lc_flat_scan){.form = flat->scan, .asked = query, .out = out, .k = k};
    if (lc_query_code(query->vector, query->dimension, &q->query))
        return lc_fail_memory(err);
    q->query.test.floor = -3; /* below any bound */
    return 0;
}

void lc_flat_scan_end(lc_flat_scan *q)
{
    lc_query_done(&q->query);
}

int lc_flat_search(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                   llmcache_error *err)
{
    lc_flat *flat = self;
    lc_flat_scan q;
    if (!k || !atomic_load(&flat->records)) {
        *count = 0;
        return 0;
    }
    int code = lc_flat_scan_begin(flat, query, out, k, &q, err);
    if (code)
        return code;
    scan_all(&q, lc_flat_shard_of(flat, query->partition));
    lc_flat_scan_end(&q);
    *count = q.count;
    return 0;
}

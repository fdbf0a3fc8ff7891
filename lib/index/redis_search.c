/*
 * Searching the vector set of one partition. A small one is looked at in whole (TRUTH), at once and in Redis's main thread, as
 * that is over sooner than a thread is made; a large one by its graph, in a thread of Redis's own. Which it is
 * is known from the last search: each asks for the size, too.
 *
 * An element says by its name when it expires, so what has expired is left out here, and more is asked for when it
 * stood in the way of others.
 */
#include "index/redis_vectors.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/sha256.h"
#include "index/vector_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WHOLE_MOST = 1000, /* records that are looked at in whole */
    EXPLORE = 100,     /* EF: how many of the graph's nodes are kept while it is walked */
    SPARE = 8          /* asked for beyond what is wanted, as some may have expired */
};

/* ---- Sizes as last seen ----------------------------------------------------------------------------- */

static atomic_uint_least64_t *size_slot(lc_redis_index *index, const unsigned char *partition, uint32_t *tag)
{
    uint32_t head;
    memcpy(&head, partition, sizeof head);
    memcpy(tag, partition + sizeof head, sizeof *tag);
    return &index->sizes[head % LC_SIZES];
}

static size_t known_size(lc_redis_index *index, const unsigned char *partition)
{
    uint32_t tag;
    uint64_t slot = atomic_load_explicit(size_slot(index, partition, &tag), memory_order_relaxed);
    return (uint32_t)(slot >> 32) == tag ? (size_t)(uint32_t)slot : 0;
}

static void note_size(lc_redis_index *index, const unsigned char *partition, long long size)
{
    uint32_t tag;
    atomic_uint_least64_t *slot = size_slot(index, partition, &tag);
    uint64_t now = (uint64_t)tag << 32 | (uint32_t)(size < UINT32_MAX ? size : UINT32_MAX);
    if (atomic_load_explicit(slot, memory_order_relaxed) != now)
        atomic_store_explicit(slot, now, memory_order_relaxed);
}

/* ---- One exchange -------------------------------------------------------------------------------------- */

typedef struct asking {
    lc_redis_index *index;
    const lc_query *query;
    int64_t until_ms;
    lc_buffer set; /* the vector set's name */
    size_t want;   /* neighbours to ask for */
    int whole;
    size_t size;   /* of the partition, as the reply says */
    size_t got;    /* neighbours in the reply */
} asking;

static void write_search(const asking *a, lc_redis_batch *batch)
{
    char want[24], explore[24];
    lc_redis_word set = lc_redis_bytes(&a->set);
    lc_redis_word vector = {a->query->vector, a->query->dimension * sizeof *a->query->vector};
    size_t ef = a->whole || a->want > EXPLORE ? a->want : EXPLORE;
    snprintf(want, sizeof want, "%zu", a->want);
    snprintf(explore, sizeof explore, "%zu", ef);
    LC_REDIS_ADD(batch, lc_redis_text("VCARD"), set);
    lc_redis_word words[11] = {lc_redis_text("VSIM"), set, lc_redis_text("FP32"), vector,
                               lc_redis_text("WITHSCORES"), lc_redis_text("COUNT"), lc_redis_text(want),
                               lc_redis_text("EF"), lc_redis_text(explore)};
    size_t count = 9;
    if (a->whole) {
        words[count++] = lc_redis_text("TRUTH");
        if (a->size <= WHOLE_MOST)
            words[count++] = lc_redis_text("NOTHREAD");
    }
    lc_redis_add(batch, count, words);
}

/* "<fingerprint>:<expires_ms>" and a score: 0 when it is none of ours, or has expired. */
static int read_neighbour(const redisReply *element, const redisReply *score, int64_t now_ms, lc_neighbour *out)
{
    enum { DIGITS = 2 * LLMCACHE_FINGERPRINT_SIZE };
    char *end;
    char digits[DIGITS + 1] = {0};
    if (element->type != REDIS_REPLY_STRING || element->len < DIGITS + 2 || element->str[DIGITS] != ':' ||
        score->type != REDIS_REPLY_STRING)
        return 0;
    memcpy(digits, element->str, DIGITS);
    long long expires = strtoll(element->str + DIGITS + 1, &end, 10);
    if (*end || lc_unhex(digits, out->fingerprint, sizeof out->fingerprint) || (expires && expires <= now_ms))
        return 0;
    double similarity = 2 * strtod(score->str, &end) - 1;
    out->similarity = similarity < 1 ? similarity : 1;
    return end != score->str && *end == '\0' && similarity >= -1.001;
}

static int read_found(asking *a, redisReply **replies, lc_neighbour *out, size_t k, size_t *count,
                      llmcache_error *err)
{
    const redisReply *size = replies[0], *found = replies[1];
    if (found->type == REDIS_REPLY_ERROR && strstr(found->str, "dimension mismatch"))
        return lc_fail(err, LLMCACHE_INVALID, "index: a vector of dimension %zu among those of another",
                       a->query->dimension);
    int code = lc_redis_index_check(a->index, size, err);
    if (!code)
        code = lc_redis_index_check(a->index, found, err);
    if (code)
        return code;
    if (size->type != REDIS_REPLY_INTEGER || size->integer < 0 || found->type != REDIS_REPLY_ARRAY)
        return lc_fail(err, LLMCACHE_STORE, "%s answered a search with something else", a->index->uri.name);
    a->size = (size_t)size->integer;
    a->got = found->elements / 2;
    note_size(a->index, a->query->partition, size->integer);
    *count = 0;
    for (size_t i = 0; i < a->got && *count < k; i++)
        *count += (size_t)read_neighbour(found->element[2 * i], found->element[2 * i + 1], a->query->now_ms,
                                         &out[*count]);
    return 0;
}

static int ask(asking *a, lc_neighbour *out, size_t k, size_t *count, llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *replies[2] = {NULL, NULL};
    lc_redis_batch_init(&batch);
    write_search(a, &batch);
    int code = a->set.broken ? lc_fail_memory(err)
                             : lc_redis_pool_exchange(a->index->pool, &batch, a->until_ms, replies, err);
    lc_redis_batch_done(&batch);
    if (code)
        return code;
    code = read_found(a, replies, out, k, count, err);
    lc_redis_free_replies(replies, 2);
    return code;
}

/* Too few were found: because the graph has parts that its walk did not get to, or because what expired stands before
 * others. 0 when there are no more. */
static int ask_more(asking *a)
{
    size_t least = a->want < a->size ? a->want : a->size;
    if (!a->whole && a->got < least)
        return a->whole = 1;
    if (a->want >= a->size)
        return 0;
    a->want *= 4;
    return 1;
}

/* ---- The search ----------------------------------------------------------------------------------------- */

int lc_vector_set_search(lc_redis_index *index, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                         llmcache_error *err)
{
    size_t known = known_size(index, query->partition);
    asking a = {.index = index, .query = query, .until_ms = lc_mono_ms() + query->deadline_ms,
                .want = k + SPARE, .size = known, .whole = known && known <= WHOLE_MOST};
    int code = lc_vector_check(query->vector, query->dimension, atomic_load(&index->dimension), err);
    if (code)
        return code;
    if (!k) {
        *count = 0;
        return 0;
    }
    lc_buffer_init(&a.set, 0);
    lc_vector_set_name(index, query->space, query->partition, &a.set);
    do
        code = ask(&a, out, k, count, err);
    while (!code && *count < k && ask_more(&a));
    lc_buffer_done(&a.set);
    return code;
}

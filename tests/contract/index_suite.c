/*
 * The index contract: what lib/index/index.h promises, asked of every index. This file holds what the tests
 * share and the search; index_threads.c has many threads at once.
 */
#include "index_suite.h"

#include "base/memory.h"
#include "store/store.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of an index with nothing in it. */
static const char *fresh_uri(void)
{
    const char *uri = index_fixture_used.fresh ? index_fixture_used.fresh() : index_fixture_used.uri;
    if (!uri)
        cr_skip("this build has no such index");
    return uri;
}

lc_index open_index(void)
{
    lc_index index;
    llmcache_error err = {0};
    cr_assert_eq(lc_index_open(fresh_uri(), NULL, &index, &err), 0, "%s", err.message);
    if (index_fixture_used.fresh)
        cr_assert(test_wait_until(!stats_of(&index).lost, 10000), "%s", stats_of(&index).detail);
    return index;
}

lc_index_stats stats_of(const lc_index *index)
{
    lc_index_stats stats;
    index->ops.stats(index->self, &stats);
    return stats;
}

lc_index_stats counts_of(const lc_index *index)
{
    if (index_fixture_used.fresh)
        index->ops.sweep(index->self, 0);
    return stats_of(index);
}

uint64_t times(uint64_t usual)
{
    return usual / (index_fixture_used.shorter ? index_fixture_used.shorter : 1);
}

void settle(const lc_index *index)
{
    cr_assert(test_wait_until(stats_of(index).unsettled == 0, 30000));
}

void add(const lc_index *index, uint64_t number, uint64_t partition, uint64_t seed, int64_t expires)
{
    float vector[DIM];
    unsigned char fingerprint[32], digest[32];
    llmcache_error err = {0};
    lc_record record = {.space = "s", .fingerprint = fingerprint, .partition = digest, .vector = vector,
                        .dimension = DIM, .expires_ms = expires};
    test_clustered_vector(seed, CENTRES, 0.7, vector, DIM);
    test_digest(number, fingerprint);
    test_digest(partition, digest);
    cr_assert_eq(index->ops.add(index->self, &record, PATIENT_MS, &err), 0, "%s", err.message);
}

int take(const lc_index *index, uint64_t number)
{
    unsigned char fingerprint[32];
    char id[LLMCACHE_ID_SIZE];
    llmcache_error err = {0};
    int removed = 7;
    test_digest(number, fingerprint);
    lc_entry_id(fingerprint, id);
    cr_assert_eq(index->ops.remove(index->self, "s", id, PATIENT_MS, &removed, &err), 0, "%s", err.message);
    return removed;
}

static size_t search_in(const lc_index *index, const char *space, uint64_t partition, uint64_t seed, int64_t now,
                        lc_neighbour *out, size_t k)
{
    float vector[DIM];
    unsigned char digest[32];
    size_t count = 99;
    llmcache_error err = {0};
    lc_query query = {.space = space, .partition = digest, .vector = vector, .dimension = DIM,
                      .now_ms = now, .deadline_ms = PATIENT_MS};
    test_clustered_vector(seed, CENTRES, 0.7, vector, DIM);
    test_digest(partition, digest);
    cr_assert_eq(index->ops.search(index->self, &query, out, k, &count, &err), 0, "%s", err.message);
    return count;
}

size_t search(const lc_index *index, uint64_t partition, uint64_t seed, int64_t now, lc_neighbour *out, size_t k)
{
    return search_in(index, "s", partition, seed, now, out, k);
}

/* ---- Search ------------------------------------------------------------------------------------------ */

Test(index, empty_finds_nothing)
{
    lc_index index = open_index();
    lc_neighbour out[3];
    cr_assert_eq(search(&index, 1, 1, 0, out, 3), 0u);
    add(&index, 1, 1, 1, 0);
    cr_assert_eq(search(&index, 2, 1, 0, out, 3), 0u, "another partition's vector");
    cr_assert_eq(search(&index, 1, 1, 0, out, 0), 0u);
    cr_assert_eq(search(&index, 1, 1, 0, out, 3), 1u);
    cr_assert_float_eq(out[0].similarity, 1, 1e-4);
    cr_assert_leq(out[0].similarity, 1.0);
    lc_index_close(&index);
}

#define NUMBERS 4000
#define K       7

typedef struct model {
    int present;
    uint64_t partition, seed;
    int64_t expires;
} model;

typedef struct truth {
    uint64_t number[K];
    double similarity[K];
    size_t count;
} truth;

/* What brute force says: the best, best first. */
static truth brute(const model *models, uint64_t partition, uint64_t seed, int64_t now)
{
    float query[DIM], vector[DIM];
    truth t = {.count = 0};
    test_clustered_vector(seed, CENTRES, 0.7, query, DIM);
    for (uint64_t n = 0; n < NUMBERS; n++) {
        const model *m = &models[n];
        if (!m->present || m->partition != partition || (m->expires && m->expires <= now))
            continue;
        test_clustered_vector(m->seed, CENTRES, 0.7, vector, DIM);
        double score = test_cosine(query, vector, DIM);
        size_t at = t.count < K ? t.count++ : K;
        for (; at > 0 && t.similarity[at - 1] < score; at--)
            if (at < K) {
                t.similarity[at] = t.similarity[at - 1];
                t.number[at] = t.number[at - 1];
            }
        if (at < K) {
            t.similarity[at] = score;
            t.number[at] = n;
        }
    }
    return t;
}

static const model *find_model(const model *models, const unsigned char *fingerprint)
{
    unsigned char digest[32];
    for (uint64_t n = 0; n < NUMBERS; n++) {
        test_digest(n, digest);
        if (memcmp(digest, fingerprint, 32) == 0)
            return &models[n];
    }
    return NULL;
}

/* What was found is there, alive, of this partition, as near as it says, once and in order. */
static void check_honest(const model *models, uint64_t partition, uint64_t seed, int64_t now,
                         const lc_neighbour *out, size_t count)
{
    float query[DIM], vector[DIM];
    test_clustered_vector(seed, CENTRES, 0.7, query, DIM);
    for (size_t i = 0; i < count; i++) {
        const model *m = find_model(models, out[i].fingerprint);
        cr_assert(m && m->present && m->partition == partition, "it is not there");
        cr_assert(!m->expires || m->expires > now, "it has expired");
        test_clustered_vector(m->seed, CENTRES, 0.7, vector, DIM);
        cr_assert_float_eq(out[i].similarity, test_cosine(query, vector, DIM), 1e-4);
        cr_assert(i == 0 || out[i].similarity <= out[i - 1].similarity, "not in order");
        for (size_t j = 0; j < i; j++)
            cr_assert(memcmp(out[i].fingerprint, out[j].fingerprint, 32) != 0, "found twice");
    }
}

typedef struct tally {
    uint64_t wanted, found;
} tally;

static void compare(const lc_index *index, const model *models, uint64_t partition, uint64_t seed, int64_t now,
                    tally *sum)
{
    lc_neighbour out[K];
    size_t count = search(index, partition, seed, now, out, K);
    truth t = brute(models, partition, seed, now);
    cr_assert_eq(count, t.count);
    check_honest(models, partition, seed, now, out, count);
    for (size_t i = 0; i < count; i++)
        sum->found += out[i].similarity >= t.similarity[i] - 1e-4;
    sum->wanted += count;
}

/* A thing done to the index at random, and to the model of it. */
static void change(const lc_index *index, model *models, uint64_t *state, uint64_t *live)
{
    uint64_t n = test_random(state) % NUMBERS;
    model *m = &models[n];
    if (test_random(state) % 3) {
        /* The same number keeps its partition but now and then, its vector changes. */
        *live += !m->present;
        uint64_t partition = test_random(state) % 8 ? n % 3 : 3;
        *m = (model){1, partition, test_random(state), (int64_t)(test_random(state) % 2 * (n + 1))};
        add(index, n, m->partition, m->seed, m->expires);
    } else {
        cr_assert_eq(take(index, n), m->present);
        *live -= m->present != 0;
        m->present = 0;
    }
}

static uint64_t expire(model *models, int64_t now)
{
    uint64_t gone = 0;
    for (uint64_t n = 0; n < NUMBERS; n++)
        if (models[n].present && models[n].expires && models[n].expires <= now) {
            models[n].present = 0;
            gone++;
        }
    return gone;
}

Test(index, agrees_with_brute_force_through_changes)
{
    static model models[NUMBERS];
    lc_index index = open_index();
    uint64_t state = 7, live = 0;
    tally sum = {0};
    for (uint64_t step = 0; step < times(30000); step++) {
        change(&index, models, &state, &live);
        if (step % 5000 == 4999)
            settle(&index);
        if (step % 500 == 0)
            for (uint64_t partition = 0; partition < 4; partition++)
                compare(&index, models, partition, step + partition, NUMBERS / 2, &sum);
    }
    cr_assert_eq(stats_of(&index).records, live);
    cr_assert_eq(counts_of(&index).partitions, 4u);
    cr_assert_eq(index.ops.sweep(index.self, NUMBERS / 2), expire(models, NUMBERS / 2));
    for (uint64_t partition = 0; partition < 4; partition++)
        compare(&index, models, partition, partition, 0, &sum);
    cr_assert_geq((double)sum.found, index_fixture_used.recall * (double)sum.wanted);

    for (uint64_t n = 0; n < NUMBERS; n++)
        cr_assert_eq(take(&index, n), models[n].present);
    cr_assert_eq(stats_of(&index).records, 0u);
    cr_assert_eq(counts_of(&index).partitions, 0u);
    lc_index_close(&index);
}

Test(index, many_partitions_of_one_row)
{
    lc_index index = open_index();
    lc_neighbour out[2];
    uint64_t count = times(5000);
    for (uint64_t n = 0; n < count; n++)
        add(&index, n, n, n, 0);
    for (uint64_t n = 0; n < count; n++) {
        unsigned char fingerprint[32];
        test_digest(n, fingerprint);
        cr_assert_eq(search(&index, n, n, 0, out, 2), 1u);
        cr_assert_arr_eq(out[0].fingerprint, fingerprint, 32);
    }
    cr_assert_eq(counts_of(&index).partitions, count);
    if (!stats_of(&index).shared)
        cr_assert_lt(stats_of(&index).bytes / count, 2 * 128 + 400);
    lc_index_close(&index);
}

/* One that speaks to a server does what there is time for, and the next one goes on. */
static uint64_t sweep_to(const lc_index *index, int64_t now_ms, size_t left)
{
    uint64_t gone = 0;
    cr_assert(test_wait_until((gone += index->ops.sweep(index->self, now_ms), stats_of(index).records == left), 60000));
    return gone;
}

Test(index, a_sweep_takes_all_that_expired)
{
    lc_index index = open_index();
    lc_neighbour out[1];
    for (uint64_t n = 0; n < 10000; n++)
        add(&index, n, n % 2, n, (int64_t)(n % 3 ? 100 : 1000));
    cr_assert_eq(index.ops.sweep(index.self, 99), 0u);
    cr_assert_leq(sweep_to(&index, 100, 3334), 6666u);
    cr_assert_eq(search(&index, 1, 3, 100, out, 1), 1u);
    cr_assert_leq(sweep_to(&index, 1000, 0), 3334u);
    cr_assert_eq(stats_of(&index).partitions, 0u);
    lc_index_close(&index);
}

/* ---- What is refused ----------------------------------------------------------------------------------- */

static int add_vector(const lc_index *index, const char *space, uint64_t number, uint64_t partition,
                      const float *vector, size_t dimension)
{
    unsigned char fingerprint[32], digest[32];
    llmcache_error err;
    lc_record record = {.space = space, .fingerprint = fingerprint, .partition = digest, .vector = vector,
                        .dimension = dimension};
    test_digest(number, fingerprint);
    test_digest(partition, digest);
    return index->ops.add(index->self, &record, PATIENT_MS, &err);
}

static int remove_id(const lc_index *index, const char *space, const char *id)
{
    llmcache_error err;
    int removed = 7;
    cr_assert_eq(index->ops.remove(index->self, space, id, PATIENT_MS, &removed, &err), 0);
    return removed;
}

Test(index, refuses_what_would_mislead)
{
    lc_index index = open_index();
    float vector[DIM + 1];
    unsigned char digest[32];
    size_t count;
    lc_neighbour out[1];
    llmcache_error err;
    lc_query query = {.space = "s", .partition = digest, .vector = vector, .dimension = DIM + 1,
                      .deadline_ms = PATIENT_MS};
    test_digest(1, digest);
    add(&index, 1, 1, 1, 0);
    test_vector(5, vector, DIM + 1);
    cr_assert_eq(add_vector(&index, "s", 2, 1, vector, DIM + 1), LLMCACHE_INVALID);
    cr_assert_eq(index.ops.search(index.self, &query, out, 1, &count, &err), LLMCACHE_INVALID);
    test_vector(5, vector, DIM);
    cr_assert_eq(add_vector(&index, "t", 2, 1, vector, DIM), LLMCACHE_INVALID, "a partition of another namespace");
    for (int i = 0; i < DIM; i++)
        vector[i] *= 1.1f;
    cr_assert_eq(add_vector(&index, "s", 2, 1, vector, DIM), LLMCACHE_INVALID);
    vector[3] = NAN;
    cr_assert_eq(add_vector(&index, "s", 2, 1, vector, DIM), LLMCACHE_INVALID);
    cr_assert_eq(remove_id(&index, "s", "not an id"), 0);
    cr_assert_eq(remove_id(&index, "t", "0123456789abcdef0123"), 0);
    cr_assert_eq(stats_of(&index).records, 1u);

    cr_assert_eq(index.ops.clear(index.self, PATIENT_MS, &err), 0);
    test_vector(5, vector, DIM + 1);
    cr_assert_eq(add_vector(&index, "t", 2, 1, vector, DIM + 1), 0, "anew after clear");
    lc_index_close(&index);
}

Test(index, namespaces_are_apart)
{
    lc_index index = open_index();
    float vector[DIM];
    unsigned char fingerprint[32];
    char id[LLMCACHE_ID_SIZE];
    lc_neighbour out[2];
    test_clustered_vector(5, CENTRES, 0.7, vector, DIM);
    test_digest(1, fingerprint);
    lc_entry_id(fingerprint, id);
    cr_assert_eq(add_vector(&index, "a", 1, 10, vector, DIM), 0);
    cr_assert_eq(add_vector(&index, "b", 1, 11, vector, DIM), 0);
    cr_assert_eq(remove_id(&index, "a", id), 1);
    cr_assert_eq(remove_id(&index, "a", id), 0);
    cr_assert_eq(search_in(&index, "a", 10, 5, 0, out, 2), 0u);
    cr_assert_eq(search_in(&index, "b", 11, 5, 0, out, 2), 1u);
    lc_index_close(&index);
}

#define SOME (index_fixture_used.fresh ? 10u : 100u) /* a server costs more allocations a record */

/* ---- Memory -------------------------------------------------------------------------------------------- */

/* A server may have done what could not be read any more. */
static void check_kept(const lc_index *index, uint64_t kept)
{
    uint64_t records = stats_of(index).records;
    if (index_fixture_used.fresh)
        cr_assert(kept ? records >= kept && records <= SOME : records <= 1);
    else
        cr_assert_eq(records, kept);
}

static int survive(uint64_t n, uint64_t *kept)
{
    const char *uri = fresh_uri();
    lc_index index = {0};
    llmcache_error err;
    float vector[DIM];
    unsigned char digest[32];
    lc_neighbour out[1];
    lc_query query = {.space = "s", .partition = digest, .vector = vector, .dimension = DIM,
                      .deadline_ms = PATIENT_MS};
    size_t count;
    lc_memory_fail_at(n);
    int failed = lc_index_open(uri, NULL, &index, &err) != 0;
    for (uint64_t i = 0; !failed && i < SOME; i++) {
        test_vector(i, vector, DIM);
        *kept += add_vector(&index, "s", i, i % 3, vector, DIM) == 0;
    }
    test_digest(1, digest);
    if (index.self)
        failed |= *kept < SOME || index.ops.search(index.self, &query, out, 1, &count, &err) != 0;
    failed |= lc_memory_failed();
    lc_memory_fail_at(0);
    if (index.self)
        check_kept(&index, *kept);
    lc_index_close(&index);
    return failed;
}

Test(index, survives_every_failed_allocation)
{
    uint64_t n = 1, kept = 0;
    for (; n < 1000 && survive(n, &kept); n++)
        kept = 0;
    cr_assert(n > 20 && n < 1000);
}

/* The flat index against brute force, and under many threads. */
#include "base/memory.h"
#include "index/dot.h"
#include "index/index.h"
#include "store/store.h"
#include "support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* SplitMix64: the same numbers on every machine. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void random_vector(uint64_t seed, float *vector, size_t dimension)
{
    uint64_t state = seed;
    double sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        vector[i] = (float)((double)(next_random(&state) >> 11) * 0x1p-52 - 1);
        sum += (double)vector[i] * vector[i];
    }
    for (size_t i = 0; i < dimension; i++)
        vector[i] = (float)(vector[i] / sqrt(sum));
}

static void digest_of(uint64_t number, unsigned char digest[32])
{
    uint64_t state = number;
    for (int i = 0; i < 4; i++) {
        uint64_t word = next_random(&state);
        memcpy(digest + 8 * i, &word, 8);
    }
}

static double cosine(const float *a, const float *b, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

#define DIM 70 /* not a multiple of any register's width */

static void add(lc_index *index, uint64_t number, uint64_t partition, uint64_t seed, int64_t expires)
{
    float vector[DIM];
    unsigned char fingerprint[32], digest[32];
    llmcache_error err = {0};
    random_vector(seed, vector, DIM);
    digest_of(number, fingerprint);
    digest_of(partition, digest);
    cr_assert_eq(lc_index_add(index, "s", fingerprint, digest, vector, DIM, expires, &err), 0, "%s",
                 err.message);
}

static int take(lc_index *index, uint64_t number)
{
    unsigned char fingerprint[32];
    char id[LLMCACHE_ID_SIZE];
    digest_of(number, fingerprint);
    lc_entry_id(fingerprint, id);
    return lc_index_remove(index, "s", id);
}

static size_t search(lc_index *index, uint64_t partition, uint64_t seed, int64_t now,
                     lc_neighbour *out, size_t k)
{
    float vector[DIM];
    unsigned char digest[32];
    size_t count = 99;
    random_vector(seed, vector, DIM);
    digest_of(partition, digest);
    cr_assert_eq(lc_index_search(index, digest, vector, DIM, now, out, k, &count, NULL), 0);
    return count;
}

static lc_index *new_index(void)
{
    lc_index *index;
    cr_assert_eq(lc_index_new(&index, NULL), 0);
    return index;
}

/* ---- Kernels --------------------------------------------------------------------------------------- */

Test(dot, every_form_agrees_with_the_plain_one)
{
    lc_dot forms[4];
    size_t count = lc_dot_forms(forms, 4);
    cr_assert_geq(count, 1u);
    cr_assert_str_eq(forms[count - 1].name, "plain");
    for (size_t dimension = 1; dimension < 200; dimension += 13) {
        size_t stride = lc_dot_stride(dimension);
        float *data = lc_alloc_aligned(64, 12 * stride * sizeof *data);
        memset(data, 0, 12 * stride * sizeof *data);
        for (size_t r = 0; r < 12; r++)
            random_vector(dimension * 100 + r, data + r * stride, dimension);
        for (size_t f = 0; f < count; f++) {
            for (size_t rows = 0; rows <= 11; rows++) {
                float out[12];
                out[rows] = 42;
                forms[f].rows(data, data + stride, stride, rows, out);
                for (size_t r = 0; r < rows; r++)
                    cr_assert_float_eq(out[r], cosine(data, data + (r + 1) * stride, dimension), 1e-6,
                                       "%s %zu", forms[f].name, dimension);
                cr_assert_float_eq(out[rows], 42, 0, "%s writes past its rows", forms[f].name);
            }
        }
        lc_free(data);
    }
}

/* ---- Search ---------------------------------------------------------------------------------------- */

Test(index, empty_finds_nothing)
{
    lc_index *index = new_index();
    lc_neighbour out[3];
    cr_assert_eq(search(index, 1, 1, 0, out, 3), 0u);
    add(index, 1, 1, 1, 0);
    cr_assert_eq(search(index, 2, 1, 0, out, 3), 0u, "another partition's vector");
    cr_assert_eq(search(index, 1, 1, 0, out, 0), 0u);
    cr_assert_eq(search(index, 1, 1, 0, out, 3), 1u);
    cr_assert_float_eq(out[0].similarity, 1, 1e-6);
    cr_assert_leq(out[0].similarity, 1.0);
    lc_index_free(index);
}

typedef struct model {
    int present;
    uint64_t partition, seed;
    int64_t expires;
} model;

#define NUMBERS 4000

/* What brute force says: the k best similarities, best first. */
static size_t brute(const model *models, uint64_t partition, uint64_t seed, int64_t now, double *best,
                    size_t k)
{
    float query[DIM], vector[DIM];
    size_t count = 0;
    random_vector(seed, query, DIM);
    for (uint64_t n = 0; n < NUMBERS; n++) {
        const model *m = &models[n];
        if (!m->present || m->partition != partition || (m->expires && m->expires <= now))
            continue;
        random_vector(m->seed, vector, DIM);
        double score = cosine(query, vector, DIM);
        size_t at = count < k ? count++ : k;
        for (; at > 0 && best[at - 1] < score; at--)
            if (at < k)
                best[at] = best[at - 1];
        if (at < k)
            best[at] = score;
    }
    return count;
}

static void compare(lc_index *index, const model *models, uint64_t partition, uint64_t seed, int64_t now)
{
    lc_neighbour out[7];
    double best[7];
    size_t count = search(index, partition, seed, now, out, 7);
    cr_assert_eq(count, brute(models, partition, seed, now, best, 7));
    for (size_t i = 0; i < count; i++)
        cr_assert_float_eq(out[i].similarity, best[i], 1e-6);
}

Test(index, agrees_with_brute_force_through_changes)
{
    static model models[NUMBERS];
    lc_index *index = new_index();
    uint64_t state = 7, live = 0;
    for (int step = 0; step < 30000; step++) {
        uint64_t n = next_random(&state) % NUMBERS;
        model *m = &models[n];
        if (next_random(&state) % 3) {
            /* The same number keeps its partition but now and then, its vector changes. */
            live += !m->present;
            uint64_t partition = next_random(&state) % 8 ? n % 3 : 3;
            *m = (model){1, partition, next_random(&state), next_random(&state) % 2 * (n + 1)};
            add(index, n, m->partition, m->seed, m->expires);
        } else {
            cr_assert_eq(take(index, n), m->present);
            live -= m->present != 0;
            m->present = 0;
        }
        if (step % 500 == 0)
            for (uint64_t partition = 0; partition < 4; partition++)
                compare(index, models, partition, (uint64_t)step + partition, NUMBERS / 2);
    }
    lc_index_stats stats;
    lc_index_stats_read(index, &stats);
    cr_assert_eq(stats.records, live);
    cr_assert_eq(stats.partitions, 4u);

    uint64_t expired = 0;
    for (uint64_t n = 0; n < NUMBERS; n++)
        if (models[n].present && models[n].expires && models[n].expires <= NUMBERS / 2) {
            models[n].present = 0;
            expired++;
        }
    cr_assert_eq(lc_index_sweep(index, NUMBERS / 2), expired);
    for (uint64_t partition = 0; partition < 4; partition++)
        compare(index, models, partition, partition, 0);

    for (uint64_t n = 0; n < NUMBERS; n++)
        cr_assert_eq(take(index, n), models[n].present);
    lc_index_stats_read(index, &stats);
    cr_assert_eq(stats.records, 0u);
    cr_assert_eq(stats.partitions, 0u);
    lc_index_free(index);
}

Test(index, many_partitions_of_one_row)
{
    lc_index *index = new_index();
    lc_neighbour out[2];
    for (uint64_t n = 0; n < 5000; n++)
        add(index, n, n, n, 0);
    for (uint64_t n = 0; n < 5000; n++) {
        unsigned char fingerprint[32];
        digest_of(n, fingerprint);
        cr_assert_eq(search(index, n, n, 0, out, 2), 1u);
        cr_assert_arr_eq(out[0].fingerprint, fingerprint, 32);
    }
    lc_index_stats stats;
    lc_index_stats_read(index, &stats);
    cr_assert_eq(stats.partitions, 5000u);
    cr_assert_lt(stats.bytes / 5000, 4 * DIM + 512);
    lc_index_free(index);
}

Test(index, refuses_what_would_mislead)
{
    lc_index *index = new_index();
    float vector[DIM + 1];
    unsigned char a[32], b[32];
    size_t count;
    lc_neighbour out[1];
    llmcache_error err;
    digest_of(1, a);
    digest_of(2, b);
    add(index, 1, 1, 1, 0);
    random_vector(5, vector, DIM + 1);
    cr_assert_eq(lc_index_add(index, "s", b, a, vector, DIM + 1, 0, &err), LLMCACHE_INVALID);
    cr_assert_eq(lc_index_search(index, a, vector, DIM + 1, 0, out, 1, &count, &err), LLMCACHE_INVALID);
    random_vector(5, vector, DIM);
    cr_assert_eq(lc_index_add(index, "t", b, a, vector, DIM, 0, &err), LLMCACHE_INVALID,
                 "a partition of another namespace");
    for (int i = 0; i < DIM; i++)
        vector[i] *= 1.1f;
    cr_assert_eq(lc_index_add(index, "s", b, a, vector, DIM, 0, &err), LLMCACHE_INVALID);
    vector[3] = NAN;
    cr_assert_eq(lc_index_add(index, "s", b, a, vector, DIM, 0, &err), LLMCACHE_INVALID);
    cr_assert_eq(lc_index_remove(index, "s", "not an id"), 0);
    cr_assert_eq(lc_index_remove(index, "t", "0123456789abcdef0123"), 0);
    lc_index_stats stats;
    lc_index_stats_read(index, &stats);
    cr_assert_eq(stats.records, 1u);

    lc_index_clear(index);
    random_vector(5, vector, DIM + 1);
    cr_assert_eq(lc_index_add(index, "t", b, a, vector, DIM + 1, 0, &err), 0, "anew after clear");
    lc_index_free(index);
}

Test(index, namespaces_are_apart)
{
    lc_index *index = new_index();
    float vector[DIM];
    unsigned char fingerprint[32], a[32], b[32];
    char id[LLMCACHE_ID_SIZE];
    lc_neighbour out[2];
    size_t count;
    random_vector(5, vector, DIM);
    digest_of(1, fingerprint);
    lc_entry_id(fingerprint, id);
    digest_of(10, a);
    digest_of(11, b);
    cr_assert_eq(lc_index_add(index, "a", fingerprint, a, vector, DIM, 0, NULL), 0);
    cr_assert_eq(lc_index_add(index, "b", fingerprint, b, vector, DIM, 0, NULL), 0);
    cr_assert_eq(lc_index_remove(index, "a", id), 1);
    cr_assert_eq(lc_index_remove(index, "a", id), 0);
    cr_assert_eq(lc_index_search(index, a, vector, DIM, 0, out, 2, &count, NULL), 0);
    cr_assert_eq(count, 0u);
    cr_assert_eq(lc_index_search(index, b, vector, DIM, 0, out, 2, &count, NULL), 0);
    cr_assert_eq(count, 1u);
    lc_index_free(index);
}

Test(index, survives_every_failed_allocation)
{
    uint64_t n;
    for (n = 1; n < 1000; n++) {
        lc_memory_fail_at(n);
        lc_index *index = NULL;
        lc_neighbour out[1];
        float vector[DIM];
        unsigned char digest[32], partition[32];
        size_t count, kept = 0;
        int failed = lc_index_new(&index, NULL) != 0;
        for (uint64_t i = 0; index && i < 100; i++) {
            random_vector(i, vector, DIM);
            digest_of(i, digest);
            digest_of(i % 3, partition);
            int code = lc_index_add(index, "s", digest, partition, vector, DIM, 0, NULL);
            failed |= code != 0;
            kept += code == 0;
        }
        if (index)
            failed |= lc_index_search(index, partition, vector, DIM, 0, out, 1, &count, NULL) != 0;
        lc_memory_fail_at(0);
        if (index) {
            lc_index_stats stats;
            lc_index_stats_read(index, &stats);
            cr_assert_eq(stats.records, kept);
        }
        lc_index_free(index);
        if (!failed)
            break;
    }
    cr_assert(n > 20 && n < 1000);
}

/* ---- Threads --------------------------------------------------------------------------------------- */

#define FIXED 10000 /* several slices, so that searches let go of the lock in between */
#define LOOSE 8000

typedef struct crowd {
    lc_index *index;
    atomic_uint_least64_t moved; /* fixed rows moved to the front so far */
    atomic_int stop;
    atomic_int wrong, looked;
} crowd;

/* Removes the loose rows, which stand first: each time the last row, a fixed one, moves to the front. */
static void *churn(void *user)
{
    crowd *c = user;
    for (uint64_t n = 0; n < LOOSE; n++) {
        take(c->index, FIXED + n);
        atomic_fetch_add(&c->moved, 1);
    }
    atomic_store(&c->stop, 1);
    return NULL;
}

/* Whatever moves, a vector that stays is found, and found best: looks for those about to move. */
static void *look(void *user)
{
    crowd *c = user;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    while (!atomic_load(&c->stop)) {
        uint64_t back = atomic_load(&c->moved) + next_random(&state) % 64;
        uint64_t n = back < FIXED ? FIXED - 1 - back : 0;
        unsigned char fingerprint[32];
        lc_neighbour out[1];
        digest_of(n, fingerprint);
        atomic_fetch_add(&c->looked, 1);
        if (search(c->index, 1, n, 0, out, 1) != 1 || memcmp(out[0].fingerprint, fingerprint, 32) != 0)
            atomic_fetch_add(&c->wrong, 1);
    }
    return NULL;
}

Test(index, searches_stay_exact_while_rows_move)
{
    crowd c = {.index = new_index()};
    pthread_t changer, searchers[3];
    for (uint64_t n = 0; n < LOOSE; n++)
        add(c.index, FIXED + n, 1, FIXED + n, 0);
    for (uint64_t n = 0; n < FIXED; n++)
        add(c.index, n, 1, n, 0);
    for (int i = 0; i < 3; i++)
        pthread_create(&searchers[i], NULL, look, &c);
    cr_assert(test_wait_until(atomic_load(&c.looked) > 3, 10000));
    pthread_create(&changer, NULL, churn, &c);
    pthread_join(changer, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(searchers[i], NULL);
    cr_assert_eq(atomic_load(&c.wrong), 0);
    lc_index_free(c.index);
}

/* The index under many threads: each sees what is its own business right, whatever the others do. */
#include "index_suite.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static int finds(const lc_index *index, uint64_t partition, uint64_t number)
{
    unsigned char fingerprint[32];
    lc_neighbour out[1];
    test_digest(number, fingerprint);
    return search(index, partition, number, 0, out, 1) == 1 && memcmp(out[0].fingerprint, fingerprint, 32) == 0;
}

/* ---- Rows that move -------------------------------------------------------------------------------------- */

#define FIXED times(10000) /* several slices, so that searches let go of the lock in between */
#define LOOSE times(8000)

typedef struct crowd {
    lc_index index;
    atomic_uint_least64_t moved; /* fixed rows moved to the front so far */
    atomic_int stop;
    atomic_int wrong, looked;
} crowd;

/* Removes the loose rows, which stand first: each time the last row, a fixed one, moves to the front. */
static void *churn(void *user)
{
    crowd *c = user;
    for (uint64_t n = 0; n < LOOSE; n++) {
        take(&c->index, FIXED + n);
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
        uint64_t back = atomic_load(&c->moved) + test_random(&state) % 64;
        uint64_t n = back < FIXED ? FIXED - 1 - back : 0;
        atomic_fetch_add(&c->looked, 1);
        if (!finds(&c->index, 1, n))
            atomic_fetch_add(&c->wrong, 1);
    }
    return NULL;
}

Test(index_threads, searches_stay_exact_while_rows_move)
{
    crowd c = {.index = open_index()};
    pthread_t changer, searchers[3];
    for (uint64_t n = 0; n < LOOSE; n++)
        add(&c.index, FIXED + n, 1, FIXED + n, 0);
    for (uint64_t n = 0; n < FIXED; n++)
        add(&c.index, n, 1, n, 0);
    for (int i = 0; i < 3; i++)
        pthread_create(&searchers[i], NULL, look, &c);
    cr_assert(test_wait_until(atomic_load(&c.looked) > 3, 10000));
    pthread_create(&changer, NULL, churn, &c);
    pthread_join(changer, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(searchers[i], NULL);
    cr_assert_leq(atomic_load(&c.wrong), (1 - index_fixture_used.recall) * atomic_load(&c.looked));
    lc_index_close(&c.index);
}

/* ---- Everything at once ---------------------------------------------------------------------------------- */

#define THREADS 16
#define EACH    times(400)

typedef struct worker {
    const lc_index *index;
    uint64_t first; /* of the numbers that are its own */
    int wrong, asked;
} worker;

/* Adds its own, finds them, changes their place, removes some: half in a partition all share, half alone. */
static void *work(void *user)
{
    worker *w = user;
    for (uint64_t i = 0; i < EACH; i++) {
        uint64_t n = w->first + i, partition = i % 2 ? 1 : 1000000 + n;
        add(w->index, n, partition, n, i % 10 == 3 ? 5 : 0);
        int lives = i % 10 != 3; /* others are swept at any time */
        w->asked += lives;
        w->wrong += lives && !finds(w->index, partition, n);
        if (i % 4 == 1)
            add(w->index, n, partition = 2, n, 0);
        if (i % 4 == 2 || i % 10 == 3)
            take(w->index, n); /* perhaps a sweep was first */
        if (i % 100 == 50)
            w->index->ops.sweep(w->index->self, 5);
    }
    return NULL;
}

Test(index_threads, sixteen_add_search_remove_and_sweep_at_once)
{
    static worker workers[THREADS];
    pthread_t threads[THREADS];
    lc_index index = open_index();
    double wrong = 0, asked = 0;
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){.index = &index, .first = i * EACH};
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        wrong += workers[i].wrong;
        asked += workers[i].asked;
    }
    cr_assert_leq(wrong, (1 - index_fixture_used.recall) * asked);
    uint64_t left = 0;
    for (uint64_t n = 0; n < THREADS * EACH; n++) {
        uint64_t i = n % EACH;
        int stays = i % 4 != 2 && i % 10 != 3;
        cr_assert_eq(take(&index, n), stays, "%llu", (unsigned long long)n);
        left += (uint64_t)stays;
    }
    cr_assert_gt(left, 0u);
    cr_assert_eq(counts_of(&index).records, 0u);
    cr_assert_eq(counts_of(&index).partitions, 0u);
    lc_index_close(&index);
}

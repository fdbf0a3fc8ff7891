/* Threads that put and get entries of a store until they are told to end, and count what came of it. */
#ifndef TEST_STORE_LOAD_H
#define TEST_STORE_LOAD_H

#include "store_entries.h"

#include <pthread.h>
#include <stdatomic.h>

enum { STORE_LOAD_THREADS = 4 };

typedef struct store_load_counts {
    int failed, wrong, late, missing, done;
} store_load_counts;

typedef struct store_load {
    lc_store *store;
    const llmcache_entry *const *entries;
    int count;
    int64_t deadline_ms, slack_ms; /* late: more than both together */
    atomic_int over, done;
    struct {
        struct store_load *load;
        pthread_t thread;
        int number;
        store_load_counts counts;
    } workers[STORE_LOAD_THREADS];
} store_load;

/* The fields down to slack_ms are filled in. */
void store_load_start(store_load *load);
/* Operations that worked so far. */
int store_load_done(store_load *load);
/* The sum of all threads; each did something. */
store_load_counts store_load_end(store_load *load);

#endif

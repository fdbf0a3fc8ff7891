/* Load. */
#include "store_load.h"

#include "support.h"

static void *work(void *user)
{
    __typeof__(((store_load *)0)->workers[0]) *w = user;
    store_load *load = w->load;
    for (int i = w->number; !atomic_load(&load->over); i++) {
        llmcache_error err;
        const llmcache_entry *e = load->entries[i % load->count];
        int64_t start_ms = test_own_ms();
        int rc = i % 4 == 0 ? put_entry_in(load->store, e, load->deadline_ms, &err)
                            : get_entry_from(load->store, i % 2 ? LLMCACHE_PART_PROMPT : LLMCACHE_PART_EMBED, e,
                                             load->deadline_ms, &err);
        w->counts.late += test_own_ms() - start_ms > load->deadline_ms + load->slack_ms;
        w->counts.wrong += rc == WRONG_ANSWER;
        w->counts.missing += rc == LLMCACHE_NOT_FOUND;
        w->counts.failed += rc < 0 && rc != LLMCACHE_NOT_FOUND;
        w->counts.done += rc == 0;
        atomic_fetch_add(&load->done, rc == 0);
        test_nap();
    }
    return NULL;
}

void store_load_start(store_load *load)
{
    atomic_store(&load->over, 0);
    atomic_store(&load->done, 0);
    for (int i = 0; i < STORE_LOAD_THREADS; i++) {
        load->workers[i].load = load;
        load->workers[i].number = i * 7;
        load->workers[i].counts = (store_load_counts){0};
        if (pthread_create(&load->workers[i].thread, NULL, work, &load->workers[i]))
            test_give_up("no thread");
    }
}

int store_load_done(store_load *load)
{
    return atomic_load(&load->done);
}

store_load_counts store_load_end(store_load *load)
{
    store_load_counts sum = {0};
    atomic_store(&load->over, 1);
    for (int i = 0; i < STORE_LOAD_THREADS; i++) {
        const store_load_counts *one = &load->workers[i].counts;
        pthread_join(load->workers[i].thread, NULL);
        if (!one->done)
            test_give_up("a thread of the load did nothing");
        sum.wrong += one->wrong;
        sum.late += one->late;
        sum.failed += one->failed;
        sum.missing += one->missing;
        sum.done += one->done;
    }
    return sum;
}

/*
 * A pool that grows: a job goes to an idle thread if there is one, else to a new one. Idle threads wait
 * some seconds for the next job, then end. All state is under one lock, held for list work only.
 */
#include "ask/workers.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define IDLE_MS 20000

typedef struct job {
    struct job *next;
    lc_job_fn fn;
    void *argument;
} job;

struct lc_workers {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t work;  /* a job came, or closing */
    pthread_cond_t ended; /* a thread ended */
    job *first, **last;
    size_t queued, idle, threads, max_threads;
    int closing;
};

int lc_workers_new(size_t max_threads, lc_workers **out, llmcache_error *err)
{
    lc_workers *workers = lc_zalloc(sizeof *workers);
    if (!workers)
        return lc_fail_memory(err);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->work, &monotonic);
    pthread_cond_init(&workers->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    workers->last = &workers->first;
    workers->max_threads = max_threads;
    *out = workers;
    return 0;
}

/* The next job; NULL when this thread should end. Called and left with the lock held. */
static job *wait_for_job(lc_workers *workers)
{
    struct timespec until = lc_mono_after(IDLE_MS);
    int waited = 0;
    while (!workers->first && !workers->closing && waited != ETIMEDOUT) {
        workers->idle++;
        waited = pthread_cond_timedwait(&workers->work, &workers->lock, &until);
        workers->idle--;
    }
    job *next = workers->first;
    if (next) {
        workers->first = next->next;
        workers->queued--;
        if (!workers->first)
            workers->last = &workers->first;
    }
    return next;
}

static void *run(void *argument)
{
    lc_workers *workers = argument;
    pthread_mutex_lock(&workers->lock);
    for (job *next; (next = wait_for_job(workers));) {
        pthread_mutex_unlock(&workers->lock);
        next->fn(next->argument);
        lc_free(next);
        pthread_mutex_lock(&workers->lock);
    }
    workers->threads--;
    pthread_cond_broadcast(&workers->ended);
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* Called with the lock held. */
static int start_thread(lc_workers *workers)
{
    pthread_t thread;
    pthread_attr_t attributes;
    if (workers->threads >= workers->max_threads)
        return LLMCACHE_BUSY;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 * 1024);
    int failed = pthread_create(&thread, &attributes, run, workers);
    pthread_attr_destroy(&attributes);
    if (failed)
        return LLMCACHE_BUSY;
    workers->threads++;
    return 0;
}

int lc_workers_run(lc_workers *workers, lc_job_fn fn, void *argument, llmcache_error *err)
{
    job *next = lc_alloc(sizeof *next);
    if (!next)
        return lc_fail_memory(err);
    *next = (job){.fn = fn, .argument = argument};
    int code = 0;
    pthread_mutex_lock(&workers->lock);
    if (workers->idle <= workers->queued)
        code = start_thread(workers);
    if (!code) {
        *workers->last = next;
        workers->last = &next->next;
        workers->queued++;
        pthread_cond_signal(&workers->work);
    }
    pthread_mutex_unlock(&workers->lock);
    if (code) {
        lc_free(next);
        return lc_fail(err, code, "%zu calls to the model are under way; no more threads",
                       workers->max_threads);
    }
    return 0;
}

void lc_workers_free(lc_workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->closing = 1;
    pthread_cond_broadcast(&workers->work);
    while (workers->threads > 0)
        pthread_cond_wait(&workers->ended, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
    pthread_cond_destroy(&workers->work);
    pthread_cond_destroy(&workers->ended);
    pthread_mutex_destroy(&workers->lock);
    lc_free(workers);
}

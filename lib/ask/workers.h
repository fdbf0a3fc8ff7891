/*
 * Worker threads for calls to the model: as many as there are jobs, kept a while when idle. A call
 * has a thread of its own because it must go on when the client that started it leaves, and because
 * no slow client may hold up the others who wait for the same answer.
 */
#ifndef LC_ASK_WORKERS_H
#define LC_ASK_WORKERS_H

#include <llmcache/llmcache.h>

typedef struct lc_workers lc_workers;
typedef void (*lc_job_fn)(void *argument);

int lc_workers_new(size_t max_threads, lc_workers **workers, llmcache_error *err);

/* Runs fn(argument) on some thread soon. LLMCACHE_BUSY when max_threads jobs are running. */
int lc_workers_run(lc_workers *workers, lc_job_fn fn, void *argument, llmcache_error *err);

/* Waits for all jobs, then ends the threads. Accepts NULL. */
void lc_workers_free(lc_workers *workers);

#endif

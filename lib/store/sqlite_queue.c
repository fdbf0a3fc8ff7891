/*
 * The writer's queue: jobs, and waiting for their outcome with a deadline. A caller whose deadline comes takes
 * a job that has not been begun out again; one that has been begun it leaves behind, and the writer frees it.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/sqlite_store.h"

#include <errno.h>

#define GRACE_MS    1000 /* for what nobody waits for */
#define QUEUE_BYTES ((size_t)64 << 20)
#define BATCH_JOBS  512
#define BATCH_BYTES ((size_t)16 << 20)

/* ---- Jobs -------------------------------------------------------------------------------------- */

lc_sqlite_job *lc_sqlite_job_new(enum lc_sqlite_work work, int parts, llmcache_error *err)
{
    lc_sqlite_job *job = lc_zalloc(sizeof *job);
    if (!job) {
        lc_fail_memory(err);
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&job->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    job->work = work;
    job->parts = parts;
    job->bytes = sizeof *job;
    return job;
}

void lc_sqlite_job_free(lc_sqlite_job *job)
{
    if (!job)
        return;
    pthread_cond_destroy(&job->done);
    lc_entry_unref(job->entry);
    lc_free(job->keys);
    lc_free(job);
}

/* All with the lock held. */
static int enqueue(lc_sqlite *self, lc_sqlite_job *job, llmcache_error *err)
{
    if (!self->ready)
        return lc_sqlite_not_ready(self, err);
    if (self->queued_bytes && self->queued_bytes + job->bytes > QUEUE_BYTES)
        return lc_fail(err, LLMCACHE_BUSY, "sqlite: too much is waiting to be written");
    *self->last = job;
    self->last = &job->next;
    self->queued_bytes += job->bytes;
    pthread_cond_signal(&self->work);
    return 0;
}

/* Takes a job out that has not been begun; 0 when it has. */
static int withdraw(lc_sqlite *self, lc_sqlite_job *job)
{
    for (lc_sqlite_job **link = &self->first; *link; link = &(*link)->next) {
        if (*link != job)
            continue;
        *link = job->next;
        if (self->last == &job->next)
            self->last = link;
        self->queued_bytes -= job->bytes;
        return 1;
    }
    return 0;
}

int lc_sqlite_submit(lc_sqlite *self, lc_sqlite_job *job, int64_t deadline_ms, uint64_t *removed,
                     llmcache_error *err)
{
    struct timespec until = lc_mono_after(deadline_ms);
    job->until_ms = lc_mono_ms() + deadline_ms;
    pthread_mutex_lock(&self->lock);
    int code = enqueue(self, job, err), waited = 0;
    while (!code && !job->finished && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&job->done, &self->lock, &until);
    int leave = !code && !job->finished && !withdraw(self, job);
    int timeout = !code && !job->finished;
    job->abandoned = leave;
    pthread_mutex_unlock(&self->lock);
    if (timeout)
        code = lc_fail(err, LLMCACHE_TIMEOUT, "sqlite: writing %s took too long", self->path);
    if (leave)
        return code;
    if (!code && job->err.code) {
        if (err)
            *err = job->err;
        code = job->err.code;
    }
    if (!code && removed)
        *removed = job->work == LC_WORK_LEASE ? (uint64_t)job->others_ms : job->removed;
    lc_sqlite_job_free(job);
    return code;
}

void lc_sqlite_post(lc_sqlite *self, lc_sqlite_job *job)
{
    job->abandoned = 1;
    job->until_ms = lc_mono_ms() + GRACE_MS;
    pthread_mutex_lock(&self->lock);
    int code = enqueue(self, job, NULL);
    pthread_mutex_unlock(&self->lock);
    if (code)
        lc_sqlite_job_free(job);
}

/* ---- The writer's side ------------------------------------------------------------------------- */

lc_sqlite_batch lc_sqlite_take_batch(lc_sqlite *self)
{
    lc_sqlite_batch b = {.first = self->first};
    size_t bytes = 0, count = 0;
    lc_sqlite_job **link = &self->first;
    while (*link && count < BATCH_JOBS && (!count || bytes + (*link)->bytes <= BATCH_BYTES)) {
        bytes += (*link)->bytes;
        count++;
        if (b.until_ms < (*link)->until_ms)
            b.until_ms = (*link)->until_ms;
        link = &(*link)->next;
    }
    self->first = *link;
    *link = NULL;
    if (!self->first)
        self->last = &self->first;
    self->queued_bytes -= bytes;
    return b;
}

void lc_sqlite_complete(lc_sqlite *self, lc_sqlite_job *job, int rc)
{
    while (job) {
        lc_sqlite_job *next = job->next;
        if (rc != SQLITE_OK)
            lc_sqlite_fail(rc, "writing", self->path, &job->err);
        if (job->abandoned) {
            lc_sqlite_job_free(job);
        } else {
            job->finished = 1;
            pthread_cond_signal(&job->done);
        }
        job = next;
    }
}

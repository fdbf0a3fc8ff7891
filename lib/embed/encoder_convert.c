/*
 * Converting a model's matrices for the kernels: the slow part of loading, shared out to
 * a few threads by tensor. What is written does not depend on who wrote it.
 */
#include "base/error.h"
#include "base/memory.h"
#include "embed/encoder_inside.h"
#include "embed/gguf_pages.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define MAX_THREADS 16

/* What the threads share. */
typedef struct conversion {
    const lc_gguf *gguf;
    const lc_weight_job *jobs;
    size_t job_count, widest;
    atomic_size_t next_job;
    _Atomic(const lc_gguf_tensor *)
        not_finite; /* a tensor in which such numbers were found */
    atomic_int out_of_memory;
} conversion;

/* `row` and `bias` have room for the widest tensor. Returns the tensor that holds what is
 * not finite, NULL if none does. */
static const lc_gguf_tensor *convert_tensor(const lc_gguf *gguf, const lc_weight_job *job,
                                            float *row, float *bias)
{
    const lc_gguf_tensor *weight = job->weight;
    size_t inputs = weight->dims[0], outputs = weight->dims[1];
    size_t bytes = lc_tensor_row_bytes(weight->type, inputs);
    lc_tensor_to_float(job->bias->type, job->bias->data, outputs, bias);
    for (size_t i = 0; i < outputs; i++) {
        lc_tensor_to_float(weight->type, (const char *)weight->data + i * bytes, inputs,
                           row);
        if (job->factor != 1)
            for (size_t k = 0; k < inputs; k++)
                row[k] *= job->factor;
        if (lc_matrix_set_row(job->matrix, job->first_output + i, row,
                              bias[i] * job->factor))
            return isfinite(bias[i]) ? weight : job->bias;
    }
    lc_gguf_let_go(gguf, weight);
    return NULL;
}

static void *convert_some(void *user)
{
    conversion *shared = user;
    float *rows = lc_alloc_array(2 * shared->widest, sizeof *rows);
    if (!rows) {
        atomic_store(&shared->out_of_memory, 1);
        return NULL;
    }
    size_t number;
    while ((number = atomic_fetch_add(&shared->next_job, 1)) < shared->job_count) {
        const lc_weight_job *job = &shared->jobs[number];
        const lc_gguf_tensor *bad =
            convert_tensor(shared->gguf, job, rows, rows + shared->widest);
        if (bad)
            atomic_store(&shared->not_finite, bad);
    }
    lc_free(rows);
    return NULL;
}

int lc_convert_weights(const lc_gguf *gguf, const lc_weight_job *jobs, size_t job_count,
                       unsigned threads, llmcache_error *err)
{
    conversion shared = {.gguf = gguf, .jobs = jobs, .job_count = job_count};
    pthread_t others[MAX_THREADS];
    unsigned started = 0;
    for (size_t i = 0; i < job_count; i++)
        for (size_t k = 0; k < 2; k++)
            if (jobs[i].weight->dims[k] > shared.widest)
                shared.widest = jobs[i].weight->dims[k];
    if (threads == 0)
        threads = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
    while (started + 1 < threads && started < MAX_THREADS &&
           pthread_create(&others[started], NULL, convert_some, &shared) == 0)
        started++;
    convert_some(&shared);
    for (unsigned i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    const lc_gguf_tensor *bad = atomic_load(&shared.not_finite);
    if (bad)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "model tensor %s holds what is not a number", bad->name);
    return atomic_load(&shared.out_of_memory) ? lc_fail_memory(err) : 0;
}

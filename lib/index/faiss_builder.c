/*
 * The builder: one thread of low priority that makes a graph for each partition that became large, renews those
 * with many records gone, and drops those of partitions that became small.
 *
 * How no record is missed: first the graph is put into the table, trained and empty; from then on whoever adds
 * a record adds it to the graph, too. Then all rows are read, from the last to the first (flat_index.h). So a
 * record comes by at least one of the ways; if by both, its second label does no harm.
 */
#include "index/faiss_inside.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE  10
#define SLICE 16u /* vectors added at once: who adds a record waits for so many at most */

typedef struct slice {
    float *vectors;
    unsigned char fingerprints[SLICE * LLMCACHE_FINGERPRINT_SIZE];
} slice;

/* ---- One graph ----------------------------------------------------------------------------------------- */

/* Rows at even distances, for training. */
static size_t sample(lc_faiss_index *index, const lc_graph *graph, size_t records, size_t wanted, float *vectors)
{
    unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE];
    size_t count = 0;
    for (size_t i = 0; i < wanted && !atomic_load(&index->stop); i++)
        count += lc_flat_read(index->flat, graph->digest, records * (i + 1) / wanted, 1, graph->dimension,
                              fingerprint, vectors + count * graph->dimension);
    return count;
}

/* LLMCACHE_NOT_FOUND: too few records to train on; graph->not_before says how many are enough. */
static int train(lc_faiss_index *index, lc_graph *graph, size_t records, llmcache_error *err)
{
    size_t useful, least = lc_faiss_training(graph->faiss, &useful);
    if (!least)
        return 0;
    graph->not_before = least;
    if (records < least)
        return LLMCACHE_NOT_FOUND;
    size_t wanted = records < useful ? records : useful;
    float *vectors = lc_alloc_array(wanted, graph->dimension * sizeof *vectors);
    if (!vectors)
        return lc_fail_memory(err);
    size_t count = sample(index, graph, records, wanted, vectors);
    int code = count < least ? LLMCACHE_NOT_FOUND : lc_faiss_train(graph->faiss, vectors, count, err);
    lc_free(vectors);
    return code;
}

static void publish(lc_faiss_index *index, lc_graph *graph)
{
    pthread_rwlock_wrlock(&index->table);
    graph->next = index->graphs;
    index->graphs = graph;
    pthread_rwlock_unlock(&index->table);
}

static int fill(lc_faiss_index *index, lc_graph *graph, slice *some)
{
    size_t dimension, end = lc_flat_count(index->flat, graph->digest, &dimension);
    while (end && !atomic_load(&index->stop) && !atomic_load(&graph->dropped)) {
        size_t from = end > SLICE ? end - SLICE : 0;
        size_t count = lc_flat_read(index->flat, graph->digest, end, SLICE, graph->dimension,
                                    some->fingerprints, some->vectors);
        if (count)
            lc_graph_append(graph, some->fingerprints, some->vectors, count);
        end = from;
    }
    return end == 0;
}

/* Under the table's write lock: drops others of the same partition, or only what stands for none. */
static void drop_others(lc_faiss_index *index, const lc_graph *graph, int graphs_too)
{
    for (lc_graph **link = &index->graphs; *link;) {
        lc_graph *at = *link;
        if (at != graph && (graphs_too || !at->faiss) && memcmp(at->digest, graph->digest, sizeof at->digest) == 0) {
            *link = at->next;
            lc_graph_free(at);
        } else {
            link = &at->next;
        }
    }
}

static void withdraw(lc_faiss_index *index, const lc_graph *graph)
{
    lc_graph **link = &index->graphs;
    while (*link && *link != graph)
        link = &(*link)->next;
    if (*link)
        *link = graph->next;
}

/* The new graph takes the place of others; or, if it came to nothing, leaves the table. 1 if it is complete. */
static int finish(lc_faiss_index *index, lc_graph *graph, int filled)
{
    pthread_rwlock_wrlock(&index->table);
    int good = filled && !graph->broken && !atomic_load(&graph->dropped);
    if (good) {
        atomic_store_explicit(&graph->complete, 1, memory_order_release);
        drop_others(index, graph, 1);
    } else {
        withdraw(index, graph);
    }
    pthread_rwlock_unlock(&index->table);
    return good;
}

/* In place of a graph that could not be: when to try again. */
static void give_up(lc_faiss_index *index, lc_graph *graph, size_t records)
{
    lc_faiss_free(graph->faiss);
    graph->faiss = NULL;
    if (graph->not_before <= records)
        graph->not_before = 2 * records;
    publish(index, graph);
    pthread_rwlock_wrlock(&index->table);
    drop_others(index, graph, 0);
    pthread_rwlock_unlock(&index->table);
}

static void make_graph(lc_faiss_index *index, const unsigned char *digest, size_t records)
{
    llmcache_error err;
    size_t dimension;
    slice some = {0};
    lc_flat_count(index->flat, digest, &dimension);
    lc_graph *graph = dimension ? lc_graph_new(digest, dimension) : NULL;
    if (graph)
        some.vectors = lc_alloc_array(SLICE, dimension * sizeof *some.vectors);
    if (!some.vectors) {
        lc_graph_free(graph);
        return;
    }
    int code = lc_faiss_new(index->factory, index->search, dimension, &graph->faiss, &err);
    if (!code)
        code = train(index, graph, records, &err);
    if (!code) {
        publish(index, graph);
        if (finish(index, graph, fill(index, graph, &some)))
            graph = NULL;
    }
    if (graph && !atomic_load(&graph->dropped))
        give_up(index, graph, records);
    else
        lc_graph_free(graph);
    lc_free(some.vectors);
}

/* ---- All of them --------------------------------------------------------------------------------------- */

/* More than a quarter of the labels lead nowhere. */
static int is_worn(lc_graph *graph, size_t records)
{
    pthread_rwlock_rdlock(&graph->lock);
    int worn = graph->broken || graph->count - graph->count / 4 > records;
    pthread_rwlock_unlock(&graph->lock);
    return worn;
}

static int tend(void *user, const unsigned char *digest, size_t records)
{
    lc_faiss_index *index = user;
    pthread_rwlock_rdlock(&index->table); /* `clear` may take out what is found at any other time */
    lc_graph *old = lc_graph_find(index, digest, 0);
    int wants = !old || (old->faiss ? is_worn(old, records) : records >= old->not_before);
    pthread_rwlock_unlock(&index->table);
    if (wants)
        make_graph(index, digest, records);
    return atomic_load(&index->stop);
}

/* Graphs of partitions that have become small, or have gone. */
static void drop_small(lc_faiss_index *index)
{
    pthread_rwlock_wrlock(&index->table);
    uint64_t bytes = 0;
    for (lc_graph **link = &index->graphs; *link;) {
        lc_graph *graph = *link;
        size_t dimension;
        if (lc_flat_count(index->flat, graph->digest, &dimension) < index->from / 2) {
            *link = graph->next;
            lc_graph_free(graph);
            continue;
        }
        if (graph->faiss)
            bytes += lc_faiss_bytes(graph->faiss) + lc_alloc_cost(graph->fingerprints);
        link = &graph->next;
    }
    atomic_store(&index->graph_bytes, bytes);
    pthread_rwlock_unlock(&index->table);
}

void *lc_faiss_build(void *user)
{
    lc_faiss_index *index = user;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    pthread_mutex_lock(&index->wait);
    while (!index->closing) {
        if (!index->asked) {
            atomic_store(&index->unsettled, 0);
            pthread_cond_wait(&index->wake, &index->wait);
            continue;
        }
        index->asked = 0;
        pthread_mutex_unlock(&index->wait);
        lc_flat_each_large(index->flat, index->from, tend, index);
        drop_small(index);
        pthread_mutex_lock(&index->wait);
    }
    pthread_mutex_unlock(&index->wait);
    return NULL;
}

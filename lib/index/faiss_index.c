/* The operations of the FAISS index: see faiss_inside.h. */
#include "index/faiss_index.h"

#include "base/error.h"
#include "base/memory.h"
#include "index/faiss_inside.h"

#include <stdlib.h>
#include <string.h>

#define FROM_DEFAULT 50000u /* below, the flat index is faster or as fast: docs/index.md */
#define FROM_LEAST   32u
#define MORE         4u /* candidates for each that is wanted: some have gone, and FAISS may be coarse */
#define CANDIDATES   256u

/* ---- Graphs ------------------------------------------------------------------------------------------ */

lc_graph *lc_graph_new(const unsigned char *digest, size_t dimension)
{
    lc_graph *graph = lc_zalloc(sizeof *graph);
    if (!graph)
        return NULL;
    memcpy(graph->digest, digest, sizeof graph->digest);
    graph->dimension = dimension;
    pthread_rwlock_init(&graph->lock, NULL);
    return graph;
}

void lc_graph_free(lc_graph *graph)
{
    if (!graph)
        return;
    pthread_rwlock_destroy(&graph->lock);
    lc_faiss_free(graph->faiss);
    lc_free(graph->fingerprints);
    lc_free(graph);
}

static int reserve(lc_graph *graph, size_t more)
{
    if (graph->count + more <= graph->room)
        return 0;
    size_t room = graph->room ? 2 * graph->room : 1024;
    while (room < graph->count + more)
        room *= 2;
    unsigned char *fingerprints = lc_realloc_array(graph->fingerprints, room, LLMCACHE_FINGERPRINT_SIZE);
    if (!fingerprints)
        return LLMCACHE_MEMORY;
    graph->fingerprints = fingerprints;
    graph->room = room;
    return 0;
}

size_t lc_graph_append(lc_graph *graph, const unsigned char *fingerprints, const float *vectors, size_t count)
{
    llmcache_error err;
    pthread_rwlock_wrlock(&graph->lock);
    if (!graph->broken && reserve(graph, count) == 0 && lc_faiss_add(graph->faiss, vectors, count, &err) == 0) {
        memcpy(graph->fingerprints + graph->count * LLMCACHE_FINGERPRINT_SIZE, fingerprints,
               count * LLMCACHE_FINGERPRINT_SIZE);
        graph->count += count;
    } else {
        graph->broken = 1;
    }
    size_t labels = graph->broken ? 0 : graph->count;
    pthread_rwlock_unlock(&graph->lock);
    return labels;
}

lc_graph *lc_graph_find(const lc_faiss_index *index, const unsigned char *digest, int complete)
{
    lc_graph *at = index->graphs;
    while (at && (memcmp(at->digest, digest, sizeof at->digest) != 0 ||
                  (complete && !atomic_load_explicit(&at->complete, memory_order_acquire))))
        at = at->next;
    return at;
}

void lc_faiss_ask(lc_faiss_index *index)
{
    pthread_mutex_lock(&index->wait);
    index->asked = 1;
    atomic_store(&index->unsettled, 1);
    pthread_cond_signal(&index->wake);
    pthread_mutex_unlock(&index->wait);
}

/* ---- Changes ----------------------------------------------------------------------------------------- */

/* Under the table's lock: into every graph of the partition, the one being made too. Does it want another? */
static int append_to_graphs(lc_faiss_index *index, const lc_record *record, size_t records)
{
    int has = 0, wants = 0;
    for (lc_graph *at = index->graphs; at; at = at->next) {
        if (memcmp(at->digest, record->partition, sizeof at->digest) != 0)
            continue;
        has = 1;
        if (!at->faiss) {
            wants |= records >= at->not_before;
        } else if (at->dimension == record->dimension) {
            size_t labels = lc_graph_append(at, record->fingerprint, record->vector, 1);
            wants |= !labels || labels - labels / 4 > records + index->from;
        }
    }
    return wants || !has;
}

static int add(void *self, const lc_record *record, int64_t deadline_ms, llmcache_error *err)
{
    lc_faiss_index *index = self;
    size_t dimension;
    int code = lc_flat_ops.add(index->flat, record, deadline_ms, err);
    if (code)
        return code;
    size_t records = lc_flat_count(index->flat, record->partition, &dimension);
    pthread_rwlock_rdlock(&index->table);
    int wants = append_to_graphs(index, record, records) && records >= index->from;
    pthread_rwlock_unlock(&index->table);
    if (wants && !atomic_load(&index->unsettled))
        lc_faiss_ask(index);
    return 0;
}

static int remove_id(void *self, const char *space, const char *id, int64_t deadline_ms, int *removed,
                     llmcache_error *err)
{
    lc_faiss_index *index = self;
    return lc_flat_ops.remove(index->flat, space, id, deadline_ms, removed, err);
}

static void drop_graphs(lc_faiss_index *index)
{
    pthread_rwlock_wrlock(&index->table);
    lc_graph *graph = index->graphs;
    index->graphs = NULL;
    for (lc_graph *next; graph; graph = next) {
        next = graph->next;
        if (graph->faiss && !atomic_load(&graph->complete))
            atomic_store(&graph->dropped, 1);
        else
            lc_graph_free(graph);
    }
    atomic_store(&index->graph_bytes, 0);
    pthread_rwlock_unlock(&index->table);
}

static int clear(void *self, int64_t deadline_ms, llmcache_error *err)
{
    lc_faiss_index *index = self;
    int code = lc_flat_ops.clear(index->flat, deadline_ms, err);
    drop_graphs(index);
    return code;
}

static uint64_t sweep(void *self, int64_t now_ms)
{
    lc_faiss_index *index = self;
    uint64_t gone = lc_flat_ops.sweep(index->flat, now_ms);
    lc_faiss_ask(index);
    return gone;
}

/* ---- Search ------------------------------------------------------------------------------------------ */

/* Fingerprints of what FAISS finds; how many, 0 also when there is no graph. */
static size_t find_candidates(lc_faiss_index *index, const lc_query *query, size_t k, unsigned char *out)
{
    float similarities[CANDIDATES];
    int64_t labels[CANDIDATES];
    llmcache_error err;
    size_t found = 0, most = MORE * k + 16;
    pthread_rwlock_rdlock(&index->table);
    lc_graph *graph = lc_graph_find(index, query->partition, 1);
    if (graph && graph->dimension == query->dimension) {
        pthread_rwlock_rdlock(&graph->lock);
        if (graph->broken || lc_faiss_search(graph->faiss, query->vector, most < CANDIDATES ? most : CANDIDATES,
                                             similarities, labels, &found, &err))
            found = 0;
        for (size_t i = 0; i < found; i++)
            memcpy(out + i * LLMCACHE_FINGERPRINT_SIZE,
                   graph->fingerprints + (size_t)labels[i] * LLMCACHE_FINGERPRINT_SIZE,
                   LLMCACHE_FINGERPRINT_SIZE);
        pthread_rwlock_unlock(&graph->lock);
    }
    pthread_rwlock_unlock(&index->table);
    return found;
}

static int search(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                  llmcache_error *err)
{
    lc_faiss_index *index = self;
    unsigned char fingerprints[CANDIDATES * LLMCACHE_FINGERPRINT_SIZE];
    size_t dimension, judged = 0;
    size_t found = k ? find_candidates(index, query, k, fingerprints) : 0;
    if (found) {
        int code = lc_flat_judge(index->flat, query, fingerprints, found, out, k, &judged, err);
        if (code)
            return code;
    }
    /* Too few of the candidates are alive: all are looked at. */
    if (!found || (judged < k && judged < lc_flat_count(index->flat, query->partition, &dimension)))
        return lc_flat_ops.search(index->flat, query, out, k, count, err);
    *count = judged;
    return 0;
}

static void stats(void *self, lc_index_stats *out)
{
    lc_faiss_index *index = self;
    lc_flat_ops.stats(index->flat, out);
    out->bytes += atomic_load(&index->graph_bytes);
    out->unsettled = (uint64_t)atomic_load(&index->unsettled);
}

/* ---- Opening and closing ----------------------------------------------------------------------------- */

static void free_index(lc_faiss_index *index)
{
    drop_graphs(index);
    pthread_cond_destroy(&index->wake);
    pthread_mutex_destroy(&index->wait);
    pthread_rwlock_destroy(&index->table);
    lc_flat_free(index->flat);
    lc_free(index->factory);
    lc_free(index->search);
    lc_free(index);
}

static void close_index(void *self)
{
    lc_faiss_index *index = self;
    pthread_mutex_lock(&index->wait);
    index->closing = 1;
    atomic_store(&index->stop, 1);
    pthread_cond_signal(&index->wake);
    pthread_mutex_unlock(&index->wait);
    pthread_join(index->builder, NULL);
    free_index(index);
}

/* "from=N" and "search=...", joined by &, in either order; what search sets has no & in it. */
static int read_options(lc_faiss_index *index, const char *text, llmcache_error *err)
{
    while (*text) {
        size_t length = strcspn(text, "&");
        char *end;
        if (strncmp(text, "from=", 5) == 0) {
            unsigned long long from = strtoull(text + 5, &end, 10);
            if (end != text + length || from < FROM_LEAST || from > UINT32_MAX)
                return lc_fail(err, LLMCACHE_SETTING, "setting index: from=N wants a number from %u on",
                               FROM_LEAST);
            index->from = (size_t)from;
        } else if (strncmp(text, "search=", 7) == 0) {
            lc_free(index->search);
            index->search = lc_strndup(text + 7, length - 7);
            if (!index->search)
                return lc_fail_memory(err);
        } else {
            return lc_fail(err, LLMCACHE_SETTING, "setting index: \"%.60s\" is neither from=N nor search=...", text);
        }
        text += length + (text[length] == '&');
    }
    return 0;
}

static int read_setting(lc_faiss_index *index, const char *rest, llmcache_error *err)
{
    size_t length = strcspn(rest, "?");
    lc_faiss *tried;
    index->factory = lc_strndup(rest, length);
    index->search = lc_strdup("");
    if (!index->factory || !index->search)
        return lc_fail_memory(err);
    int code = read_options(index, rest + length + (rest[length] == '?'), err);
    if (!code && !length)
        code = lc_fail(err, LLMCACHE_SETTING, "setting index: faiss: wants a factory string, as in faiss:HNSW32");
    if (!code) /* dimensions are not known yet; this one has many divisors, which product quantisers want */
        code = lc_faiss_new(index->factory, index->search, 768, &tried, err);
    if (!code)
        lc_faiss_free(tried);
    return code;
}

int lc_faiss_open(const char *rest, const lc_index_options *options, lc_index *out, llmcache_error *err)
{
    static const lc_index_ops ops = {.name = "faiss", .add = add, .remove = remove_id, .clear = clear,
                                     .sweep = sweep, .search = search, .stats = stats, .close = close_index};
    lc_faiss_index *index = lc_zalloc(sizeof *index);
    if (!index)
        return lc_fail_memory(err);
    index->from = FROM_DEFAULT;
    pthread_rwlock_init(&index->table, NULL);
    pthread_mutex_init(&index->wait, NULL);
    pthread_cond_init(&index->wake, NULL);
    int code = read_setting(index, rest, err);
    if (!code)
        code = lc_flat_new(&index->flat, err);
    if (!code && pthread_create(&index->builder, NULL, lc_faiss_build, index))
        code = lc_fail(err, LLMCACHE_BUSY, "index: no thread for FAISS could be started");
    if (code) {
        free_index(index);
        return code;
    }
    *out = (lc_index){ops, index};
    return 0;
}

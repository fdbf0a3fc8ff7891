/*
 * The inside of the FAISS index: faiss_index.c has the operations and the state, faiss_builder.c the thread that
 * makes and renews what partitions are searched with.
 *
 * A graph is one FAISS index over the records of one partition, with a table from its labels to fingerprints.
 * It only grows. A record that was removed or replaced leaves its label behind; when those are a quarter, a
 * new graph is made. Until a graph is complete, its partition is searched flat.
 *
 * Lock order: table, then one graph's, then what is inside the flat index. `wait` by itself.
 */
#ifndef LC_INDEX_FAISS_INSIDE_H
#define LC_INDEX_FAISS_INSIDE_H

#include "index/faiss_shim.h"
#include "index/flat_index.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct lc_graph {
    struct lc_graph *next;
    unsigned char digest[LLMCACHE_FINGERPRINT_SIZE];
    size_t dimension;
    size_t not_before; /* of a partition that could not have one: tried again from that many records */
    lc_faiss *faiss;   /* NULL: none yet */
    pthread_rwlock_t lock; /* guards `faiss` and all below, but `complete`; searches read */
    unsigned char *fingerprints; /* by label */
    size_t count, room;
    int broken;
    atomic_int complete; /* may be searched; it is not the builder's any more */
    atomic_int dropped;  /* by `clear`, while the builder has it: the builder frees it */
} lc_graph;

typedef struct lc_faiss_index {
    lc_flat *flat;
    char *factory, *search;
    size_t from;            /* records from which a partition has a graph */
    pthread_rwlock_t table; /* guards the list, and that what is in it lives */
    lc_graph *graphs;
    atomic_uint_least64_t graph_bytes; /* as the builder last saw them: after a build, and at each sweep */
    pthread_t builder;
    pthread_mutex_t wait; /* guards `asked` and `closing` with their condition */
    pthread_cond_t wake;
    int asked, closing;
    atomic_int stop;      /* closing, for those who do not hold `wait` */
    atomic_int unsettled; /* asked for, or under way */
} lc_faiss_index;

lc_graph *lc_graph_new(const unsigned char *digest, size_t dimension);
void lc_graph_free(lc_graph *graph);
/* Appends, taking the graph's lock. How many labels there are then; 0: the graph is broken, to be made anew. */
size_t lc_graph_append(lc_graph *graph, const unsigned char *fingerprints, const float *vectors, size_t count);
/* The complete graph, or any; under the table's lock. NULL: none. */
lc_graph *lc_graph_find(const lc_faiss_index *index, const unsigned char *digest, int complete);

/* Asks the builder to look what there is to do. */
void lc_faiss_ask(lc_faiss_index *index);
void *lc_faiss_build(void *index); /* the builder's thread */

#endif

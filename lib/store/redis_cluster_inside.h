/* The cluster's inside, shared by redis_cluster.c, redis_cluster_walk.c, redis_nodes.c and redis_topology.c. */
#ifndef LC_STORE_REDIS_CLUSTER_INSIDE_H
#define LC_STORE_REDIS_CLUSTER_INSIDE_H

#include "store/redis_cluster.h"

#include <pthread.h>

typedef struct lc_redis_node {
    lc_redis_address address;
    lc_redis_uri uri;
    lc_redis_pool *pool;
    size_t users;     /* exchanges and visits that hold it */
    int owning;       /* serves slots, as last heard */
    int64_t asked_ms; /* when a command was last sent here by ASK, 0: never */
} lc_redis_node;

struct lc_redis_cluster {
    const lc_redis_seeds *seeds;
    int64_t probe_ms;
    int pipe[2]; /* [0] readable once closing */
    pthread_t keeper;
    int has_keeper;

    /* The keeper's own: where it asks, over what, and how new its knowledge is. */
    lc_redis_conn *conn;
    lc_redis_uri conn_uri;
    lc_redis_address conn_address;
    lc_redis_address *places;
    size_t place_count;
    uint64_t epoch;

    pthread_mutex_t lock; /* guards all below; never held over I/O */
    pthread_cond_t wake;  /* the keeper: wanted or closing */
    pthread_cond_t asked; /* a pass of the keeper has ended */
    lc_redis_node *nodes[LC_REDIS_MAX_NODES];
    size_t count;
    lc_redis_node *owner[LC_REDIS_SLOTS];
    lc_redis_replica_address *replicas;
    size_t replica_count;
    uint64_t passes;
    int known, wanted, asking, closing;
    char reason[LLMCACHE_MESSAGE_SIZE]; /* of the last pass that came to nothing */
    void (*changed)(void *user);
    void *changed_user;
};

/* ---- redis_nodes.c ------------------------------------------------------------------------------ */

/* The node at an address, made if need be, and held: answer with lc_redis_nodes_release. */
int lc_redis_nodes_get(lc_redis_cluster *cluster, const lc_redis_address *address,
                       lc_redis_node **node, llmcache_error *err);
/* The one that serves a slot (-1: any), held; NULL when nobody does. */
lc_redis_node *lc_redis_nodes_of(lc_redis_cluster *cluster, int slot);
void lc_redis_nodes_release(lc_redis_cluster *cluster, lc_redis_node *node);

/* The slot is there from now on. */
void lc_redis_nodes_assign(lc_redis_cluster *cluster, int slot, lc_redis_node *node);
/* A command was sent there by ASK. */
void lc_redis_nodes_note_ask(lc_redis_cluster *cluster, lc_redis_node *node, int64_t mono_ms);

/* Takes over who serves what; nobody changes anything when it fails. */
int lc_redis_nodes_adopt(lc_redis_cluster *cluster, const lc_redis_map *map, llmcache_error *err);
/* Gives up nodes that nobody needs any more. */
void lc_redis_nodes_sweep(lc_redis_cluster *cluster, int64_t mono_ms);
/* All that serve slots, held, at most LC_REDIS_MAX_NODES; *whole: each slot has one. */
size_t lc_redis_nodes_hold(lc_redis_cluster *cluster, lc_redis_node **nodes, int *whole);
/* Runs fn for each of them, until one fails; it fails, too, when some slots are served by none. */
typedef int (*lc_redis_node_fn)(void *user, lc_redis_node *node, llmcache_error *err);
int lc_redis_nodes_each(lc_redis_cluster *cluster, lc_redis_node_fn fn, void *user, llmcache_error *err);
void lc_redis_nodes_free_all(lc_redis_cluster *cluster);

/* ---- redis_topology.c ----------------------------------------------------------------------------- */

int lc_redis_topology_start(lc_redis_cluster *cluster, llmcache_error *err);
/* Something went astray: ask soon. */
void lc_redis_topology_want(lc_redis_cluster *cluster);
/* Waits until it is known who serves what. LLMCACHE_STORE at once when nobody says so, LLMCACHE_TIMEOUT. */
int lc_redis_topology_wait(lc_redis_cluster *cluster, int64_t until_ms, llmcache_error *err);
/* The same after asking once more. */
int lc_redis_topology_ask(lc_redis_cluster *cluster, int64_t until_ms, llmcache_error *err);

#endif

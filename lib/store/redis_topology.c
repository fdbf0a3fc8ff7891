/*
 * Who serves what, as asked of the nodes one after the other: CLUSTER INFO and CLUSTER SLOTS. A node that is cut off from
 * the others keeps telling what it knew, so one whose cluster works and whose epoch is no older than what we have is
 * preferred; when there is none, the newest of all answers holds.
 */
#include "store/redis_cluster_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum {
    PERIOD_MS = 500,    /* also how long changes on a new node go unheard */
    SHORTEST_MS = 50,   /* between two passes, whatever goes astray */
    PLACE_MS = 500      /* how long one node may take */
};

typedef struct answer {
    lc_redis_map map;
    uint64_t epoch;
    int works;
} answer;

/* ---- Asking one ----------------------------------------------------------------------------------- */

static void hang_up(lc_redis_cluster *cluster)
{
    lc_redis_disconnect(cluster->conn);
    cluster->conn = NULL;
    lc_redis_uri_at_done(&cluster->conn_uri);
}

static int call(lc_redis_cluster *cluster, const lc_redis_address *address, int64_t until_ms,
                llmcache_error *err)
{
    if (cluster->conn && lc_redis_same_address(&cluster->conn_address, address))
        return 0;
    hang_up(cluster);
    if (lc_redis_cluster_uri(cluster, address, &cluster->conn_uri))
        return lc_fail_memory(err);
    cluster->conn_address = *address;
    return lc_redis_connect(&cluster->conn_uri, until_ms, cluster->pipe[0], &cluster->conn, err);
}

static int ask(lc_redis_cluster *cluster, const lc_redis_address *address, answer *heard,
               llmcache_error *err)
{
    int64_t until_ms = lc_mono_ms() + PLACE_MS;
    redisReply *replies[2] = {0};
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("CLUSTER"), lc_redis_text("INFO"));
    LC_REDIS_ADD(&batch, lc_redis_text("CLUSTER"), lc_redis_text("SLOTS"));
    int rc = call(cluster, address, until_ms, err);
    if (!rc)
        rc = lc_redis_exchange(cluster->conn, &batch, until_ms, replies, err);
    lc_redis_batch_done(&batch);
    if (rc) {
        hang_up(cluster);
        return rc;
    }
    for (int i = 0; i < 2 && !rc; i++)
        rc = lc_redis_check(replies[i], cluster->conn_uri.name, err);
    if (!rc)
        rc = lc_redis_map_read(replies[1], address, &heard->map, err);
    if (!rc)
        lc_redis_info_read(replies[0], &heard->works, &heard->epoch);
    lc_redis_free_replies(replies, 2);
    return rc;
}

/* ---- Asking around -------------------------------------------------------------------------------- */

/* The node that answered last, then all that were known, then those of the URI. 0 behind the last. */
static int next_place(const lc_redis_cluster *cluster, size_t number, lc_redis_address *address)
{
    if (number == 0 && cluster->conn) {
        *address = cluster->conn_address;
        return 1;
    }
    number -= cluster->conn != NULL;
    if (number < cluster->place_count) {
        *address = cluster->places[number];
        return 1;
    }
    number -= cluster->place_count;
    if (number >= cluster->seeds->count)
        return 0;
    const lc_redis_uri *seed = &cluster->seeds->uris[number];
    snprintf(address->host, sizeof address->host, "%s", seed->host);
    address->port = seed->target.port;
    return 1;
}

static int is_closing(lc_redis_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    int closing = cluster->closing;
    pthread_mutex_unlock(&cluster->lock);
    return closing;
}

static int is_better(const answer *a, const answer *b)
{
    if (!b->map.nodes || a->works != b->works)
        return !b->map.nodes || a->works;
    return a->epoch > b->epoch;
}

/* The places to ask, copied: what is asked changes them. */
static size_t list_places(const lc_redis_cluster *cluster, lc_redis_address *places, size_t most)
{
    size_t count = 0;
    for (size_t i = 0; count < most && next_place(cluster, i, &places[count]); i++) {
        int known = 0;
        for (size_t at = 0; at < count && !known; at++)
            known = lc_redis_same_address(&places[at], &places[count]);
        count += !known;
    }
    return count;
}

/* The best answer to be had; best->map.nodes stays NULL when there is none, and err says why. */
static void ask_around(lc_redis_cluster *cluster, answer *best, answer *heard, llmcache_error *err)
{
    size_t most = cluster->place_count + cluster->seeds->count + 1;
    lc_redis_address *places = lc_alloc_array(most, sizeof *places);
    if (!places) {
        lc_fail_memory(err);
        return;
    }
    size_t count = list_places(cluster, places, most);
    for (size_t i = 0; i < count && !is_closing(cluster); i++) {
        if (ask(cluster, &places[i], heard, err))
            continue;
        if (is_better(heard, best)) {
            lc_redis_map_done(&best->map);
            *best = *heard;
        } else {
            lc_redis_map_done(&heard->map);
        }
        if (best->works && best->epoch >= cluster->epoch)
            break;
    }
    lc_free(places);
}

/* An empty map is that of a server which has not been made part of a cluster. */
static int adopt(lc_redis_cluster *cluster, answer *best, llmcache_error *err)
{
    if (!best->map.count)
        return lc_fail(err, LLMCACHE_STORE, "%s is a cluster without slots", cluster->seeds->name);
    int rc = lc_redis_nodes_adopt(cluster, &best->map, err);
    if (rc)
        return rc;
    lc_free(cluster->places);
    cluster->places = best->map.nodes;
    cluster->place_count = best->map.count;
    best->map.nodes = NULL;
    cluster->epoch = best->epoch;
    return 0;
}

/* One pass. */
static void learn(lc_redis_cluster *cluster)
{
    llmcache_error err = {0};
    answer *answers = lc_zalloc_array(2, sizeof *answers); /* too large for a stack */
    int rc = LLMCACHE_MEMORY;
    if (!answers) {
        lc_fail_memory(&err);
    } else {
        ask_around(cluster, &answers[0], &answers[1], &err);
        rc = answers[0].map.nodes ? adopt(cluster, &answers[0], &err) : LLMCACHE_STORE;
        lc_redis_map_done(&answers[0].map);
        lc_free(answers);
    }
    pthread_mutex_lock(&cluster->lock);
    cluster->passes++;
    cluster->asking = 0;
    if (rc)
        snprintf(cluster->reason, sizeof cluster->reason, "%s", err.message);
    pthread_cond_broadcast(&cluster->asked);
    pthread_mutex_unlock(&cluster->lock);
    lc_redis_nodes_sweep(cluster, lc_mono_ms());
}

/* ---- The keeper ----------------------------------------------------------------------------------- */

/* With the lock held: until `ms` have passed, or the flag or closing says so. */
static void wait_for(lc_redis_cluster *cluster, const int *flag, int64_t ms)
{
    struct timespec until = lc_mono_after(ms);
    while (!cluster->closing && !(flag && *flag) &&
           pthread_cond_clockwait(&cluster->wake, &cluster->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
}

static void *keep(void *user)
{
    lc_redis_cluster *cluster = user;
    pthread_mutex_lock(&cluster->lock);
    while (!cluster->closing) {
        cluster->wanted = 0;
        cluster->asking = 1;
        pthread_mutex_unlock(&cluster->lock);
        learn(cluster);
        pthread_mutex_lock(&cluster->lock);
        wait_for(cluster, NULL, SHORTEST_MS);
        wait_for(cluster, &cluster->wanted, PERIOD_MS - SHORTEST_MS);
    }
    pthread_mutex_unlock(&cluster->lock);
    hang_up(cluster);
    return NULL;
}

int lc_redis_topology_start(lc_redis_cluster *cluster, llmcache_error *err)
{
    if (pthread_create(&cluster->keeper, NULL, keep, cluster))
        return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
    cluster->has_keeper = 1;
    return 0;
}

void lc_redis_topology_want(lc_redis_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    cluster->wanted = 1;
    pthread_cond_signal(&cluster->wake);
    pthread_mutex_unlock(&cluster->lock);
}

/* With the lock held: until so many passes have ended. */
static int wait_for_pass(lc_redis_cluster *cluster, uint64_t passes, int64_t until_ms, llmcache_error *err)
{
    struct timespec until = lc_mono_after(until_ms - lc_mono_ms());
    while (cluster->passes < passes && !cluster->closing &&
           pthread_cond_clockwait(&cluster->asked, &cluster->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    if (cluster->passes < passes && !cluster->closing)
        return lc_fail(err, LLMCACHE_TIMEOUT, "%s did not say in time who serves what", cluster->seeds->name);
    return cluster->known ? 0
                          : lc_fail(err, LLMCACHE_STORE, "the store is out of reach: %s", cluster->reason);
}

int lc_redis_topology_wait(lc_redis_cluster *cluster, int64_t until_ms, llmcache_error *err)
{
    pthread_mutex_lock(&cluster->lock);
    int rc = cluster->known ? 0 : wait_for_pass(cluster, 1, until_ms, err);
    pthread_mutex_unlock(&cluster->lock);
    return rc;
}

int lc_redis_topology_ask(lc_redis_cluster *cluster, int64_t until_ms, llmcache_error *err)
{
    pthread_mutex_lock(&cluster->lock);
    cluster->wanted = 1;
    pthread_cond_signal(&cluster->wake);
    /* A pass under way may have asked before what led here. */
    uint64_t passes = cluster->passes + 1 + (cluster->asking != 0);
    int rc = wait_for_pass(cluster, passes, until_ms, err);
    pthread_mutex_unlock(&cluster->lock);
    return rc;
}

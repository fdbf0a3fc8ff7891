/*
 * The nodes of a cluster. A node is made when somebody names it, held while it is used, and given up once it serves
 * nothing, is not asked any more and nobody holds it. Making one starts a thread (the pool's), so that is
 * done without the lock; of two made at once for one address, one is given up.
 */
#include "store/redis_cluster_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

enum { ASKED_MS = 10000 }; /* a slot that moves keeps its new home for as long after each ASK */

/* ---- One node ----------------------------------------------------------------------------------- */

int lc_redis_cluster_uri(const lc_redis_cluster *cluster, const lc_redis_address *address,
                         lc_redis_uri *uri)
{
    return lc_redis_uri_at(&cluster->seeds->uris[0], address, uri);
}

static void free_node(lc_redis_node *node)
{
    if (!node)
        return;
    lc_redis_pool_free(node->pool);
    lc_redis_uri_at_done(&node->uri);
    lc_free(node);
}

static int make_node(lc_redis_cluster *cluster, const lc_redis_address *address, lc_redis_node **node,
                     llmcache_error *err)
{
    lc_redis_node *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->address = *address;
    int rc = lc_redis_cluster_uri(cluster, address, &fresh->uri)
                 ? lc_fail_memory(err)
                 : lc_redis_pool_new(&fresh->uri, cluster->probe_ms, &fresh->pool, err);
    if (rc)
        free_node(fresh);
    else
        *node = fresh;
    return rc;
}

/* ---- The table ---------------------------------------------------------------------------------- */

/* With the lock held. */
static lc_redis_node *find(const lc_redis_cluster *cluster, const lc_redis_address *address)
{
    for (size_t i = 0; i < cluster->count; i++)
        if (lc_redis_same_address(&cluster->nodes[i]->address, address))
            return cluster->nodes[i];
    return NULL;
}

static lc_redis_node *find_and_hold(lc_redis_cluster *cluster, const lc_redis_address *address)
{
    pthread_mutex_lock(&cluster->lock);
    lc_redis_node *node = find(cluster, address);
    if (node)
        node->users++;
    pthread_mutex_unlock(&cluster->lock);
    return node;
}

int lc_redis_nodes_get(lc_redis_cluster *cluster, const lc_redis_address *address,
                       lc_redis_node **node, llmcache_error *err)
{
    *node = find_and_hold(cluster, address);
    if (*node)
        return 0;
    lc_redis_node *fresh = NULL;
    int rc = make_node(cluster, address, &fresh, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&cluster->lock);
    *node = find(cluster, address);
    if (!*node && cluster->count < LC_REDIS_MAX_NODES) {
        *node = cluster->nodes[cluster->count++] = fresh;
        fresh = NULL;
    }
    if (*node)
        (*node)->users++;
    pthread_mutex_unlock(&cluster->lock);
    free_node(fresh);
    return *node ? 0 : lc_fail(err, LLMCACHE_STORE, "%s names too many nodes", cluster->seeds->name);
}

lc_redis_node *lc_redis_nodes_of(lc_redis_cluster *cluster, int slot)
{
    pthread_mutex_lock(&cluster->lock);
    lc_redis_node *node = slot >= 0 ? cluster->owner[slot] : NULL;
    for (size_t i = 0; slot < 0 && !node && i < cluster->count; i++)
        node = cluster->nodes[i]->owning ? cluster->nodes[i] : NULL;
    if (node)
        node->users++;
    pthread_mutex_unlock(&cluster->lock);
    return node;
}

void lc_redis_nodes_release(lc_redis_cluster *cluster, lc_redis_node *node)
{
    if (!node)
        return;
    pthread_mutex_lock(&cluster->lock);
    node->users--;
    pthread_mutex_unlock(&cluster->lock);
}

/* Tells the one who wants to know, without the lock. */
static void tell_change(lc_redis_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    void (*changed)(void *user) = cluster->changed;
    void *user = cluster->changed_user;
    pthread_mutex_unlock(&cluster->lock);
    if (changed)
        changed(user);
}

void lc_redis_nodes_assign(lc_redis_cluster *cluster, int slot, lc_redis_node *node)
{
    pthread_mutex_lock(&cluster->lock);
    int is_new = !node->owning;
    cluster->owner[slot] = node;
    node->owning = 1;
    pthread_mutex_unlock(&cluster->lock);
    if (is_new)
        tell_change(cluster);
}

void lc_redis_nodes_note_ask(lc_redis_cluster *cluster, lc_redis_node *node, int64_t mono_ms)
{
    pthread_mutex_lock(&cluster->lock);
    int is_new = !node->owning && !node->asked_ms;
    node->asked_ms = mono_ms;
    pthread_mutex_unlock(&cluster->lock);
    if (is_new)
        tell_change(cluster);
}

/* ---- Taking over a map ---------------------------------------------------------------------------- */

/* Holds the nodes that own something; holders[i] is that of map->nodes[i] or NULL. */
static int hold_owners(lc_redis_cluster *cluster, const lc_redis_map *map, lc_redis_node **holders,
                       llmcache_error *err)
{
    int rc = 0;
    for (size_t slot = 0; slot < LC_REDIS_SLOTS && !rc; slot++) {
        size_t at = map->owner[slot];
        if (at < map->count && !holders[at])
            rc = lc_redis_nodes_get(cluster, &map->nodes[at], &holders[at], err);
    }
    return rc;
}

/* NULL: no memory. */
static lc_redis_replica_address *list_replicas(const lc_redis_map *map, size_t *count)
{
    lc_redis_replica_address *list = lc_zalloc_array(map->count + 1, sizeof *list);
    *count = 0;
    for (size_t i = 0; i < map->count && list; i++)
        if (map->follows[i] < map->count)
            list[(*count)++] = (lc_redis_replica_address){map->nodes[i], map->nodes[map->follows[i]]};
    return list;
}

/* Returns whether other nodes own slots than before. Takes the replicas. */
static int take_over(lc_redis_cluster *cluster, const lc_redis_map *map, lc_redis_node *const *holders,
                     lc_redis_replica_address *replicas, size_t replica_count)
{
    int changed = 0;
    pthread_mutex_lock(&cluster->lock);
    lc_redis_replica_address *old = cluster->replicas;
    cluster->replicas = replicas;
    cluster->replica_count = replica_count;
    for (size_t i = 0; i < cluster->count; i++) {
        int owns = 0;
        for (size_t at = 0; at < map->count && !owns; at++)
            owns = holders[at] == cluster->nodes[i];
        changed |= owns != cluster->nodes[i]->owning;
        cluster->nodes[i]->owning = owns;
    }
    for (size_t slot = 0; slot < LC_REDIS_SLOTS; slot++)
        cluster->owner[slot] = map->owner[slot] < map->count ? holders[map->owner[slot]] : NULL;
    cluster->known = 1;
    pthread_mutex_unlock(&cluster->lock);
    lc_free(old);
    return changed;
}

int lc_redis_nodes_adopt(lc_redis_cluster *cluster, const lc_redis_map *map, llmcache_error *err)
{
    size_t replica_count;
    lc_redis_node **holders = lc_zalloc_array(map->count + 1, sizeof *holders);
    lc_redis_replica_address *replicas = list_replicas(map, &replica_count);
    int rc = holders && replicas ? hold_owners(cluster, map, holders, err) : lc_fail_memory(err);
    int changed = 0;
    if (rc)
        lc_free(replicas);
    else
        changed = take_over(cluster, map, holders, replicas, replica_count);
    for (size_t i = 0; i < map->count && holders; i++)
        lc_redis_nodes_release(cluster, holders[i]);
    lc_free(holders);
    if (changed)
        tell_change(cluster);
    return rc;
}

static int is_needed(const lc_redis_node *node, int64_t mono_ms)
{
    return node->owning || node->users || (node->asked_ms && mono_ms - node->asked_ms < ASKED_MS);
}

void lc_redis_nodes_sweep(lc_redis_cluster *cluster, int64_t mono_ms)
{
    int changed = 0;
    for (;;) {
        lc_redis_node *gone = NULL;
        pthread_mutex_lock(&cluster->lock);
        for (size_t i = 0; i < cluster->count && !gone; i++)
            if (!is_needed(cluster->nodes[i], mono_ms)) {
                gone = cluster->nodes[i];
                cluster->nodes[i] = cluster->nodes[--cluster->count];
            }
        pthread_mutex_unlock(&cluster->lock);
        if (!gone)
            break;
        changed |= gone->asked_ms != 0;
        free_node(gone);
    }
    if (changed)
        tell_change(cluster);
}

size_t lc_redis_nodes_hold(lc_redis_cluster *cluster, lc_redis_node **nodes, int *whole)
{
    size_t count = 0;
    *whole = 1;
    pthread_mutex_lock(&cluster->lock);
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i]->owning) {
            cluster->nodes[i]->users++;
            nodes[count++] = cluster->nodes[i];
        }
    for (size_t slot = 0; slot < LC_REDIS_SLOTS && *whole; slot++)
        *whole = cluster->owner[slot] != NULL;
    pthread_mutex_unlock(&cluster->lock);
    return count;
}

int lc_redis_nodes_each(lc_redis_cluster *cluster, lc_redis_node_fn fn, void *user, llmcache_error *err)
{
    int whole, rc = 0;
    lc_redis_node **nodes = lc_alloc_array(LC_REDIS_MAX_NODES, sizeof *nodes);
    if (!nodes)
        return lc_fail_memory(err);
    size_t count = lc_redis_nodes_hold(cluster, nodes, &whole);
    if (!whole)
        rc = lc_fail(err, LLMCACHE_STORE, "some slots of %s are served by no node", cluster->seeds->name);
    for (size_t i = 0; i < count; i++) {
        if (!rc)
            rc = fn(user, nodes[i], err);
        lc_redis_nodes_release(cluster, nodes[i]);
    }
    lc_free(nodes);
    return rc;
}

void lc_redis_nodes_free_all(lc_redis_cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++)
        free_node(cluster->nodes[i]);
    cluster->count = 0;
    lc_free(cluster->replicas);
    cluster->replicas = NULL;
    cluster->replica_count = 0;
}

/* ---- For the replicas ------------------------------------------------------------------------------- */

int lc_redis_cluster_owner(lc_redis_cluster *cluster, lc_redis_word name, lc_redis_address *address)
{
    int slot = lc_redis_slot_of(name);
    pthread_mutex_lock(&cluster->lock);
    const lc_redis_node *node = cluster->owner[slot];
    if (node)
        *address = node->address;
    pthread_mutex_unlock(&cluster->lock);
    return node != NULL;
}

size_t lc_redis_cluster_replicas(lc_redis_cluster *cluster, lc_redis_replica_address *replicas, size_t most)
{
    pthread_mutex_lock(&cluster->lock);
    size_t count = cluster->replica_count < most ? cluster->replica_count : most;
    for (size_t i = 0; i < count; i++)
        replicas[i] = cluster->replicas[i];
    pthread_mutex_unlock(&cluster->lock);
    return count;
}

/* ---- Whose changes are to be heard ------------------------------------------------------------------ */

size_t lc_redis_cluster_nodes(lc_redis_cluster *cluster, lc_redis_address *addresses, size_t most)
{
    size_t count = 0;
    pthread_mutex_lock(&cluster->lock);
    for (size_t i = 0; cluster->known && i < cluster->count && count < most; i++)
        if (cluster->nodes[i]->owning || cluster->nodes[i]->asked_ms)
            addresses[count++] = cluster->nodes[i]->address;
    pthread_mutex_unlock(&cluster->lock);
    return count;
}

void lc_redis_cluster_on_change(lc_redis_cluster *cluster, void (*changed)(void *user), void *user)
{
    pthread_mutex_lock(&cluster->lock);
    cluster->changed = changed;
    cluster->changed_user = user;
    pthread_mutex_unlock(&cluster->lock);
}

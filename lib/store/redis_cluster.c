/*
 * Exchanges with a cluster. A batch is taken apart into units (redis_slots.h), each goes to the node of its slot: all
 * nodes are sent their shares before the first is listened to, those last that have to be connected to. What is sent on
 * goes round again: MOVED corrects the table, ASK holds for this time. The rounds are counted, since nodes that
 * disagree could send a command round for ever.
 */
#include "store/redis_cluster_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ROUNDS = 6 };

/* A unit under way. */
typedef struct errand {
    lc_redis_unit unit;
    lc_redis_node *node; /* held; NULL: to be found by the slot */
    int asking;
    int left;            /* still to be answered */
    int share;           /* of this round; NONE: it waits for the next */
} errand;

enum { NONE = -1 };

/* What one node is sent in a round. */
typedef struct share {
    lc_redis_node *node;
    int connected;
    lc_redis_batch batch;
    redisReply **replies;
    lc_redis_call call;
    int rc;
    llmcache_error err;
} share;

typedef struct trip {
    lc_redis_cluster *cluster;
    const lc_redis_batch *batch;
    int64_t until_ms;
    redisReply **replies;
    errand *errands;
    size_t count;
    share *shares;
    int share_count;
    int rc; /* of the first that failed, with its error */
    llmcache_error err;
} trip;

/* ---- Where the replies lead ----------------------------------------------------------------------- */

static void fail_errand(trip *t, errand *e, int rc, const llmcache_error *err)
{
    e->left = 0;
    if (t->rc)
        return;
    t->rc = rc;
    t->err = *err;
}

/* Turns the errand to where it was sent on. */
static void send_on(trip *t, errand *e, lc_redis_redirect how, int slot, const lc_redis_address *to)
{
    llmcache_error err;
    lc_redis_node *node;
    int rc = lc_redis_nodes_get(t->cluster, to, &node, &err);
    if (rc) {
        fail_errand(t, e, rc, &err);
        return;
    }
    if (how == LC_REDIS_MOVED)
        lc_redis_nodes_assign(t->cluster, slot, node);
    else
        lc_redis_nodes_note_ask(t->cluster, node, lc_mono_ms());
    lc_redis_nodes_release(t->cluster, e->node);
    e->node = node;
    e->share = NONE;
    e->asking = how == LC_REDIS_ASK;
    if (how == LC_REDIS_MOVED)
        lc_redis_topology_want(t->cluster);
}

static int says_down(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "CLUSTERDOWN", 11) == 0;
}

/* Keeps the replies of one unit, or follows the first of them that sends it on. */
static void take_replies(trip *t, errand *e, redisReply **replies)
{
    lc_redis_address to;
    int slot = 0;
    for (size_t i = 0; i < e->unit.count; i++) {
        lc_redis_redirect how = lc_redis_redirect_read(replies[i], &e->node->address, &slot, &to);
        if (says_down(replies[i]))
            lc_redis_topology_want(t->cluster);
        if (how == LC_REDIS_STAYS)
            continue;
        lc_redis_free_replies(replies, e->unit.count);
        send_on(t, e, how, slot, &to);
        return;
    }
    memcpy(t->replies + e->unit.first, replies, e->unit.count * sizeof *replies);
    e->left = 0;
}

/* ---- One node's share ----------------------------------------------------------------------------- */

static int is_in_share(const errand *e, int number)
{
    return e->left && e->share == number;
}

/* The units that go to this node, in their order. */
static int pack(trip *t, int number)
{
    lc_redis_batch *batch = &t->shares[number].batch;
    for (size_t i = 0; i < t->count; i++) {
        const errand *e = &t->errands[i];
        if (!is_in_share(e, number))
            continue;
        if (e->asking)
            LC_REDIS_ADD(batch, lc_redis_text("ASKING"));
        lc_buffer_add(&batch->bytes, t->batch->bytes.data + e->unit.at, e->unit.size);
        batch->count += e->unit.count;
    }
    return batch->bytes.broken;
}

static void unpack(trip *t, int number)
{
    redisReply **replies = t->shares[number].replies;
    size_t at = 0;
    for (size_t i = 0; i < t->count; i++) {
        errand *e = &t->errands[i];
        if (!is_in_share(e, number))
            continue;
        if (e->asking) {
            lc_redis_reply_free(replies[at]);
            replies[at++] = NULL;
        }
        size_t count = e->unit.count;
        take_replies(t, e, replies + at);
        at += count;
    }
}

static void fail_share(trip *t, int number)
{
    const share *s = &t->shares[number];
    for (size_t i = 0; i < t->count; i++)
        if (is_in_share(&t->errands[i], number))
            fail_errand(t, &t->errands[i], s->rc, &s->err);
    if (lc_conn_is_loss(s->rc))
        lc_redis_topology_want(t->cluster);
}

/* A node is not asked once there is no time: that would look as if it were slow. While others are still to be asked, one that
 * does not even let itself be connected to gets half of the time. */
static void send_share(trip *t, int number, int others)
{
    share *s = &t->shares[number];
    int64_t now_ms = lc_mono_ms(), half_ms = now_ms + (t->until_ms - now_ms + 1) / 2;
    if (!pack(t, number))
        s->replies = lc_zalloc_array(s->batch.count, sizeof *s->replies);
    if (!s->replies)
        s->rc = lc_fail_memory(&s->err);
    else if (now_ms >= t->until_ms)
        s->rc = lc_fail(&s->err, LLMCACHE_TIMEOUT, "%s did not answer in time", t->cluster->seeds->name);
    else
        s->rc = lc_redis_pool_begin(s->node->pool, &s->batch, others ? half_ms : t->until_ms, &s->call, &s->err);
    s->call.until_ms = t->until_ms;
}

static int is_connected(const share *s)
{
    lc_conn_pool_state state;
    lc_redis_pool_look(s->node->pool, &state);
    return state.idle > 0;
}

static void send_all(trip *t)
{
    int sent = 0;
    for (int connected = 1; connected >= 0; connected--)
        for (int number = 0; number < t->share_count; number++)
            if (t->shares[number].connected == connected)
                send_share(t, number, ++sent < t->share_count);
}

static void receive_share(trip *t, int number)
{
    share *s = &t->shares[number];
    if (!s->rc)
        s->rc = lc_redis_pool_finish(s->node->pool, &s->call, s->replies, &s->err);
    if (s->rc)
        fail_share(t, number);
    else
        unpack(t, number);
    lc_free(s->replies);
    lc_redis_batch_done(&s->batch);
}

/* ---- Rounds --------------------------------------------------------------------------------------- */

static void find_nodes(trip *t)
{
    llmcache_error err;
    for (size_t i = 0; i < t->count; i++) {
        errand *e = &t->errands[i];
        if (!e->left || e->node)
            continue;
        e->node = lc_redis_nodes_of(t->cluster, e->unit.slot);
        if (e->node)
            continue;
        int rc = lc_fail(&err, LLMCACHE_STORE, "no node of %s serves this slot", t->cluster->seeds->name);
        fail_errand(t, e, rc, &err);
        lc_redis_topology_want(t->cluster);
    }
}

/* The share of a node, begun if need be. */
static int share_of(trip *t, lc_redis_node *node)
{
    for (int number = 0; number < t->share_count; number++)
        if (t->shares[number].node == node)
            return number;
    share *fresh = &t->shares[t->share_count];
    *fresh = (share){.node = node};
    fresh->connected = is_connected(fresh);
    lc_redis_batch_init(&fresh->batch);
    return t->share_count++;
}

/* Every unit's node gets its share once; 1 when some were sent on. A share's node is held by its errands. */
static int go_round(trip *t)
{
    int left = 0;
    find_nodes(t);
    t->share_count = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->errands[i].left)
            t->errands[i].share = share_of(t, t->errands[i].node);
    send_all(t);
    for (int number = 0; number < t->share_count; number++)
        receive_share(t, number);
    for (size_t i = 0; i < t->count; i++)
        left |= t->errands[i].left;
    return left;
}

static int travel(trip *t)
{
    int left = 1;
    for (int round = 0; round < MOST_ROUNDS && left; round++)
        left = go_round(t);
    if (left && !t->rc)
        t->rc = lc_fail(&t->err, LLMCACHE_STORE, "%s sent a command on more than %d times",
                        t->cluster->seeds->name, MOST_ROUNDS - 1);
    return t->rc;
}

static int take_apart(trip *t, llmcache_error *err)
{
    lc_redis_unit *units;
    int rc = lc_redis_units_read(t->batch, &units, &t->count);
    if (rc)
        return lc_fail(err, rc, "%s", lc_code_text(rc));
    t->errands = lc_zalloc_array(t->count + 1, sizeof *t->errands);
    t->shares = lc_zalloc_array(t->count + 1, sizeof *t->shares); /* not more nodes than units */
    for (size_t i = 0; i < t->count && t->errands; i++)
        t->errands[i] = (errand){.unit = units[i], .left = 1, .share = NONE};
    lc_free(units);
    if (t->errands && t->shares)
        return 0;
    lc_free(t->errands);
    lc_free(t->shares);
    return lc_fail_memory(err);
}

int lc_redis_cluster_exchange(lc_redis_cluster *cluster, const lc_redis_batch *batch,
                              int64_t until_ms, redisReply **replies, llmcache_error *err)
{
    trip t = {.cluster = cluster, .batch = batch, .until_ms = until_ms, .replies = replies};
    memset(replies, 0, batch->count * sizeof *replies);
    if (batch->bytes.broken)
        return lc_fail(err, batch->bytes.broken, "%s", lc_code_text(batch->bytes.broken));
    int rc = lc_redis_topology_wait(cluster, until_ms, err);
    if (!rc)
        rc = take_apart(&t, err);
    if (rc)
        return rc;
    rc = travel(&t);
    for (size_t i = 0; i < t.count; i++)
        lc_redis_nodes_release(cluster, t.errands[i].node);
    lc_free(t.errands);
    lc_free(t.shares);
    if (rc) {
        for (size_t i = 0; i < batch->count; i++)
            lc_redis_free_replies(&replies[i], replies[i] != NULL);
        if (err)
            *err = t.err;
    }
    return rc;
}

/* ---- All nodes ------------------------------------------------------------------------------------ */

static int ping_node(void *user, lc_redis_node *node, llmcache_error *err)
{
    const int64_t *until_ms = user;
    return lc_redis_pool_ping(node->pool, *until_ms, err);
}

int lc_redis_cluster_ping(lc_redis_cluster *cluster, int64_t until_ms, llmcache_error *err)
{
    llmcache_error unknown;
    int rc = lc_redis_topology_wait(cluster, until_ms, &unknown);
    if (rc)
        rc = lc_redis_topology_ask(cluster, until_ms, err);
    return rc ? rc : lc_redis_nodes_each(cluster, ping_node, &until_ms, err);
}

static int look_at(void *user, lc_redis_node *node, llmcache_error *err)
{
    lc_conn_pool_state one, *all = user;
    lc_redis_pool_look(node->pool, &one);
    all->idle += one.idle;
    all->ever_worked &= one.ever_worked;
    return one.lost ? lc_fail(err, LLMCACHE_STORE, "%s", one.reason) : 0;
}

void lc_redis_cluster_look(lc_redis_cluster *cluster, lc_conn_pool_state *state)
{
    llmcache_error err;
    *state = (lc_conn_pool_state){0};
    pthread_mutex_lock(&cluster->lock);
    int known = cluster->known;
    state->lost = !known && cluster->passes;
    memcpy(state->reason, cluster->reason, sizeof state->reason);
    pthread_mutex_unlock(&cluster->lock);
    if (!known)
        return;
    state->ever_worked = 1;
    state->lost = lc_redis_nodes_each(cluster, look_at, state, &err) != 0;
    if (state->lost)
        memcpy(state->reason, err.message, sizeof state->reason);
}

/* ---- Life ----------------------------------------------------------------------------------------- */

int lc_redis_cluster_new(const lc_redis_seeds *seeds, int64_t probe_ms, lc_redis_cluster **cluster,
                         llmcache_error *err)
{
    lc_redis_cluster *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->seeds = seeds;
    fresh->probe_ms = probe_ms;
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->wake, NULL);
    pthread_cond_init(&fresh->asked, NULL);
    int rc = 0;
    if (pipe2(fresh->pipe, O_CLOEXEC)) {
        fresh->pipe[0] = fresh->pipe[1] = -1;
        rc = lc_fail(err, LLMCACHE_IO, "the store could not open a pipe");
    }
    if (!rc)
        rc = lc_redis_topology_start(fresh, err);
    if (rc)
        lc_redis_cluster_free(fresh);
    else
        *cluster = fresh;
    return rc;
}

void lc_redis_cluster_cancel(lc_redis_cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    int first = !cluster->closing;
    cluster->closing = 1;
    pthread_cond_signal(&cluster->wake);
    pthread_cond_broadcast(&cluster->asked);
    pthread_mutex_unlock(&cluster->lock);
    if (first && cluster->pipe[1] >= 0)
        close(cluster->pipe[1]); /* the end of the pipe is readable */
    if (first && cluster->has_keeper)
        pthread_join(cluster->keeper, NULL);
}

void lc_redis_cluster_free(lc_redis_cluster *cluster)
{
    if (!cluster)
        return;
    lc_redis_cluster_cancel(cluster);
    lc_redis_nodes_free_all(cluster);
    lc_free(cluster->places);
    if (cluster->pipe[0] >= 0)
        close(cluster->pipe[0]);
    pthread_cond_destroy(&cluster->wake);
    pthread_cond_destroy(&cluster->asked);
    pthread_mutex_destroy(&cluster->lock);
    lc_free(cluster);
}

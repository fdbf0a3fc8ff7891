/*
 * Walks over a cluster: every node that serves slots is visited, with a note before and after of which it has, so that what
 * moved meanwhile is not missed.
 */
#include "store/redis_cluster_inside.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

enum { MOST_WALKS = 3, STEP_MS = 5000 };

typedef struct walk {
    lc_redis_visit_fn fn;
    void *user;
    int64_t until_ms;
    lc_buffer before, after; /* each node's slots */
    lc_buffer *slots;        /* one of the two, for note_slots */
    int deposed;             /* a node serves nothing any more: another took over */
} walk;

static int64_t until_of(const walk *w)
{
    return w->until_ms ? w->until_ms : lc_mono_ms() + STEP_MS;
}

/* Notes which slots the node has. A node that does not say so has them for good. */
static int note_slots(void *user, lc_redis_node *node, llmcache_error *err)
{
    walk *w = user;
    redisReply *reply = NULL;
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("CLUSTER"), lc_redis_text("NODES"));
    int rc = lc_redis_pool_exchange(node->pool, &batch, until_of(w), &reply, err);
    lc_redis_batch_done(&batch);
    if (rc)
        return rc;
    lc_redis_word own = lc_redis_own_slots(reply);
    w->deposed |= !own.size && reply->str && strstr(reply->str, "myself");
    lc_buffer_format(w->slots, "%s:%d ", node->address.host, node->address.port);
    lc_buffer_add(w->slots, own.bytes, own.size);
    lc_buffer_byte(w->slots, '\n');
    lc_redis_reply_free(reply);
    return w->slots->broken ? lc_fail_memory(err) : 0;
}

static int visit_one(void *user, lc_redis_node *node, llmcache_error *err)
{
    walk *w = user;
    return w->fn(w->user, node->pool, err);
}

static int note_all(lc_redis_cluster *cluster, walk *w, lc_buffer *slots, llmcache_error *err)
{
    lc_buffer_clear(slots);
    w->slots = slots;
    return lc_redis_nodes_each(cluster, note_slots, w, err);
}

/* Did all stay where they were, with none on its way? */
static int stood_still(const walk *w)
{
    return !w->deposed && w->before.size == w->after.size && memcmp(w->before.data, w->after.data, w->after.size) == 0 &&
           !memchr(w->after.data, '[', w->after.size);
}

/*
 * A key that moves from a node not yet visited to one that was is missed. It moves once, so that the next walk
 * meets it; a third is for slots that moved all the while. A node that was deposed since the nodes were last asked for
 * may lack what the other one has taken.
 */
int lc_redis_cluster_visit(lc_redis_cluster *cluster, int64_t until_ms, lc_redis_visit_fn fn,
                           void *user, llmcache_error *err)
{
    walk w = {.fn = fn, .user = user, .until_ms = until_ms};
    int still = 0;
    lc_buffer_init(&w.before, 0);
    lc_buffer_init(&w.after, 0);
    int rc = lc_redis_topology_wait(cluster, until_of(&w), err);
    for (int i = 0; i < MOST_WALKS && !rc && !still; i++) {
        w.deposed = 0;
        if (i)
            rc = lc_redis_topology_ask(cluster, until_of(&w), err);
        if (!rc)
            rc = note_all(cluster, &w, &w.before, err);
        if (!rc)
            rc = lc_redis_nodes_each(cluster, visit_one, &w, err);
        if (!rc)
            rc = note_all(cluster, &w, &w.after, err);
        still = !rc && stood_still(&w);
    }
    if (!rc && w.deposed)
        rc = lc_fail(err, LLMCACHE_STORE, "which nodes of %s have its slots is not settled", cluster->seeds->name);
    lc_buffer_done(&w.before);
    lc_buffer_done(&w.after);
    return rc;
}

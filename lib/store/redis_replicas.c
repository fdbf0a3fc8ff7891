/*
 * How far a replica lags is measured by offsets: it has all that its primary had at the moment at which the primary was asked for
 * its offset, if its own is no smaller when it is asked after that. A thread does so some times a second. A change that is not
 * on the replica yet was made within that time, so it is enough to send a key to the primary for a little longer than that after
 * each change. What changed is remembered by a hash of the name: two names in one place only cost a way to the primary.
 */
#include "store/redis_replicas.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    PERIOD_MS = 200, /* between two looks at all */
    ANSWER_MS = 150, /* how long one may take to say its offset */
    TRIES = 4,
    HOLD_MS = LC_REDIS_FRESH_MS + 300,
    PLACES = 8192 /* for hashes of names; a power of two */
};

typedef struct replica {
    lc_redis_address address, primary;
    lc_redis_uri uri;
    lc_redis_pool *pool;
    /* The thread's own, to ask the primary: that it does not answer this in time is nothing to its pool. */
    lc_redis_uri primary_uri;
    lc_redis_conn *primary_conn;
    size_t users;     /* reads that hold it; guarded by the lock, as what follows */
    int64_t fresh_ms; /* it had all that its primary had at this time; 0: not known */
} replica;

struct lc_redis_replicas {
    lc_redis_cluster *cluster;
    int64_t probe_ms;
    pthread_t thread;
    int has_thread;
    atomic_int_least64_t changed_ms[PLACES], all_changed_ms;
    atomic_size_t turn; /* replicas of one primary take turns */
    pthread_mutex_t lock; /* guards all below; never held over I/O */
    pthread_cond_t wake;
    replica *list[LC_REDIS_MAX_NODES];
    size_t count;
    int closing;
    lc_redis_replica_address named[LC_REDIS_MAX_NODES]; /* the thread's own: too large for a stack */
};

/* ---- What changed lately ------------------------------------------------------------------------- */

/* FNV-1a. */
static size_t place_of(lc_redis_word name)
{
    const unsigned char *bytes = name.bytes;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return (hash ^ hash >> 32) & (PLACES - 1);
}

void lc_redis_replicas_note(lc_redis_replicas *replicas, const lc_redis_word *name)
{
    if (replicas)
        atomic_store(name ? &replicas->changed_ms[place_of(*name)] : &replicas->all_changed_ms, lc_mono_ms());
}

static int changed_lately(lc_redis_replicas *r, lc_redis_word name, int64_t now_ms)
{
    return now_ms - atomic_load(&r->changed_ms[place_of(name)]) < HOLD_MS ||
           now_ms - atomic_load(&r->all_changed_ms) < HOLD_MS;
}

/* ---- Reading ------------------------------------------------------------------------------------- */

/* A replica of the primary that is fresh enough, held; NULL when there is none. */
static replica *take(lc_redis_replicas *r, const lc_redis_address *primary, int64_t now_ms)
{
    replica *taken = NULL;
    size_t first = atomic_fetch_add(&r->turn, 1);
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count && !taken; i++) {
        replica *one = r->list[(first + i) % r->count];
        if (one->fresh_ms && now_ms - one->fresh_ms < LC_REDIS_FRESH_MS &&
            lc_redis_same_address(&one->primary, primary))
            taken = one;
    }
    if (taken)
        taken->users++;
    pthread_mutex_unlock(&r->lock);
    return taken;
}

/* Back; one that failed is not asked before it has shown itself again. */
static void give(lc_redis_replicas *r, replica *one, int failed)
{
    pthread_mutex_lock(&r->lock);
    one->users--;
    if (failed)
        one->fresh_ms = 0;
    pthread_mutex_unlock(&r->lock);
}

/* "No such key" is none: the primary may have it by now. */
static int is_value(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++)
            if (reply->element[i]->type != REDIS_REPLY_STRING)
                return 0;
        return reply->elements > 0;
    }
    return reply->type == REDIS_REPLY_STRING;
}

int lc_redis_replicas_read(lc_redis_replicas *r, lc_redis_word name, const lc_redis_batch *batch,
                           int64_t until_ms, redisReply **reply)
{
    llmcache_error err;
    lc_redis_address primary;
    int64_t now_ms = lc_mono_ms();
    if (!r || changed_lately(r, name, now_ms) || !lc_redis_cluster_owner(r->cluster, name, &primary))
        return 0;
    replica *one = take(r, &primary, now_ms);
    if (!one)
        return 0;
    /* Half of the time is left for the primary. */
    int failed = lc_redis_pool_exchange(one->pool, batch, now_ms + (until_ms - now_ms) / 2, reply, &err) != 0;
    give(r, one, failed);
    if (failed)
        return 0;
    if (is_value(*reply))
        return 1;
    lc_redis_free_replies(reply, 1);
    return 0;
}

/* ---- Which there are ------------------------------------------------------------------------------ */

static void free_replica(replica *one)
{
    lc_redis_pool_free(one->pool);
    lc_redis_disconnect(one->primary_conn);
    lc_redis_uri_at_done(&one->primary_uri);
    lc_redis_uri_at_done(&one->uri);
    lc_free(one);
}

static replica *new_replica(lc_redis_replicas *r, const lc_redis_replica_address *where)
{
    llmcache_error err;
    replica *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return NULL;
    fresh->address = where->replica;
    fresh->primary = where->primary;
    if (!lc_redis_cluster_uri(r->cluster, &where->primary, &fresh->primary_uri) &&
        !lc_redis_cluster_uri(r->cluster, &where->replica, &fresh->uri)) {
        fresh->uri.reads_replica = 1;
        if (!lc_redis_pool_new(&fresh->uri, r->probe_ms, &fresh->pool, &err))
            return fresh;
    }
    free_replica(fresh);
    return NULL;
}

static int is_of(const replica *one, const lc_redis_replica_address *where)
{
    return lc_redis_same_address(&one->address, &where->replica) &&
           lc_redis_same_address(&one->primary, &where->primary);
}

/* Those that are no longer named and nobody holds, one a call; NULL when there is none. */
static replica *take_out(lc_redis_replicas *r, const lc_redis_replica_address *named, size_t count)
{
    replica *gone = NULL;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->count && !gone; i++) {
        replica *one = r->list[i];
        int stays = 0;
        for (size_t at = 0; at < count && !stays; at++)
            stays = is_of(one, &named[at]);
        if (stays)
            continue;
        one->fresh_ms = 0;
        if (one->users)
            continue;
        gone = one;
        r->list[i] = r->list[--r->count];
    }
    pthread_mutex_unlock(&r->lock);
    return gone;
}

static int is_listed(const lc_redis_replicas *r, const lc_redis_replica_address *where)
{
    for (size_t i = 0; i < r->count; i++) /* only this thread changes the list */
        if (is_of(r->list[i], where))
            return 1;
    return 0;
}

static void put_in(lc_redis_replicas *r, replica *fresh)
{
    pthread_mutex_lock(&r->lock);
    r->list[r->count++] = fresh;
    pthread_mutex_unlock(&r->lock);
}

static void follow_cluster(lc_redis_replicas *r)
{
    replica *gone;
    lc_redis_replica_address *named = r->named;
    size_t count = lc_redis_cluster_replicas(r->cluster, named, LC_REDIS_MAX_NODES);
    while ((gone = take_out(r, named, count)))
        free_replica(gone);
    for (size_t i = 0; i < count && r->count < LC_REDIS_MAX_NODES; i++) {
        replica *fresh = is_listed(r, &named[i]) ? NULL : new_replica(r, &named[i]);
        if (fresh)
            put_in(r, fresh);
    }
}

/* ---- How far they lag ------------------------------------------------------------------------------ */

/* Has the replica all that the primary had when it was asked? */
static int has_all(const lc_redis_replication *own, const lc_redis_replication *primary)
{
    return primary->is_primary && !own->is_primary && own->link_is_up &&
           strcmp(own->history, primary->history) == 0 && own->offset >= primary->offset;
}

static int take_reply(redisReply *reply, lc_redis_replication *said)
{
    int fine = lc_redis_replication_read(reply, said);
    lc_redis_reply_free(reply);
    return fine;
}

static int ask_primary(replica *one, const lc_redis_batch *batch, lc_redis_replication *said)
{
    llmcache_error err;
    redisReply *reply;
    int64_t until_ms = lc_mono_ms() + ANSWER_MS;
    int rc = one->primary_conn ? 0 : lc_redis_connect(&one->primary_uri, until_ms, -1, &one->primary_conn, &err);
    if (!rc)
        rc = lc_redis_exchange(one->primary_conn, batch, until_ms, &reply, &err);
    if (!rc)
        return take_reply(reply, said);
    lc_redis_disconnect(one->primary_conn);
    one->primary_conn = NULL;
    return 0;
}

static int ask_itself(replica *one, const lc_redis_batch *batch, lc_redis_replication *said)
{
    llmcache_error err;
    redisReply *reply;
    return !lc_redis_pool_exchange(one->pool, batch, lc_mono_ms() + ANSWER_MS, &reply, &err) && take_reply(reply, said);
}

/* Nobody but this thread frees one, so it needs no hold. */
static void measure(lc_redis_replicas *r, replica *one)
{
    lc_redis_replication primary, own;
    int64_t asked_ms = lc_mono_ms();
    int alive, fresh = 0;
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("INFO"), lc_redis_text("replication"));
    alive = ask_primary(one, &batch, &primary);
    for (int i = 0; i < TRIES && alive && !fresh; i++) { /* what was just written may still be on its way */
        if (i)
            lc_sleep_ms(1 << i);
        alive = ask_itself(one, &batch, &own);
        fresh = alive && has_all(&own, &primary);
    }
    lc_redis_batch_done(&batch);
    pthread_mutex_lock(&r->lock);
    if (fresh)
        one->fresh_ms = asked_ms;
    pthread_mutex_unlock(&r->lock);
}

static int is_closing(lc_redis_replicas *r)
{
    pthread_mutex_lock(&r->lock);
    int closing = r->closing;
    pthread_mutex_unlock(&r->lock);
    return closing;
}

static int wait_for_turn(lc_redis_replicas *r)
{
    struct timespec until = lc_mono_after(PERIOD_MS);
    pthread_mutex_lock(&r->lock);
    while (!r->closing && pthread_cond_clockwait(&r->wake, &r->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    pthread_mutex_unlock(&r->lock);
    return !is_closing(r);
}

static void *follow(void *user)
{
    lc_redis_replicas *r = user;
    while (wait_for_turn(r)) {
        follow_cluster(r);
        for (size_t i = 0; i < r->count && !is_closing(r); i++)
            measure(r, r->list[i]);
    }
    return NULL;
}

/* ---- Life ----------------------------------------------------------------------------------------- */

int lc_redis_replicas_new(lc_redis_cluster *cluster, int64_t probe_ms, lc_redis_replicas **replicas,
                          llmcache_error *err)
{
    lc_redis_replicas *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->cluster = cluster;
    fresh->probe_ms = probe_ms;
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->wake, NULL);
    lc_redis_replicas_note(fresh, NULL);
    if (pthread_create(&fresh->thread, NULL, follow, fresh)) {
        lc_redis_replicas_free(fresh);
        return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
    }
    fresh->has_thread = 1;
    *replicas = fresh;
    return 0;
}

void lc_redis_replicas_cancel(lc_redis_replicas *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->closing = 1;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void lc_redis_replicas_free(lc_redis_replicas *r)
{
    if (!r)
        return;
    lc_redis_replicas_cancel(r);
    if (r->has_thread)
        pthread_join(r->thread, NULL);
    for (size_t i = 0; i < r->count; i++)
        free_replica(r->list[i]);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    lc_free(r);
}

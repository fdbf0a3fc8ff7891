/*
 * One thread says distrust and trust, so that they come in the right order: an ear that hears or no longer hears, and a
 * cluster whose nodes are others, only wake it. Losses are counted, so that none is overlooked which was
 * over before the thread woke. A change is passed on at once by the ear's own thread.
 */
#include "store/redis_ears.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/redis_watch.h"
#include "store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

enum { AGAIN_MS = 500 }; /* after an ear that could not be made */

typedef struct ear {
    lc_redis_ears *ears;
    lc_redis_address address;
    lc_redis_uri uri;
    int pipe[2];
    lc_redis_watch *watch;
    int hears;           /* these two are guarded by the lock of the ears */
    int64_t current_ms;  /* what was changed on this node before, was told; 0: not said yet */
} ear;

struct lc_redis_ears {
    const lc_redis_route *route;
    lc_redis_echoes *echoes;
    llmcache_watch listener;
    pthread_t thread;

    /* The thread's own; the list changes under the lock, since the ears look at it too. */
    ear *list[LC_REDIS_MAX_NODES];
    size_t count;
    lc_redis_address wanted[LC_REDIS_MAX_NODES];
    size_t wanted_count;
    int trusted;

    pthread_mutex_t lock; /* guards all below, and what the ears hear */
    pthread_cond_t wake;
    uint64_t losses;
    int stirred, closing;
    uint64_t handled; /* losses that the listener was told of, and that are over; UINT64_MAX: it does not trust */
};

/* ---- What wakes the thread ------------------------------------------------------------------------ */

static void stir(void *user)
{
    lc_redis_ears *ears = user;
    pthread_mutex_lock(&ears->lock);
    ears->stirred = 1;
    pthread_cond_signal(&ears->wake);
    pthread_mutex_unlock(&ears->lock);
}

static void note(ear *e, int hears)
{
    lc_redis_ears *ears = e->ears;
    pthread_mutex_lock(&ears->lock);
    e->hears = hears;
    ears->losses += !hears;
    ears->stirred = 1;
    pthread_cond_signal(&ears->wake);
    pthread_mutex_unlock(&ears->lock);
}

static void on_distrust(void *user)
{
    note(user, 0);
}

static void on_trust(void *user)
{
    note(user, 1);
}

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    const llmcache_watch *listener = &((ear *)user)->ears->listener;
    listener->changed(listener->user, parts, space, id);
}

/* What is told of one node is of use only as far as all others are told of. */
static void on_current(void *user, int64_t since_ms)
{
    ear *e = user;
    lc_redis_ears *ears = e->ears;
    int64_t least_ms = since_ms;
    pthread_mutex_lock(&ears->lock);
    e->current_ms = since_ms;
    for (size_t i = 0; i < ears->count; i++)
        if (ears->list[i]->current_ms < least_ms)
            least_ms = ears->list[i]->current_ms;
    int heard = ears->handled == ears->losses && least_ms > 0;
    pthread_mutex_unlock(&ears->lock);
    if (heard)
        lc_watch_current(&ears->listener, least_ms);
}

/* ---- Ears ----------------------------------------------------------------------------------------- */

static void remove_ear(ear *e)
{
    if (e->pipe[1] >= 0)
        close(e->pipe[1]); /* the end of the pipe is readable */
    lc_redis_watch_free(e->watch);
    if (e->pipe[0] >= 0)
        close(e->pipe[0]);
    lc_redis_uri_at_done(&e->uri);
    lc_free(e);
}

/* NULL when it cannot be made now. */
static ear *make_ear(lc_redis_ears *ears, const lc_redis_address *address)
{
    llmcache_error err;
    ear *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return NULL;
    fresh->ears = ears;
    fresh->address = *address;
    const llmcache_watch listener = {fresh, on_changed, on_distrust, on_trust, on_current};
    if (pipe2(fresh->pipe, O_CLOEXEC))
        fresh->pipe[0] = fresh->pipe[1] = -1;
    if (fresh->pipe[0] < 0 || lc_redis_cluster_uri(ears->route->cluster, address, &fresh->uri) ||
        lc_redis_watch_new(&fresh->uri, ears->route, fresh->pipe[0], ears->echoes, &listener,
                           &fresh->watch, &err)) {
        remove_ear(fresh);
        return NULL;
    }
    return fresh;
}

static int is_wanted(const lc_redis_ears *ears, const ear *e)
{
    for (size_t i = 0; i < ears->wanted_count; i++)
        if (lc_redis_same_address(&ears->wanted[i], &e->address))
            return 1;
    return 0;
}

static int is_there(const lc_redis_ears *ears, const lc_redis_address *address)
{
    for (size_t i = 0; i < ears->count; i++)
        if (lc_redis_same_address(&ears->list[i]->address, address))
            return 1;
    return 0;
}

/* Are other nodes to be heard than are listened to? */
static int is_to_change(const lc_redis_ears *ears)
{
    int change = ears->count != ears->wanted_count;
    for (size_t i = 0; i < ears->count && !change; i++)
        change = !is_wanted(ears, ears->list[i]);
    return change;
}

/* Takes out those that nobody needs; `out` has room for all. */
static size_t take_out(lc_redis_ears *ears, ear *out[])
{
    size_t kept = 0, taken = 0;
    pthread_mutex_lock(&ears->lock);
    for (size_t i = 0; i < ears->count; i++)
        if (is_wanted(ears, ears->list[i]))
            ears->list[kept++] = ears->list[i];
        else
            out[taken++] = ears->list[i];
    ears->count = kept;
    pthread_mutex_unlock(&ears->lock);
    return taken;
}

static void put_in(lc_redis_ears *ears, ear *fresh)
{
    pthread_mutex_lock(&ears->lock);
    ears->list[ears->count++] = fresh;
    pthread_mutex_unlock(&ears->lock);
}

/* The ears that the cluster's nodes need now. */
static void change_ears(lc_redis_ears *ears)
{
    ear *out[LC_REDIS_MAX_NODES];
    for (size_t i = 0, taken = take_out(ears, out); i < taken; i++)
        remove_ear(out[i]);
    for (size_t i = 0; i < ears->wanted_count; i++) {
        ear *fresh = is_there(ears, &ears->wanted[i]) ? NULL : make_ear(ears, &ears->wanted[i]);
        if (fresh)
            put_in(ears, fresh);
    }
}

/* ---- The thread ----------------------------------------------------------------------------------- */

/* 0 when it is time to end. */
static int wait_for_stir(lc_redis_ears *ears, uint64_t *losses)
{
    struct timespec until = lc_mono_after(AGAIN_MS);
    int incomplete = ears->count < ears->wanted_count, rc = 0;
    pthread_mutex_lock(&ears->lock);
    while (!ears->stirred && !ears->closing && rc == 0)
        rc = incomplete ? pthread_cond_clockwait(&ears->wake, &ears->lock, CLOCK_MONOTONIC, &until)
                        : pthread_cond_wait(&ears->wake, &ears->lock);
    ears->stirred = 0;
    *losses = ears->losses;
    int closing = ears->closing;
    pthread_mutex_unlock(&ears->lock);
    return !closing;
}

/* Does every ear hear, with nothing lost since? */
static int all_hear(lc_redis_ears *ears, uint64_t losses)
{
    int all = ears->count > 0 && ears->count == ears->wanted_count;
    pthread_mutex_lock(&ears->lock);
    all &= ears->losses == losses;
    for (size_t i = 0; i < ears->count && all; i++)
        all = ears->list[i]->hears;
    pthread_mutex_unlock(&ears->lock);
    return all;
}

static void set_handled(lc_redis_ears *ears, uint64_t losses)
{
    pthread_mutex_lock(&ears->lock);
    ears->handled = losses;
    pthread_mutex_unlock(&ears->lock);
}

static void *follow(void *user)
{
    lc_redis_ears *ears = user;
    uint64_t losses, known = 0;
    while (wait_for_stir(ears, &losses)) {
        ears->wanted_count = lc_redis_cluster_nodes(ears->route->cluster, ears->wanted, LC_REDIS_MAX_NODES);
        int change = is_to_change(ears);
        if (ears->trusted && (change || losses != known)) {
            set_handled(ears, UINT64_MAX);
            ears->listener.distrust(ears->listener.user);
            ears->trusted = 0;
        }
        if (change)
            change_ears(ears);
        known = losses;
        if (!ears->trusted && all_hear(ears, losses)) {
            lc_redis_replicas_note(ears->route->replicas, NULL); /* what changed unheard is not on them yet */
            ears->listener.trust(ears->listener.user);
            ears->trusted = 1;
            set_handled(ears, losses);
        }
    }
    ears->wanted_count = 0;
    change_ears(ears);
    return NULL;
}

int lc_redis_ears_new(const lc_redis_route *route, lc_redis_echoes *echoes,
                      const llmcache_watch *listener, lc_redis_ears **ears, llmcache_error *err)
{
    lc_redis_ears *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->route = route;
    fresh->echoes = echoes;
    fresh->listener = *listener;
    fresh->stirred = 1;
    fresh->handled = UINT64_MAX;
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->wake, NULL);
    listener->distrust(listener->user);
    if (pthread_create(&fresh->thread, NULL, follow, fresh)) {
        pthread_cond_destroy(&fresh->wake);
        pthread_mutex_destroy(&fresh->lock);
        lc_free(fresh);
        return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
    }
    lc_redis_cluster_on_change(route->cluster, stir, fresh);
    stir(fresh); /* what changed before it was told of */
    *ears = fresh;
    return 0;
}

void lc_redis_ears_free(lc_redis_ears *ears)
{
    if (!ears)
        return;
    pthread_mutex_lock(&ears->lock);
    ears->closing = 1;
    pthread_cond_signal(&ears->wake);
    pthread_mutex_unlock(&ears->lock);
    pthread_join(ears->thread, NULL);
    pthread_cond_destroy(&ears->wake);
    pthread_mutex_destroy(&ears->lock);
    lc_free(ears);
}

/*
 * Pool and switch. One lock guards the stack of idle connections and the switch; it is never held over
 * I/O. The keeper thread sleeps while all is well. What it is told to give up, it gives up at once: its
 * waits include a pipe that becomes readable when the pool closes.
 */
#include "net/conn_pool.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_IDLE = 64, FIRST_PAUSE_MS = 20, LONGEST_PAUSE_MS = 500, FULL_MS = 1000 };

struct lc_conn_pool {
    const lc_conn_kind *kind;
    void *user;
    lc_conn_options options;
    int pipe[2];          /* [0] readable once closing */
    pthread_t keeper;
    int has_keeper;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;  /* the keeper: lost or closing */
    pthread_cond_t freed; /* `taken` fell, or the server was lost */
    size_t taken;
    size_t room;           /* as many has the server room for, */
    int64_t room_until_ms; /* up to then */
    void *idle[MAX_IDLE];
    size_t idle_count;
    int lost, ever_worked, closing;
    int nudged; /* the next pause is none */
    char reason[LLMCACHE_MESSAGE_SIZE];
};

/* ---- Idle connections --------------------------------------------------------------------------- */

/* With the lock held: 1 when the server is known to have no room for another connection. */
static int is_full(const lc_conn_pool *pool)
{
    return pool->room_until_ms && pool->taken >= pool->room && lc_mono_ms() < pool->room_until_ms;
}

/* With the lock held: 1 when one may be taken now or never. */
static int may_take(const lc_conn_pool *pool)
{
    int prepared = pool->ever_worked || !pool->options.after_reach;
    int free = (!pool->options.most || pool->taken < pool->options.most) && (pool->idle_count || !is_full(pool));
    return pool->lost || (prepared && free);
}

/* With the lock held: until one may be taken, or the time has come. Nobody tells of room that has come by time. */
static void wait_to_take(lc_conn_pool *pool, int64_t until_ms)
{
    while (!may_take(pool) && lc_mono_ms() < until_ms) {
        int64_t wake_ms = is_full(pool) && pool->room_until_ms < until_ms ? pool->room_until_ms : until_ms;
        struct timespec at = lc_mono_after(wake_ms - lc_mono_ms());
        pthread_cond_clockwait(&pool->freed, &pool->lock, CLOCK_MONOTONIC, &at);
    }
}

/* With the lock held, for a connection to be made: after a while one more than there was room for is tried, not all that
 * are wanted. */
static void feel_for_room(lc_conn_pool *pool)
{
    if (!pool->room_until_ms || pool->taken <= pool->room)
        return;
    pool->room = pool->taken;
    pool->room_until_ms = pool->room < pool->options.most ? lc_mono_ms() + FULL_MS : 0;
}

int lc_conn_pool_take(lc_conn_pool *pool, int64_t until_ms, void **conn, llmcache_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&pool->lock);
    wait_to_take(pool, until_ms);
    if (pool->lost)
        rc = lc_fail(err, LLMCACHE_STORE, "the store is out of reach: %s", pool->reason);
    else if (!may_take(pool))
        rc = lc_fail(err, LLMCACHE_BUSY,
                     pool->ever_worked ? "all connections to the store were taken"
                                       : "the store is not connected yet");
    *conn = !rc && pool->idle_count ? pool->idle[--pool->idle_count] : NULL;
    pool->taken += !rc;
    if (!rc && !*conn)
        feel_for_room(pool);
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

void lc_conn_pool_forget(lc_conn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->taken--;
    pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
}

/* With the lock held: there is room for what there is, for a while. */
static size_t settle(lc_conn_pool *pool)
{
    size_t count = pool->taken + pool->idle_count;
    if (count) {
        pool->room = count;
        pool->room_until_ms = lc_mono_ms() + FULL_MS;
    }
    return count;
}

void lc_conn_pool_spare_one(lc_conn_pool *pool)
{
    void *spared = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->idle_count && pool->taken + pool->idle_count > 1) {
        spared = pool->idle[--pool->idle_count];
        settle(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    if (spared)
        pool->kind->close(pool->user, spared);
}

int lc_conn_pool_make_do(lc_conn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->taken--;
    size_t others = settle(pool);
    pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
    return others > 0;
}

/* Back on the stack, which also says that the server works. */
static void keep_idle(lc_conn_pool *pool, void *conn, int was_taken)
{
    pthread_mutex_lock(&pool->lock);
    pool->ever_worked = 1;
    int keep = !pool->closing && pool->idle_count < MAX_IDLE;
    if (keep)
        pool->idle[pool->idle_count++] = conn;
    pool->taken -= (size_t)was_taken;
    pthread_cond_broadcast(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
    if (!keep)
        pool->kind->close(pool->user, conn);
}

void lc_conn_pool_give(lc_conn_pool *pool, void *conn)
{
    keep_idle(pool, conn, 1);
}

void lc_conn_pool_drop_idle(lc_conn_pool *pool)
{
    void *dropped[MAX_IDLE];
    pthread_mutex_lock(&pool->lock);
    size_t count = pool->idle_count;
    memcpy(dropped, pool->idle, count * sizeof *dropped);
    pool->idle_count = 0;
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < count; i++)
        pool->kind->close(pool->user, dropped[i]);
}

/* ---- The switch --------------------------------------------------------------------------------- */

void lc_conn_pool_lose(lc_conn_pool *pool, const llmcache_error *err)
{
    pthread_mutex_lock(&pool->lock);
    pool->lost = 1;
    snprintf(pool->reason, sizeof pool->reason, "%s", err->message);
    pthread_cond_signal(&pool->wake);
    pthread_cond_broadcast(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
    lc_conn_pool_drop_idle(pool);
}

void lc_conn_pool_nudge(lc_conn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->nudged = 1;
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void find_again(lc_conn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->lost = 0;
    pthread_mutex_unlock(&pool->lock);
}

void lc_conn_pool_look(lc_conn_pool *pool, lc_conn_pool_state *state)
{
    pthread_mutex_lock(&pool->lock);
    state->lost = pool->lost;
    state->ever_worked = pool->ever_worked;
    state->idle = pool->idle_count;
    memcpy(state->reason, pool->reason, sizeof state->reason);
    pthread_mutex_unlock(&pool->lock);
}

int lc_conn_is_loss(int code)
{
    return code != 0 && code != LLMCACHE_MEMORY && code != LLMCACHE_TOO_LARGE;
}

static int has_others(lc_conn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int others = pool->taken + pool->idle_count > 0 && !pool->lost;
    pthread_mutex_unlock(&pool->lock);
    return others;
}

int lc_conn_pool_ping(lc_conn_pool *pool, int64_t until_ms, llmcache_error *err)
{
    void *conn;
    int rc = pool->kind->reach(pool->user, until_ms, -1, &conn, err);
    if (rc) {
        /* One that has no room for another connection serves over those there are. */
        if (lc_conn_is_loss(rc) && !(rc == LLMCACHE_BUSY && has_others(pool)))
            lc_conn_pool_lose(pool, err);
        return rc;
    }
    find_again(pool);
    keep_idle(pool, conn, 0);
    return 0;
}

/* ---- The keeper --------------------------------------------------------------------------------- */

/* Waits with the lock held until there is something to do; the pause is a wait that only closing ends. */
static void wait_for_loss(lc_conn_pool *pool)
{
    while (!pool->lost && !pool->closing)
        pthread_cond_wait(&pool->wake, &pool->lock);
}

static void pause_for(lc_conn_pool *pool, int64_t pause_ms)
{
    struct timespec until = lc_mono_after(pause_ms);
    while (!pool->closing && pool->lost && !pool->nudged &&
           pthread_cond_clockwait(&pool->wake, &pool->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
}

/* One try to reach the server, without the lock. */
static int try_once(lc_conn_pool *pool, llmcache_error *err)
{
    void *conn;
    int rc = pool->kind->reach(pool->user, lc_mono_ms() + pool->options.probe_ms, pool->pipe[0], &conn, err);
    if (rc)
        return rc;
    find_again(pool);
    keep_idle(pool, conn, 0);
    return 0;
}

/* Before anything is lost: makes a connection ready, and tells early if the server is not there. */
static void warm_up(lc_conn_pool *pool)
{
    llmcache_error err;
    lc_conn_pool_state state;
    int rc = try_once(pool, &err);
    lc_conn_pool_look(pool, &state);
    if (rc && !state.ever_worked)
        lc_conn_pool_lose(pool, &err);
}

static void *keep(void *user)
{
    lc_conn_pool *pool = user;
    int64_t pause_ms = FIRST_PAUSE_MS;
    warm_up(pool);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        llmcache_error err;
        wait_for_loss(pool);
        if (pool->closing)
            break;
        pool->nudged = 0;
        pthread_mutex_unlock(&pool->lock);
        int rc = try_once(pool, &err);
        pthread_mutex_lock(&pool->lock);
        if (rc) {
            snprintf(pool->reason, sizeof pool->reason, "%s", err.message);
            pause_for(pool, pause_ms);
        }
        pause_ms = !rc ? FIRST_PAUSE_MS
                   : pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2
                                                     : LONGEST_PAUSE_MS;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- Life --------------------------------------------------------------------------------------- */

int lc_conn_pool_new(const lc_conn_kind *kind, void *user, const lc_conn_options *options,
                     lc_conn_pool **pool, llmcache_error *err)
{
    lc_conn_pool *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->kind = kind;
    fresh->user = user;
    fresh->options = *options;
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->wake, NULL);
    pthread_cond_init(&fresh->freed, NULL);
    if (pipe2(fresh->pipe, O_CLOEXEC)) {
        fresh->pipe[0] = fresh->pipe[1] = -1;
        lc_conn_pool_free(fresh);
        return lc_fail(err, LLMCACHE_IO, "the store could not open a pipe");
    }
    if (pthread_create(&fresh->keeper, NULL, keep, fresh)) {
        lc_conn_pool_free(fresh);
        return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
    }
    fresh->has_keeper = 1;
    *pool = fresh;
    return 0;
}

int lc_conn_pool_cancel_fd(const lc_conn_pool *pool)
{
    return pool->pipe[0];
}

void lc_conn_pool_cancel(lc_conn_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int first = !pool->closing;
    pool->closing = 1;
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    if (first && pool->pipe[1] >= 0)
        close(pool->pipe[1]); /* the end of the pipe is readable */
}

void lc_conn_pool_free(lc_conn_pool *pool)
{
    if (!pool)
        return;
    lc_conn_pool_cancel(pool);
    if (pool->has_keeper)
        pthread_join(pool->keeper, NULL);
    lc_conn_pool_drop_idle(pool);
    if (pool->pipe[0] >= 0)
        close(pool->pipe[0]);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->freed);
    pthread_mutex_destroy(&pool->lock);
    lc_free(pool);
}

/*
 * Pool and switch. One lock guards the stack of idle connections and the switch; it is never held over
 * I/O. The keeper thread sleeps while all is well. What it is told to give up, it gives up at once: its
 * waits include a pipe that becomes readable when the pool closes.
 */
#include "store/redis_pool.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_IDLE = 64, FIRST_PAUSE_MS = 20, LONGEST_PAUSE_MS = 500 };

struct lc_redis_pool {
    const lc_redis_uri *uri;
    int64_t probe_ms;
    int pipe[2];          /* [0] readable once closing */
    pthread_t keeper;
    int has_keeper;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;  /* the keeper: lost or closing */
    lc_redis_conn *idle[MAX_IDLE];
    size_t idle_count;
    int lost, ever_worked, closing;
    char reason[LLMCACHE_MESSAGE_SIZE];
};

/* ---- Idle connections --------------------------------------------------------------------------- */

/* An idle connection, or NULL; -1 while the switch is open. */
static int take(lc_redis_pool *pool, lc_redis_conn **conn)
{
    pthread_mutex_lock(&pool->lock);
    int lost = pool->lost;
    *conn = !lost && pool->idle_count ? pool->idle[--pool->idle_count] : NULL;
    pthread_mutex_unlock(&pool->lock);
    return lost ? -1 : 0;
}

/* Back on the stack, which also says that the server works. */
static void give(lc_redis_pool *pool, lc_redis_conn *conn)
{
    pthread_mutex_lock(&pool->lock);
    pool->ever_worked = 1;
    int keep = !pool->closing && pool->idle_count < MAX_IDLE;
    if (keep)
        pool->idle[pool->idle_count++] = conn;
    pthread_mutex_unlock(&pool->lock);
    if (!keep)
        lc_redis_disconnect(conn);
}

static void drop_idle(lc_redis_pool *pool)
{
    lc_redis_conn *dropped[MAX_IDLE];
    pthread_mutex_lock(&pool->lock);
    size_t count = pool->idle_count;
    memcpy(dropped, pool->idle, count * sizeof *dropped);
    pool->idle_count = 0;
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < count; i++)
        lc_redis_disconnect(dropped[i]);
}

/* ---- The switch --------------------------------------------------------------------------------- */

static void lose(lc_redis_pool *pool, const llmcache_error *err)
{
    pthread_mutex_lock(&pool->lock);
    pool->lost = 1;
    snprintf(pool->reason, sizeof pool->reason, "%s", err->message);
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    drop_idle(pool);
}

static void find_again(lc_redis_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->lost = 0;
    pthread_mutex_unlock(&pool->lock);
}

static int fail_lost(lc_redis_pool *pool, llmcache_error *err)
{
    lc_redis_pool_state state;
    lc_redis_pool_look(pool, &state);
    return lc_fail(err, LLMCACHE_STORE, "the store is out of reach: %s", state.reason);
}

void lc_redis_pool_look(lc_redis_pool *pool, lc_redis_pool_state *state)
{
    pthread_mutex_lock(&pool->lock);
    state->lost = pool->lost;
    state->ever_worked = pool->ever_worked;
    state->idle = pool->idle_count;
    memcpy(state->reason, pool->reason, sizeof state->reason);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- Exchanges ---------------------------------------------------------------------------------- */

/* The first reply that says "not ready", as a loss. */
static int check_ready(lc_redis_pool *pool, redisReply **replies, size_t count, llmcache_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (lc_redis_is_unready(replies[i])) {
            int rc = lc_redis_check(replies[i], pool->uri->name, err);
            lc_redis_free_replies(replies, count);
            return rc;
        }
    return 0;
}

static int exchange_on_new(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                           redisReply **replies, lc_redis_conn **conn, llmcache_error *err)
{
    int rc = lc_redis_connect(pool->uri, until_ms, -1, conn, err);
    return rc ? rc : lc_redis_exchange(*conn, batch, until_ms, replies, err);
}

/* Errors of our own making say nothing about the server. */
static int is_loss(int rc)
{
    return rc != 0 && rc != LLMCACHE_MEMORY && rc != LLMCACHE_TOO_LARGE;
}

int lc_redis_pool_exchange(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                           redisReply **replies, llmcache_error *err)
{
    lc_redis_conn *conn;
    if (batch->bytes.broken)
        return lc_fail(err, batch->bytes.broken, "%s", lc_code_text(batch->bytes.broken));
    if (take(pool, &conn))
        return fail_lost(pool, err);
    int kept = conn != NULL, rc = LLMCACHE_NETWORK;
    if (kept)
        rc = lc_redis_exchange(conn, batch, until_ms, replies, err);
    if (kept && rc == LLMCACHE_NETWORK) { /* it died idle, and so did its neighbours */
        lc_redis_disconnect(conn);
        conn = NULL;
        drop_idle(pool);
    }
    if (!conn)
        rc = exchange_on_new(pool, batch, until_ms, replies, &conn, err);
    if (!rc)
        rc = check_ready(pool, replies, batch->count, err);
    if (!rc) {
        give(pool, conn);
        return 0;
    }
    lc_redis_disconnect(conn);
    if (is_loss(rc))
        lose(pool, err);
    return rc;
}

/* A new connection that has answered a PING. */
static int reach(lc_redis_pool *pool, int64_t until_ms, int cancel_fd, lc_redis_conn **conn,
                 llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *reply = NULL;
    lc_redis_conn *fresh = NULL;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("PING"));
    int rc = lc_redis_connect(pool->uri, until_ms, cancel_fd, &fresh, err);
    if (!rc)
        rc = lc_redis_exchange(fresh, &batch, until_ms, &reply, err);
    if (!rc)
        rc = lc_redis_check(reply, pool->uri->name, err);
    lc_redis_batch_done(&batch);
    lc_redis_free_replies(&reply, 1);
    if (rc) {
        lc_redis_disconnect(fresh);
        return rc;
    }
    *conn = fresh;
    return 0;
}

int lc_redis_pool_ping(lc_redis_pool *pool, int64_t until_ms, llmcache_error *err)
{
    lc_redis_conn *conn;
    int rc = reach(pool, until_ms, -1, &conn, err);
    if (rc) {
        if (is_loss(rc))
            lose(pool, err);
        return rc;
    }
    find_again(pool);
    give(pool, conn);
    return 0;
}

/* ---- The keeper --------------------------------------------------------------------------------- */

/* Waits with the lock held until there is something to do; the pause is a wait that only closing ends. */
static void wait_for_loss(lc_redis_pool *pool)
{
    while (!pool->lost && !pool->closing)
        pthread_cond_wait(&pool->wake, &pool->lock);
}

static void pause_for(lc_redis_pool *pool, int64_t pause_ms)
{
    struct timespec until = lc_mono_after(pause_ms);
    while (!pool->closing && pool->lost &&
           pthread_cond_clockwait(&pool->wake, &pool->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
}

/* One try to reach the server, without the lock. */
static int try_once(lc_redis_pool *pool, llmcache_error *err)
{
    lc_redis_conn *conn;
    int rc = reach(pool, lc_mono_ms() + pool->probe_ms, pool->pipe[0], &conn, err);
    if (rc)
        return rc;
    find_again(pool);
    give(pool, conn);
    return 0;
}

/* Before anything is lost: makes a connection ready, and tells early if the server is not there. */
static void warm_up(lc_redis_pool *pool)
{
    llmcache_error err;
    lc_redis_pool_state state;
    int rc = try_once(pool, &err);
    lc_redis_pool_look(pool, &state);
    if (rc && !state.ever_worked)
        lose(pool, &err);
}

static void *keep(void *user)
{
    lc_redis_pool *pool = user;
    int64_t pause_ms = FIRST_PAUSE_MS;
    warm_up(pool);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        llmcache_error err;
        wait_for_loss(pool);
        if (pool->closing)
            break;
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

int lc_redis_pool_new(const lc_redis_uri *uri, int64_t probe_ms, lc_redis_pool **pool,
                      llmcache_error *err)
{
    lc_redis_pool *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->uri = uri;
    fresh->probe_ms = probe_ms;
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->wake, NULL);
    if (pipe2(fresh->pipe, O_CLOEXEC)) {
        fresh->pipe[0] = fresh->pipe[1] = -1;
        lc_redis_pool_free(fresh);
        return lc_fail(err, LLMCACHE_IO, "the store could not open a pipe");
    }
    if (pthread_create(&fresh->keeper, NULL, keep, fresh)) {
        lc_redis_pool_free(fresh);
        return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
    }
    fresh->has_keeper = 1;
    *pool = fresh;
    return 0;
}

int lc_redis_pool_cancel_fd(const lc_redis_pool *pool)
{
    return pool->pipe[0];
}

void lc_redis_pool_cancel(lc_redis_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    int first = !pool->closing;
    pool->closing = 1;
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    if (first && pool->pipe[1] >= 0)
        close(pool->pipe[1]); /* the end of the pipe is readable */
}

void lc_redis_pool_free(lc_redis_pool *pool)
{
    if (!pool)
        return;
    lc_redis_pool_cancel(pool);
    if (pool->has_keeper)
        pthread_join(pool->keeper, NULL);
    drop_idle(pool);
    if (pool->pipe[0] >= 0)
        close(pool->pipe[0]);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    lc_free(pool);
}

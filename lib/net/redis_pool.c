/* Exchanges with a Redis over the connections of a pool, and what makes such a connection. */
#include "net/redis_pool.h"

#include "base/error.h"
#include "base/memory.h"
#include "net/redis_sentinel.h"

#include <stdatomic.h>
#include <string.h>

enum { TRY_MS = 500 }; /* where sentinels say where it is, one try at a place: it may soon be another */

struct lc_redis_pool {
    const lc_redis_uri *uri;
    lc_redis_sentinel *sentinel; /* NULL: the URI says where it is */
    lc_conn_pool *conns;
    int bearable;    /* this many times in a row too late, and it counts as lost; 0 is 1 */
    atomic_int late; /* times in a row */
    atomic_uint_least64_t breaks; /* connections that broke */
};

/* ---- Connections -------------------------------------------------------------------------------- */

int lc_redis_pool_connect(lc_redis_pool *pool, int64_t until_ms, int cancel_fd, lc_redis_conn **conn,
                          llmcache_error *err)
{
    if (pool->sentinel)
        return lc_redis_sentinel_connect(pool->sentinel, until_ms, 0, conn, err);
    return lc_redis_connect(pool->uri, until_ms, cancel_fd, conn, err);
}

/* Is it still the server to be asked? */
static int holds(const lc_redis_pool *pool, const lc_redis_conn *conn)
{
    return !pool->sentinel || lc_redis_reign_holds(conn);
}

/* ---- Exchanges ---------------------------------------------------------------------------------- */

/*
 * Is another connection worth it? One that breaks may have been killed alone, by a person or a proxy; when a
 * second new one breaks, it is the server. Where another server takes over, there is nothing to be counted.
 */
static int may_again(const lc_redis_pool *pool, lc_redis_call *call)
{
    if (call->kept || (call->conn && !holds(pool, call->conn)))
        return 1;
    return call->spare > 0 && call->spare--;
}

/* Sends it over a new connection. */
static int send_anew(lc_redis_pool *pool, lc_redis_call *call, llmcache_error *err)
{
    int rc;
    if (call->kept) /* it died idle, and so did its neighbours */
        lc_conn_pool_drop_idle(pool->conns);
    call->kept = 0;
    do {
        atomic_fetch_add(&pool->breaks, call->conn != NULL);
        lc_redis_disconnect(call->conn);
        call->conn = NULL;
        rc = lc_redis_pool_connect(pool, call->until_ms, -1, &call->conn, err);
        if (!rc)
            rc = lc_redis_send(call->conn, call->batch, call->until_ms, err);
    } while (rc == LLMCACHE_NETWORK && may_again(pool, call));
    return rc;
}

/* The first reply that says "not ready", as a loss. */
static int check_ready(lc_redis_pool *pool, const lc_redis_call *call, redisReply **replies,
                       llmcache_error *err)
{
    for (size_t i = 0; i < call->batch->count; i++)
        if (lc_redis_is_unready(replies[i]) || (pool->sentinel && lc_redis_is_readonly(replies[i])))
            return lc_redis_check(replies[i], pool->uri->name, err);
    if (!holds(pool, call->conn))
        return lc_fail(err, LLMCACHE_NETWORK, "%s: another primary took over", pool->uri->name);
    return 0;
}

static int receive(lc_redis_pool *pool, const lc_redis_call *call, redisReply **replies, llmcache_error *err)
{
    int rc = lc_redis_receive_all(call->conn, call->batch->count, call->until_ms, replies, err);
    if (rc)
        return rc;
    rc = check_ready(pool, call, replies, err);
    if (rc)
        lc_redis_free_replies(replies, call->batch->count);
    return rc;
}

static int fail_call(lc_redis_pool *pool, lc_redis_call *call, int rc, const llmcache_error *err)
{
    lc_redis_disconnect(call->conn);
    lc_conn_pool_forget(pool->conns);
    if (!lc_conn_is_loss(rc))
        return rc;
    if (rc == LLMCACHE_TIMEOUT && atomic_fetch_add(&pool->late, 1) + 1 < pool->bearable)
        return rc;
    atomic_fetch_add(&pool->breaks, 1);
    lc_conn_pool_lose(pool->conns, err);
    if (pool->sentinel)
        lc_redis_sentinel_doubt(pool->sentinel);
    return rc;
}

int lc_redis_pool_begin(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                        lc_redis_call *call, llmcache_error *err)
{
    void *idle;
    if (batch->bytes.broken)
        return lc_fail(err, batch->bytes.broken, "%s", lc_code_text(batch->bytes.broken));
    int rc = lc_conn_pool_take(pool->conns, until_ms, &idle, err);
    if (rc)
        return rc;
    *call = (lc_redis_call){.batch = batch, .until_ms = until_ms, .conn = idle, .spare = 1};
    call->kept = idle && holds(pool, idle);
    rc = call->kept ? lc_redis_send(call->conn, batch, until_ms, err) : LLMCACHE_NETWORK;
    if (rc == LLMCACHE_NETWORK)
        rc = send_anew(pool, call, err);
    return rc ? fail_call(pool, call, rc, err) : 0;
}

int lc_redis_pool_finish(lc_redis_pool *pool, lc_redis_call *call, redisReply **replies,
                         llmcache_error *err)
{
    int rc = receive(pool, call, replies, err);
    while (rc == LLMCACHE_NETWORK && may_again(pool, call)) {
        rc = send_anew(pool, call, err);
        if (rc)
            break;
        rc = receive(pool, call, replies, err);
    }
    if (rc)
        return fail_call(pool, call, rc, err);
    atomic_store_explicit(&pool->late, 0, memory_order_relaxed);
    lc_conn_pool_give(pool->conns, call->conn);
    return 0;
}

int lc_redis_pool_exchange(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                           redisReply **replies, llmcache_error *err)
{
    lc_redis_call call;
    memset(replies, 0, batch->count * sizeof *replies);
    int rc = lc_redis_pool_begin(pool, batch, until_ms, &call, err);
    return rc ? rc : lc_redis_pool_finish(pool, &call, replies, err);
}

uint64_t lc_redis_pool_breaks(lc_redis_pool *pool)
{
    return atomic_load(&pool->breaks);
}

/* ---- Life --------------------------------------------------------------------------------------- */

static int reach_once(lc_redis_pool *pool, int64_t until_ms, int cancel_fd, lc_redis_conn **conn,
                      llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *reply = NULL;
    lc_redis_conn *fresh = NULL;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("PING"));
    int rc = pool->sentinel ? lc_redis_sentinel_connect(pool->sentinel, until_ms, TRY_MS, &fresh, err)
                            : lc_redis_connect(pool->uri, until_ms, cancel_fd, &fresh, err);
    if (!rc)
        rc = lc_redis_exchange(fresh, &batch, until_ms, &reply, err);
    if (!rc)
        rc = lc_redis_check(reply, pool->uri->name, err);
    lc_redis_batch_done(&batch);
    lc_redis_free_replies(&reply, 1);
    if (rc)
        lc_redis_disconnect(fresh);
    else
        *conn = fresh;
    return rc;
}

/* A new connection that has answered a PING. */
static int reach(void *user, int64_t until_ms, int cancel_fd, void **conn, llmcache_error *err)
{
    lc_redis_conn *fresh;
    int rc = reach_once(user, until_ms, cancel_fd, &fresh, err);
    if (rc == LLMCACHE_NETWORK)
        rc = reach_once(user, until_ms, cancel_fd, &fresh, err);
    if (!rc) {
        atomic_store_explicit(&((lc_redis_pool *)user)->late, 0, memory_order_relaxed);
        *conn = fresh;
    }
    return rc;
}

static void close_conn(void *user, void *conn)
{
    lc_redis_disconnect(conn);
}

/* Another primary reigns. */
static void turn(void *user)
{
    lc_redis_pool *pool = user;
    lc_conn_pool_drop_idle(pool->conns);
    lc_conn_pool_nudge(pool->conns);
}

int lc_redis_pool_new(const lc_redis_uri *uri, int64_t probe_ms, lc_redis_pool **pool,
                      llmcache_error *err)
{
    static const lc_conn_kind kind = {reach, close_conn};
    lc_redis_pool *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->uri = uri;
    const lc_conn_options options = {.probe_ms = probe_ms};
    int rc = uri->sentinels ? lc_redis_sentinel_new(uri, turn, fresh, &fresh->sentinel, err) : 0;
    if (!rc)
        rc = lc_conn_pool_new(&kind, fresh, &options, &fresh->conns, err);
    if (!rc && fresh->sentinel)
        rc = lc_redis_sentinel_start(fresh->sentinel, err);
    if (rc)
        lc_redis_pool_free(fresh);
    else
        *pool = fresh;
    return rc;
}

void lc_redis_pool_bear(lc_redis_pool *pool, int late)
{
    pool->bearable = late;
}

void lc_redis_pool_free(lc_redis_pool *pool)
{
    if (!pool)
        return;
    lc_redis_sentinel_stop(pool->sentinel); /* it calls, and the pool's thread asks it */
    lc_conn_pool_free(pool->conns);
    lc_redis_sentinel_free(pool->sentinel);
    lc_free(pool);
}

const char *lc_redis_pool_name(const lc_redis_pool *pool)
{
    return pool->uri->name;
}

int lc_redis_pool_ping(lc_redis_pool *pool, int64_t until_ms, llmcache_error *err)
{
    return lc_conn_pool_ping(pool->conns, until_ms, err);
}

int lc_redis_pool_cancel_fd(const lc_redis_pool *pool)
{
    return lc_conn_pool_cancel_fd(pool->conns);
}

void lc_redis_pool_cancel(lc_redis_pool *pool)
{
    lc_conn_pool_cancel(pool->conns);
    lc_redis_sentinel_cancel(pool->sentinel);
}

void lc_redis_pool_look(lc_redis_pool *pool, lc_conn_pool_state *state)
{
    lc_conn_pool_look(pool->conns, state);
}

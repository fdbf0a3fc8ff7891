/* Exchanges with a Redis over the connections of a pool, and what makes such a connection. */
#include "net/redis_pool.h"

#include "base/error.h"
#include "base/memory.h"

struct lc_redis_pool {
    const lc_redis_uri *uri;
    lc_conn_pool *conns;
};

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

static int exchange_once(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms, int cancel_fd,
                         redisReply **replies, lc_redis_conn **conn, llmcache_error *err)
{
    lc_redis_conn *fresh = NULL;
    int rc = lc_redis_connect(pool->uri, until_ms, cancel_fd, &fresh, err);
    if (!rc)
        rc = lc_redis_exchange(fresh, batch, until_ms, replies, err);
    if (rc)
        lc_redis_disconnect(fresh);
    else
        *conn = fresh;
    return rc;
}

/* One that breaks may have been killed alone, by a person or a proxy; when a second one breaks, it is the server. */
static int exchange_on_new(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms, int cancel_fd,
                           redisReply **replies, lc_redis_conn **conn, llmcache_error *err)
{
    int rc = exchange_once(pool, batch, until_ms, cancel_fd, replies, conn, err);
    if (rc == LLMCACHE_NETWORK)
        rc = exchange_once(pool, batch, until_ms, cancel_fd, replies, conn, err);
    return rc;
}

int lc_redis_pool_exchange(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                           redisReply **replies, llmcache_error *err)
{
    void *idle;
    if (batch->bytes.broken)
        return lc_fail(err, batch->bytes.broken, "%s", lc_code_text(batch->bytes.broken));
    int rc = lc_conn_pool_take(pool->conns, until_ms, &idle, err);
    if (rc)
        return rc;
    lc_redis_conn *conn = idle;
    rc = conn ? lc_redis_exchange(conn, batch, until_ms, replies, err) : LLMCACHE_NETWORK;
    if (conn && rc == LLMCACHE_NETWORK) { /* it died idle, and so did its neighbours */
        lc_redis_disconnect(conn);
        conn = NULL;
        lc_conn_pool_drop_idle(pool->conns);
    }
    if (!conn)
        rc = exchange_on_new(pool, batch, until_ms, -1, replies, &conn, err);
    if (!rc)
        rc = check_ready(pool, replies, batch->count, err);
    if (!rc) {
        lc_conn_pool_give(pool->conns, conn);
        return 0;
    }
    lc_redis_disconnect(conn);
    lc_conn_pool_forget(pool->conns);
    if (lc_conn_is_loss(rc))
        lc_conn_pool_lose(pool->conns, err);
    return rc;
}

/* A new connection that has answered a PING. */
static int reach(void *user, int64_t until_ms, int cancel_fd, void **conn, llmcache_error *err)
{
    lc_redis_pool *pool = user;
    lc_redis_batch batch;
    redisReply *reply = NULL;
    lc_redis_conn *fresh = NULL;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("PING"));
    int rc = exchange_on_new(pool, &batch, until_ms, cancel_fd, &reply, &fresh, err);
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

static void close_conn(void *user, void *conn)
{
    lc_redis_disconnect(conn);
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
    int rc = lc_conn_pool_new(&kind, fresh, &options, &fresh->conns, err);
    if (rc)
        lc_free(fresh);
    else
        *pool = fresh;
    return rc;
}

void lc_redis_pool_free(lc_redis_pool *pool)
{
    if (!pool)
        return;
    lc_conn_pool_free(pool->conns);
    lc_free(pool);
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
}

void lc_redis_pool_look(lc_redis_pool *pool, lc_conn_pool_state *state)
{
    lc_conn_pool_look(pool->conns, state);
}

/* Exchanges with one Redis: conn_pool.h over its connections. */
#ifndef LC_NET_REDIS_POOL_H
#define LC_NET_REDIS_POOL_H

#include "net/conn_pool.h"
#include "net/redis_wire.h"

typedef struct lc_redis_pool lc_redis_pool;

/* `uri` is borrowed for the pool's life; with sentinels the Redis is the primary they name. probe_ms: how long one try to reach a lost server may take. */
int lc_redis_pool_new(const lc_redis_uri *uri, int64_t probe_ms, lc_redis_pool **pool,
                      llmcache_error *err);
/*
 * Only after so many times in a row too late, or at once when a connection breaks, the server counts as lost; one late
 * answer is enough unless this says otherwise. For work of which one piece may take long while the server is well.
 */
void lc_redis_pool_bear(lc_redis_pool *pool, int late);
/* No exchange may be under way. Does not wait for the network. */
void lc_redis_pool_free(lc_redis_pool *pool);

/* Readable once the pool closes: for the waits of other threads that end with it. */
int lc_redis_pool_cancel_fd(const lc_redis_pool *pool);
void lc_redis_pool_cancel(lc_redis_pool *pool);

/*
 * Sends the batch and gets as many replies, all or none (each NULL). LLMCACHE_STORE at once while the server is
 * known to be lost; LLMCACHE_TIMEOUT or LLMCACHE_NETWORK when it is lost now. The batch may be sent three times, when
 * a kept connection turns out to be dead, or a new one breaks: commands must bear it.
 */
int lc_redis_pool_exchange(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                           redisReply **replies, llmcache_error *err);

/* Rises with every connection that broke: while it stays, all was asked of one and the same run of the server. */
uint64_t lc_redis_pool_breaks(lc_redis_pool *pool);

/*
 * The same in two steps, so that several servers can be asked at once: each 0 of lc_redis_pool_begin is answered by one
 * lc_redis_pool_finish. The batch is borrowed until then.
 */
typedef struct lc_redis_call {
    const lc_redis_batch *batch;
    int64_t until_ms;
    lc_redis_conn *conn;
    int kept;  /* the connection was there before */
    int spare; /* new connections that may break */
} lc_redis_call;

int lc_redis_pool_begin(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                        lc_redis_call *call, llmcache_error *err);
int lc_redis_pool_finish(lc_redis_pool *pool, lc_redis_call *call, redisReply **replies,
                         llmcache_error *err);

/* A connection of the caller's own. With sentinels it is cut when another primary takes over, or the pool closes;
 * without, its waits end when cancel_fd is readable. */
int lc_redis_pool_connect(lc_redis_pool *pool, int64_t until_ms, int cancel_fd, lc_redis_conn **conn,
                          llmcache_error *err);
const char *lc_redis_pool_name(const lc_redis_pool *pool);

/* A PING over a new connection, whatever is known; closes the switch if it works. */
int lc_redis_pool_ping(lc_redis_pool *pool, int64_t until_ms, llmcache_error *err);

void lc_redis_pool_look(lc_redis_pool *pool, lc_conn_pool_state *state);

#endif

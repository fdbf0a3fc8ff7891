/* Exchanges with one Redis: conn_pool.h over its connections. */
#ifndef LC_NET_REDIS_POOL_H
#define LC_NET_REDIS_POOL_H

#include "net/conn_pool.h"
#include "net/redis_wire.h"

typedef struct lc_redis_pool lc_redis_pool;

/* `uri` is borrowed for the pool's life. probe_ms: how long one try to reach a lost server may take. */
int lc_redis_pool_new(const lc_redis_uri *uri, int64_t probe_ms, lc_redis_pool **pool,
                      llmcache_error *err);
/* No exchange may be under way. Does not wait for the network. */
void lc_redis_pool_free(lc_redis_pool *pool);

/* Readable once the pool closes: for the waits of other threads that end with it. */
int lc_redis_pool_cancel_fd(const lc_redis_pool *pool);
void lc_redis_pool_cancel(lc_redis_pool *pool);

/*
 * Sends the batch and gets as many replies, all or none. LLMCACHE_STORE at once while the server is known to be
 * lost; LLMCACHE_TIMEOUT or LLMCACHE_NETWORK when it is lost now. The batch may be sent three times, when a kept
 * connection turns out to be dead, or a new one breaks: commands must bear it.
 */
int lc_redis_pool_exchange(lc_redis_pool *pool, const lc_redis_batch *batch, int64_t until_ms,
                           redisReply **replies, llmcache_error *err);

/* A PING over a new connection, whatever is known; closes the switch if it works. */
int lc_redis_pool_ping(lc_redis_pool *pool, int64_t until_ms, llmcache_error *err);

void lc_redis_pool_look(lc_redis_pool *pool, lc_conn_pool_state *state);

#endif

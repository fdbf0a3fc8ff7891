/* The changes of a whole cluster: one watch (redis_watch.h) a node, heard as one. */
#ifndef LC_STORE_REDIS_EARS_H
#define LC_STORE_REDIS_EARS_H

#include "store/redis_echo.h"
#include "store/redis_route.h"

#include <llmcache/backend.h>

typedef struct lc_redis_ears lc_redis_ears;

/*
 * Starts following the nodes of the route's cluster; says distrust before it returns, and trust whenever all of
 * them are heard. All but the listener is borrowed.
 */
int lc_redis_ears_new(const lc_redis_route *route, lc_redis_echoes *echoes,
                      const llmcache_watch *listener, lc_redis_ears **ears, llmcache_error *err);
/* Accepts NULL; cancel the cluster first. Does not wait for the network. */
void lc_redis_ears_free(lc_redis_ears *ears);

#endif

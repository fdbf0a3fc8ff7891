/* Who changed what in a Redis: its client tracking, followed by a thread. */
#ifndef LC_STORE_REDIS_WATCH_H
#define LC_STORE_REDIS_WATCH_H

#include "store/redis_echo.h"
#include "store/redis_route.h"

#include <llmcache/backend.h>

typedef struct lc_redis_watch lc_redis_watch;

/*
 * Starts following; says distrust before it returns, and trust as soon as changes are heard. All but the
 * listener is borrowed. Everything ends when cancel_fd becomes readable; lc_redis_watch_free then waits for the thread.
 * `uri` says whose changes, NULL: those of the route's one Redis. `route` is asked what stands there now.
 */
int lc_redis_watch_new(const lc_redis_uri *uri, const lc_redis_route *route, int cancel_fd,
                       lc_redis_echoes *echoes, const llmcache_watch *listener,
                       lc_redis_watch **watch, llmcache_error *err);

void lc_redis_watch_free(lc_redis_watch *watch); /* accepts NULL; cancel first */

#endif

/* Who changed what in a Redis: its client tracking, followed by a thread. */
#ifndef LC_STORE_REDIS_WATCH_H
#define LC_STORE_REDIS_WATCH_H

#include "store/redis_echo.h"
#include "store/redis_pool.h"

#include <llmcache/backend.h>

typedef struct lc_redis_watch lc_redis_watch;

/*
 * Starts following; says distrust before it returns, and trust as soon as changes are heard. All but the
 * listener is borrowed. Everything ends when the pool is cancelled; lc_redis_watch_free then waits for the thread.
 */
int lc_redis_watch_new(const lc_redis_uri *uri, lc_redis_pool *pool, lc_redis_echoes *echoes,
                       const llmcache_watch *listener, lc_redis_watch **watch, llmcache_error *err);

/* Tells the listener of a change that the store knows of by itself. */
void lc_redis_watch_tell(lc_redis_watch *watch, int part, const char *space, const char *id);

void lc_redis_watch_free(lc_redis_watch *watch); /* accepts NULL; cancel the pool first */

#endif

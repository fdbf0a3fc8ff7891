/* Walking over the keys of a Redis, or of all nodes of a cluster, each once, while it is in use. */
#ifndef LC_STORE_REDIS_SCAN_H
#define LC_STORE_REDIS_SCAN_H

#include "store/redis_route.h"

/* Some keys that match, none of them twice in a walk. Returns 0 to go on, >0 to stop, or a code. */
typedef int (*lc_redis_names_fn)(void *user, const lc_redis_word *names, size_t count,
                                 llmcache_error *err);

/*
 * Calls fn for all keys that match the pattern and were there all along. 0 also when fn stopped it. until_ms
 * limits the whole walk; with 0 only each step of it is limited.
 */
int lc_redis_scan(const lc_redis_route *route, const char *pattern, int64_t until_ms,
                  lc_redis_names_fn fn, void *user, llmcache_error *err);

/* How long one step of long work, such as a page of keys, may take. */
enum { LC_REDIS_STEP_MS = 5000 };

#endif

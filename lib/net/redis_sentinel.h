/*
 * Where the primary of a Redis with sentinels is. A thread for each sentinel asks it and listens to it, so that
 * the first to hear of a failover is enough; of what they say the newest holds. While none of them can be
 * reached, what was known last holds.
 *
 * A primary reigns until another one does. Connections are made for a reign and end with it: its fd is then
 * readable, which ends all waits on it. So nothing is read from a primary that was replaced, as soon as that is known.
 */
#ifndef LC_NET_REDIS_SENTINEL_H
#define LC_NET_REDIS_SENTINEL_H

#include "net/redis_wire.h"

typedef struct lc_redis_sentinel lc_redis_sentinel;

/* `uri`, one with sentinels, is borrowed. `changed` is called from any thread, without locks, at each new reign. */
int lc_redis_sentinel_new(const lc_redis_uri *uri, void (*changed)(void *user), void *user,
                          lc_redis_sentinel **sentinel, llmcache_error *err);
/* Nobody is asked before; who asks for the reign waits. */
int lc_redis_sentinel_start(lc_redis_sentinel *sentinel, llmcache_error *err);
/* Ends all waits and the reign. Accepts NULL, as those below. */
void lc_redis_sentinel_cancel(lc_redis_sentinel *sentinel);
/* The same, and waits until nothing is called any more; not for the network. */
void lc_redis_sentinel_stop(lc_redis_sentinel *sentinel);
void lc_redis_sentinel_free(lc_redis_sentinel *sentinel);

/* Something about the primary is odd: asks again, some times a second at most. */
void lc_redis_sentinel_doubt(lc_redis_sentinel *sentinel);

/*
 * A connection to the primary, which has said that it is one. It is cut when the reign ends. `most_ms` limits
 * the time for one try beside until_ms; 0: no limit. Waits while the sentinels have not been heard yet. LLMCACHE_STORE
 * once none of them says where the primary is.
 */
int lc_redis_sentinel_connect(lc_redis_sentinel *sentinel, int64_t until_ms, int64_t most_ms, lc_redis_conn **conn,
                              llmcache_error *err);
/* Of such a connection: does its primary still reign? */
int lc_redis_reign_holds(const lc_redis_conn *conn);

#endif

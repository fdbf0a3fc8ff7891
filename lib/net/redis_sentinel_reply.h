/*
 * What a Redis Sentinel says (https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/), and what a Redis says of
 * its own role. Nothing of it is believed before it is checked. Pure.
 */
#ifndef LC_NET_REDIS_SENTINEL_REPLY_H
#define LC_NET_REDIS_SENTINEL_REPLY_H

#include "net/redis_wire.h"

/* Where the primary is, as one sentinel has it. A later failover has a higher epoch. */
typedef struct lc_redis_word_of_sentinel {
    lc_redis_address address;
    uint64_t epoch;
} lc_redis_word_of_sentinel;

/*
 * Reads the replies to SENTINEL GET-MASTER-ADDR-BY-NAME and to SENTINEL MASTER. LLMCACHE_STORE with the reason when
 * they do not say where it is; `sentinel` and `service` are for that.
 */
int lc_redis_sentinel_read(const redisReply *address, const redisReply *facts, const char *sentinel,
                           const char *service, lc_redis_word_of_sentinel *word, llmcache_error *err);

/* Is it a message of a channel, about this service? */
int lc_redis_sentinel_concerns(const redisReply *message, const char *service);

/* Of the reply to ROLE. */
int lc_redis_role_is_primary(const redisReply *reply);

#endif

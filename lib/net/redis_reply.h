/*
 * Replies as hiredis' reader builds them, but out of the library's own memory and with a limit to what a
 * peer may announce: hiredis' own builder believes any length of an array.
 */
#ifndef LC_NET_REDIS_REPLY_H
#define LC_NET_REDIS_REPLY_H

#include <hiredis/hiredis.h>

/* NULL: no memory. Free with redisReaderFree; the replies it hands out with lc_redis_reply_free. */
redisReader *lc_redis_reader_new(void);
void lc_redis_reply_free(redisReply *reply); /* accepts NULL */

#endif

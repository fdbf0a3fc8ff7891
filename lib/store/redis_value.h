/*
 * What stands under a key: a prompt's string is its facts (one line of JSON), a newline and the answer; a
 * record's hash has the fields facts, vector (float32, little-endian) and answer. Pure.
 */
#ifndef LC_STORE_REDIS_VALUE_H
#define LC_STORE_REDIS_VALUE_H

#include "base/buffer.h"
#include "store/redis_wire.h"

#include <llmcache/backend.h>

/* Adds the commands that put one part under its name, whole and with its expiry. */
int lc_redis_put_prompt(const llmcache_entry *entry, int64_t wall_ms, lc_redis_batch *batch);
int lc_redis_put_record(const llmcache_entry *entry, int64_t wall_ms, lc_redis_batch *batch);

/* Do the replies to these commands say that it was done? The first complaint otherwise. */
int lc_redis_check_put(redisReply **replies, size_t count, const char *name, llmcache_error *err);

/* Adds the command that reads one part. */
int lc_redis_get(int part, lc_redis_word name, lc_redis_batch *batch);

/* A value read: the entry points into the reply, `memory` and `vector`. */
typedef struct lc_redis_value {
    llmcache_entry entry;
    char *memory;
    float *vector;
} lc_redis_value;

/*
 * Reads the reply to lc_redis_get. LLMCACHE_NOT_FOUND when there is nothing, or what there is belongs under another
 * name; LLMCACHE_CORRUPT when it is damaged; LLMCACHE_STORE for the server's complaints; LLMCACHE_MEMORY.
 */
int lc_redis_value_read(int part, lc_redis_word name, const redisReply *reply, const char *redis,
                        lc_redis_value *value, llmcache_error *err);
void lc_redis_value_done(lc_redis_value *value);

#endif

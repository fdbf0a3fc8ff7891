/*
 * What stands under a key: the string of a prompt or an observation is its facts (one line of JSON), a newline
 * and the body; a record's hash has the fields facts, vector (float32, little-endian) and answer. Pure.
 */
#ifndef LC_STORE_REDIS_VALUE_H
#define LC_STORE_REDIS_VALUE_H

#include "base/buffer.h"
#include "store/redis_echo.h"
#include "net/redis_wire.h"

#include <llmcache/backend.h>

/*
 * Adds the commands that put one part under its name, whole and with its expiry. The name goes into an
 * empty buffer of the caller's, and *print receives what the value will be known by.
 */
int lc_redis_put_string(int part, const llmcache_entry *entry, int64_t wall_ms, lc_redis_batch *batch,
                        lc_buffer *name, lc_redis_print *print);
int lc_redis_put_record(const llmcache_entry *entry, int64_t wall_ms, lc_redis_batch *batch,
                        lc_buffer *name, lc_redis_print *print);

/*
 * Reads the replies to these commands, from replies[*at] on, and moves *at behind them. 1 when the part is new,
 * 0 when it replaced one, or the code of the first complaint.
 */
int lc_redis_check_string(redisReply **replies, size_t count, size_t *at, const char *redis,
                          llmcache_error *err);
int lc_redis_check_record(redisReply **replies, size_t count, size_t *at, const char *redis,
                          llmcache_error *err);

/* Adds the command whose reply has the print of what stands under a name now; nothing has one too. */
int lc_redis_get_print(int part, lc_redis_word name, lc_redis_batch *batch);
lc_redis_print lc_redis_read_print(const redisReply *reply);

/* Adds the command that reads one part. */
int lc_redis_get(int part, lc_redis_word name, lc_redis_batch *batch);
/* The same for a record without its answer. */
int lc_redis_get_vector(lc_redis_word name, lc_redis_batch *batch);

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
/* The reply to lc_redis_get_vector, checked as far as that goes; the entry has no body. */
int lc_redis_vector_read(lc_redis_word name, const redisReply *reply, const char *redis,
                         lc_redis_value *value, llmcache_error *err);
void lc_redis_value_done(lc_redis_value *value);

#endif

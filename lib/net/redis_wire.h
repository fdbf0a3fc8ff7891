/*
 * Speaking with a Redis: commands in batches, replies in their order. hiredis writes and reads the
 * protocol, a link with deadlines carries it. A connection belongs to one thread at a time; after any
 * failure of these functions it is only good for lc_redis_disconnect.
 */
#ifndef LC_NET_REDIS_WIRE_H
#define LC_NET_REDIS_WIRE_H

#include "base/buffer.h"
#include "net/redis_reply.h"
#include "net/redis_uri.h"

/* ---- Batches of commands ------------------------------------------------------------------------ */

typedef struct lc_redis_word {
    const void *bytes;
    size_t size;
} lc_redis_word;

static inline lc_redis_word lc_redis_text(const char *text)
{
    return (lc_redis_word){text, __builtin_strlen(text)};
}

static inline lc_redis_word lc_redis_bytes(const lc_buffer *buffer)
{
    return (lc_redis_word){buffer->data ? buffer->data : "", buffer->size};
}

typedef struct lc_redis_batch {
    lc_buffer bytes;
    size_t count; /* commands, and so replies */
} lc_redis_batch;

void lc_redis_batch_init(lc_redis_batch *batch);
void lc_redis_batch_done(lc_redis_batch *batch);
void lc_redis_batch_clear(lc_redis_batch *batch);

/* Returns batch->bytes.broken: a row of additions needs one check at its end. */
int lc_redis_add(lc_redis_batch *batch, size_t count, const lc_redis_word *words);

/* The same with the words written in place. */
#define LC_REDIS_ADD(batch, ...)                                                              \
    lc_redis_add(batch, sizeof((lc_redis_word[]){__VA_ARGS__}) / sizeof(lc_redis_word),       \
                 (lc_redis_word[]){__VA_ARGS__})

/* ---- Connections -------------------------------------------------------------------------------- */

typedef struct lc_redis_conn lc_redis_conn;

/* Connects, logs in, selects the database. `uri` names a host or a socket, no sentinels. */
int lc_redis_connect(const lc_redis_uri *uri, int64_t until_ms, int cancel_fd,
                     lc_redis_conn **conn, llmcache_error *err);
void lc_redis_disconnect(lc_redis_conn *conn); /* accepts NULL */

/* Something of the owner's that goes with the connection; `gone` takes it at its end. */
void lc_redis_conn_set_tag(lc_redis_conn *conn, void *tag, void (*gone)(void *tag));
void *lc_redis_conn_tag(const lc_redis_conn *conn);

int lc_redis_send(lc_redis_conn *conn, const lc_redis_batch *batch, int64_t until_ms,
                  llmcache_error *err);

/* The next reply; an error of the server's is a reply like others. Free with lc_redis_reply_free. */
int lc_redis_receive(lc_redis_conn *conn, int64_t until_ms, redisReply **reply,
                     llmcache_error *err);

/* So many replies: all of them or, on failure, none (each NULL). */
int lc_redis_receive_all(lc_redis_conn *conn, size_t count, int64_t until_ms, redisReply **replies,
                         llmcache_error *err);

/* Sends the batch and receives as many replies: all or, on failure, none (each NULL). */
int lc_redis_exchange(lc_redis_conn *conn, const lc_redis_batch *batch, int64_t until_ms,
                      redisReply **replies, llmcache_error *err);
void lc_redis_free_replies(redisReply **replies, size_t count);

/* LLMCACHE_STORE with a clear text if the reply is an error, else 0. `name` says which Redis. */
int lc_redis_check(const redisReply *reply, const char *name, llmcache_error *err);

/* Does the reply say that the server is there but not ready for any command? */
int lc_redis_is_unready(const redisReply *reply);
/* That it is a replica, and takes no writes? */
int lc_redis_is_readonly(const redisReply *reply);

#endif

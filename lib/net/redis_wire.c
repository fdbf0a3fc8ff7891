/*
 * The protocol: hiredis' formatter and reader, nothing else of it, since its own connections have no deadline
 * for a whole command and cannot be trusted after a timeout.
 */
#include "net/redis_wire.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { CHUNK = 16 * 1024, WORDS = 16 };

static const size_t word_max_bytes = (size_t)512 * 1024 * 1024;  /* what Redis allows for a string */
static const size_t reply_max_bytes = (size_t)640 * 1024 * 1024; /* of one reply not yet complete */

struct lc_redis_conn {
    char *name; /* of the Redis, for people */
    lc_link *link;
    redisReader *reader;
    void *tag; /* its owner's, until `gone` takes it */
    void (*gone)(void *tag);
};

/* ---- Batches ------------------------------------------------------------------------------------ */

void lc_redis_batch_init(lc_redis_batch *batch)
{
    *batch = (lc_redis_batch){0};
    lc_buffer_init(&batch->bytes, 0);
}

void lc_redis_batch_done(lc_redis_batch *batch)
{
    lc_buffer_done(&batch->bytes);
    batch->count = 0;
}

void lc_redis_batch_clear(lc_redis_batch *batch)
{
    lc_buffer_clear(&batch->bytes);
    batch->count = 0;
}

int lc_redis_add(lc_redis_batch *batch, size_t count, const lc_redis_word *words)
{
    const char *starts[WORDS];
    size_t sizes[WORDS];
    if (count > WORDS)
        return batch->bytes.broken = LLMCACHE_TOO_LARGE;
    for (size_t i = 0; i < count; i++) {
        if (words[i].size > word_max_bytes)
            return batch->bytes.broken = LLMCACHE_TOO_LARGE;
        starts[i] = words[i].bytes;
        sizes[i] = words[i].size;
    }
    char *command;
    int size = redisFormatCommandArgv(&command, (int)count, starts, sizes);
    if (size < 0)
        return batch->bytes.broken = LLMCACHE_MEMORY;
    lc_buffer_add(&batch->bytes, command, (size_t)size);
    redisFreeCommand(command);
    batch->count++;
    return batch->bytes.broken;
}

/* ---- Replies ------------------------------------------------------------------------------------ */

typedef struct complaint {
    const char *starts; /* how the server's text begins */
    const char *means;
} complaint;

static const complaint complaints[] = {
    {"LOADING", "is still loading its data"},
    {"MASTERDOWN", "is a replica without its master"},
    {"BUSY ", "is busy with a script"},
    {"NOAUTH", "wants a password: put it into the store's URI"},
    {"WRONGPASS", "refused the user or the password"},
    {"ERR invalid password", "refused the password"},
    {"ERR AUTH", "has no password set: take it out of the store's URI"},
    {"NOPERM", "does not allow this user the command or the keys"},
    {"READONLY", "is a read-only replica: name its master in the store's URI"},
    {"OOM", "is at its maxmemory and takes nothing more: raise it or set an eviction policy"},
    {"MISCONF", "cannot save to its disk and takes no writes"},
    {"NOREPLICAS", "has too few replicas and takes no writes"},
    {"WRONGTYPE", "holds a key of another type under this name"},
    {"CLUSTERDOWN", "is a cluster that is down"},
    {"MOVED", "is a node of a cluster: write redis+cluster:// in the store's URI"},
    {"ERR This instance has cluster support disabled", "is no cluster: write redis:// in the store's URI"},
    {"ERR DB index", "has no database of this number"},
    {"ERR max number of clients", "has no connection left for us (maxclients)"},
    {"ERR unknown", "is too old: it does not know a command"},
};

int lc_redis_check(const redisReply *reply, const char *name, llmcache_error *err)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return 0;
    for (size_t i = 0; i < sizeof complaints / sizeof *complaints; i++)
        if (strncmp(reply->str, complaints[i].starts, strlen(complaints[i].starts)) == 0)
            return lc_fail(err, LLMCACHE_STORE, "%s %s", name, complaints[i].means);
    /* Only the error's own word: the rest may quote what we sent. */
    return lc_fail(err, LLMCACHE_STORE, "%s refused a command (%.*s)", name,
                   (int)strcspn(reply->str, " "), reply->str);
}

int lc_redis_is_readonly(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "READONLY", 8) == 0;
}

int lc_redis_is_unready(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR &&
           (strncmp(reply->str, "LOADING", 7) == 0 || strncmp(reply->str, "MASTERDOWN", 10) == 0 ||
            strncmp(reply->str, "BUSY ", 5) == 0);
}

/* A whole reply out of what was received so far; *reply NULL when more is needed. */
static int parse(lc_redis_conn *conn, redisReply **reply, llmcache_error *err)
{
    void *parsed = NULL;
    if (redisReaderGetReply(conn->reader, &parsed) == REDIS_OK) {
        *reply = parsed;
        return 0;
    }
    if (conn->reader->err == REDIS_ERR_OOM)
        return lc_fail_memory(err);
    return lc_fail(err, LLMCACHE_NETWORK, "%s does not speak as a Redis does", conn->name);
}

int lc_redis_receive(lc_redis_conn *conn, int64_t until_ms, redisReply **reply,
                     llmcache_error *err)
{
    char chunk[CHUNK];
    for (int tries = 0;; tries++) { /* what has come is taken, also when the time is over: others were waited for */
        size_t got;
        redisReply *parsed = NULL;
        int rc = parse(conn, &parsed, err);
        if (rc)
            return rc;
        if (parsed) {
            *reply = parsed;
            return 0;
        }
        if (conn->reader->len > reply_max_bytes)
            return lc_fail(err, LLMCACHE_TOO_LARGE, "%s sent too large a reply", conn->name);
        if (tries && lc_mono_ms() > until_ms)
            return lc_fail(err, LLMCACHE_TIMEOUT, "%s did not answer in time", conn->name);
        rc = lc_link_receive(conn->link, chunk, sizeof chunk, until_ms, &got, err);
        if (rc)
            return rc;
        if (redisReaderFeed(conn->reader, chunk, got) != REDIS_OK)
            return lc_fail_memory(err);
    }
}

void lc_redis_free_replies(redisReply **replies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lc_redis_reply_free(replies[i]);
        replies[i] = NULL;
    }
}

/* ---- Connections -------------------------------------------------------------------------------- */

int lc_redis_send(lc_redis_conn *conn, const lc_redis_batch *batch, int64_t until_ms,
                  llmcache_error *err)
{
    if (batch->bytes.broken)
        return lc_fail(err, batch->bytes.broken, "%s",
                       batch->bytes.broken == LLMCACHE_MEMORY ? "out of memory"
                                                              : "too large for a Redis");
    return lc_link_send(conn->link, batch->bytes.data, batch->bytes.size, until_ms, err);
}

int lc_redis_receive_all(lc_redis_conn *conn, size_t count, int64_t until_ms, redisReply **replies,
                         llmcache_error *err)
{
    int rc = 0;
    memset(replies, 0, count * sizeof *replies);
    for (size_t i = 0; i < count && !rc; i++)
        rc = lc_redis_receive(conn, until_ms, &replies[i], err);
    if (rc)
        lc_redis_free_replies(replies, count);
    return rc;
}

int lc_redis_exchange(lc_redis_conn *conn, const lc_redis_batch *batch, int64_t until_ms,
                      redisReply **replies, llmcache_error *err)
{
    memset(replies, 0, batch->count * sizeof *replies);
    int rc = lc_redis_send(conn, batch, until_ms, err);
    return rc ? rc : lc_redis_receive_all(conn, batch->count, until_ms, replies, err);
}

static int log_in(lc_redis_conn *conn, const lc_redis_uri *uri, int64_t until_ms, llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *replies[3];
    char number[16];
    lc_redis_batch_init(&batch);
    if (uri->password && uri->user)
        LC_REDIS_ADD(&batch, lc_redis_text("AUTH"), lc_redis_text(uri->user),
                     lc_redis_text(uri->password));
    else if (uri->password)
        LC_REDIS_ADD(&batch, lc_redis_text("AUTH"), lc_redis_text(uri->password));
    if (uri->database) {
        snprintf(number, sizeof number, "%d", uri->database);
        LC_REDIS_ADD(&batch, lc_redis_text("SELECT"), lc_redis_text(number));
    }
    if (uri->reads_replica)
        LC_REDIS_ADD(&batch, lc_redis_text("READONLY"));
    int rc = 0;
    if (batch.count || batch.bytes.broken) {
        rc = lc_redis_exchange(conn, &batch, until_ms, replies, err);
        for (size_t i = 0; i < batch.count && !rc; i++)
            rc = lc_redis_check(replies[i], uri->name, err);
        lc_redis_free_replies(replies, batch.count);
    }
    lc_redis_batch_done(&batch);
    return rc;
}

int lc_redis_connect(const lc_redis_uri *uri, int64_t until_ms, int cancel_fd,
                     lc_redis_conn **conn, llmcache_error *err)
{
    lc_redis_conn *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->name = lc_strdup(uri->name);
    fresh->reader = lc_redis_reader_new();
    int rc = fresh->name && fresh->reader ? lc_link_open(&uri->target, until_ms, cancel_fd, &fresh->link, err)
                                          : lc_fail_memory(err);
    if (!rc)
        rc = log_in(fresh, uri, until_ms, err);
    if (rc) {
        lc_redis_disconnect(fresh);
        return rc;
    }
    *conn = fresh;
    return 0;
}

void lc_redis_disconnect(lc_redis_conn *conn)
{
    if (!conn)
        return;
    if (conn->reader)
        redisReaderFree(conn->reader);
    lc_link_close(conn->link);
    if (conn->gone)
        conn->gone(conn->tag);
    lc_free(conn->name);
    lc_free(conn);
}

void lc_redis_conn_set_tag(lc_redis_conn *conn, void *tag, void (*gone)(void *tag))
{
    conn->tag = tag;
    conn->gone = gone;
}

void *lc_redis_conn_tag(const lc_redis_conn *conn)
{
    return conn->tag;
}

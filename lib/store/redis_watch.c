/*
 * Following the changes. One connection of its own asks for tracking in broadcast mode on our prefixes,
 * redirected to itself, and subscribes to __redis__:invalidate: tracking and the ear for it live and
 * die together, whatever happens to the connections that carry data. (RESP2 has no other way to hear;
 * https://redis.io/docs/latest/develop/reference/client-side-caching/ )
 *
 * A connection can be dead without a sign, so it is asked to say something a few times a second. Its answer comes
 * behind the reports of all that was changed before it was asked: until then all is told. From its loss until
 * the next subscription nobody knows what changes: distrust.
 */
#include "store/redis_watch.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/redis_keys.h"
#include "store/redis_value.h"
#include "store/store.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    CONNECT_MS = 1000,
    PING_MS = 250,     /* from one PING to the next */
    PATIENCE_MS = 500, /* and an answer, or any word, within this */
    FIRST_PAUSE_MS = 20,
    LONGEST_PAUSE_MS = 500,
    CHECK_AT_ONCE = 64,
    CHECK_MS = 200,
    REFUSED_PAUSE_MS = 5000 /* the server does not know or allow tracking */
};

#define CHANNEL "__redis__:invalidate"

struct lc_redis_watch {
    const lc_redis_uri *uri; /* NULL: of the route's pool */
    const lc_redis_route *route;
    lc_redis_echoes *echoes;
    int cancel_fd;
    llmcache_watch listener;
    pthread_t thread;
    lc_buffer space; /* of the key being reported */
};

/* ---- Subscribing -------------------------------------------------------------------------------- */

static int ask_id(lc_redis_conn *conn, const char *name, int64_t until_ms, long long *id,
                  llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *reply = NULL;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("CLIENT"), lc_redis_text("ID"));
    int rc = lc_redis_exchange(conn, &batch, until_ms, &reply, err);
    if (!rc)
        rc = lc_redis_check(reply, name, err);
    if (!rc)
        *id = reply->integer;
    lc_redis_free_replies(&reply, 1);
    lc_redis_batch_done(&batch);
    return rc;
}

static int subscribe(lc_redis_conn *conn, const char *name, int64_t until_ms, llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *replies[2] = {0};
    char number[24];
    long long id = 0;
    int rc = ask_id(conn, name, until_ms, &id, err);
    if (rc)
        return rc;
    snprintf(number, sizeof number, "%lld", id);
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("CLIENT"), lc_redis_text("TRACKING"), lc_redis_text("ON"),
                 lc_redis_text("REDIRECT"), lc_redis_text(number), lc_redis_text("BCAST"),
                 lc_redis_text("PREFIX"), lc_redis_text(LC_REDIS_PROMPT_PREFIX),
                 lc_redis_text("PREFIX"), lc_redis_text(LC_REDIS_EMBED_PREFIX),
                 lc_redis_text("PREFIX"), lc_redis_text(LC_REDIS_OBSERVATION_PREFIX),
                 lc_redis_text("PREFIX"), lc_redis_text(LC_REDIS_GIVEN_UP_PREFIX));
    LC_REDIS_ADD(&batch, lc_redis_text("SUBSCRIBE"), lc_redis_text(CHANNEL));
    rc = lc_redis_exchange(conn, &batch, until_ms, replies, err);
    for (size_t i = 0; i < batch.count && !rc; i++)
        rc = lc_redis_check(replies[i], name, err);
    lc_redis_free_replies(replies, batch.count);
    lc_redis_batch_done(&batch);
    return rc;
}

/* ---- Listening ---------------------------------------------------------------------------------- */

/* Anything may have changed. */
static void report_all(lc_redis_watch *watch)
{
    watch->listener.distrust(watch->listener.user);
    watch->listener.trust(watch->listener.user);
}

/* Takes a key's name apart; 0 when it is none of ours, or LLMCACHE_MEMORY. The namespace is in watch->space. */
static int read_name(lc_redis_watch *watch, const redisReply *key, char id[LLMCACHE_ID_SIZE])
{
    lc_buffer_clear(&watch->space);
    if (key->type != REDIS_REPLY_STRING)
        return 0;
    if (lc_buffer_reserve(&watch->space, key->len))
        return LLMCACHE_MEMORY;
    return lc_redis_key_read(key->str, key->len, watch->space.data, id);
}

static void report(lc_redis_watch *watch, const redisReply *key)
{
    char id[LLMCACHE_ID_SIZE];
    int part = read_name(watch, key, id);
    if (part < 0)
        report_all(watch);
    else if (part)
        watch->listener.changed(watch->listener.user, part, watch->space.data, id);
}

/* A key that we wrote lately. */
typedef struct suspect {
    const redisReply *key;
    lc_redis_look look;
} suspect;

static lc_redis_word word_of(const redisReply *key)
{
    return (lc_redis_word){key->str, key->len};
}

/* Reads what stands there now and reports what is foreign; keeps those to look at again, returns how many. */
static size_t sift(lc_redis_watch *watch, suspect *suspects, size_t count)
{
    redisReply *replies[CHECK_AT_ONCE];
    char id[LLMCACHE_ID_SIZE];
    llmcache_error err;
    lc_redis_batch batch;
    size_t left = 0;
    lc_redis_batch_init(&batch);
    for (size_t i = 0; i < count; i++) {
        lc_redis_echoes_knows(watch->echoes, word_of(suspects[i].key), &suspects[i].look);
        lc_redis_get_print(read_name(watch, suspects[i].key, id), word_of(suspects[i].key), &batch);
    }
    int rc = lc_redis_route_exchange(watch->route, &batch, lc_mono_ms() + CHECK_MS, replies, &err);
    for (size_t i = 0; i < count; i++) {
        lc_redis_origin origin =
            rc ? LC_REDIS_FOREIGN
               : lc_redis_echoes_judge(watch->echoes, word_of(suspects[i].key), suspects[i].look,
                                       lc_redis_read_print(replies[i]));
        if (origin == LC_REDIS_FOREIGN)
            report(watch, suspects[i].key);
        else if (origin == LC_REDIS_UNSURE)
            suspects[left++] = suspects[i];
    }
    if (!rc)
        lc_redis_free_replies(replies, count);
    lc_redis_batch_done(&batch);
    return left;
}

static void report_if_foreign(lc_redis_watch *watch, suspect *suspects, size_t count)
{
    int64_t until_ms = lc_mono_ms() + CHECK_MS;
    while ((count = sift(watch, suspects, count)) > 0 && lc_mono_ms() < until_ms)
        lc_sleep_ms(1); /* a write of ours is about to be known */
    for (size_t i = 0; i < count; i++)
        report(watch, suspects[i].key);
}

static void take_keys(lc_redis_watch *watch, const redisReply *keys)
{
    suspect suspects[CHECK_AT_ONCE];
    size_t count = 0;
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];
        lc_redis_look look;
        lc_redis_word name = word_of(key);
        lc_redis_replicas_note(watch->route->replicas, key->type == REDIS_REPLY_STRING ? &name : NULL);
        if (key->type != REDIS_REPLY_STRING ||
            !lc_redis_echoes_knows(watch->echoes, word_of(key), &look)) {
            report(watch, key);
            continue;
        }
        suspects[count++] = (suspect){key, look};
        if (count == CHECK_AT_ONCE) {
            report_if_foreign(watch, suspects, count);
            count = 0;
        }
    }
    if (count)
        report_if_foreign(watch, suspects, count);
}

/* A message about keys, about everything (FLUSHALL), or anything else, such as the answer to a PING. */
static void take_message(lc_redis_watch *watch, const redisReply *message)
{
    if (message->type != REDIS_REPLY_ARRAY || message->elements != 3 ||
        message->element[0]->type != REDIS_REPLY_STRING ||
        strcmp(message->element[0]->str, "message") != 0)
        return;
    if (message->element[2]->type == REDIS_REPLY_NIL) {
        lc_redis_replicas_note(watch->route->replicas, NULL);
        report_all(watch);
        return;
    }
    take_keys(watch, message->element[2]);
}

static int send_ping(lc_redis_conn *conn, llmcache_error *err)
{
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("PING"));
    int rc = lc_redis_send(conn, &batch, lc_mono_ms() + PATIENCE_MS, err);
    lc_redis_batch_done(&batch);
    return rc;
}

static int is_pong(const redisReply *message)
{
    return message->type == REDIS_REPLY_ARRAY && message->elements == 2 &&
           message->element[0]->type == REDIS_REPLY_STRING && strcmp(message->element[0]->str, "pong") == 0;
}

/* Until the connection is lost, or cut since another primary took over. */
static void listen(lc_redis_watch *watch, lc_redis_conn *conn)
{
    llmcache_error err;
    int64_t next_ms = lc_mono_ms(), sent_ms = 0; /* 0: no PING is under way */
    int rc = 0;
    while (!rc) {
        redisReply *message = NULL;
        int64_t now_ms = lc_mono_ms();
        if (!sent_ms && now_ms >= next_ms) {
            sent_ms = now_ms;
            next_ms = now_ms + PING_MS;
            rc = send_ping(conn, &err);
        }
        if (!rc)
            rc = lc_redis_receive(conn, sent_ms ? now_ms + PATIENCE_MS : next_ms, &message, &err);
        if (rc == LLMCACHE_TIMEOUT && !sent_ms) {
            rc = 0;
        } else if (!rc && is_pong(message)) {
            lc_watch_current(&watch->listener, sent_ms);
            sent_ms = 0;
        } else if (!rc) {
            take_message(watch, message);
        }
        lc_redis_reply_free(message);
    }
}

/* ---- The thread --------------------------------------------------------------------------------- */

/* 1 when it is time to end. */
static int cancelled(const lc_redis_watch *watch, int wait_ms)
{
    struct pollfd fd = {.fd = watch->cancel_fd, .events = POLLIN};
    return poll(&fd, 1, wait_ms) > 0;
}

static int connect_to(lc_redis_watch *watch, int64_t until_ms, lc_redis_conn **conn, llmcache_error *err)
{
    if (watch->uri)
        return lc_redis_connect(watch->uri, until_ms, watch->cancel_fd, conn, err);
    return lc_redis_pool_connect(watch->route->pool, until_ms, watch->cancel_fd, conn, err);
}

static void *follow(void *user)
{
    lc_redis_watch *watch = user;
    const char *name = watch->uri ? watch->uri->name : lc_redis_pool_name(watch->route->pool);
    int pause_ms = FIRST_PAUSE_MS;
    do {
        llmcache_error err;
        lc_redis_conn *conn = NULL;
        int64_t start_ms = lc_mono_ms(), until_ms = start_ms + CONNECT_MS;
        int rc = connect_to(watch, until_ms, &conn, &err);
        int connected = rc == 0;
        if (connected)
            rc = subscribe(conn, name, until_ms, &err);
        if (!rc) {
            lc_redis_replicas_note(watch->route->replicas, NULL);
            watch->listener.trust(watch->listener.user);
            lc_watch_current(&watch->listener, start_ms);
            listen(watch, conn);
            watch->listener.distrust(watch->listener.user);
            pause_ms = FIRST_PAUSE_MS;
        } else if (connected && rc == LLMCACHE_STORE) {
            pause_ms = REFUSED_PAUSE_MS;
        } else {
            pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
        }
        lc_redis_disconnect(conn);
    } while (!cancelled(watch, pause_ms));
    return NULL;
}

int lc_redis_watch_new(const lc_redis_uri *uri, const lc_redis_route *route, int cancel_fd,
                       lc_redis_echoes *echoes, const llmcache_watch *listener,
                       lc_redis_watch **watch, llmcache_error *err)
{
    lc_redis_watch *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->uri = uri;
    fresh->route = route;
    fresh->echoes = echoes;
    fresh->cancel_fd = cancel_fd;
    fresh->listener = *listener;
    lc_buffer_init(&fresh->space, 0);
    listener->distrust(listener->user);
    if (pthread_create(&fresh->thread, NULL, follow, fresh)) {
        lc_free(fresh);
        return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
    }
    *watch = fresh;
    return 0;
}

void lc_redis_watch_free(lc_redis_watch *watch)
{
    if (!watch)
        return;
    pthread_join(watch->thread, NULL);
    lc_buffer_done(&watch->space);
    lc_free(watch);
}

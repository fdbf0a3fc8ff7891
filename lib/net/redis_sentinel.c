/*
 * Asking and listening. One batch asks for the address and subscribes, so that nothing happens between the two; news of
 * any kind lead to asking again, since only the answers carry an epoch. A failover's address is known to the sentinel that
 * leads it before the others (+promoted-slave), to them with +switch-master.
 */
#include "net/redis_sentinel.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "net/redis_sentinel_reply.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CONNECT_MS = 1000,
    FIRST_MS = 300,    /* for the first time: until all have answered or not, nobody knows who is the newest */
    SILENCE_MS = 1000, /* after this without a word, a PING */
    PATIENCE_MS = 500, /* and its answer within this */
    FIRST_PAUSE_MS = 20,
    LONGEST_PAUSE_MS = 320,
    DOUBT_MS = 200 /* between two times of asking out of doubt */
};

typedef struct reign {
    lc_redis_address address;
    uint64_t epoch;
    int pipe[2]; /* [0] readable once over */
    atomic_int over, references;
} reign;

/* One sentinel. */
typedef struct ear {
    lc_redis_sentinel *all;
    const lc_redis_uri *uri;
    lc_redis_uri login_uri; /* the same with the login of the Redis; borrowed parts */
    int wants_login, tried; /* the thread's own */
    int wake;               /* an eventfd: readable when it is to end or to ask again */
    pthread_t thread;
    int has_thread;
    atomic_int asking; /* an answer is to come: doubt does not cut it short, or a slow one were never heard */

    /* Guarded by the lock of all. */
    int asked, lives;
    lc_redis_word_of_sentinel word;
} ear;

struct lc_redis_sentinel {
    const lc_redis_uri *uri;
    void (*changed)(void *user);
    void *user;
    ear ears[LC_REDIS_MAX_SENTINELS];
    size_t count;

    pthread_mutex_t lock; /* guards all below, and what the ears know; never held over I/O */
    pthread_cond_t heard; /* a reign has begun, a sentinel has failed, or it is over */
    reign *reign;
    int64_t doubted_ms;
    int closing;
    char reason[LLMCACHE_MESSAGE_SIZE]; /* of the sentinel that failed last */
};

/* ---- Reigns ------------------------------------------------------------------------------------- */

static reign *new_reign(const lc_redis_word_of_sentinel *word)
{
    reign *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return NULL;
    if (pipe2(fresh->pipe, O_CLOEXEC)) {
        lc_free(fresh);
        return NULL;
    }
    fresh->address = word->address;
    fresh->epoch = word->epoch;
    atomic_store(&fresh->references, 1);
    return fresh;
}

static void unref(void *user)
{
    reign *one = user;
    if (atomic_fetch_sub(&one->references, 1) != 1)
        return;
    close(one->pipe[0]);
    if (!atomic_load(&one->over))
        close(one->pipe[1]);
    lc_free(one);
}

/* Called once for each. */
static void end_reign(reign *one)
{
    if (!one)
        return;
    atomic_store(&one->over, 1);
    close(one->pipe[1]); /* the end of the pipe is readable */
    unref(one);
}

int lc_redis_reign_holds(const lc_redis_conn *conn)
{
    const reign *one = lc_redis_conn_tag(conn);
    return !atomic_load(&one->over);
}

/* ---- What they say together --------------------------------------------------------------------- */

/*
 * With the lock held: the newest word of those that can be heard, what reigns first among equals; NULL when there is
 * none. At first all are waited for: one that has not heard of a failover yet may be the first to answer. An older word than what is known holds only if all say so: then the sentinels were set up anew.
 */
static const lc_redis_word_of_sentinel *newest(const lc_redis_sentinel *s)
{
    const lc_redis_word_of_sentinel *best = NULL;
    size_t lives = 0;
    for (size_t i = 0; i < s->count; i++) {
        const ear *e = &s->ears[i];
        if (!s->reign && !e->asked)
            return NULL;
        lives += e->lives != 0;
        if (!e->lives || (best && e->word.epoch < best->epoch))
            continue;
        if (!best || e->word.epoch > best->epoch ||
            (s->reign && lc_redis_same_address(&e->word.address, &s->reign->address)))
            best = &e->word;
    }
    if (best && s->reign && best->epoch < s->reign->epoch && lives < s->count)
        return NULL;
    return best;
}

/* Takes over what they say now. */
static void settle(lc_redis_sentinel *s)
{
    reign *gone = NULL;
    int changed = 0;
    pthread_mutex_lock(&s->lock);
    const lc_redis_word_of_sentinel *word = s->closing ? NULL : newest(s);
    if (word && s->reign && lc_redis_same_address(&word->address, &s->reign->address)) {
        s->reign->epoch = word->epoch;
    } else if (word) {
        reign *fresh = new_reign(word);
        if (fresh) { /* else at the next word, or question */
            gone = s->reign;
            s->reign = fresh;
            changed = 1;
        }
    }
    pthread_cond_broadcast(&s->heard);
    pthread_mutex_unlock(&s->lock);
    end_reign(gone);
    if (changed)
        s->changed(s->user);
}

static void note_word(ear *e, const lc_redis_word_of_sentinel *word)
{
    pthread_mutex_lock(&e->all->lock);
    e->asked = e->lives = 1;
    e->word = *word;
    pthread_mutex_unlock(&e->all->lock);
    settle(e->all);
}

static void note_failure(ear *e, const llmcache_error *err)
{
    pthread_mutex_lock(&e->all->lock);
    e->asked = 1;
    e->lives = 0;
    snprintf(e->all->reason, sizeof e->all->reason, "%s", err->message);
    pthread_mutex_unlock(&e->all->lock);
    settle(e->all);
}

/* ---- One sentinel -------------------------------------------------------------------------------- */

static int ask(ear *e, lc_redis_conn *conn, int64_t until_ms, lc_redis_word_of_sentinel *word, llmcache_error *err)
{
    enum { REPLIES = 6 };
    static const char *const news[] = {"+switch-master", "+promoted-slave", "+monitor", "-monitor"};
    const char *service = e->all->uri->sentinels->service;
    redisReply *replies[REPLIES];
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("SENTINEL"), lc_redis_text("GET-MASTER-ADDR-BY-NAME"), lc_redis_text(service));
    LC_REDIS_ADD(&batch, lc_redis_text("SENTINEL"), lc_redis_text("MASTER"), lc_redis_text(service));
    for (size_t i = 0; i < REPLIES - 2; i++)
        LC_REDIS_ADD(&batch, lc_redis_text("SUBSCRIBE"), lc_redis_text(news[i]));
    int rc = lc_redis_exchange(conn, &batch, until_ms, replies, err);
    lc_redis_batch_done(&batch);
    if (rc)
        return rc;
    e->wants_login |= replies[0]->type == REDIS_REPLY_ERROR && strncmp(replies[0]->str, "NOAUTH", 6) == 0;
    rc = lc_redis_sentinel_read(replies[0], replies[1], e->uri->name, service, word, err);
    for (size_t i = 2; i < REPLIES && !rc; i++)
        rc = lc_redis_check(replies[i], e->uri->name, err);
    lc_redis_free_replies(replies, REPLIES);
    return rc;
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

/* Until there is news (0) or the connection is lost. */
static int listen_to(ear *e, lc_redis_conn *conn, llmcache_error *err)
{
    int pinged = 0, rc = 0, news = 0;
    while (!rc && !news) {
        redisReply *message = NULL;
        rc = lc_redis_receive(conn, lc_mono_ms() + (pinged ? PATIENCE_MS : SILENCE_MS), &message, err);
        if (!rc) {
            pinged = 0;
            news = lc_redis_sentinel_concerns(message, e->all->uri->sentinels->service);
            lc_redis_reply_free(message);
        } else if (rc == LLMCACHE_TIMEOUT && !pinged) {
            pinged = 1;
            rc = send_ping(conn, err);
        }
    }
    return rc;
}

/* One connection's life. */
static int attend(ear *e, llmcache_error *err)
{
    lc_redis_conn *conn = NULL;
    lc_redis_word_of_sentinel word;
    int64_t until_ms = lc_mono_ms() + (e->tried ? CONNECT_MS : FIRST_MS);
    int logged_in = e->wants_login;
    atomic_store(&e->asking, 1);
    int rc = lc_redis_connect(logged_in ? &e->login_uri : e->uri, until_ms, e->wake, &conn, err);
    if (!rc)
        rc = ask(e, conn, until_ms, &word, err);
    atomic_store(&e->asking, 0);
    if (!rc) {
        note_word(e, &word);
        rc = listen_to(e, conn, err);
    } else if (e->wants_login && !logged_in) {
        rc = 0; /* once more, with the login of the Redis */
    } else {
        e->wants_login = 0;
    }
    lc_redis_disconnect(conn);
    return rc;
}

/* Waits, then takes back what woke it; 1 when it is time to end. */
static int is_over(ear *e, int pause_ms, int *woken)
{
    struct pollfd fd = {.fd = e->wake, .events = POLLIN};
    uint64_t count;
    *woken = poll(&fd, 1, pause_ms) > 0;
    if (*woken && read(e->wake, &count, sizeof count) < 0)
        *woken = 0;
    pthread_mutex_lock(&e->all->lock);
    int closing = e->all->closing;
    pthread_mutex_unlock(&e->all->lock);
    return closing;
}

/* A connection that was given up to ask again says nothing against the sentinel. */
static void *follow(void *user)
{
    ear *e = user;
    int pause_ms = 0, woken = 0;
    while (!is_over(e, pause_ms, &woken)) {
        llmcache_error err;
        int rc = attend(e, &err);
        e->tried = 1;
        struct pollfd fd = {.fd = e->wake, .events = POLLIN};
        int asked_to = poll(&fd, 1, 0) > 0;
        if (rc && !asked_to)
            note_failure(e, &err);
        if (!rc || asked_to)
            pause_ms = 0;
        else if (pause_ms < LONGEST_PAUSE_MS)
            pause_ms = pause_ms ? pause_ms * 2 : FIRST_PAUSE_MS;
    }
    return NULL;
}

static int make_ear(lc_redis_sentinel *s, const lc_redis_uri *uri, llmcache_error *err)
{
    ear *e = &s->ears[s->count];
    *e = (ear){.all = s, .uri = uri, .login_uri = *uri};
    if (!uri->password) {
        e->login_uri.user = s->uri->user;
        e->login_uri.password = s->uri->password;
    }
    e->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->wake < 0)
        return lc_fail(err, LLMCACHE_IO, "the store could not open an eventfd");
    s->count++;
    return 0;
}

int lc_redis_sentinel_start(lc_redis_sentinel *s, llmcache_error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        if (pthread_create(&s->ears[i].thread, NULL, follow, &s->ears[i]))
            return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
        s->ears[i].has_thread = 1;
    }
    return 0;
}

/* ---- Asked by others ----------------------------------------------------------------------------- */

static void wake_all(lc_redis_sentinel *s, int only_idle)
{
    for (size_t i = 0; i < s->count; i++)
        if (!(only_idle && atomic_load(&s->ears[i].asking)) && eventfd_write(s->ears[i].wake, 1))
            continue; /* full: it is awake */
}

void lc_redis_sentinel_doubt(lc_redis_sentinel *s)
{
    int64_t now_ms = lc_mono_ms();
    pthread_mutex_lock(&s->lock);
    int soon = now_ms - s->doubted_ms < DOUBT_MS;
    s->doubted_ms = soon ? s->doubted_ms : now_ms;
    pthread_mutex_unlock(&s->lock);
    if (!soon)
        wake_all(s, 1);
}

/* With the lock held: has each been asked, to no avail? */
static int is_hopeless(const lc_redis_sentinel *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->ears[i].asked || s->ears[i].lives)
            return 0;
    return 1;
}

/* The reign of now, held. What the sentinels said may have come to nothing for want of memory or a file descriptor. */
static int get_reign(lc_redis_sentinel *s, int64_t until_ms, reign **one, llmcache_error *err)
{
    int rc = 0;
    struct timespec until = lc_mono_after(until_ms - lc_mono_ms());
    settle(s);
    pthread_mutex_lock(&s->lock);
    while (!s->reign && !s->closing && !is_hopeless(s) &&
           pthread_cond_clockwait(&s->heard, &s->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    if (s->closing)
        rc = lc_fail(err, LLMCACHE_NETWORK, "%s: given up, as asked", s->uri->name);
    else if (!s->reign && is_hopeless(s))
        rc = lc_fail(err, LLMCACHE_STORE, "no sentinel says where the Redis is: %s", s->reason);
    else if (!s->reign)
        rc = lc_fail(err, LLMCACHE_TIMEOUT, "no sentinel said in time where the Redis is");
    else
        atomic_fetch_add(&(*one = s->reign)->references, 1);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* ---- Connections --------------------------------------------------------------------------------- */

static int check_role(lc_redis_conn *conn, const lc_redis_uri *uri, int64_t until_ms, llmcache_error *err)
{
    redisReply *reply = NULL;
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("ROLE"));
    int rc = lc_redis_exchange(conn, &batch, until_ms, &reply, err);
    lc_redis_batch_done(&batch);
    if (!rc)
        rc = lc_redis_check(reply, uri->name, err);
    if (!rc && !lc_redis_role_is_primary(reply))
        rc = lc_fail(err, LLMCACHE_STORE, "%s is no primary, though the sentinels name it", uri->name);
    lc_redis_free_replies(&reply, 1);
    return rc;
}

static int connect_to(lc_redis_sentinel *s, const reign *one, int64_t until_ms, lc_redis_conn **conn,
                      llmcache_error *err)
{
    lc_redis_uri uri;
    lc_redis_conn *fresh = NULL;
    if (lc_redis_uri_at(s->uri, &one->address, &uri))
        return lc_fail_memory(err);
    int rc = lc_redis_connect(&uri, until_ms, one->pipe[0], &fresh, err);
    if (!rc)
        rc = check_role(fresh, &uri, until_ms, err);
    lc_redis_uri_at_done(&uri);
    if (rc)
        lc_redis_disconnect(fresh);
    else
        *conn = fresh;
    return rc;
}

/* One try; *deposed when it failed because another primary came. */
static int try_connect(lc_redis_sentinel *s, int64_t until_ms, int64_t most_ms, lc_redis_conn **conn, int *deposed,
                       llmcache_error *err)
{
    reign *one = NULL;
    *deposed = 0;
    int rc = get_reign(s, until_ms, &one, err);
    if (rc)
        return rc;
    int64_t soon_ms = lc_mono_ms() + most_ms;
    rc = connect_to(s, one, most_ms && soon_ms < until_ms ? soon_ms : until_ms, conn, err);
    if (!rc) {
        lc_redis_conn_set_tag(*conn, one, unref);
        return 0;
    }
    *deposed = atomic_load(&one->over);
    unref(one);
    if (!*deposed && rc != LLMCACHE_MEMORY)
        lc_redis_sentinel_doubt(s);
    return rc;
}

int lc_redis_sentinel_connect(lc_redis_sentinel *s, int64_t until_ms, int64_t most_ms, lc_redis_conn **conn,
                              llmcache_error *err)
{
    int rc, deposed;
    do
        rc = try_connect(s, until_ms, most_ms, conn, &deposed, err);
    while (rc && deposed && lc_mono_ms() < until_ms);
    return rc;
}

/* ---- Life ---------------------------------------------------------------------------------------- */

int lc_redis_sentinel_new(const lc_redis_uri *uri, void (*changed)(void *user), void *user,
                          lc_redis_sentinel **sentinel, llmcache_error *err)
{
    lc_redis_sentinel *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->uri = uri;
    fresh->changed = changed;
    fresh->user = user;
    fresh->doubted_ms = lc_mono_ms() - DOUBT_MS;
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->heard, NULL);
    int rc = 0;
    for (size_t i = 0; i < uri->sentinels->count && !rc; i++)
        rc = make_ear(fresh, &uri->sentinels->uris[i], err);
    if (rc)
        lc_redis_sentinel_free(fresh);
    else
        *sentinel = fresh;
    return rc;
}

void lc_redis_sentinel_cancel(lc_redis_sentinel *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    reign *gone = s->reign;
    s->reign = NULL;
    s->closing = 1;
    pthread_cond_broadcast(&s->heard);
    pthread_mutex_unlock(&s->lock);
    end_reign(gone);
    wake_all(s, 0);
}

void lc_redis_sentinel_stop(lc_redis_sentinel *s)
{
    lc_redis_sentinel_cancel(s);
    for (size_t i = 0; s && i < s->count; i++) {
        if (s->ears[i].has_thread)
            pthread_join(s->ears[i].thread, NULL);
        s->ears[i].has_thread = 0;
    }
}

void lc_redis_sentinel_free(lc_redis_sentinel *s)
{
    if (!s)
        return;
    lc_redis_sentinel_stop(s);
    for (size_t i = 0; i < s->count; i++)
        close(s->ears[i].wake);
    pthread_cond_destroy(&s->heard);
    pthread_mutex_destroy(&s->lock);
    lc_free(s);
}

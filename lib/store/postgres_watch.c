/*
 * Following the changes: a connection of its own listens to what the tables' triggers say. News made by our
 * own connections is known already and passed over, by the server process that it came from. A connection can be
 * dead without a sign, so it is asked something a few times a second. Its answer comes behind the news of all that was
 * committed before it was asked: until then all is told. From its loss until it listens again nobody knows
 * what changes: distrust.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/postgres_inside.h"
#include "store/store.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

enum {
    CONNECT_MS = 3000,
    ASK_MS = 250,       /* from one question to the next */
    PATIENCE_MS = 1000, /* and its answer within this */
    FIRST_PAUSE_MS = 20,
    LONGEST_PAUSE_MS = 500
};

struct lc_pg_watch {
    lc_pg_store *store;
    int cancel_fd;
    llmcache_watch listener;
    pthread_t thread;
};

static int is_own(const lc_pg_store *store, int pid)
{
    for (int i = 0; i < LC_PG_OWN_MAX; i++)
        if (atomic_load(&store->own[i]) == pid)
            return 1;
    return 0;
}

/* "2 0123456789abcdef0123 namespace", or "all". */
static void take_news(const lc_pg_watch *watch, const PGnotify *news)
{
    char id[LLMCACHE_ID_SIZE];
    const char *text = news->extra;
    int part = *text - '0';
    if (strcmp(text, "all") == 0) {
        watch->listener.distrust(watch->listener.user);
        watch->listener.trust(watch->listener.user);
        return;
    }
    if (is_own(watch->store, news->be_pid) || strlen(text) < 2 + LLMCACHE_ID_SIZE ||
        text[1] != ' ' || text[1 + LLMCACHE_ID_SIZE] != ' ' ||
        (part != LLMCACHE_PART_PROMPT && part != LLMCACHE_PART_EMBED && part != LLMCACHE_PART_OBSERVATION &&
         part != LLMCACHE_PART_LEASE))
        return;
    memcpy(id, text + 2, LLMCACHE_ID_SIZE - 1);
    id[LLMCACHE_ID_SIZE - 1] = '\0';
    watch->listener.changed(watch->listener.user, part, text + 2 + LLMCACHE_ID_SIZE, id);
}

/* Takes in news until the time has come; 0 then, else the connection is lost or we are closing. */
static int take_until(const lc_pg_watch *watch, lc_pg_link *link, int64_t until_ms)
{
    llmcache_error err;
    int rc = 0;
    while (!rc) {
        PGnotify *news = NULL;
        struct pollfd closing = {.fd = watch->cancel_fd, .events = POLLIN};
        rc = lc_pg_await(link, until_ms, &news, &err);
        if (poll(&closing, 1, 0) > 0)
            rc = LLMCACHE_NETWORK;
        else if (!rc)
            take_news(watch, news);
        PQfreemem(news);
    }
    return rc == LLMCACHE_TIMEOUT ? 0 : rc;
}

/* Until the connection is lost. What came with the answer is taken in before it counts. */
static void listen(const lc_pg_watch *watch, lc_pg_link *link)
{
    llmcache_error err;
    int rc = 0;
    while (!rc) {
        int64_t asked_ms = lc_mono_ms();
        rc = lc_pg_script(link, "SELECT 1", asked_ms + PATIENCE_MS, &err);
        if (!rc)
            rc = take_until(watch, link, asked_ms);
        if (!rc)
            lc_watch_current(&watch->listener, asked_ms);
        if (!rc)
            rc = take_until(watch, link, asked_ms + ASK_MS);
    }
}

static int subscribe(const lc_pg_watch *watch, lc_pg_link **link, llmcache_error *err)
{
    int64_t until_ms = lc_mono_ms() + CONNECT_MS;
    if (!atomic_load(&watch->store->ready)) /* the pool makes the tables */
        return lc_fail(err, LLMCACHE_STORE, "the store is not connected yet");
    int rc = lc_pg_connect(lc_pg_pool_place(watch->store->pool), until_ms, watch->cancel_fd, link, err);
    if (rc == LLMCACHE_BUSY) /* who hears nothing uses no memory: that costs more than one connection less */
        lc_pg_pool_spare_one(watch->store->pool);
    return rc ? rc : lc_pg_script(*link, "LISTEN " LC_PG_CHANNEL, until_ms, err);
}

static void *follow(void *user)
{
    lc_pg_watch *watch = user;
    struct pollfd closing = {.fd = watch->cancel_fd, .events = POLLIN};
    int pause_ms = FIRST_PAUSE_MS;
    do {
        llmcache_error err;
        lc_pg_link *link = NULL;
        if (subscribe(watch, &link, &err) == 0) {
            watch->listener.trust(watch->listener.user);
            listen(watch, link);
            watch->listener.distrust(watch->listener.user);
            pause_ms = FIRST_PAUSE_MS;
        } else {
            pause_ms = pause_ms * 2 < LONGEST_PAUSE_MS ? pause_ms * 2 : LONGEST_PAUSE_MS;
        }
        lc_pg_disconnect(link);
    } while (poll(&closing, 1, pause_ms) == 0);
    return NULL;
}

int lc_pg_watch_new(lc_pg_store *store, const llmcache_watch *listener, lc_pg_watch **watch,
                    llmcache_error *err)
{
    lc_pg_watch *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->store = store;
    fresh->cancel_fd = lc_pg_pool_cancel_fd(store->pool);
    fresh->listener = *listener;
    listener->distrust(listener->user);
    if (pthread_create(&fresh->thread, NULL, follow, fresh)) {
        lc_free(fresh);
        return lc_fail(err, LLMCACHE_MEMORY, "the store could not start a thread");
    }
    *watch = fresh;
    return 0;
}

void lc_pg_watch_tell(lc_pg_watch *watch, int part, const char *space, const char *id)
{
    if (watch)
        watch->listener.changed(watch->listener.user, part, space, id);
}

void lc_pg_watch_free(lc_pg_watch *watch)
{
    if (!watch)
        return;
    pthread_join(watch->thread, NULL);
    lc_free(watch);
}

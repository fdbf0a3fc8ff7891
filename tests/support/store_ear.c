/* A listener that counts. */
#include "store_ear.h"

#include "support.h"

#include <stdio.h>
#include <string.h>

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    store_ear *ear = user;
    pthread_mutex_lock(&ear->lock);
    if (!*ear->only || strcmp(ear->only, id) == 0) {
        ear->heard.changes++;
        ear->heard.parts |= parts;
        snprintf(ear->heard.space, sizeof ear->heard.space, "%s", space);
        snprintf(ear->heard.id, sizeof ear->heard.id, "%s", id);
    }
    pthread_mutex_unlock(&ear->lock);
}

static void on_distrust(void *user)
{
    store_ear *ear = user;
    pthread_mutex_lock(&ear->lock);
    ear->heard.trusted = 0;
    ear->heard.distrusts++;
    pthread_mutex_unlock(&ear->lock);
}

static void on_trust(void *user)
{
    store_ear *ear = user;
    pthread_mutex_lock(&ear->lock);
    ear->heard.trusted = 1;
    ear->heard.trusts++;
    pthread_mutex_unlock(&ear->lock);
}

void store_ear_watch(store_ear *ear, const lc_store *store)
{
    llmcache_error err;
    const llmcache_watch listener = {ear, on_changed, on_distrust, on_trust};
    if (store->ops.watch(store->self, &listener, &err))
        test_give_up("cannot watch: %s", err.message);
}

store_heard store_ear_heard(store_ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    store_heard heard = ear->heard;
    pthread_mutex_unlock(&ear->lock);
    return heard;
}

void store_ear_forget(store_ear *ear, const char *id)
{
    pthread_mutex_lock(&ear->lock);
    ear->heard.changes = ear->heard.parts = 0;
    ear->heard.space[0] = ear->heard.id[0] = '\0';
    snprintf(ear->only, sizeof ear->only, "%s", id ? id : "");
    pthread_mutex_unlock(&ear->lock);
}

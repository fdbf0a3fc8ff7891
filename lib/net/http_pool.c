/*
 * The stack of idle slots, the warmest on top. A slot is taken for the origin it last spoke to, so that
 * two services behind one pool do not push each other's connections out; when the stack is full
 * the coldest goes. The lock is held for the push and the pop only.
 *
 * Slots share names and TLS sessions, so that a burst of new connections costs one lookup and short
 * handshakes.
 */
#include "net/http_pool.h"

#include "base/error.h"
#include "base/memory.h"
#include "net/curl_start.h"
#include "net/http.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct lc_http {
    pthread_mutex_t lock; /* guards idle and idle_count */
    lc_http_slot **idle;  /* coldest first */
    size_t idle_count;
    size_t max_idle;
    char *ca_file;
    CURLSH *share;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST]; /* libcurl's, one for each kind of shared data */
};

/* ---- Slots ------------------------------------------------------------------------------------ */

static void slot_free(lc_http_slot *slot)
{
    if (!slot)
        return;
    curl_easy_cleanup(slot->easy);
    if (slot->multi)
        curl_multi_cleanup(slot->multi);
    lc_head_done(&slot->head);
    lc_buffer_done(&slot->line);
    lc_free(slot);
}

/* The options that never change. */
static void set_constants(const lc_http *http, lc_http_slot *slot)
{
    CURL *easy = slot->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a stuck lookup does not outlast the deadline */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "llmcache/" LLMCACHE_VERSION);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->reason);
    curl_easy_setopt(easy, CURLOPT_SHARE, http->share);
    if (http->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
    curl_multi_setopt(slot->multi, CURLMOPT_MAXCONNECTS, 1L);
}

static lc_http_slot *slot_new(const lc_http *http)
{
    lc_http_slot *slot = lc_zalloc(sizeof *slot);
    if (!slot)
        return NULL;
    lc_head_init(&slot->head);
    lc_buffer_init(&slot->line, 0);
    slot->easy = curl_easy_init();
    slot->multi = curl_multi_init();
    if (!slot->easy || !slot->multi) {
        slot_free(slot);
        return NULL;
    }
    set_constants(http, slot);
    return slot;
}

lc_http_slot *lc_http_slot_take(lc_http *http, const char *origin)
{
    lc_http_slot *found = NULL;
    pthread_mutex_lock(&http->lock);
    for (size_t i = http->idle_count; i-- > 0 && !found;)
        if (strcmp(http->idle[i]->origin, origin) == 0) {
            found = http->idle[i];
            http->idle_count--;
            memmove(http->idle + i, http->idle + i + 1,
                    (http->idle_count - i) * sizeof *http->idle);
        }
    pthread_mutex_unlock(&http->lock);
    if (!found)
        found = slot_new(http);
    if (found)
        snprintf(found->origin, sizeof found->origin, "%s", origin);
    return found;
}

void lc_http_slot_give(lc_http *http, lc_http_slot *slot)
{
    lc_http_slot *surplus = slot;
    pthread_mutex_lock(&http->lock);
    if (http->max_idle > 0) {
        surplus = NULL;
        if (http->idle_count == http->max_idle) {
            surplus = http->idle[0];
            http->idle_count--;
            memmove(http->idle, http->idle + 1, http->idle_count * sizeof *http->idle);
        }
        http->idle[http->idle_count++] = slot;
    }
    pthread_mutex_unlock(&http->lock);
    slot_free(surplus);
}

/* ---- The pool --------------------------------------------------------------------------------- */

static void lock_shared(CURL *easy, curl_lock_data kind, curl_lock_access access, void *user)
{
    pthread_mutex_lock(&((lc_http *)user)->share_locks[kind]);
}

static void unlock_shared(CURL *easy, curl_lock_data kind, void *user)
{
    pthread_mutex_unlock(&((lc_http *)user)->share_locks[kind]);
}

static int open_share(lc_http *http)
{
    http->share = curl_share_init();
    if (!http->share)
        return -1;
    curl_share_setopt(http->share, CURLSHOPT_USERDATA, http);
    curl_share_setopt(http->share, CURLSHOPT_LOCKFUNC, lock_shared);
    curl_share_setopt(http->share, CURLSHOPT_UNLOCKFUNC, unlock_shared);
    return curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) ||
           curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

int lc_http_new(size_t max_idle, const char *ca_file, lc_http **http, llmcache_error *err)
{
    int rc = lc_curl_start(err);
    if (rc)
        return rc;
    lc_http *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    pthread_mutex_init(&fresh->lock, NULL);
    for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&fresh->share_locks[i], NULL);
    fresh->max_idle = max_idle;
    fresh->idle = lc_zalloc_array(max_idle, sizeof *fresh->idle);
    int named = ca_file && *ca_file;
    if (named)
        fresh->ca_file = lc_strdup(ca_file);
    if (!fresh->idle || (named && !fresh->ca_file) || open_share(fresh)) {
        lc_http_free(fresh);
        return lc_fail_memory(err);
    }
    *http = fresh;
    return 0;
}

void lc_http_free(lc_http *http)
{
    if (!http)
        return;
    for (size_t i = 0; i < http->idle_count; i++)
        slot_free(http->idle[i]);
    if (http->share)
        curl_share_cleanup(http->share);
    for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_destroy(&http->share_locks[i]);
    pthread_mutex_destroy(&http->lock);
    lc_free(http->ca_file);
    lc_free(http->idle);
    lc_free(http);
}

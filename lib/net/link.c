/*
 * Links over libcurl. The multi handle that connects also owns the connection, so it lives as long as the
 * link. Sending and receiving try first and wait only when they must; the wait is one poll on the
 * socket and on the fd that cancels.
 */
#include "net/link.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "net/curl_start.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_SIZE = 128 };

struct lc_link {
    CURL *easy;
    CURLM *multi;
    curl_socket_t fd;
    int cancel_fd;
    char place[PLACE_SIZE]; /* for messages */
    char reason[CURL_ERROR_SIZE];
};

/* Time left for poll and curl: 0 when it is over. */
static int left_until(int64_t until_ms)
{
    int64_t left_ms = until_ms - lc_mono_ms();
    return left_ms <= 0 ? 0 : left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static int fail_late(const lc_link *link, const char *doing, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_TIMEOUT, "%s did not %s in time", link->place, doing);
}

static int fail_cancelled(const lc_link *link, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_NETWORK, "%s: given up, as asked", link->place);
}

static int fail_broken(const lc_link *link, CURLcode result, llmcache_error *err)
{
    if (result == CURLE_OUT_OF_MEMORY)
        return lc_fail_memory(err);
    return lc_fail(err, LLMCACHE_NETWORK, "%s: %s", link->place,
                   link->reason[0] ? link->reason : curl_easy_strerror(result));
}

/* ---- Connecting --------------------------------------------------------------------------------- */

static void set_options(lc_link *link, const lc_link_target *target)
{
    CURL *easy = link->easy;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a stuck lookup does not outlast the deadline */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");      /* the web's proxies do not speak for us */
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, link->reason);
    if (target->ca_file && *target->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, target->ca_file);
}

static int set_target(lc_link *link, const lc_link_target *target)
{
    char url[PLACE_SIZE + 320];
    const char *scheme = target->tls ? "https" : "http";
    const char *host = target->host ? target->host : "localhost";
    int is_v6 = strchr(host, ':') != NULL;
    if (target->unix_path) {
        snprintf(link->place, sizeof link->place, "unix:%s", target->unix_path);
        snprintf(url, sizeof url, "%s://%s/", scheme, host);
        if (curl_easy_setopt(link->easy, CURLOPT_UNIX_SOCKET_PATH, target->unix_path))
            return LLMCACHE_MEMORY;
    } else {
        snprintf(link->place, sizeof link->place, "%s:%d", host, target->port);
        snprintf(url, sizeof url, "%s://%s%.255s%s:%d/", scheme, is_v6 ? "[" : "", host,
                 is_v6 ? "]" : "", target->port);
    }
    return curl_easy_setopt(link->easy, CURLOPT_URL, url) ? LLMCACHE_MEMORY : 0;
}

/* 1 once the connecting has ended, with its result. */
static int has_ended(lc_link *link, CURLcode *result)
{
    int queued;
    CURLMsg *said = curl_multi_info_read(link->multi, &queued);
    if (!said || said->msg != CURLMSG_DONE)
        return 0;
    *result = said->data.result;
    return 1;
}

static int connect_link(lc_link *link, int64_t until_ms, llmcache_error *err)
{
    CURLcode result = CURLE_OK;
    struct curl_waitfd cancel = {.fd = link->cancel_fd, .events = CURL_WAIT_POLLIN};
    if (curl_multi_add_handle(link->multi, link->easy))
        return lc_fail_memory(err);
    for (;;) {
        int running;
        if (curl_multi_perform(link->multi, &running))
            return lc_fail_memory(err);
        if (has_ended(link, &result))
            break;
        int left_ms = left_until(until_ms);
        if (left_ms == 0)
            return fail_late(link, "connect", err);
        cancel.revents = 0;
        curl_multi_poll(link->multi, &cancel, link->cancel_fd >= 0 ? 1 : 0, left_ms, NULL);
        if (cancel.revents)
            return fail_cancelled(link, err);
    }
    if (result)
        return fail_broken(link, result, err);
    if (curl_easy_getinfo(link->easy, CURLINFO_ACTIVESOCKET, &link->fd) ||
        link->fd == CURL_SOCKET_BAD)
        return fail_broken(link, CURLE_COULDNT_CONNECT, err);
    return 0;
}

int lc_link_open(const lc_link_target *target, int64_t until_ms, int cancel_fd, lc_link **link,
                 llmcache_error *err)
{
    int rc = lc_curl_start(err);
    if (rc)
        return rc;
    lc_link *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    fresh->fd = CURL_SOCKET_BAD;
    fresh->cancel_fd = cancel_fd;
    fresh->easy = curl_easy_init();
    fresh->multi = curl_multi_init();
    if (!fresh->easy || !fresh->multi) {
        rc = lc_fail_memory(err);
        goto out;
    }
    set_options(fresh, target);
    if (set_target(fresh, target)) {
        rc = lc_fail_memory(err);
        goto out;
    }
    rc = connect_link(fresh, until_ms, err);
    if (rc)
        goto out;
    *link = fresh;
    return 0;
out:
    lc_link_close(fresh);
    return rc;
}

void lc_link_close(lc_link *link)
{
    if (!link)
        return;
    if (link->multi && link->easy)
        curl_multi_remove_handle(link->multi, link->easy);
    curl_easy_cleanup(link->easy);
    if (link->multi)
        curl_multi_cleanup(link->multi);
    lc_free(link);
}

/* ---- Bytes -------------------------------------------------------------------------------------- */

/* Waits until the socket is ready; `doing` is what the far end does not do when it is late. */
static int wait_ready(lc_link *link, short events, int64_t until_ms, const char *doing,
                      llmcache_error *err)
{
    struct pollfd fds[] = {{.fd = link->fd, .events = events},
                           {.fd = link->cancel_fd, .events = POLLIN}};
    for (;;) {
        int left_ms = left_until(until_ms);
        if (left_ms == 0)
            return fail_late(link, doing, err);
        int ready = poll(fds, link->cancel_fd >= 0 ? 2 : 1, left_ms);
        if (ready < 0 && errno != EINTR)
            return lc_fail(err, LLMCACHE_NETWORK, "%s: poll failed", link->place);
        if (ready > 0 && link->cancel_fd >= 0 && fds[1].revents)
            return fail_cancelled(link, err);
        if (ready > 0)
            return 0;
    }
}

int lc_link_send(lc_link *link, const void *bytes, size_t size, int64_t until_ms,
                 llmcache_error *err)
{
    const char *at = bytes;
    while (size > 0) {
        size_t sent = 0;
        link->reason[0] = '\0';
        CURLcode result = curl_easy_send(link->easy, at, size, &sent);
        if (result == CURLE_AGAIN) {
            int rc = wait_ready(link, POLLOUT, until_ms, "take what was sent", err);
            if (rc)
                return rc;
        } else if (result) {
            return fail_broken(link, result, err);
        }
        at += sent;
        size -= sent;
    }
    return 0;
}

int lc_link_receive(lc_link *link, void *bytes, size_t room, int64_t until_ms, size_t *got,
                    llmcache_error *err)
{
    for (;;) {
        size_t size = 0;
        link->reason[0] = '\0';
        CURLcode result = curl_easy_recv(link->easy, bytes, room, &size);
        if (result == CURLE_OK && size == 0)
            return lc_fail(err, LLMCACHE_NETWORK, "%s closed the connection", link->place);
        if (result == CURLE_OK) {
            *got = size;
            return 0;
        }
        if (result != CURLE_AGAIN)
            return fail_broken(link, result, err);
        int rc = wait_ready(link, POLLIN, until_ms, "answer", err);
        if (rc)
            return rc;
    }
}

/*
 * A byte connection on which every operation has a deadline: name lookup, connecting, the TLS handshake,
 * sending and receiving. TCP, TLS or a Unix socket, all by libcurl's CONNECT_ONLY. A link is used by
 * one thread at a time, and after any error it is only good for closing.
 */
#ifndef LC_NET_LINK_H
#define LC_NET_LINK_H

#include <llmcache/llmcache.h>

typedef struct lc_link lc_link;

typedef struct lc_link_target {
    const char *host;      /* name or address; IPv6 without brackets */
    int port;
    const char *unix_path; /* instead of host and port; NULL: TCP */
    int tls;
    const char *ca_file;   /* NULL or "": the system's */
} lc_link_target;

/*
 * `until_ms` in all of these is an instant of lc_mono_ms. `cancel_fd` (-1 for none) ends every wait of this
 * link when it becomes readable. LLMCACHE_TIMEOUT, LLMCACHE_NETWORK (also when cancelled), LLMCACHE_MEMORY.
 */
int lc_link_open(const lc_link_target *target, int64_t until_ms, int cancel_fd, lc_link **link,
                 llmcache_error *err);
void lc_link_close(lc_link *link); /* accepts NULL; never waits */

int lc_link_send(lc_link *link, const void *bytes, size_t size, int64_t until_ms,
                 llmcache_error *err);

/* Waits for at least one byte; *got is never 0. The far end's close is LLMCACHE_NETWORK. */
int lc_link_receive(lc_link *link, void *bytes, size_t room, int64_t until_ms, size_t *got,
                    llmcache_error *err);

#endif

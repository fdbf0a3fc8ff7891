/*
 * Where a Redis is and how to log in, from a URI:
 *   redis://[[user]:password@]host[:port][/database]      rediss:// the same over TLS
 *   unix:/path[?db=number&user=name&password=text]
 * User and password may be percent-encoded; a word alone before @ is the password, as for redis-cli. Pure.
 */
#ifndef LC_NET_REDIS_URI_H
#define LC_NET_REDIS_URI_H

#include "net/link.h"

typedef struct lc_redis_uri {
    lc_link_target target;  /* its strings are the ones below, ca_file apart */
    char *host, *unix_path;
    char *user, *password;  /* NULL for none */
    int database;
    char *name;             /* for people: without user and password */
} lc_redis_uri;

/* LLMCACHE_SETTING; the message never shows a password. */
int lc_redis_uri_read(const char *text, lc_redis_uri *uri, llmcache_error *err);
void lc_redis_uri_done(lc_redis_uri *uri);

#endif

/*
 * Where a Redis is and how to log in, from a URI:
 *   redis://[[user]:password@]host[:port][/database]      rediss:// the same over TLS
 *   unix:/path[?db=number&user=name&password=text]
 *   redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/name[/database]   rediss+sentinel:// over TLS
 *     with [?sentinel_user=name&sentinel_password=text] where the sentinels have a login of their own
 * User and password may be percent-encoded; a word alone before @ is the password, as for redis-cli. Pure.
 */
#ifndef LC_NET_REDIS_URI_H
#define LC_NET_REDIS_URI_H

#include "net/link.h"

#include <stddef.h>

enum { LC_REDIS_HOST_SIZE = 254, LC_REDIS_MAX_SENTINELS = 16 };

typedef struct lc_redis_uri {
    lc_link_target target;  /* its strings are the ones below, ca_file apart */
    char *host, *unix_path;
    char *user, *password;  /* NULL for none */
    int database;
    char *name;             /* for people: without user and password */
    int reads_replica;      /* a replica of a cluster that is to answer itself */
    struct lc_redis_sentinels *sentinels; /* who says where it is: host is NULL then. NULL: nobody needs to */
} lc_redis_uri;

typedef struct lc_redis_sentinels {
    char *service; /* what they call the Redis */
    lc_redis_uri uris[LC_REDIS_MAX_SENTINELS];
    size_t count;
} lc_redis_sentinels;

/* LLMCACHE_SETTING; the message never shows a password. */
int lc_redis_uri_read(const char *text, lc_redis_uri *uri, llmcache_error *err);
void lc_redis_uri_done(lc_redis_uri *uri);

/* The certificates trusted, of the sentinels too; borrowed. */
void lc_redis_uri_trust(lc_redis_uri *uri, const char *ca_file);

int lc_redis_is_sentinel(const char *text);

/* ---- Addresses that a server names --------------------------------------------------------------- */

typedef struct lc_redis_address {
    char host[LC_REDIS_HOST_SIZE];
    int port;
} lc_redis_address;

int lc_redis_same_address(const lc_redis_address *a, const lc_redis_address *b);

/* 1 when it is a host and a port. */
int lc_redis_address_set(const char *host, size_t size, long long port, lc_redis_address *address);

/* The URI of a server at the address, with the login, database and certificates of `like`, which is borrowed. Free
 * with lc_redis_uri_at_done. LLMCACHE_MEMORY. */
int lc_redis_uri_at(const lc_redis_uri *like, const lc_redis_address *address, lc_redis_uri *uri);
void lc_redis_uri_at_done(lc_redis_uri *uri);

#endif

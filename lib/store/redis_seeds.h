/*
 * Where a Redis Cluster is: redis+cluster://[user:password@]host[:port],host[:port]... and
 * rediss+cluster:// over TLS. ?read=replica allows reads from replicas. The user and the password, also as ?user= and &password=, are those of every node. Pure.
 */
#ifndef LC_STORE_REDIS_SEEDS_H
#define LC_STORE_REDIS_SEEDS_H

#include "net/redis_uri.h"

enum { LC_REDIS_MAX_SEEDS = 32 };

typedef struct lc_redis_seeds {
    lc_redis_uri uris[LC_REDIS_MAX_SEEDS]; /* one for each address */
    size_t count;
    int read_replicas;
    char *name; /* for people: without user and password */
} lc_redis_seeds;

int lc_redis_is_cluster(const char *uri);

/* LLMCACHE_SETTING; the message never shows a password. */
int lc_redis_seeds_read(const char *text, lc_redis_seeds *seeds, llmcache_error *err);
void lc_redis_seeds_done(lc_redis_seeds *seeds);

#endif

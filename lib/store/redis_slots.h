/*
 * What a Redis Cluster is made of, as its specification has it
 * (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/): the slot of a key, which commands of a
 * batch belong together, where a reply sends a command, and who serves which slot. Pure.
 */
#ifndef LC_STORE_REDIS_SLOTS_H
#define LC_STORE_REDIS_SLOTS_H

#include "net/redis_wire.h"

enum { LC_REDIS_SLOTS = 16384, LC_REDIS_MAX_NODES = 1024 };

/* CRC16 (XMODEM) of the name, or of its hash tag: what stands in its first pair of { and }, unless that is nothing. */
int lc_redis_slot_of(lc_redis_word name);

/* Commands that must stay together and in order: one, or MULTI up to EXEC. */
typedef struct lc_redis_unit {
    size_t at, size;     /* in batch->bytes */
    size_t first, count; /* its replies */
    int slot;            /* of its first key, a command's second word, EVAL's fourth; -1 for none */
} lc_redis_unit;

/* Free *units with lc_free. LLMCACHE_MEMORY, LLMCACHE_INVALID for what is no batch. */
int lc_redis_units_read(const lc_redis_batch *batch, lc_redis_unit **units, size_t *count);

typedef enum lc_redis_redirect {
    LC_REDIS_STAYS,
    LC_REDIS_MOVED, /* the slot is there from now on */
    LC_REDIS_ASK    /* this time only, and with ASKING before it */
} lc_redis_redirect;

/* A host that the node does not know is that of the node itself, `asked`. Nonsense stays. */
lc_redis_redirect lc_redis_redirect_read(const redisReply *reply, const lc_redis_address *asked,
                                         int *slot, lc_redis_address *to);

/* Who serves which slot, as one node sees it. */
typedef struct lc_redis_map {
    lc_redis_address *nodes; /* replicas too */
    size_t count;
    uint16_t owner[LC_REDIS_SLOTS]; /* place in nodes; count or more: nobody */
    uint16_t follows[LC_REDIS_MAX_NODES]; /* of a replica: the place of its primary; count or more: nobody */
} lc_redis_map;

/* Reads the reply to CLUSTER SLOTS. LLMCACHE_STORE for what makes no sense, LLMCACHE_MEMORY. */
int lc_redis_map_read(const redisReply *reply, const lc_redis_address *asked, lc_redis_map *map,
                      llmcache_error *err);
void lc_redis_map_done(lc_redis_map *map);

/* Reads the reply to CLUSTER INFO: is the node in a cluster that works, and how new is what it knows? */
void lc_redis_info_read(const redisReply *reply, int *works, uint64_t *epoch);

/* How far a node is in the history of its primary, or in its own as one. */
typedef struct lc_redis_replication {
    int is_primary, link_is_up;
    char history[48]; /* offsets of different ones cannot be compared */
    uint64_t offset;
} lc_redis_replication;

/* Reads the reply to INFO replication; 0 when it does not say. */
int lc_redis_replication_read(const redisReply *reply, lc_redis_replication *replication);

/* Of the reply to CLUSTER NODES, the slots of the node itself, those moving in brackets; "" when there are none. */
lc_redis_word lc_redis_own_slots(const redisReply *reply);

#endif

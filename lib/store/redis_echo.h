/*
 * Telling one's own changes from others'. Redis reports every change of a key, ours too, and may report several
 * as one. So a report of a key that we wrote lately is held against what stands there now: if that is what
 * we wrote last, or are just writing, nobody else has changed it. Any thread may call.
 */
#ifndef LC_STORE_REDIS_ECHO_H
#define LC_STORE_REDIS_ECHO_H

#include "net/redis_wire.h"

/* What tells one value from another: a hash of its beginning. Nothing at all has one too. */
typedef struct lc_redis_print {
    unsigned char bytes[16];
} lc_redis_print;

enum { LC_REDIS_PRINT_BYTES = 4096 };

lc_redis_print lc_redis_print_of(const void *value, size_t size);

typedef struct lc_redis_echoes lc_redis_echoes;

lc_redis_echoes *lc_redis_echoes_new(void); /* NULL: no memory */
void lc_redis_echoes_free(lc_redis_echoes *echoes);

/* Around each write: before it is sent; once it is known to have worked; when that will not be known (then
 * the key's change has to be told). */
void lc_redis_echoes_sent(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_print print);
void lc_redis_echoes_done(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_print print);
void lc_redis_echoes_forget(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_print print);

/* What was known of a key before its value was read. */
typedef struct lc_redis_look {
    uint64_t turn;
    int in_flight;
} lc_redis_look;

/* Did we write this key lately? Then its value is worth reading, and *look goes with the judgement. */
int lc_redis_echoes_knows(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_look *look);

typedef enum lc_redis_origin {
    LC_REDIS_FOREIGN, /* somebody else changed it */
    LC_REDIS_OURS,    /* we did; or we began to write it again, and that will be reported too */
    LC_REDIS_UNSURE   /* a write of ours is under way: look again */
} lc_redis_origin;

lc_redis_origin lc_redis_echoes_judge(lc_redis_echoes *echoes, lc_redis_word name,
                                      lc_redis_look look, lc_redis_print print);

#endif

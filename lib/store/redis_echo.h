/*
 * Telling one's own changes from others'. Redis reports every change of a key, ours too, and may report several
 * as one. So a report of a key that we wrote lately is held against what stands there now: if that is what
 * we wrote last, or are just writing, nobody else has changed it. Any thread may call.
 */
#ifndef LC_STORE_REDIS_ECHO_H
#define LC_STORE_REDIS_ECHO_H

#include "store/redis_wire.h"

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
void lc_redis_echoes_forget(lc_redis_echoes *echoes, lc_redis_word name);

/* Did we write this key lately? Then its value is worth a look; *turn goes with the answer. */
int lc_redis_echoes_knows(lc_redis_echoes *echoes, lc_redis_word name, uint64_t *turn);

/*
 * Is a value with this print, read since then, of our making? Also yes when we began to write the key again since
 * then: that write is reported too, after it, or known to have failed.
 */
int lc_redis_echoes_explain(lc_redis_echoes *echoes, lc_redis_word name, uint64_t turn,
                            lc_redis_print print);

#endif

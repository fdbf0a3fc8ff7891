/*
 * A table with one place for each of a thousand hashes of names: the last write of a key pushes out whoever was
 * there. What was pushed out is reported as if by others, which costs a question its place in memory, no more.
 */
#include "store/redis_echo.h"

#include "base/memory.h"
#include "base/sha256.h"

#include <pthread.h>
#include <string.h>

enum { PLACES = 1024 }; /* writes under way and reports not yet heard: a few dozen */

typedef struct place {
    lc_redis_print name;
    lc_redis_print sent; /* by the last write begun */
    lc_redis_print done; /* by the last write that is known to have worked */
    int in_flight;       /* writes begun and not yet known */
    int has_done;
    uint64_t turn;       /* of the last write begun, counting all keys' */
} place;

struct lc_redis_echoes {
    pthread_mutex_t lock; /* guards all below */
    uint64_t turns;
    place places[PLACES];
};

lc_redis_print lc_redis_print_of(const void *value, size_t size)
{
    unsigned char digest[LC_SHA256_SIZE];
    lc_redis_print print;
    lc_sha256_once(value, size < LC_REDIS_PRINT_BYTES ? size : LC_REDIS_PRINT_BYTES, digest);
    memcpy(print.bytes, digest, sizeof print.bytes);
    return print;
}

static int same(const lc_redis_print *a, const lc_redis_print *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static place *place_of(lc_redis_echoes *echoes, const lc_redis_print *name)
{
    uint16_t number;
    memcpy(&number, name->bytes, sizeof number);
    return &echoes->places[number % PLACES];
}

/* The key's place, free of any other key. */
static place *claim(lc_redis_echoes *echoes, const lc_redis_print *name)
{
    place *p = place_of(echoes, name);
    if (!same(&p->name, name))
        *p = (place){.name = *name};
    return p;
}

lc_redis_echoes *lc_redis_echoes_new(void)
{
    lc_redis_echoes *echoes = lc_zalloc(sizeof *echoes);
    if (echoes)
        pthread_mutex_init(&echoes->lock, NULL);
    return echoes;
}

void lc_redis_echoes_free(lc_redis_echoes *echoes)
{
    if (echoes)
        pthread_mutex_destroy(&echoes->lock);
    lc_free(echoes);
}

void lc_redis_echoes_sent(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_print print)
{
    lc_redis_print hash = lc_redis_print_of(name.bytes, name.size);
    pthread_mutex_lock(&echoes->lock);
    place *p = claim(echoes, &hash);
    p->sent = print;
    p->in_flight++;
    p->turn = ++echoes->turns;
    pthread_mutex_unlock(&echoes->lock);
}

void lc_redis_echoes_done(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_print print)
{
    lc_redis_print hash = lc_redis_print_of(name.bytes, name.size);
    pthread_mutex_lock(&echoes->lock);
    place *p = claim(echoes, &hash);
    if (p->in_flight)
        p->in_flight--;
    p->done = print;
    p->has_done = 1;
    pthread_mutex_unlock(&echoes->lock);
}

void lc_redis_echoes_forget(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_print print)
{
    lc_redis_print hash = lc_redis_print_of(name.bytes, name.size);
    pthread_mutex_lock(&echoes->lock);
    *claim(echoes, &hash) = (place){0};
    pthread_mutex_unlock(&echoes->lock);
}

int lc_redis_echoes_knows(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_look *look)
{
    lc_redis_print hash = lc_redis_print_of(name.bytes, name.size);
    pthread_mutex_lock(&echoes->lock);
    const place *p = place_of(echoes, &hash);
    int known = same(&p->name, &hash);
    *look = (lc_redis_look){.turn = p->turn, .in_flight = p->in_flight};
    pthread_mutex_unlock(&echoes->lock);
    return known;
}

static int is_nothing(const lc_redis_print *print)
{
    const lc_redis_print nothing = lc_redis_print_of("", 0);
    return same(print, &nothing);
}

/*
 * A write that began after the report was heard will be reported after it, so this report needs no answer. While
 * a write is in flight only its own value is a sure sign: the one before it may stand there because the write
 * is still to come, or because somebody has undone it. Nothing there is no sign of a removal of ours: somebody
 * may have put something since, which was read, and have removed it again. To tell of it costs little.
 */
static lc_redis_origin judge(const place *p, lc_redis_look look, const lc_redis_print *print)
{
    if (p->turn != look.turn || (p->in_flight && same(&p->sent, print)))
        return LC_REDIS_OURS;
    if (p->in_flight || look.in_flight)
        return LC_REDIS_UNSURE;
    return p->has_done && same(&p->done, print) && !is_nothing(print) ? LC_REDIS_OURS : LC_REDIS_FOREIGN;
}

lc_redis_origin lc_redis_echoes_judge(lc_redis_echoes *echoes, lc_redis_word name,
                                      lc_redis_look look, lc_redis_print print)
{
    lc_redis_print hash = lc_redis_print_of(name.bytes, name.size);
    pthread_mutex_lock(&echoes->lock);
    place *p = place_of(echoes, &hash);
    int known = same(&p->name, &hash);
    lc_redis_origin origin = known ? judge(p, look, &print) : LC_REDIS_FOREIGN;
    if (known && origin == LC_REDIS_FOREIGN)
        p->has_done = 0; /* what we wrote is over, and a like value later is not ours */
    pthread_mutex_unlock(&echoes->lock);
    return origin;
}

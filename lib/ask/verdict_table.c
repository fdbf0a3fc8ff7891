/* The table of verdict_table.h. */
#include "ask/verdict_table.h"

#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define GROUP        8
#define FIRST_GROUPS 16
#define MAX_PAIRS    131072

typedef struct places {
    lc_known *all; /* GROUP a group; verdict 0: free */
    size_t groups; /* a power of two, 0: none */
    size_t count;
} places;

struct lc_verdict_table {
    pthread_mutex_t lock; /* guards both */
    places known;
    places collected; /* while the store is read anew */
    size_t max_groups;
    atomic_size_t count; /* of known, for who looks without the lock */
    atomic_uint_least64_t dropped, turn;
};

static int make_places(places *p, size_t groups)
{
    lc_known *all = lc_zalloc_array(groups * GROUP, sizeof *all);
    if (!all)
        return LLMCACHE_MEMORY;
    *p = (places){.all = all, .groups = groups};
    return 0;
}

static void free_places(places *p)
{
    lc_free(p->all);
    *p = (places){0};
}

static size_t first_groups(const lc_verdict_table *table)
{
    return table->max_groups < FIRST_GROUPS ? table->max_groups : FIRST_GROUPS;
}

int lc_verdict_table_new(size_t max_pairs, lc_verdict_table **table, llmcache_error *err)
{
    lc_verdict_table *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    if (!max_pairs)
        max_pairs = MAX_PAIRS;
    made->max_groups = 1;
    while (made->max_groups * GROUP < max_pairs)
        made->max_groups *= 2;
    if (make_places(&made->known, first_groups(made))) {
        lc_free(made);
        return lc_fail_memory(err);
    }
    pthread_mutex_init(&made->lock, NULL);
    *table = made;
    return 0;
}

void lc_verdict_table_free(lc_verdict_table *table)
{
    if (!table)
        return;
    pthread_mutex_destroy(&table->lock);
    free_places(&table->known);
    free_places(&table->collected);
    lc_free(table);
}

/* ---- Places; lock held --------------------------------------------------------------------------- */

static lc_known *group_of(const places *p, const unsigned char *pair)
{
    uint64_t head;
    memcpy(&head, pair, sizeof head);
    return &p->all[(head & (p->groups - 1)) * GROUP];
}

static lc_known *place_of(const places *p, const unsigned char *pair)
{
    lc_known *group = group_of(p, pair);
    for (int i = 0; i < GROUP; i++)
        if (group[i].verdict && memcmp(group[i].pair, pair, sizeof group[i].pair) == 0)
            return &group[i];
    return NULL;
}

static lc_known *free_place(const places *p, const unsigned char *pair)
{
    lc_known *group = group_of(p, pair);
    for (int i = 0; i < GROUP; i++)
        if (!group[i].verdict)
            return &group[i];
    return NULL;
}

/* Is `a` less worth keeping than `b`? */
static int is_lesser(const lc_known *a, const lc_known *b)
{
    int a_wrong = a->verdict == LLMCACHE_WRONG, b_wrong = b->verdict == LLMCACHE_WRONG;
    if (a_wrong != b_wrong)
        return b_wrong;
    int a_rank = lc_observer_rank(a->observer), b_rank = lc_observer_rank(b->observer);
    return a_rank != b_rank ? a_rank < b_rank : a->time_ms < b->time_ms;
}

/* A group splits in two, so whoever had a place finds one. */
static int grow(places *p)
{
    places larger;
    if (make_places(&larger, 2 * p->groups))
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < p->groups * GROUP; i++)
        if (p->all[i].verdict)
            *free_place(&larger, p->all[i].pair) = p->all[i];
    larger.count = p->count;
    free_places(p);
    *p = larger;
    return 0;
}

/* A place for a new pair; NULL when everything there is worth more. */
static lc_known *make_place(lc_verdict_table *table, places *p, const lc_known *known)
{
    lc_known *place;
    while (!(place = free_place(p, known->pair)) && p->groups < table->max_groups)
        if (grow(p))
            break;
    if (place) {
        p->count++;
        return place;
    }
    lc_known *group = group_of(p, known->pair), *least = group;
    for (int i = 1; i < GROUP; i++)
        if (is_lesser(&group[i], least))
            least = &group[i];
    atomic_fetch_add(&table->dropped, 1);
    return is_lesser(known, least) ? NULL : least;
}

/* The stronger word: a person's, then the later. An observation that changed is its own successor; what has
 * expired has no word. */
static int outweighs(const lc_known *fresh, const lc_known *old)
{
    int rank = lc_observer_rank(fresh->observer), was = lc_observer_rank(old->observer);
    if (memcmp(fresh->id, old->id, sizeof fresh->id) == 0 ||
        (old->expires_ms && old->expires_ms <= fresh->time_ms))
        return 1;
    return rank != was ? rank > was : fresh->time_ms >= old->time_ms;
}

/* Is it the same observation before it changed? The store is read while its successor is on the way there. */
static int is_before(const lc_known *fresh, const lc_known *old)
{
    return memcmp(fresh->id, old->id, sizeof fresh->id) == 0 && fresh->time_ms < old->time_ms;
}

/* 1 when the pair is wrong now and was not. */
static int note(lc_verdict_table *table, places *p, const lc_known *known)
{
    lc_known *place = place_of(p, known->pair);
    int was_wrong = place && place->verdict == LLMCACHE_WRONG;
    if (place && (!outweighs(known, place) || (p == &table->collected && is_before(known, place))))
        return 0;
    if (!place)
        place = make_place(table, p, known);
    if (!place)
        return 0;
    *place = *known;
    return known->verdict == LLMCACHE_WRONG && !was_wrong;
}

static int forget(places *p, const unsigned char id[10])
{
    size_t before = p->count;
    for (size_t i = 0; i < p->groups * GROUP; i++)
        if (p->all[i].verdict && memcmp(p->all[i].id, id, sizeof p->all[i].id) == 0) {
            p->all[i] = (lc_known){0};
            p->count--;
        }
    return p->count < before;
}

/* ---- The operations -------------------------------------------------------------------------------- */

int lc_verdict_table_note(lc_verdict_table *table, const lc_known *known)
{
    pthread_mutex_lock(&table->lock);
    int wrong = note(table, &table->known, known);
    if (table->collected.groups)
        note(table, &table->collected, known);
    atomic_store(&table->count, table->known.count);
    pthread_mutex_unlock(&table->lock);
    if (wrong)
        atomic_fetch_add(&table->turn, 1);
    return wrong;
}

int lc_verdict_table_find(lc_verdict_table *table, const unsigned char name[LC_PAIR_SIZE],
                          int64_t now_ms, lc_known *known)
{
    pthread_mutex_lock(&table->lock);
    const lc_known *place = place_of(&table->known, name);
    int found = place && (!place->expires_ms || place->expires_ms > now_ms);
    if (found)
        *known = *place;
    pthread_mutex_unlock(&table->lock);
    return found;
}

int lc_verdict_table_forget(lc_verdict_table *table, const unsigned char id[10])
{
    pthread_mutex_lock(&table->lock);
    int any = forget(&table->known, id);
    if (table->collected.groups)
        forget(&table->collected, id);
    atomic_store(&table->count, table->known.count);
    pthread_mutex_unlock(&table->lock);
    return any;
}

int lc_verdict_table_begin(lc_verdict_table *table)
{
    places fresh;
    if (make_places(&fresh, first_groups(table)))
        return LLMCACHE_MEMORY;
    pthread_mutex_lock(&table->lock);
    free_places(&table->collected);
    table->collected = fresh;
    pthread_mutex_unlock(&table->lock);
    return 0;
}

void lc_verdict_table_end(lc_verdict_table *table)
{
    pthread_mutex_lock(&table->lock);
    free_places(&table->known);
    table->known = table->collected;
    table->collected = (places){0};
    atomic_store(&table->count, table->known.count);
    pthread_mutex_unlock(&table->lock);
}

void lc_verdict_table_drop(lc_verdict_table *table)
{
    pthread_mutex_lock(&table->lock);
    free_places(&table->collected);
    pthread_mutex_unlock(&table->lock);
}

size_t lc_verdict_table_count(const lc_verdict_table *table)
{
    return atomic_load_explicit(&table->count, memory_order_acquire);
}

uint64_t lc_verdict_table_dropped(const lc_verdict_table *table)
{
    return atomic_load(&table->dropped);
}

uint64_t lc_verdict_table_turn(const lc_verdict_table *table)
{
    return atomic_load(&table->turn);
}

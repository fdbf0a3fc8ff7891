/*
 * Taking, waiting, renewing.
 *
 * Who waits stands in a table by namespace and id, on its own stack, with a condition of its own: a report of the
 * store wakes those it is about, and after each wake one operation of the store says whose the lease is now and
 * brings the answer, if there is one. It stands there before it asks for the lease, so that no report is missed.
 *
 * All leases held are renewed by one thread, started with the first of them, in the order in which they were taken
 * or renewed: each is due a third of its time later. Two flights of one cache with the same question (other
 * conditions, other form) are two holders.
 *
 * The lock guards the table, the queue and the waiters; it is not held over I/O.
 */
#include "ask/lease.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    CHAINS = 64,
    GIVEN_UP_MS = 1000, /* ample for all who wait to hear of it */
    REFUSED_MS = 60000  /* until a store that has no leases after all is asked again */
};

/* One who waits, or is about to know whether to. */
typedef struct waiter {
    struct waiter *next;
    const char *space, *id;
    pthread_cond_t wake;
    int told;
} waiter;

struct lc_lease {
    lc_lease *next;
    lc_leases *leases;
    llmcache_key key; /* whose namespace is `space` */
    char id[LLMCACHE_ID_SIZE], holder[64];
    int lane;
    int64_t due_ms;     /* to be renewed */
    int renewing, lost; /* out of the queue: for a moment, for good */
    char space[];
};

struct lc_leases {
    llmcache *cache;
    char name[17]; /* of this cache: random */
    atomic_uint_least64_t number; /* of the last holder */
    atomic_int_least64_t refused_until_ms;
    pthread_mutex_t lock;
    pthread_cond_t stir;    /* a lease to be renewed, or closing */
    pthread_cond_t renewed; /* one is not being renewed any more */
    waiter *chains[CHAINS];
    lc_lease *first, **last; /* held, the one due first in front */
    pthread_t thread;
    int running, closing;
    int trusted; /* reports of the store are heard */
};

/* ---- Life ---------------------------------------------------------------------------------------- */

static void make_name(char name[17])
{
    unsigned char bytes[8];
    if (getentropy(bytes, sizeof bytes)) {
        int64_t now = lc_mono_ns() ^ (int64_t)getpid() << 40;
        memcpy(bytes, &now, sizeof bytes);
    }
    lc_hex(bytes, sizeof bytes, name);
}

int lc_leases_new(llmcache *cache, llmcache_error *err)
{
    const llmcache_store_ops *ops = &cache->store.ops;
    if (!ops->lease || !ops->release || !ops->watch || !cache->settings.lease_ms)
        return 0;
    lc_leases *leases = lc_zalloc(sizeof *leases);
    if (!leases)
        return lc_fail_memory(err);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&leases->lock, NULL);
    pthread_cond_init(&leases->stir, &monotonic);
    pthread_cond_init(&leases->renewed, NULL);
    pthread_condattr_destroy(&monotonic);
    leases->cache = cache;
    leases->last = &leases->first;
    leases->trusted = 1;
    make_name(leases->name);
    cache->leases = leases;
    return 0;
}

void lc_leases_halt(lc_leases *leases)
{
    if (!leases)
        return;
    pthread_mutex_lock(&leases->lock);
    leases->closing = 1;
    int running = leases->running;
    pthread_cond_signal(&leases->stir);
    pthread_mutex_unlock(&leases->lock);
    if (running)
        pthread_join(leases->thread, NULL);
}

void lc_leases_free(lc_leases *leases)
{
    if (!leases)
        return;
    pthread_cond_destroy(&leases->stir);
    pthread_cond_destroy(&leases->renewed);
    pthread_mutex_destroy(&leases->lock);
    lc_free(leases);
}

static lc_lease *new_lease(lc_leases *leases, const char *space, const unsigned char fingerprint[32], lc_wants wants)
{
    size_t size = strlen(space) + 1;
    lc_lease *lease = lc_zalloc(sizeof *lease + size);
    if (!lease)
        return NULL;
    lease->leases = leases;
    memcpy(lease->space, space, size);
    lease->key.space = lease->space;
    memcpy(lease->key.fingerprint, fingerprint, sizeof lease->key.fingerprint);
    lc_entry_id(fingerprint, lease->id);
    /* An answer without its usage serves only some: nobody else is to wait for it. */
    lease->lane = wants == LC_WANTS_STREAM;
    snprintf(lease->holder, sizeof lease->holder, "%s-%llu", leases->name,
             (unsigned long long)atomic_fetch_add(&leases->number, 1));
    return lease;
}

/* ---- What the store reports ------------------------------------------------------------------------ */

static waiter **chain_of(lc_leases *leases, const char *id)
{
    return &leases->chains[((unsigned char)id[0] * 31u + (unsigned char)id[1] * 7u + (unsigned char)id[2]) % CHAINS];
}

void lc_leases_tell(lc_leases *leases, const char *space, const char *id)
{
    if (!leases || strlen(id) != LLMCACHE_ID_SIZE - 1)
        return;
    pthread_mutex_lock(&leases->lock);
    for (waiter *w = *chain_of(leases, id); w; w = w->next)
        if (strcmp(w->id, id) == 0 && strcmp(w->space, space) == 0) {
            w->told = 1;
            pthread_cond_signal(&w->wake);
        }
    pthread_mutex_unlock(&leases->lock);
}

void lc_leases_trust(lc_leases *leases, int trusted)
{
    if (!leases)
        return;
    pthread_mutex_lock(&leases->lock);
    leases->trusted = trusted;
    for (int i = 0; i < CHAINS && !trusted; i++)
        for (waiter *w = leases->chains[i]; w; w = w->next) {
            w->told = 1;
            pthread_cond_signal(&w->wake);
        }
    pthread_mutex_unlock(&leases->lock);
}

/* ---- Asking the store ------------------------------------------------------------------------------ */

static int ask_store(const lc_lease *lease, llmcache_lease *wish, int64_t *others_ms)
{
    lc_leases *leases = lease->leases;
    llmcache *cache = leases->cache;
    llmcache_error err;
    wish->holder = lease->holder;
    wish->lane = lease->lane;
    wish->lease_ms = cache->settings.lease_ms;
    int rc = cache->store.ops.lease(cache->store.self, &lease->key, wish, cache->settings.store_timeout_ms,
                                    others_ms, &err);
    if (rc == LLMCACHE_UNSUPPORTED)
        atomic_store(&leases->refused_until_ms, lc_mono_ms() + REFUSED_MS);
    else if (rc)
        lc_count_add(&cache->counts.store_errors, 1);
    return rc;
}

static void give_back(const lc_lease *lease, int kept)
{
    llmcache *cache = lease->leases->cache;
    llmcache_error err;
    const llmcache_lease wish = {.holder = lease->holder, .lane = lease->lane};
    int rc = cache->store.ops.release(cache->store.self, &lease->key, &wish, kept ? 0 : GIVEN_UP_MS,
                                      cache->settings.store_write_timeout_ms, &err);
    if (rc)
        lc_count_add(&cache->counts.store_errors, 1);
    /* The store need not tell us of what we did ourselves, and another flight of ours may wait for it. */
    lc_leases_tell(lease->leases, lease->space, lease->id);
}

/* ---- Holding --------------------------------------------------------------------------------------- */

static int64_t third_of(const lc_leases *leases)
{
    int64_t third = leases->cache->settings.lease_ms / 3;
    return third ? third : 1;
}

/* Lock held. */
static void enqueue(lc_leases *leases, lc_lease *lease)
{
    lease->due_ms = lc_mono_ms() + third_of(leases);
    lease->next = NULL;
    *leases->last = lease;
    leases->last = &lease->next;
}

/* Lock held; it is in the queue. */
static void dequeue(lc_leases *leases, lc_lease *lease)
{
    lc_lease **slot = &leases->first;
    while (*slot != lease)
        slot = &(*slot)->next;
    *slot = lease->next;
    if (!lease->next)
        leases->last = slot;
}

/* Lock held on entry and exit. A lease that could not be renewed in time for want of the store is tried again. */
static void renew_first(lc_leases *leases)
{
    llmcache_lease wish = {.renew = 1};
    int64_t others_ms = 0;
    lc_lease *lease = leases->first;
    dequeue(leases, lease);
    lease->renewing = 1;
    pthread_mutex_unlock(&leases->lock);
    int rc = ask_store(lease, &wish, &others_ms);
    pthread_mutex_lock(&leases->lock);
    lease->renewing = 0;
    lease->lost = !rc && others_ms != 0;
    if (!lease->lost)
        enqueue(leases, lease);
    pthread_cond_broadcast(&leases->renewed);
}

static void *renew_all(void *argument)
{
    lc_leases *leases = argument;
    pthread_mutex_lock(&leases->lock);
    while (!leases->closing) {
        if (!leases->first) {
            pthread_cond_wait(&leases->stir, &leases->lock);
        } else if (leases->first->due_ms > lc_mono_ms()) {
            struct timespec until = lc_mono_after(leases->first->due_ms - lc_mono_ms());
            pthread_cond_timedwait(&leases->stir, &leases->lock, &until);
        } else {
            renew_first(leases);
        }
    }
    pthread_mutex_unlock(&leases->lock);
    return NULL;
}

/* 0 when nobody will renew it. */
static int hold(lc_lease *lease)
{
    lc_leases *leases = lease->leases;
    pthread_mutex_lock(&leases->lock);
    if (!leases->running)
        leases->running = pthread_create(&leases->thread, NULL, renew_all, leases) == 0;
    int running = leases->running;
    if (running) {
        if (!leases->first)
            pthread_cond_signal(&leases->stir);
        enqueue(leases, lease);
    }
    pthread_mutex_unlock(&leases->lock);
    if (running)
        lc_count_add(&leases->cache->counts.leases_taken, 1);
    return running;
}

void lc_lease_end(lc_lease *lease, int kept)
{
    if (!lease)
        return;
    lc_leases *leases = lease->leases;
    pthread_mutex_lock(&leases->lock);
    while (lease->renewing)
        pthread_cond_wait(&leases->renewed, &leases->lock);
    if (!lease->lost)
        dequeue(leases, lease);
    pthread_mutex_unlock(&leases->lock);
    if (!lease->lost)
        give_back(lease, kept);
    else /* it is another's now, but ours who wait for it may find this answer */
        lc_leases_tell(leases, lease->space, lease->id);
    lc_free(lease);
}

/* Was got, and will not be held. Somebody may have begun to wait for it just now. */
static void drop(lc_lease *lease)
{
    give_back(lease, 0);
    lc_free(lease);
}

/* ---- Waiting --------------------------------------------------------------------------------------- */

static void enlist(lc_leases *leases, waiter *w)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_lock(&leases->lock);
    waiter **chain = chain_of(leases, w->id);
    w->next = *chain;
    *chain = w;
    pthread_mutex_unlock(&leases->lock);
}

static void delist(lc_leases *leases, waiter *w)
{
    pthread_mutex_lock(&leases->lock);
    waiter **slot = chain_of(leases, w->id);
    while (*slot != w)
        slot = &(*slot)->next;
    *slot = w->next;
    pthread_mutex_unlock(&leases->lock);
    pthread_cond_destroy(&w->wake);
}

/* Until something is reported or the time has come. 0 when reports are not heard any more. */
static int wait_for_word(lc_leases *leases, waiter *w, int64_t until_ms)
{
    int waited = 0;
    struct timespec until = lc_mono_after(until_ms - lc_mono_ms());
    pthread_mutex_lock(&leases->lock);
    while (!w->told && leases->trusted && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&w->wake, &leases->lock, &until);
    w->told = 0;
    int trusted = leases->trusted;
    pthread_mutex_unlock(&leases->lock);
    return trusted;
}

/* How a question's turn came. */
typedef enum turn {
    TURN_WAIT,  /* not yet: somebody else is at it */
    TURN_OURS,  /* the lease is ours */
    TURN_FOUND, /* job->entry is the answer; the lease may be ours too */
    TURN_ALONE  /* ask without a lease */
} turn;

typedef struct visit {
    lc_job *job;
    lc_lease *lease;
    int waited;       /* times */
    int64_t unfit_ms; /* when the entry was made that stood there first and does not serve; 0: none did */
    int64_t others_ms;
} visit;

/* The entry, which it takes over, is what the store has; NULL for nothing. */
static turn judge(visit *v, lc_entry *entry, uint64_t generation)
{
    int64_t made_ms = entry ? entry->facts.created_ms : 0;
    if (entry && lc_serve_found(v->job, entry, generation))
        return TURN_FOUND;
    if (v->others_ms <= 0)
        return v->others_ms ? TURN_ALONE : TURN_OURS;
    if (v->waited && made_ms && made_ms != v->unfit_ms)
        return TURN_ALONE; /* what we waited for is of no use to us */
    v->unfit_ms = made_ms;
    return TURN_WAIT;
}

/* One operation of the store. */
static turn look(visit *v)
{
    lc_job *job = v->job;
    lc_entry *entry = NULL;
    llmcache_lease wish = {.now_ms = lc_now_ms(job->cache), .fn = lc_copy_entry, .user = &entry};
    uint64_t generation = lc_memory_cache_generation(job->cache->memory, job->space, job->fingerprint);
    int64_t start_us = lc_mono_us();
    int rc = ask_store(v->lease, &wish, &v->others_ms);
    lc_count_step(&job->cache->counts, LC_STEP_LEASE, lc_mono_us() - start_us);
    if (rc) {
        lc_entry_unref(entry);
        v->others_ms = -1;
        return TURN_ALONE;
    }
    if (v->waited)
        job->now_ms = wish.now_ms;
    return judge(v, entry, generation);
}

static turn wait_for_turn(visit *v, waiter *w)
{
    lc_leases *leases = v->lease->leases;
    int64_t end_ms = lc_mono_ms() + lc_lease_patience_ms(leases->cache, v->job->waited_ms);
    turn how;
    while ((how = look(v)) == TURN_WAIT) {
        int64_t now_ms = lc_mono_ms(), until_ms = now_ms + v->others_ms + 1;
        lc_count_add(&leases->cache->counts.leases_waited, !v->waited++);
        if (now_ms >= end_ms || !wait_for_word(leases, w, until_ms < end_ms ? until_ms : end_ms))
            return TURN_ALONE;
    }
    return how;
}

/* ---- A question's way ------------------------------------------------------------------------------ */

static int is_open(lc_leases *leases)
{
    if (!leases || atomic_load_explicit(&leases->refused_until_ms, memory_order_relaxed) > lc_mono_ms())
        return 0;
    pthread_mutex_lock(&leases->lock);
    int open = leases->trusted && !leases->closing;
    pthread_mutex_unlock(&leases->lock);
    return open;
}

/* Will others be able to use the answer, and could we use theirs? */
static int may_share(const lc_job *job)
{
    const lc_controls *controls = &job->controls;
    return !controls->no_read && !controls->no_store && controls->max_age_ms != 0;
}

int lc_lease_find(lc_job *job)
{
    llmcache *cache = job->cache;
    lc_leases *leases = cache->leases;
    if (!is_open(leases) || !may_share(job))
        return 0;
    visit v = {.job = job, .lease = new_lease(leases, job->space, job->fingerprint, lc_job_wants(job))};
    waiter w = {.space = job->space, .id = job->id};
    if (!v.lease)
        return 0;
    enlist(leases, &w);
    int64_t start_ms = lc_mono_ms();
    turn how = wait_for_turn(&v, &w);
    delist(leases, &w);
    job->waited_ms += v.waited ? lc_mono_ms() - start_ms : 0;
    if (how == TURN_OURS && hold(v.lease)) {
        lc_count_add(&cache->counts.leases_taken_over, v.waited > 0);
        job->lease = v.lease;
        return 0;
    }
    if (v.others_ms == 0)
        drop(v.lease);
    else
        lc_free(v.lease);
    if (how == TURN_FOUND && v.waited) {
        job->ended = LLMCACHE_SOURCE_SHARED;
        lc_count_add(&cache->counts.leases_answered, 1);
    }
    if (how != TURN_FOUND && v.waited)
        lc_count_add(&cache->counts.leases_given_up, 1);
    return how == TURN_FOUND;
}

int lc_lease_try(llmcache *cache, const llmcache_entry *facts, lc_wants wants, lc_lease **lease)
{
    llmcache_lease wish = {0};
    int64_t others_ms = 0;
    *lease = NULL;
    if (!is_open(cache->leases))
        return 1;
    lc_lease *fresh = new_lease(cache->leases, facts->space, facts->fingerprint, wants);
    int rc = fresh ? ask_store(fresh, &wish, &others_ms) : LLMCACHE_MEMORY;
    if (!rc && !others_ms && hold(fresh)) {
        *lease = fresh;
        return 1;
    }
    if (!rc && !others_ms)
        drop(fresh);
    else
        lc_free(fresh);
    return rc || !others_ms;
}

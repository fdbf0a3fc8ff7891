/*
 * The background thread: loads observations and index from the store, takes in what the store says has changed,
 * writes observations, sweeps what expired. It is the only one that reads records in bulk.
 *
 * A record that vanished while changes went unseen stays in the index until a search meets it: its answer is
 * then not found in the store and the index drops it. So a reload only needs to add.
 *
 * A shared index is filled by whoever finds it unfilled, and then no cache reads vectors at its start. Changes are
 * taken in as with an index of one's own, since whoever wrote a record may not know of the index (an import with other
 * settings): adding what the writer has added already is cheap and changes nothing. What could not be added
 * is tried once more, then the whole store is read again.
 */
#include "ask/learning.h"
#include "ask/lease.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <errno.h>
#include <string.h>

#define RETRY_MS 1000
#define SWEEP_MS 60000
#define BREATH_MS 100
#define CHANGES_MAX 20000 /* more are cheaper to take in by reading everything again */
#define LONG_LOAD   100000 /* records to come which no question waits for */

/* Its turn, to wait for. */
static uint64_t ask_reload(llmcache *cache, int missed)
{
    lc_background *background = &cache->background;
    pthread_mutex_lock(&background->lock);
    background->reload = 1;
    background->missed |= missed;
    uint64_t turn = ++background->asked;
    pthread_cond_signal(&background->wake);
    pthread_mutex_unlock(&background->lock);
    return turn;
}

/* ---- Loading ------------------------------------------------------------------------------- */

static int add_record(void *user, const llmcache_entry *entry)
{
    llmcache *cache = user;
    const char *space = cache->vector_space;
    atomic_fetch_add_explicit(&cache->background.loaded, 1, memory_order_relaxed);
    if (strcmp(entry->embedder, space) != 0)
        cache->background.foreign++; /* this thread's own number */
    else if (entry->vector && lc_vectors_add(cache, entry))
        cache->background.refused = cache->background.fill != LC_FILL_OWN;
    return cache->background.closing || cache->background.refused;
}

/* A load may take long, and what others change meanwhile is not to wait for its end. */
static int load_record(void *user, const llmcache_entry *entry)
{
    llmcache *cache = user;
    int64_t now_ms = lc_mono_ms();
    if (now_ms >= cache->background.breath_ms) {
        cache->background.breath_ms = now_ms + BREATH_MS;
        lc_background_breathe(cache);
    }
    return add_record(user, entry);
}

/* Tells who waits how far it is. */
static void begin_loading(llmcache *cache)
{
    lc_background *background = &cache->background;
    llmcache_store_stats stats = {0};
    cache->store.ops.stats(cache->store.self, &stats);
    pthread_mutex_lock(&background->lock);
    background->loading = 1;
    background->expected = stats.records;
    atomic_store(&background->loaded, 0);
    pthread_cond_broadcast(&background->ready);
    pthread_mutex_unlock(&background->lock);
}

/* 0 when the whole store was read. */
static int read_vectors(llmcache *cache)
{
    llmcache_error err;
    uint64_t damaged = 0;
    begin_loading(cache);
    int code = lc_store_each_vector(&cache->store, lc_now_ms(cache), load_record, cache, &damaged, &err);
    if (code)
        lc_count_add(&cache->counts.store_errors, 1);
    pthread_mutex_lock(&cache->background.lock);
    cache->background.damaged = damaged;
    cache->background.loading = 0;
    pthread_mutex_unlock(&cache->background.lock);
    return code ? code : cache->background.refused;
}

/* 0 when the index has what the store has, or somebody else sees to it: look_after_index will see whether he did. */
static int load(llmcache *cache, int missed)
{
    lc_background *background = &cache->background;
    background->foreign = 0;
    background->refused = 0;
    if (!cache->embedder.ops.embed)
        return 0;
    if (lc_vectors_fill_state(cache, &background->fill))
        return LLMCACHE_STORE;
    /* Records may have gone while no cache of it ran, or while its server was away. */
    if (background->fill != LC_FILL_OWN)
        atomic_store(&background->doubtful, 1);
    if (!missed && (background->fill == LC_FILL_DONE || background->fill == LC_FILL_ELSEWHERE))
        return 0;
    int code = read_vectors(cache);
    background->refused = 0;
    if (!code && !background->foreign && !background->closing)
        lc_vectors_set_filled(cache);
    return code;
}

/* What a shared index holds may go without a report of the store's: it has a server of its own, or that was emptied. */
static void look_after_index(llmcache *cache)
{
    lc_index_fill fill, last = cache->background.fill;
    if (last == LC_FILL_OWN || lc_vectors_fill_state(cache, &fill))
        return;
    if (fill == LC_FILL_OWN || fill == LC_FILL_WANTED)
        lc_background_reload(cache);
}

static void take_in_record(llmcache *cache, const lc_change *change)
{
    llmcache_error err;
    llmcache_key key = {.space = change->space, .head_only = 1};
    char head[LLMCACHE_ID_SIZE];
    memcpy(head, change->id, sizeof head);
    if (lc_unhex(head, key.fingerprint, (LLMCACHE_ID_SIZE - 1) / 2))
        return;
    int code = cache->store.ops.get(cache->store.self, LLMCACHE_PART_EMBED, &key, lc_now_ms(cache),
                                    cache->settings.store_write_timeout_ms, add_record, cache, &err);
    if (code == LLMCACHE_NOT_FOUND)
        lc_vectors_remove(cache, change->space, change->id);
    if (cache->background.refused) {
        cache->background.refused = 0;
        ask_reload(cache, 1);
    }
}

static void take_in(llmcache *cache, const lc_change *change)
{
    /* A word that could not be read may be that a pair is wrong: all are read again. */
    if ((change->parts & LLMCACHE_PART_OBSERVATION) &&
        lc_observations_take_in(cache, change->space, change->id))
        lc_background_reload_observations(cache);
    if (change->parts & LLMCACHE_PART_EMBED)
        take_in_record(cache, change);
}

/* ---- The thread ---------------------------------------------------------------------------- */

static void free_changes(lc_change *change)
{
    while (change) {
        lc_change *next = change->next;
        lc_free(change);
        change = next;
    }
}

static lc_change *take_changes(lc_background *background)
{
    lc_change *changes = background->first;
    background->first = NULL;
    background->last = &background->first;
    background->changes = 0;
    return changes;
}

/* ---- How new it is -------------------------------------------------------------------------- */

/* Lock held. All that was told when told_ms was said is taken in now. */
static void is_taken_in(lc_background *background, int64_t told_ms)
{
    if (told_ms && background->known && !background->reload_observations)
        atomic_store(&background->match_until_ms, told_ms + LC_TRUST_MS);
}

int lc_background_is_current(llmcache *cache)
{
    int64_t until_ms = atomic_load_explicit(&cache->background.match_until_ms, memory_order_acquire);
    return until_ms == INT64_MAX || lc_mono_ms() < until_ms;
}

static void take_in_all(llmcache *cache, lc_change *changes)
{
    for (lc_change *change = changes; change; change = change->next)
        take_in(cache, change);
    free_changes(changes);
}

void lc_background_breathe(llmcache *cache)
{
    lc_background *background = &cache->background;
    pthread_mutex_lock(&background->lock);
    lc_change *changes = take_changes(background);
    int64_t told_ms = background->told_ms;
    background->working++;
    pthread_mutex_unlock(&background->lock);
    take_in_all(cache, changes);
    pthread_mutex_lock(&background->lock);
    background->working--;
    is_taken_in(background, told_ms);
    pthread_mutex_unlock(&background->lock);
    if (lc_mono_ms() >= lc_observations_due_ms(cache))
        lc_observations_flush(cache, NULL);
}

static void sweep(llmcache *cache, int64_t *due_ms)
{
    llmcache_error err;
    if (lc_mono_ms() < *due_ms)
        return;
    if (cache->store.ops.sweep && cache->store.ops.sweep(cache->store.self, lc_now_ms(cache), &err))
        lc_count_add(&cache->counts.store_errors, 1);
    cache->index.ops.sweep(cache->index.self, lc_now_ms(cache));
    look_after_index(cache);
    lc_observations_sweep(cache);
    lc_learning_save(cache, 0, NULL);
    *due_ms = lc_mono_ms() + SWEEP_MS;
}

static void set_known(lc_background *background, int known)
{
    int64_t nothing_yet = 0;
    pthread_mutex_lock(&background->lock);
    background->known = known;
    if (known) /* from here on a store that does not say how new that is, is believed */
        atomic_compare_exchange_strong(&background->match_until_ms, &nothing_yet, INT64_MAX);
    pthread_mutex_unlock(&background->lock);
}

/* One round with the lock held on entry and exit; what it does is done without it. */
static void work(llmcache *cache, int64_t *retry_ms, int64_t *sweep_ms)
{
    lc_background *background = &cache->background;
    lc_change *changes = take_changes(background);
    /* A change is no reason to try again at once what has just failed. */
    int due = lc_mono_ms() >= *retry_ms;
    int reload = due && background->reload, observations = due && (background->reload || background->reload_observations);
    int missed = background->missed;
    uint64_t asked = background->asked;
    int64_t told_ms = background->told_ms;
    background->working++;
    if (due)
        background->reload = background->reload_observations = 0;
    if (reload)
        background->missed = 0;
    pthread_mutex_unlock(&background->lock);
    /* What is known to be wrong comes first, before a record can serve. */
    int unread = observations && cache->embedder.ops.embed && lc_observations_load(cache);
    if (observations)
        set_known(background, !unread);
    int failed = reload && load(cache, missed);
    take_in_all(cache, changes);
    if (lc_mono_ms() >= lc_observations_due_ms(cache))
        lc_observations_flush(cache, NULL);
    sweep(cache, sweep_ms);
    pthread_mutex_lock(&background->lock);
    background->index_ready = 1;
    background->reload |= failed != 0;
    background->missed |= failed && missed;
    background->reload_observations |= unread != 0;
    background->working--;
    is_taken_in(background, told_ms);
    if (due)
        *retry_ms = failed || unread ? lc_mono_ms() + RETRY_MS : 0;
    if (reload)
        background->tried = asked;
    pthread_cond_broadcast(&background->ready);
    if (reload && !failed && background->foreign) {
        pthread_mutex_unlock(&background->lock);
        if (lc_reembed(cache))
            lc_vectors_set_filled(cache);
        pthread_mutex_lock(&background->lock);
    }
}

static void *run(void *argument)
{
    llmcache *cache = argument;
    lc_background *background = &cache->background;
    int64_t retry_ms = 0, sweep_ms = lc_mono_ms() + SWEEP_MS;
    pthread_mutex_lock(&background->lock);
    while (!background->closing) {
        int reload = background->reload || background->reload_observations;
        int64_t until = reload && retry_ms < sweep_ms ? retry_ms : sweep_ms;
        int64_t write_ms = lc_observations_due_ms(cache);
        until = write_ms < until ? write_ms : until;
        if (background->first || lc_mono_ms() >= until) {
            work(cache, &retry_ms, &sweep_ms);
            continue;
        }
        struct timespec at = lc_mono_after(until - lc_mono_ms() + 1);
        pthread_cond_timedwait(&background->wake, &background->lock, &at);
    }
    pthread_mutex_unlock(&background->lock);
    return NULL;
}

int lc_background_start(llmcache *cache, llmcache_error *err)
{
    lc_background *background = &cache->background;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&background->lock, NULL);
    pthread_cond_init(&background->wake, &monotonic);
    pthread_cond_init(&background->ready, &monotonic);
    pthread_condattr_destroy(&monotonic);
    background->last = &background->first;
    background->reload = 1;
    /* One that is ours alone may fail at observations and costs no answer. */
    atomic_store(&background->match_until_ms, cache->store.ops.watch ? 0 : INT64_MAX);
    background->running = pthread_create(&background->thread, NULL, run, cache) == 0;
    if (background->running)
        return 0;
    pthread_cond_destroy(&background->wake);
    pthread_cond_destroy(&background->ready);
    pthread_mutex_destroy(&background->lock);
    return lc_fail(err, LLMCACHE_BUSY, "no thread for the background work could be started");
}

void lc_background_halt(llmcache *cache)
{
    lc_background *background = &cache->background;
    if (!background->running)
        return;
    pthread_mutex_lock(&background->lock);
    background->closing = 1;
    pthread_cond_broadcast(&background->wake);
    pthread_cond_broadcast(&background->ready);
    pthread_mutex_unlock(&background->lock);
    pthread_join(background->thread, NULL);
}

/* The store must be closed before, so that no watch call comes after this. */
void lc_background_stop(llmcache *cache)
{
    lc_background *background = &cache->background;
    if (!background->running)
        return;
    free_changes(background->first);
    pthread_cond_destroy(&background->wake);
    pthread_cond_destroy(&background->ready);
    pthread_mutex_destroy(&background->lock);
    background->running = 0;
}

/* Lock held. */
static int is_long(lc_background *background)
{
    return background->loading && background->expected > atomic_load(&background->loaded) + LONG_LOAD;
}

int lc_background_wait_index(llmcache *cache, int64_t timeout_ms)
{
    lc_background *background = &cache->background;
    struct timespec until = lc_mono_after(timeout_ms);
    int waited = 0;
    if (atomic_load_explicit(&cache->index_ready, memory_order_acquire))
        return 1;
    pthread_mutex_lock(&background->lock);
    while (!background->index_ready && !background->closing && waited != ETIMEDOUT && !is_long(background))
        waited = pthread_cond_timedwait(&background->ready, &background->lock, &until);
    int ready = background->index_ready, loading = background->loading;
    pthread_mutex_unlock(&background->lock);
    if (ready)
        atomic_store_explicit(&cache->index_ready, 1, memory_order_release);
    return ready || loading;
}

void lc_background_reload(llmcache *cache)
{
    ask_reload(cache, 0);
}

void lc_background_reload_now(llmcache *cache)
{
    lc_background *background = &cache->background;
    uint64_t turn = ask_reload(cache, 0);
    pthread_mutex_lock(&background->lock);
    while (background->tried < turn && !background->closing)
        pthread_cond_wait(&background->ready, &background->lock);
    pthread_mutex_unlock(&background->lock);
}

void lc_background_reload_observations(llmcache *cache)
{
    pthread_mutex_lock(&cache->background.lock);
    cache->background.reload_observations = 1;
    pthread_cond_signal(&cache->background.wake);
    pthread_mutex_unlock(&cache->background.lock);
}

void lc_background_wake(llmcache *cache)
{
    pthread_mutex_lock(&cache->background.lock);
    pthread_cond_signal(&cache->background.wake);
    pthread_mutex_unlock(&cache->background.lock);
}

/* ---- What the store reports ------------------------------------------------------------------ */

static void enqueue(llmcache *cache, int parts, const char *space, const char *id)
{
    lc_background *background = &cache->background;
    lc_change *change = lc_alloc(sizeof *change + strlen(space) + 1);
    if (change) {
        change->next = NULL;
        change->parts = parts;
        strncpy(change->id, id, sizeof change->id - 1);
        change->id[sizeof change->id - 1] = '\0';
        strcpy(change->space, space);
    }
    pthread_mutex_lock(&background->lock);
    if (change && background->changes < CHANGES_MAX) {
        *background->last = change;
        background->last = &change->next;
        background->changes++;
        change = NULL;
    } else {
        background->reload = background->reload_observations = background->missed = 1;
        atomic_store(&background->doubtful, 1);
    }
    pthread_cond_signal(&background->wake);
    pthread_mutex_unlock(&background->lock);
    lc_free(change);
}

void lc_background_missed(llmcache *cache, const char *space, const char *id)
{
    enqueue(cache, LLMCACHE_PART_EMBED, space, id);
}

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    llmcache *cache = user;
    if (parts & LLMCACHE_PART_BOTH) {
        lc_count_add(&cache->counts.invalidations, 1);
        lc_memory_cache_remove(cache->memory, space, id);
    }
    if (parts & (LLMCACHE_PART_PROMPT | LLMCACHE_PART_LEASE))
        lc_leases_tell(cache->leases, space, id);
    parts &= LLMCACHE_PART_EMBED | LLMCACHE_PART_OBSERVATION;
    if (parts && cache->embedder.ops.embed)
        enqueue(cache, parts, space, id);
}

/* What changed since the last word was missed: pairs may be wrong, and records gone. */
static void doubt(llmcache *cache)
{
    lc_background *background = &cache->background;
    pthread_mutex_lock(&background->lock);
    background->reload_observations = 1;
    if (background->index_ready || background->loading)
        atomic_store(&background->doubtful, 1);
    pthread_mutex_unlock(&background->lock);
}

static void on_distrust(void *user)
{
    llmcache *cache = user;
    lc_memory_cache_enable(cache->memory, 0);
    lc_leases_trust(cache->leases, 0);
}

static void on_trust(void *user)
{
    llmcache *cache = user;
    doubt(cache);
    lc_memory_cache_enable(cache->memory, 1);
    lc_leases_trust(cache->leases, 1);
    lc_background_reload(cache);
}

static void on_current(void *user, int64_t since_ms)
{
    llmcache *cache = user;
    lc_background *background = &cache->background;
    lc_memory_cache_trust_until(cache->memory, since_ms + LC_TRUST_MS);
    pthread_mutex_lock(&background->lock);
    background->told_ms = since_ms;
    if (!background->first && !background->working)
        is_taken_in(background, since_ms);
    pthread_mutex_unlock(&background->lock);
}

const llmcache_watch lc_watch_table = {
    .changed = on_changed, .distrust = on_distrust, .trust = on_trust, .current = on_current};

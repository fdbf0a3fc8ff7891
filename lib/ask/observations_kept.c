/*
 * What is kept of observations: writing what waits, reading the store, walking, removing. A write that fails is tried
 * again, later and later; hits give way when much waits, verdicts only at the very end.
 */
#include "ask/learning.h"
#include "ask/observations_inside.h"

#include "ask/manage.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <string.h>

#define SOON_MS        200 /* hits that come together are written together */
#define FIRST_PAUSE_MS 1000
#define LAST_PAUSE_MS  60000
#define HITS_WAITING   512
#define ALL_WAITING    8192
#define REMOVE_AT_ONCE 256

/* ---- Writing ------------------------------------------------------------------------------------- */

int lc_observation_put(llmcache *cache, const lc_entry *entry, llmcache_error *err)
{
    const lc_store *store;
    llmcache_error room;
    int code;
    do {
        store = lc_observation_store(cache);
        code = store->ops.put(store->self, LLMCACHE_PART_OBSERVATION, &entry->facts,
                              cache->settings.store_write_timeout_ms, lc_error_or(err, &room));
    } while (lc_observation_substitute(cache, store, code));
    if (code)
        lc_count_add(&cache->counts.store_errors, 1);
    return code;
}

/* A hit that waits, taken out to make room; NULL when there is none. Lock held. */
static lc_waiting *take_oldest_hit(lc_observations *observations)
{
    for (lc_waiting **link = &observations->first; *link; link = &(*link)->next) {
        lc_waiting *found = *link;
        if (!found->is_hit)
            continue;
        *link = found->next;
        if (observations->last == &found->next)
            observations->last = link;
        observations->waiting--;
        observations->hits--;
        return found;
    }
    return NULL;
}

static void free_waiting(lc_waiting *waiting)
{
    if (waiting)
        lc_entry_unref(waiting->entry);
    lc_free(waiting);
}

int lc_observation_queue(llmcache *cache, lc_entry *take_entry, int is_hit, llmcache_error *err)
{
    lc_observations *observations = cache->observations;
    lc_waiting *waiting = lc_alloc(sizeof *waiting), *gone = NULL;
    if (!waiting) {
        lc_entry_unref(take_entry);
        return lc_fail_memory(err);
    }
    *waiting = (lc_waiting){.entry = take_entry, .is_hit = is_hit};
    pthread_mutex_lock(&observations->lock);
    int full = is_hit ? observations->hits >= HITS_WAITING : observations->waiting >= ALL_WAITING;
    if (full && (gone = take_oldest_hit(observations)))
        full = 0;
    int first = !observations->first;
    if (!full) {
        *observations->last = waiting;
        observations->last = &waiting->next;
        observations->waiting++;
        observations->hits += is_hit != 0;
    }
    if (first && !full)
        atomic_store(&observations->due_ms,
                     lc_mono_ms() + (observations->pause_ms ? observations->pause_ms : SOON_MS));
    pthread_mutex_unlock(&observations->lock);
    free_waiting(gone);
    if (full) {
        free_waiting(waiting);
        return lc_fail(err, LLMCACHE_BUSY, "too many observations wait to be written");
    }
    if (first)
        lc_background_wake(cache);
    return 0;
}

/* The first that waits, a reference on it; NULL: none. */
static lc_entry *look_at_first(lc_observations *observations)
{
    pthread_mutex_lock(&observations->lock);
    lc_entry *entry = observations->first ? lc_entry_ref(observations->first->entry) : NULL;
    pthread_mutex_unlock(&observations->lock);
    return entry;
}

/* Takes it out when it still is the first. */
static void take_first(lc_observations *observations, const lc_entry *entry)
{
    lc_waiting *first = NULL;
    pthread_mutex_lock(&observations->lock);
    if (observations->first && observations->first->entry == entry) {
        first = observations->first;
        observations->first = first->next;
        if (!first->next)
            observations->last = &observations->first;
        observations->waiting--;
        observations->hits -= first->is_hit != 0;
    }
    pthread_mutex_unlock(&observations->lock);
    free_waiting(first);
}

static void plan(lc_observations *observations, int failed)
{
    pthread_mutex_lock(&observations->lock);
    int64_t pause_ms = 2 * observations->pause_ms;
    observations->pause_ms = !failed                      ? 0
                             : pause_ms < FIRST_PAUSE_MS  ? FIRST_PAUSE_MS
                             : pause_ms > LAST_PAUSE_MS   ? LAST_PAUSE_MS
                                                          : pause_ms;
    atomic_store(&observations->due_ms,
                 observations->first ? lc_mono_ms() + observations->pause_ms : INT64_MAX);
    pthread_mutex_unlock(&observations->lock);
}

int lc_observations_flush(llmcache *cache, llmcache_error *err)
{
    lc_observations *observations = cache->observations;
    lc_entry *entry;
    int code = 0;
    while (!code && (entry = look_at_first(observations))) {
        code = lc_observation_put(cache, entry, err);
        /* What is too large, or refused as it is, will never be written. */
        if (code == LLMCACHE_TOO_LARGE || code == LLMCACHE_INVALID)
            code = 0;
        if (!code)
            take_first(observations, entry);
        lc_entry_unref(entry);
    }
    plan(observations, code);
    return code;
}

void lc_observations_sweep(llmcache *cache)
{
    const lc_store *store = &cache->observations->substitute;
    store->ops.sweep(store->self, lc_now_ms(cache), NULL);
}

int64_t lc_observations_due_ms(const llmcache *cache)
{
    return atomic_load(&cache->observations->due_ms);
}

/* ---- Reading ------------------------------------------------------------------------------------- */

static int is_unjudged(const llmcache_entry *entry)
{
    return entry->tags && strcmp(entry->tags, llmcache_verdict_name(LLMCACHE_UNJUDGED)) == 0;
}

static int learn_entry(llmcache *cache, const llmcache_entry *entry)
{
    lc_observation o;
    lc_json *root;
    if (is_unjudged(entry))
        return 0;
    int code = lc_observation_read(entry, &o, &root);
    if (code)
        return code;
    lc_observation_learn(cache, &o);
    lc_json_free(root);
    return 0;
}

typedef struct reading {
    llmcache *cache;
    int code;
} reading;

static int read_one(void *user, const llmcache_entry *entry)
{
    reading *r = user;
    int code = learn_entry(r->cache, entry);
    if (code == LLMCACHE_MEMORY)
        r->code = code;
    return r->code || atomic_load(&r->cache->background.closing);
}

/* What the store may not have yet: words that wait for it, or are on their way. */
typedef struct words {
    lc_entry **entries;
    size_t count;
} words;

static int gather_words(lc_observations *observations, words *w)
{
    pthread_mutex_lock(&observations->lock);
    size_t room = observations->waiting - observations->hits;
    for (lc_in_hand *hand = observations->in_hand; hand; hand = hand->next)
        room++;
    *w = (words){.entries = room ? lc_alloc_array(room, sizeof *w->entries) : NULL};
    for (lc_waiting *one = observations->first; w->entries && one; one = one->next)
        if (!one->is_hit)
            w->entries[w->count++] = lc_entry_ref(one->entry);
    for (lc_in_hand *hand = observations->in_hand; w->entries && hand; hand = hand->next)
        w->entries[w->count++] = lc_entry_ref(hand->entry);
    pthread_mutex_unlock(&observations->lock);
    return room && !w->entries ? LLMCACHE_MEMORY : 0;
}

static int learn_words(llmcache *cache, const words *w)
{
    int code = 0;
    for (size_t i = 0; i < w->count && code != LLMCACHE_MEMORY; i++)
        code = learn_entry(cache, &w->entries[i]->facts);
    return code == LLMCACHE_MEMORY ? code : 0;
}

static void free_words(words *w)
{
    for (size_t i = 0; i < w->count; i++)
        lc_entry_unref(w->entries[i]);
    lc_free(w->entries);
}

static int walk(llmcache *cache, const char *space, llmcache_entry_fn fn, void *user,
                llmcache_error *err)
{
    const lc_store *store;
    llmcache_error room;
    int code;
    do {
        store = lc_observation_store(cache);
        code = store->ops.each(store->self, LLMCACHE_PART_OBSERVATION, space, lc_now_ms(cache), fn, user,
                               NULL, lc_error_or(err, &room));
    } while (lc_observation_substitute(cache, store, code));
    if (code)
        lc_count_add(&cache->counts.store_errors, 1);
    return code;
}

/* What was on its way as the reading began may get to the store behind its back; what came later is noted by itself. */
static int read_all(llmcache *cache)
{
    llmcache_error err;
    words before, after = {0};
    reading r = {.cache = cache};
    int code = gather_words(cache->observations, &before);
    if (!code)
        code = walk(cache, NULL, read_one, &r, &err);
    code = code ? code : r.code;
    if (!code)
        code = learn_words(cache, &before);
    if (!code)
        code = gather_words(cache->observations, &after);
    if (!code)
        code = learn_words(cache, &after);
    free_words(&before);
    free_words(&after);
    return code;
}

int lc_observations_load(llmcache *cache)
{
    lc_verdict_table *table = cache->observations->table;
    int code = lc_learning_refresh(cache);
    if (code < 0)
        return code;
    if (lc_verdict_table_begin(table))
        return LLMCACHE_MEMORY;
    lc_learning_loading(cache, 1);
    code = read_all(cache);
    lc_learning_loading(cache, 0);
    if (code) {
        lc_verdict_table_drop(table);
        return code;
    }
    lc_verdict_table_end(table);
    return 0;
}

int lc_observations_take_in(llmcache *cache, const char *space, const char *id)
{
    llmcache_error err;
    llmcache_key key = {.space = space, .head_only = 1};
    const lc_store *store = lc_observation_store(cache);
    unsigned char head[(LLMCACHE_ID_SIZE - 1) / 2];
    if (lc_learning_is_kept(cache, space)) {
        int fresh = lc_learning_refresh(cache);
        if (fresh == 1)
            lc_background_reload_observations(cache);
        return fresh < 0 ? fresh : 0;
    }
    if (lc_unhex(id, head, sizeof head))
        return 0;
    memcpy(key.fingerprint, head, sizeof head);
    reading r = {.cache = cache};
    int code = store->ops.get(store->self, LLMCACHE_PART_OBSERVATION, &key, lc_now_ms(cache),
                              cache->settings.store_write_timeout_ms, read_one, &r, &err);
    code = code ? code : r.code;
    /* Another observation may have said the same. */
    if (code == LLMCACHE_NOT_FOUND && lc_verdict_table_forget(cache->observations->table, head))
        lc_background_reload_observations(cache);
    int was_told = !code || code == LLMCACHE_NOT_FOUND || code == LLMCACHE_CORRUPT || code == LLMCACHE_UNSUPPORTED ||
                   code == LLMCACHE_INVALID;
    return was_told ? 0 : code;
}

/* ---- Walking and removing -------------------------------------------------------------------------- */

typedef struct visit {
    llmcache *cache;
    llmcache_filter filter;
    llmcache_observation_fn fn; /* or keys are collected */
    void *user;
    llmcache_key *keys; /* spaces owned */
    size_t count, room;
    int64_t now_ms, given;
    int judged; /* the unjudged are left out */
    int code;
} visit;

static int add_key(visit *v, const llmcache_entry *entry)
{
    if (v->count == v->room) {
        size_t room = v->room ? 2 * v->room : 64;
        llmcache_key *keys = lc_realloc_array(v->keys, room, sizeof *keys);
        if (!keys)
            return LLMCACHE_MEMORY;
        v->keys = keys;
        v->room = room;
    }
    llmcache_key key = {.space = lc_strdup(entry->space)};
    if (!key.space)
        return LLMCACHE_MEMORY;
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    v->keys[v->count++] = key;
    return 0;
}

static int show(visit *v, const llmcache_entry *entry)
{
    lc_observation o;
    lc_json *root;
    int code = lc_observation_read(entry, &o, &root);
    if (code == LLMCACHE_MEMORY)
        v->code = code;
    if (code)
        return code == LLMCACHE_MEMORY;
    int stop = v->fn(v->user, &o);
    lc_json_free(root);
    return stop;
}

static int visit_one(void *user, const llmcache_entry *entry)
{
    visit *v = user;
    /* What was learned is kept among them, and is none. */
    int is_one = !entry->tags || strcmp(entry->tags, LC_LEARNED_TAG) != 0;
    if (!is_one || !lc_filter_matches(&v->filter, entry, v->now_ms) || (v->judged && is_unjudged(entry)))
        return 0;
    if (v->filter.limit > 0 && v->given >= v->filter.limit)
        return 1;
    v->given++;
    if (v->fn)
        return show(v, entry);
    v->code = add_key(v, entry);
    return v->code != 0;
}

/* What waits is written first, so that it is seen. */
static int visit_all(visit *v, llmcache_error *err)
{
    if (v->filter.search)
        return lc_fail(err, LLMCACHE_INVALID, "observations are found by contains or pattern, not by search");
    lc_observations_flush(v->cache, NULL);
    v->now_ms = lc_now_ms(v->cache);
    v->judged = v->filter.tag && strcmp(v->filter.tag, "judged") == 0;
    if (v->judged)
        v->filter.tag = NULL;
    int code = walk(v->cache, v->filter.space, visit_one, v, err);
    return !code && v->code ? lc_fail_memory(err) : code;
}

int lc_observations_each(llmcache *cache, const llmcache_filter *filter, llmcache_observation_fn fn,
                         void *user, llmcache_error *err)
{
    visit v = {.cache = cache, .filter = lc_whole_filter(filter), .fn = fn, .user = user};
    return visit_all(&v, err);
}

/* Removes from the store, and from what is known here. */
static int remove_keys(llmcache *cache, const llmcache_key *keys, size_t count, uint64_t *removed,
                       llmcache_error *err)
{
    const lc_store *store = lc_observation_store(cache);
    llmcache_error room;
    int code = 0, known = 0;
    for (size_t at = 0; at < count && !code; at += REMOVE_AT_ONCE) {
        size_t some = count - at < REMOVE_AT_ONCE ? count - at : REMOVE_AT_ONCE;
        uint64_t gone = 0;
        code = store->ops.remove(store->self, LLMCACHE_PART_OBSERVATION, keys + at, some,
                                 10 * cache->settings.store_write_timeout_ms, &gone, lc_error_or(err, &room));
        for (size_t i = at; !code && i < at + some; i++)
            known |= lc_verdict_table_forget(cache->observations->table, keys[i].fingerprint);
        *removed += gone;
    }
    if (code)
        lc_count_add(&cache->counts.store_errors, 1);
    if (known)
        lc_background_reload_observations(cache);
    return code;
}

int lc_observation_remove(llmcache *cache, const char *space, const char *id, llmcache_error *err)
{
    llmcache_key key = {.space = space, .head_only = 1};
    uint64_t removed = 0;
    if (lc_unhex(id, key.fingerprint, (LLMCACHE_ID_SIZE - 1) / 2))
        return lc_fail(err, LLMCACHE_INVALID, "not the id of an observation");
    return remove_keys(cache, &key, 1, &removed, err);
}

int lc_observations_purge(llmcache *cache, const llmcache_filter *filter, uint64_t *removed,
                          llmcache_error *err)
{
    visit v = {.cache = cache, .filter = lc_whole_filter(filter)};
    uint64_t gone = 0;
    int code = visit_all(&v, err);
    if (!code && v.filter.dry_run)
        gone = v.count;
    else if (!code)
        code = remove_keys(cache, v.keys, v.count, &gone, err);
    for (size_t i = 0; i < v.count; i++)
        lc_free((char *)v.keys[i].space);
    lc_free(v.keys);
    if (!code && removed)
        *removed = gone;
    return code;
}

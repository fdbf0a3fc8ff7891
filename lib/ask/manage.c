/*
 * Listing and removing.
 *
 * An answer has two parts in the store, either of which may be missing. A walk over "all answers" goes over
 * the exact entries, then over those records whose entry was not among them; a set of keys says which were.
 */
#include "ask/manage.h"
#include "ask/text_search.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 512

/* ---- A set of keys --------------------------------------------------------------------------- */

typedef struct key_set {
    llmcache_key *keys; /* spaces owned */
    size_t count, room;
    size_t *slots; /* index + 1 into keys, 0: free; open addressing */
    size_t slot_count;
} key_set;

static void key_set_done(key_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        lc_free((char *)set->keys[i].space);
    lc_free(set->keys);
    lc_free(set->slots);
}

static size_t slot_of(const key_set *set, const char *space, const unsigned char *fingerprint)
{
    size_t at;
    memcpy(&at, fingerprint, sizeof at);
    for (at &= set->slot_count - 1; set->slots[at]; at = (at + 1) & (set->slot_count - 1)) {
        const llmcache_key *key = &set->keys[set->slots[at] - 1];
        if (memcmp(key->fingerprint, fingerprint, LLMCACHE_FINGERPRINT_SIZE) == 0 &&
            strcmp(key->space, space) == 0)
            break;
    }
    return at;
}

static int grow(key_set *set)
{
    size_t room = set->room ? set->room * 2 : 64;
    llmcache_key *keys = lc_realloc_array(set->keys, room, sizeof *keys);
    if (!keys)
        return LLMCACHE_MEMORY;
    set->keys = keys;
    size_t *slots = lc_zalloc_array(room * 2, sizeof *slots);
    if (!slots)
        return LLMCACHE_MEMORY;
    lc_free(set->slots);
    set->slots = slots;
    set->slot_count = room * 2;
    set->room = room;
    for (size_t i = 0; i < set->count; i++)
        set->slots[slot_of(set, keys[i].space, keys[i].fingerprint)] = i + 1;
    return 0;
}

/* 1: added, 0: was there, negative: no memory. */
static int key_set_add(key_set *set, const char *space, const unsigned char *fingerprint)
{
    if (set->count == set->room && grow(set))
        return LLMCACHE_MEMORY;
    size_t at = slot_of(set, space, fingerprint);
    if (set->slots[at])
        return 0;
    llmcache_key key = {.space = lc_strdup(space)};
    if (!key.space)
        return LLMCACHE_MEMORY;
    memcpy(key.fingerprint, fingerprint, sizeof key.fingerprint);
    set->keys[set->count++] = key;
    set->slots[at] = set->count;
    return 1;
}

/* ---- Walking --------------------------------------------------------------------------------- */

typedef struct walk {
    llmcache_filter filter;
    lc_text_search *search; /* NULL: none asked for */
    llmcache_entry_fn fn; /* NULL: only collect */
    void *user;
    key_set seen;
    int64_t now_ms, given;
    int track; /* keep `seen` */
    int code, stopped;
} walk;

static int visit(void *user, const llmcache_entry *entry)
{
    walk *w = user;
    if (!lc_filter_matches(&w->filter, entry, w->now_ms))
        return 0;
    int found = w->search ? lc_text_search_matches(w->search, entry) : 1;
    if (found <= 0) {
        w->code = found;
        return found < 0;
    }
    if (w->filter.limit > 0 && w->given >= w->filter.limit)
        return w->stopped = 1;
    int added = w->track ? key_set_add(&w->seen, entry->space, entry->fingerprint) : 1;
    if (added < 0) {
        w->code = LLMCACHE_MEMORY;
        return 1;
    }
    if (!added)
        return 0;
    w->given++;
    return w->stopped = w->fn && w->fn(w->user, entry);
}

llmcache_filter lc_whole_filter(const llmcache_filter *filter)
{
    llmcache_filter whole = {.struct_size = sizeof whole};
    if (filter) {
        int shorter = filter->struct_size && filter->struct_size < sizeof whole;
        memcpy(&whole, filter, shorter ? filter->struct_size : sizeof whole);
    }
    return whole;
}

static int walk_parts(llmcache *cache, walk *w, llmcache_error *err)
{
    llmcache_error room;
    w->now_ms = lc_now_ms(cache);
    for (int part = LLMCACHE_PART_PROMPT; part <= LLMCACHE_PART_EMBED; part++) {
        int wanted = w->filter.records == 0 || w->filter.records == part;
        if (!wanted || w->stopped)
            continue;
        int code = cache->store.ops.each(cache->store.self, part, w->filter.space, w->now_ms, visit,
                                         w, NULL, lc_error_or(err, &room));
        if (!code && w->code)
            code = lc_fail_memory(err);
        if (code) {
            lc_count_add(&cache->counts.store_errors, 1);
            return code;
        }
    }
    return 0;
}

static int walk_all(llmcache *cache, walk *w, llmcache_error *err)
{
    lc_text_search search;
    if (!w->filter.search)
        return walk_parts(cache, w, err);
    w->search = &search;
    int code = lc_text_search_init(&search, w->filter.search) ? lc_fail_memory(err)
                                                              : walk_parts(cache, w, err);
    lc_text_search_done(&search);
    w->search = NULL;
    return code;
}

int lc_manage_each(llmcache *cache, const llmcache_filter *filter, llmcache_entry_fn fn, void *user,
                   llmcache_error *err)
{
    walk w = {.filter = lc_whole_filter(filter), .fn = fn, .user = user};
    w.track = w.filter.records == 0;
    int code = walk_all(cache, &w, err);
    key_set_done(&w.seen);
    return code;
}

/* ---- One entry ------------------------------------------------------------------------------- */

typedef struct finding {
    lc_entry *entry;
    int several, code;
} finding;

static int find_one(void *user, const llmcache_entry *facts)
{
    finding *f = user;
    if (f->entry) {
        f->several = 1;
        return 1;
    }
    f->entry = lc_entry_new(facts);
    f->code = f->entry ? 0 : LLMCACHE_MEMORY;
    return f->code != 0;
}

static int valid_id(const char *id)
{
    size_t size = strlen(id);
    return size >= 6 && size < LLMCACHE_ID_SIZE && strspn(id, "0123456789abcdef") == size;
}

int lc_manage_get(llmcache *cache, const char *id, llmcache_entry_fn fn, void *user,
                  llmcache_error *err)
{
    finding f = {0};
    llmcache_filter filter = {.struct_size = sizeof filter, .id = id};
    if (!valid_id(id))
        return lc_fail(err, LLMCACHE_INVALID, "an id is 6 to 20 hexadecimal digits");
    int code = lc_manage_each(cache, &filter, find_one, &f, err);
    if (!code && f.code)
        code = lc_fail_memory(err); /* not "no entry": who removes by id would take it for gone */
    if (!code && f.several)
        code = lc_fail(err, LLMCACHE_INVALID, "several entries have an id that starts with %s", id);
    else if (!code && !f.entry)
        code = lc_fail(err, LLMCACHE_NOT_FOUND, "no entry has the id %s", id);
    if (!code)
        fn(user, &f.entry->facts);
    lc_entry_unref(f.entry);
    return code;
}

/* ---- Removing -------------------------------------------------------------------------------- */

static void forget(llmcache *cache, int parts, const llmcache_key *key)
{
    char id[LLMCACHE_ID_SIZE];
    lc_entry_id(key->fingerprint, id);
    lc_memory_cache_remove(cache->memory, key->space, id);
    if (parts & LLMCACHE_PART_EMBED)
        lc_vectors_remove(cache, key->space, id);
}

static int remove_all(llmcache *cache, int parts, const key_set *set, uint64_t *removed,
                      llmcache_error *err)
{
    llmcache_error room;
    for (size_t at = 0; at < set->count; at += BATCH) {
        size_t count = set->count - at < BATCH ? set->count - at : BATCH;
        uint64_t gone = 0;
        int code = cache->store.ops.remove(cache->store.self, parts, set->keys + at, count,
                                           10 * cache->settings.store_write_timeout_ms, &gone,
                                           lc_error_or(err, &room));
        for (size_t i = at; i < at + count; i++)
            forget(cache, parts, &set->keys[i]);
        if (code) {
            lc_count_add(&cache->counts.store_errors, 1);
            return code;
        }
        *removed += gone;
    }
    return 0;
}

static int matches_all(const llmcache_filter *f)
{
    int texts = f->space || f->id || f->model || f->tag || f->contains || f->search;
    int patterns = f->pattern || f->space_pattern || f->model_pattern || f->tag_pattern;
    return !texts && !patterns && !f->older_than_ms && !f->newer_than_ms && !f->records && !f->limit;
}

int lc_manage_purge(llmcache *cache, const llmcache_filter *filter, uint64_t *removed,
                    llmcache_error *err)
{
    uint64_t gone = 0;
    walk w = {.filter = lc_whole_filter(filter), .track = 1};
    int dry = w.filter.dry_run;
    int parts = w.filter.records ? w.filter.records : LLMCACHE_PART_BOTH;
    int code = walk_all(cache, &w, err);
    /* What cannot be looked up in the store may still be in memory: when in doubt, forget all of it. */
    if (!dry && (code || matches_all(&w.filter))) {
        lc_memory_cache_clear(cache->memory);
        if (parts & LLMCACHE_PART_EMBED)
            lc_vectors_clear(cache, NULL);
    }
    if (!code && dry)
        gone = w.seen.count;
    else if (!code)
        code = remove_all(cache, parts, &w.seen, &gone, err);
    if (!dry && code)
        lc_background_reload(cache);
    key_set_done(&w.seen);
    if (!code && removed)
        *removed = gone;
    return code;
}

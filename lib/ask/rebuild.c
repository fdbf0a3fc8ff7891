/*
 * Rebuilding: records are made again from the kept entries' own text, and records of another embedding space
 * are dropped. Keys are collected first, so that the store is not changed under its own walk.
 */
#include "ask/manage.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

typedef struct todo {
    llmcache *cache;
    llmcache_rebuild_report report;
    lc_entry **entries; /* entries without a record of this embedding space */
    size_t count, room;
    llmcache_key *foreign; /* records of other spaces; names owned */
    size_t foreign_count, foreign_room;
    int code;
} todo;

static int has_partition(const llmcache_entry *entry)
{
    static const unsigned char none[LLMCACHE_FINGERPRINT_SIZE];
    return memcmp(entry->partition, none, sizeof none) != 0;
}

static int add_entry(todo *t, const llmcache_entry *entry)
{
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 64;
        lc_entry **entries = lc_realloc_array(t->entries, room, sizeof *entries);
        if (!entries)
            return LLMCACHE_MEMORY;
        t->entries = entries;
        t->room = room;
    }
    lc_entry *copy = lc_entry_new(entry);
    if (!copy)
        return LLMCACHE_MEMORY;
    t->entries[t->count++] = copy;
    return 0;
}

static int add_foreign(todo *t, const llmcache_entry *entry)
{
    if (t->foreign_count == t->foreign_room) {
        size_t room = t->foreign_room ? t->foreign_room * 2 : 64;
        llmcache_key *keys = lc_realloc_array(t->foreign, room, sizeof *keys);
        if (!keys)
            return LLMCACHE_MEMORY;
        t->foreign = keys;
        t->foreign_room = room;
    }
    llmcache_key key = {.space = lc_strdup(entry->space)};
    if (!key.space)
        return LLMCACHE_MEMORY;
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    t->foreign[t->foreign_count++] = key;
    return 0;
}

static int note_have(void *user, const llmcache_entry *entry)
{
    *(int *)user = 1;
    return 0;
}

/* Does the entry have a record of the space in force? Asked of the store, one by one. */
static int has_record(todo *t, const llmcache_entry *entry)
{
    llmcache *cache = t->cache;
    llmcache_error err;
    llmcache_key key = {.space = entry->space};
    int have = 0;
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    int code = cache->store.ops.get(cache->store.self, LLMCACHE_PART_EMBED, &key, lc_now_ms(cache),
                                    cache->settings.store_write_timeout_ms, note_have, &have, &err);
    return code == 0 && have;
}

static int see_entry(void *user, const llmcache_entry *entry)
{
    todo *t = user;
    t->report.entries++;
    if (!has_partition(entry) || !*entry->question || !t->cache->embedder.ops.embed) {
        t->report.skipped++;
        return 0;
    }
    t->code = add_entry(t, entry);
    return t->code != 0;
}

static int see_record(void *user, const llmcache_entry *entry)
{
    todo *t = user;
    t->report.records++;
    if (!t->cache->embedder.ops.embed || strcmp(entry->embedder, t->cache->vector_space) == 0)
        return 0;
    t->code = add_foreign(t, entry);
    return t->code != 0;
}

static int walk(todo *t, int part, llmcache_entry_fn fn, llmcache_error *err)
{
    llmcache *cache = t->cache;
    llmcache_error room;
    int code = cache->store.ops.each(cache->store.self, part, NULL, lc_now_ms(cache), fn, t, NULL,
                                     lc_error_or(err, &room));
    return !code && t->code ? lc_fail_memory(err) : code;
}

static int drop_foreign(todo *t, llmcache_error *err)
{
    llmcache *cache = t->cache;
    llmcache_error room;
    if (!t->foreign_count)
        return 0;
    return cache->store.ops.remove(cache->store.self, LLMCACHE_PART_EMBED, t->foreign,
                                   t->foreign_count, 10 * cache->settings.store_write_timeout_ms,
                                   &t->report.dropped, lc_error_or(err, &room));
}

static void embed_one(todo *t, const lc_entry *entry)
{
    llmcache *cache = t->cache;
    llmcache_error err;
    llmcache_entry facts = entry->facts;
    float *vector = NULL;
    if (has_record(t, &facts))
        return;
    int code = lc_embed_question(cache, facts.space, facts.question, &vector, &facts.dimension, &err);
    if (code == LLMCACHE_UNSUPPORTED) {
        t->report.skipped++;
        return;
    }
    if (!code) {
        facts.vector = vector;
        facts.embedder = cache->vector_space;
        code = cache->store.ops.put(cache->store.self, LLMCACHE_PART_EMBED, &facts,
                                    cache->settings.store_write_timeout_ms, &err);
    }
    if (code)
        t->report.failed++;
    else
        t->report.embedded++;
    lc_free(vector);
}

static void todo_done(todo *t)
{
    for (size_t i = 0; i < t->count; i++)
        lc_entry_unref(t->entries[i]);
    for (size_t i = 0; i < t->foreign_count; i++)
        lc_free((char *)t->foreign[i].space);
    lc_free(t->entries);
    lc_free(t->foreign);
}

int lc_manage_rebuild(llmcache *cache, llmcache_rebuild_report *report, llmcache_error *err)
{
    todo t = {.cache = cache};
    int code = walk(&t, LLMCACHE_PART_EMBED, see_record, err);
    if (!code)
        code = drop_foreign(&t, err);
    if (!code)
        code = walk(&t, LLMCACHE_PART_PROMPT, see_entry, err);
    for (size_t i = 0; !code && i < t.count; i++)
        embed_one(&t, t.entries[i]);
    int cleared = lc_vectors_clear(cache, code ? NULL : err);
    code = code ? code : cleared;
    /* A shared index is filled before this is done: who asked for it may close the cache right after. */
    if (cache->index.ops.fill_state)
        lc_background_reload_now(cache);
    else
        lc_background_reload(cache);
    if (!code)
        *report = t.report;
    todo_done(&t);
    return code;
}

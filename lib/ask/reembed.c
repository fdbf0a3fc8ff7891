/*
 * When the embedder changed, records of the old embedding space serve nobody. They are made again from their kept
 * text, in the background thread, at low priority and one at a time, so that questions come first.
 */
#include "ask/cache.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE 10
#define PAUSE_MS 1

typedef struct keys {
    llmcache *cache;
    llmcache_key *list; /* names owned */
    size_t count, room;
    int failed;
} keys;

static int collect(void *user, const llmcache_entry *entry)
{
    keys *k = user;
    if (strcmp(entry->embedder, k->cache->vector_space) == 0 || !*entry->question)
        return k->cache->background.closing;
    if (k->count == k->room) {
        size_t room = k->room ? k->room * 2 : 64;
        llmcache_key *list = lc_realloc_array(k->list, room, sizeof *list);
        if (!list)
            return k->failed = 1;
        k->list = list;
        k->room = room;
    }
    llmcache_key key = {.space = lc_strdup(entry->space)};
    if (!key.space)
        return k->failed = 1;
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    k->list[k->count++] = key;
    return k->cache->background.closing;
}

/* 0 also when there is nothing to do any more; an error when it is worth trying again later. */
static int make_again(llmcache *cache, const llmcache_key *key)
{
    llmcache_error err;
    lc_entry *entry = NULL;
    float *vector = NULL;
    size_t dimension;
    int64_t timeout_ms = cache->settings.store_write_timeout_ms;
    int code = cache->store.ops.get(cache->store.self, LLMCACHE_PART_EMBED, key, lc_now_ms(cache),
                                    timeout_ms, lc_copy_entry, &entry, &err);
    if (code || !entry)
        return code == LLMCACHE_NOT_FOUND || code == LLMCACHE_CORRUPT ? 0 : code;
    code = lc_embed_question(cache, entry->facts.space, entry->facts.question, &vector, &dimension, &err);
    if (!code) {
        llmcache_entry facts = entry->facts;
        facts.vector = vector;
        facts.dimension = dimension;
        facts.embedder = cache->vector_space;
        code = cache->store.ops.put(cache->store.self, LLMCACHE_PART_EMBED, &facts, timeout_ms, &err);
        if (!code)
            code = lc_vectors_add(cache, &facts);
    }
    lc_free(vector);
    lc_entry_unref(entry);
    return code == LLMCACHE_UNSUPPORTED ? 0 : code;
}

static void lower_priority(int nice)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}

int lc_reembed(llmcache *cache)
{
    llmcache_error err;
    keys k = {.cache = cache};
    lc_background *background = &cache->background;
    size_t i = 0;
    int code = cache->store.ops.each(cache->store.self, LLMCACHE_PART_EMBED, NULL, lc_now_ms(cache), collect,
                                     &k, NULL, &err);
    lower_priority(NICE);
    for (; i < k.count && !background->closing; i++) {
        atomic_store(&background->reembedding, k.count - i);
        if (make_again(cache, &k.list[i]))
            break; /* store or embedder is in trouble: the next load begins again */
        lc_background_breathe(cache);
        lc_sleep_ms(PAUSE_MS);
    }
    lower_priority(0);
    int done = !code && !k.failed && i == k.count && !background->closing;
    atomic_store(&background->reembedding, 0);
    for (i = 0; i < k.count; i++)
        lc_free((char *)k.list[i].space);
    lc_free(k.list);
    return done;
}

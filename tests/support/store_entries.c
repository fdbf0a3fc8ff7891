/* Numbered entries. */
#include "store_entries.h"

#include "base/clock.h"
#include "base/sha256.h"
#include "support.h"

#include <string.h>

enum { DIMENSION = 8 };

lc_store store_at(const char *uri, const char *ca_file)
{
    const lc_store_options options = {.connect_ms = 50, .ca_file = ca_file};
    lc_store store;
    llmcache_error err;
    if (lc_store_open(uri, &options, &store, &err))
        test_give_up("%s: %s", uri, err.message);
    return store;
}

const llmcache_entry *numbered_entry(const char *space, int number)
{
    llmcache_entry entry = {.struct_size = sizeof entry, .protocol = "chat", .model = "m",
                            .question = "什麼是快取？", .tags = "", .created_ms = lc_wall_ms(),
                            .embedder = "test", .dimension = DIMENSION};
    const char *text = test_format("entry %d", number);
    float vector[DIMENSION];
    for (int i = 0; i < DIMENSION; i++)
        vector[i] = (float)(number + i) / 7;
    lc_sha256_once(text, strlen(text), entry.fingerprint);
    lc_entry_id(entry.fingerprint, entry.id);
    entry.space = test_format("%s", space);
    entry.body = test_format("{\"answer\":\"%s\"}\nof %s", text, space);
    entry.body_size = strlen(entry.body);
    entry.vector = (const float *)(const void *)test_keep(vector, sizeof vector);
    return (const llmcache_entry *)(const void *)test_keep(&entry, sizeof entry);
}

llmcache_key key_of_entry(const llmcache_entry *entry)
{
    llmcache_key key = {.space = entry->space};
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    return key;
}

int put_entry_in(lc_store *store, const llmcache_entry *entry, int64_t deadline_ms,
                 llmcache_error *err)
{
    return store->ops.put(store->self, LLMCACHE_PART_BOTH, entry, deadline_ms, err);
}

typedef struct comparison {
    const llmcache_entry *wanted;
    int part;
    int same;
} comparison;

static int compare(void *user, const llmcache_entry *found)
{
    comparison *c = user;
    const llmcache_entry *wanted = c->wanted;
    c->same = strcmp(found->space, wanted->space) == 0 && strcmp(found->id, wanted->id) == 0 &&
              found->body_size == wanted->body_size &&
              memcmp(found->body, wanted->body, wanted->body_size) == 0;
    if (c->part == LLMCACHE_PART_EMBED)
        c->same &= found->dimension == wanted->dimension &&
                   memcmp(found->vector, wanted->vector, wanted->dimension * sizeof(float)) == 0;
    return 0;
}

int get_entry_from(lc_store *store, int part, const llmcache_entry *entry, int64_t deadline_ms,
                   llmcache_error *err)
{
    comparison c = {.wanted = entry, .part = part};
    llmcache_key key = key_of_entry(entry);
    int rc = store->ops.get(store->self, part, &key, lc_wall_ms(), deadline_ms, compare, &c, err);
    return rc ? rc : c.same ? 0 : WRONG_ANSWER;
}

const char *prompt_key_name(const llmcache_entry *entry)
{
    char hex[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    lc_hex(entry->fingerprint, LLMCACHE_FINGERPRINT_SIZE, hex);
    return test_format("prompt_cache:%s:%s", entry->space, hex);
}

const char *embed_key_name(const llmcache_entry *entry)
{
    return test_format("embed_cache:%s:%s", entry->space, entry->id);
}

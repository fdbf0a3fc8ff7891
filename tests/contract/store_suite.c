/*
 * The store contract: what include/llmcache/backend.h promises, asked of every store. Each test starts
 * from an empty store and leaves it empty. This file holds what the tests share; they are in
 * store_content.c, store_sharing.c, store_observations.c and so on.
 */
#include "store_suite.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static lc_store_options options = {.connect_ms = 5000};
static const char *uri;
lc_store store;
int64_t now;

int try_to_open(lc_store *opened, llmcache_error *err)
{
    return lc_store_open(uri, &options, opened, err);
}

lc_store open_store(void)
{
    lc_store opened;
    llmcache_error err = {0};
    cr_assert_eq(try_to_open(&opened, &err), 0, "%s", err.message);
    return opened;
}

/* ---- Entries ----------------------------------------------------------------------------------- */

#define DIM 384

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void fill(uint64_t seed, void *out, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            word = next_random(&seed);
        ((unsigned char *)out)[i] = (unsigned char)(word >> (8 * (i % 8)));
    }
}

llmcache_key key_in(const char *space, uint64_t number)
{
    llmcache_key key = {.space = space};
    fill(number, key.fingerprint, sizeof key.fingerprint);
    return key;
}

llmcache_key key_of(uint64_t number)
{
    return key_in("default", number);
}

/* The entry of a key; strings live until the test ends. */
llmcache_entry entry_of(const llmcache_key *key, int version)
{
    llmcache_entry entry = {.struct_size = sizeof entry,
                            .space = key->space,
                            .protocol = "chat",
                            .model = "gpt-4o-mini",
                            .tags = "a,b c",
                            .created_ms = now - 1000,
                            .model_ms = 1234,
                            .input_tokens = 17,
                            .output_tokens = 4096,
                            .flags = LLMCACHE_ENTRY_NO_USAGE,
                            .embedder = "local:test",
                            .dimension = DIM,
                            .shape = "model 'm\nmessages[0].content ~2=aa=bb==\n"};
    memcpy(entry.fingerprint, key->fingerprint, sizeof entry.fingerprint);
    fill(key->fingerprint[0], entry.partition, sizeof entry.partition);
    lc_entry_id(entry.fingerprint, entry.id);
    entry.question = test_format("什麼是快取 %s?\n\"\\ \x01", entry.id);
    entry.body = test_format("{\"id\":\"%s\",\"version\":%d}", entry.id, version);
    entry.body_size = strlen(entry.body);
    float vector[DIM];
    fill((uint64_t)version + key->fingerprint[1], vector, sizeof vector); /* any bytes at all */
    entry.vector = (const float *)(const void *)test_keep(vector, sizeof vector);
    return entry;
}

void put_entry(const llmcache_entry *entry, int parts)
{
    llmcache_error err = {0};
    cr_assert_eq(store.ops.put(store.self, parts, entry, WAIT, &err), 0, "%s", err.message);
}

void put(const llmcache_key *key, int parts, int version)
{
    llmcache_entry entry = entry_of(key, version);
    put_entry(&entry, parts);
}

static int keep_copy(void *user, const llmcache_entry *entry)
{
    cr_assert_null(*(lc_entry **)user, "called once");
    *(lc_entry **)user = lc_entry_new_record(entry);
    return 0;
}

/* A copy of what the store has, NULL when it has nothing; *code receives the outcome. */
lc_entry *get_at(const llmcache_key *key, int part, int64_t at, int *code)
{
    lc_entry *entry = NULL;
    llmcache_error err = {0};
    *code = store.ops.get(store.self, part, key, at, WAIT, keep_copy, &entry, &err);
    cr_assert_eq(*code == 0, entry != NULL);
    cr_assert(*code == 0 || err.code == *code, "%d is reported as %d", *code, err.code);
    return entry;
}

lc_entry *get(const llmcache_key *key, int part)
{
    int code;
    lc_entry *entry = get_at(key, part, now, &code);
    cr_assert(code == 0 || code == LLMCACHE_NOT_FOUND, "%d", code);
    return entry;
}

int has(const llmcache_key *key, int part)
{
    lc_entry *entry = get(key, part);
    lc_entry_unref(entry);
    return entry != NULL;
}

void same(const llmcache_entry *a, const llmcache_entry *b, int part)
{
    cr_assert_arr_eq(a->fingerprint, b->fingerprint, sizeof a->fingerprint);
    cr_assert_arr_eq(a->partition, b->partition, sizeof a->partition);
    cr_assert_str_eq(a->id, b->id);
    cr_assert_str_eq(a->space, b->space);
    cr_assert_str_eq(a->protocol, b->protocol);
    cr_assert_str_eq(a->model, b->model);
    cr_assert_str_eq(a->question, b->question);
    cr_assert_str_eq(a->tags, b->tags);
    cr_assert_eq(a->body_size, b->body_size);
    cr_assert(memcmp(a->body, b->body, a->body_size) == 0, "the bodies differ");
    cr_assert_eq(a->created_ms, b->created_ms);
    cr_assert_eq(a->expires_ms, b->expires_ms);
    cr_assert_eq(a->model_ms, b->model_ms);
    cr_assert_eq(a->input_tokens, b->input_tokens);
    cr_assert_eq(a->output_tokens, b->output_tokens);
    cr_assert_eq(a->flags, b->flags);
    if (part == LLMCACHE_PART_EMBED) {
        cr_assert_str_eq(a->embedder, b->embedder);
        cr_assert_eq(a->dimension, b->dimension);
        cr_assert(memcmp(a->vector, b->vector, a->dimension * sizeof(float)) == 0, "the vectors differ");
    } else {
        cr_assert_null(b->vector, "an exact entry comes without its vector");
    }
}

/* The part is there and is exactly this. */
void expect(const llmcache_entry *entry, int part)
{
    llmcache_key key = {.space = entry->space};
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    lc_entry *found = get(&key, part);
    cr_assert_not_null(found, "nothing under %s", entry->id);
    same(entry, &found->facts, part);
    lc_entry_unref(found);
}

uint64_t take(const llmcache_key *keys, size_t count, int parts)
{
    uint64_t removed = 99;
    llmcache_error err = {0};
    cr_assert_eq(store.ops.remove(store.self, parts, keys, count, WAIT, &removed, &err), 0, "%s",
                 err.message);
    return removed;
}

/* ---- Walking ----------------------------------------------------------------------------------- */

static int step(void *user, const llmcache_entry *entry)
{
    walk *w = user;
    if (w->wanted && strcmp(w->wanted->id, entry->id) == 0) {
        same(w->wanted, entry, w->part);
        if (w->part != LLMCACHE_PART_OBSERVATION)
            cr_assert_str_eq(entry->shape, w->part == LLMCACHE_PART_PROMPT ? w->wanted->shape : "");
    }
    w->count++;
    if (w->removing) {
        llmcache_key key = {.space = entry->space};
        memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
        int answer = w->part != LLMCACHE_PART_OBSERVATION;
        cr_assert_eq(take(&key, 1, answer ? LLMCACHE_PART_BOTH : w->part), 1u);
    }
    return w->stop_after && w->count >= w->stop_after;
}

uint64_t walk_all(int part, const char *space, int64_t at, walk *w, uint64_t *damaged)
{
    walk none = {0};
    llmcache_error err = {0};
    w = w ? w : &none;
    w->part = part;
    cr_assert_eq(store.ops.each(store.self, part, space, at, step, w, damaged, &err), 0, "%s",
                 err.message);
    return w->count;
}

uint64_t count_of(int part)
{
    return walk_all(part, NULL, now, NULL, NULL);
}

/* Empties it the way purge does, and holds it against what the engine itself says. */
static void leave_empty(void)
{
    walk w = {.removing = 1};
    walk_all(LLMCACHE_PART_PROMPT, NULL, 0, &w, NULL);
    walk_all(LLMCACHE_PART_EMBED, NULL, 0, &w, NULL);
    walk_all(LLMCACHE_PART_OBSERVATION, NULL, 0, &w, NULL);
    cr_assert_eq(count_of(LLMCACHE_PART_PROMPT) + count_of(LLMCACHE_PART_EMBED) +
                     count_of(LLMCACHE_PART_OBSERVATION), 0u);
    if (fixture.left)
        cr_assert_eq(fixture.left(), 0, "%lld left behind", (long long)fixture.left());
}

static void begin(void)
{
    now = lc_wall_ms();
    uri = fixture.start(&options);
    if (!uri)
        cr_skip_test("%s is not available here", fixture.name);
    store = open_store();
}

static void end(void)
{
    if (!store.self)
        return;
    leave_empty();
    lc_store_close(&store);
}

TestSuite(store, .init = begin, .fini = end, .timeout = 60);

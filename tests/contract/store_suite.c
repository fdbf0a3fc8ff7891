/*
 * The store contract: what include/llmcache/backend.h promises, asked of every store. Each test starts
 * from an empty store and leaves it empty.
 */
#include "store_fixture.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/memory_cache.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT 10000 /* ms for what should be quick */

static lc_store_options options = {.connect_ms = 5000};
static const char *uri;
static lc_store store;
static int64_t now; /* wall clock: some stores have one of their own */

static lc_store open_store(void)
{
    lc_store opened;
    llmcache_error err = {0};
    cr_assert_eq(lc_store_open(uri, &options, &opened, &err), 0, "%s", err.message);
    return opened;
}

/* ---- Entries ----------------------------------------------------------------------------------- */

#define DIM 384

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void fill(uint64_t seed, void *out, size_t size)
{
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            word = next_random(&seed);
        ((unsigned char *)out)[i] = (unsigned char)(word >> (8 * (i % 8)));
    }
}

static llmcache_key key_in(const char *space, uint64_t number)
{
    llmcache_key key = {.space = space};
    fill(number, key.fingerprint, sizeof key.fingerprint);
    return key;
}

static llmcache_key key_of(uint64_t number)
{
    return key_in("default", number);
}

/* The entry of a key; strings live until the test ends. */
static llmcache_entry entry_of(const llmcache_key *key, int version)
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
                            .dimension = DIM};
    memcpy(entry.fingerprint, key->fingerprint, sizeof entry.fingerprint);
    fill(key->fingerprint[0], entry.partition, sizeof entry.partition);
    lc_entry_id(entry.fingerprint, entry.id);
    entry.question = test_format("什麼是快取 %s?\n\"\\ \x01", entry.id);
    entry.body = test_format("{\"id\":\"%s\",\"version\":%d}", entry.id, version);
    entry.body_size = strlen(entry.body);
    float *vector = (float *)(void *)test_keep("", DIM * sizeof(float));
    fill((uint64_t)version + key->fingerprint[1], vector, DIM * sizeof *vector); /* any bytes at all */
    entry.vector = vector;
    return entry;
}

static void put_entry(const llmcache_entry *entry, int parts)
{
    llmcache_error err = {0};
    cr_assert_eq(store.ops.put(store.self, parts, entry, WAIT, &err), 0, "%s", err.message);
}

static void put(const llmcache_key *key, int parts, int version)
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
static lc_entry *get_at(const llmcache_key *key, int part, int64_t at, int *code)
{
    lc_entry *entry = NULL;
    llmcache_error err = {0};
    *code = store.ops.get(store.self, part, key, at, WAIT, keep_copy, &entry, &err);
    cr_assert_eq(*code == 0, entry != NULL);
    cr_assert(*code == 0 || err.code == *code, "%d is reported as %d", *code, err.code);
    return entry;
}

static lc_entry *get(const llmcache_key *key, int part)
{
    int code;
    lc_entry *entry = get_at(key, part, now, &code);
    cr_assert(code == 0 || code == LLMCACHE_NOT_FOUND, "%d", code);
    return entry;
}

static int has(const llmcache_key *key, int part)
{
    lc_entry *entry = get(key, part);
    lc_entry_unref(entry);
    return entry != NULL;
}

static void same(const llmcache_entry *a, const llmcache_entry *b, int part)
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
static void expect(const llmcache_entry *entry, int part)
{
    llmcache_key key = {.space = entry->space};
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    lc_entry *found = get(&key, part);
    cr_assert_not_null(found, "nothing under %s", entry->id);
    same(entry, &found->facts, part);
    lc_entry_unref(found);
}

static uint64_t take(const llmcache_key *keys, size_t count, int parts)
{
    uint64_t removed = 99;
    llmcache_error err = {0};
    cr_assert_eq(store.ops.remove(store.self, parts, keys, count, WAIT, &removed, &err), 0, "%s",
                 err.message);
    return removed;
}

/* ---- Walking ----------------------------------------------------------------------------------- */

typedef struct walk {
    uint64_t count;
    uint64_t stop_after;
    int removing;
    const llmcache_entry *wanted; /* counted only when it is this one */
    int part;
} walk;

static int step(void *user, const llmcache_entry *entry)
{
    walk *w = user;
    if (w->wanted && strcmp(w->wanted->id, entry->id) == 0)
        same(w->wanted, entry, w->part);
    w->count++;
    if (w->removing) {
        llmcache_key key = {.space = entry->space};
        memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
        cr_assert_eq(take(&key, 1, LLMCACHE_PART_BOTH), 1u);
    }
    return w->stop_after && w->count >= w->stop_after;
}

static uint64_t walk_all(int part, const char *space, int64_t at, walk *w, uint64_t *damaged)
{
    walk none = {0};
    llmcache_error err = {0};
    w = w ? w : &none;
    w->part = part;
    cr_assert_eq(store.ops.each(store.self, part, space, at, step, w, damaged, &err), 0, "%s",
                 err.message);
    return w->count;
}

static uint64_t count_of(int part)
{
    return walk_all(part, NULL, now, NULL, NULL);
}

/* Empties it the way purge does, and holds it against what the engine itself says. */
static void leave_empty(void)
{
    walk w = {.removing = 1};
    walk_all(LLMCACHE_PART_PROMPT, NULL, 0, &w, NULL);
    walk_all(LLMCACHE_PART_EMBED, NULL, 0, &w, NULL);
    cr_assert_eq(count_of(LLMCACHE_PART_PROMPT) + count_of(LLMCACHE_PART_EMBED), 0u);
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

/* ---- Putting and getting ------------------------------------------------------------------------ */

Test(store, begins_empty)
{
    llmcache_key key = key_of(1);
    llmcache_store_stats stats;
    cr_assert_not(has(&key, LLMCACHE_PART_PROMPT));
    cr_assert_not(has(&key, LLMCACHE_PART_EMBED));
    cr_assert_eq(count_of(LLMCACHE_PART_PROMPT), 0u);
    cr_assert_eq(count_of(LLMCACHE_PART_EMBED), 0u);
    cr_assert_eq(take(&key, 1, LLMCACHE_PART_BOTH), 0u);
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.connected, 1);
    cr_assert_gt(strlen(stats.detail), 0u);
}

Test(store, gives_back_what_was_put)
{
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    put_entry(&entry, LLMCACHE_PART_BOTH);
    expect(&entry, LLMCACHE_PART_PROMPT);
    expect(&entry, LLMCACHE_PART_EMBED);
    walk w = {.wanted = &entry};
    cr_assert_eq(walk_all(LLMCACHE_PART_PROMPT, NULL, now, &w, NULL), 1u);
    w = (walk){.wanted = &entry};
    cr_assert_eq(walk_all(LLMCACHE_PART_EMBED, NULL, now, &w, NULL), 1u);
    llmcache_key other = key_of(2);
    cr_assert_not(has(&other, LLMCACHE_PART_PROMPT));
}

Test(store, parts_are_apart)
{
    llmcache_key a = key_of(1), b = key_of(2);
    put(&a, LLMCACHE_PART_PROMPT, 1);
    put(&b, LLMCACHE_PART_EMBED, 1);
    cr_assert(has(&a, LLMCACHE_PART_PROMPT));
    cr_assert_not(has(&a, LLMCACHE_PART_EMBED));
    cr_assert_not(has(&b, LLMCACHE_PART_PROMPT));
    cr_assert(has(&b, LLMCACHE_PART_EMBED));
    put(&a, LLMCACHE_PART_EMBED, 1);
    cr_assert_eq(take(&a, 1, LLMCACHE_PART_PROMPT), 1u);
    cr_assert_not(has(&a, LLMCACHE_PART_PROMPT));
    cr_assert(has(&a, LLMCACHE_PART_EMBED), "the record is whole by itself");
    cr_assert_eq(take(&a, 1, LLMCACHE_PART_PROMPT), 0u);
}

Test(store, a_record_without_vector_is_refused)
{
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    llmcache_error err;
    entry.vector = NULL;
    entry.dimension = 0;
    cr_assert_eq(store.ops.put(store.self, LLMCACHE_PART_BOTH, &entry, WAIT, &err), LLMCACHE_INVALID);
    cr_assert_not(has(&key, LLMCACHE_PART_EMBED));
    entry.embedder = "";
    put_entry(&entry, LLMCACHE_PART_PROMPT);
    expect(&entry, LLMCACHE_PART_PROMPT);
}

Test(store, replaces)
{
    llmcache_key key = key_of(1);
    for (int version = 1; version <= 3; version++) {
        llmcache_entry entry = entry_of(&key, version * 99);
        entry.model = version == 2 ? "another" : "gpt-4o-mini";
        entry.expires_ms = version == 2 ? now + 3600000 : 0;
        put_entry(&entry, LLMCACHE_PART_BOTH);
        expect(&entry, LLMCACHE_PART_PROMPT);
        expect(&entry, LLMCACHE_PART_EMBED);
        cr_assert_eq(count_of(LLMCACHE_PART_PROMPT), 1u);
        cr_assert_eq(count_of(LLMCACHE_PART_EMBED), 1u);
    }
    /* The second version's expiry is gone with it. */
    int code;
    lc_entry_unref(get_at(&key, LLMCACHE_PART_PROMPT, now + 7200000, &code));
    cr_assert_eq(code, 0);
}

Test(store, expiry_is_by_the_time_given)
{
    llmcache_key key = key_of(1), forever = key_of(2);
    llmcache_entry entry = entry_of(&key, 1);
    int code;
    entry.expires_ms = now + 3600000;
    put_entry(&entry, LLMCACHE_PART_BOTH);
    put(&forever, LLMCACHE_PART_BOTH, 1);
    for (int part = 1; part <= 2; part++) {
        lc_entry_unref(get_at(&key, part, entry.expires_ms - 1, &code));
        cr_assert_eq(code, 0);
        lc_entry_unref(get_at(&key, part, entry.expires_ms, &code));
        cr_assert_eq(code, LLMCACHE_NOT_FOUND);
        lc_entry_unref(get_at(&forever, part, INT64_MAX, &code));
        cr_assert_eq(code, 0);
        cr_assert_eq(walk_all(part, NULL, entry.expires_ms - 1, NULL, NULL), 2u);
        cr_assert_eq(walk_all(part, NULL, entry.expires_ms, NULL, NULL), 1u);
    }
}

Test(store, what_has_expired_already_is_not_found)
{
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    put_entry(&entry, LLMCACHE_PART_BOTH);
    entry.expires_ms = now - 1;
    put_entry(&entry, LLMCACHE_PART_BOTH);
    cr_assert_not(has(&key, LLMCACHE_PART_PROMPT), "not even the one it replaced");
    cr_assert_not(has(&key, LLMCACHE_PART_EMBED));
}

Test(store, sweeps_what_has_expired)
{
    llmcache_error err;
    if (!store.ops.sweep)
        cr_skip_test("%s drops what expires by itself", fixture.name);
    for (uint64_t n = 0; n < 20; n++) {
        llmcache_key key = key_of(n);
        llmcache_entry entry = entry_of(&key, 1);
        entry.expires_ms = n < 12 ? now + 1000 + (int64_t)n : n < 15 ? now + 3600000 : 0;
        put_entry(&entry, LLMCACHE_PART_BOTH);
    }
    cr_assert_eq(store.ops.sweep(store.self, now + 5000, &err), 0);
    cr_assert_eq(walk_all(LLMCACHE_PART_PROMPT, NULL, now, NULL, NULL), 8u, "seen before they expire");
    cr_assert_eq(walk_all(LLMCACHE_PART_EMBED, NULL, now, NULL, NULL), 8u);
}

/* ---- Kinds of content ---------------------------------------------------------------------------- */

Test(store, namespaces_are_apart)
{
    const char *spaces[] = {"default", "a:b", "a", "a*", "[a]", "?", "with space", "租戶", "x\\y\"z\n%s",
                            "b:a:default"};
    size_t count = sizeof spaces / sizeof spaces[0];
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = key_in(spaces[i], 1);
        put(&key, LLMCACHE_PART_BOTH, (int)i);
    }
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = key_in(spaces[i], 1);
        llmcache_entry entry = entry_of(&key, (int)i);
        expect(&entry, LLMCACHE_PART_PROMPT);
        expect(&entry, LLMCACHE_PART_EMBED);
        cr_assert_eq(walk_all(LLMCACHE_PART_PROMPT, spaces[i], now, NULL, NULL), 1u, "%s", spaces[i]);
        cr_assert_eq(walk_all(LLMCACHE_PART_EMBED, spaces[i], now, NULL, NULL), 1u, "%s", spaces[i]);
    }
    cr_assert_eq(walk_all(LLMCACHE_PART_PROMPT, "absent", now, NULL, NULL), 0u);
    llmcache_key one = key_in("a*", 1);
    cr_assert_eq(take(&one, 1, LLMCACHE_PART_BOTH), 1u);
    cr_assert_eq(count_of(LLMCACHE_PART_PROMPT), count - 1);
    cr_assert_eq(count_of(LLMCACHE_PART_EMBED), count - 1);
}

Test(store, bodies_of_all_kinds)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bodies[] = {{"", 0}, {"x", 1}, {"a\0b\0", 4}, {"\n", 1}, {"\r\n\r\n$3\r\n", 8},
                  {"\xff\xfe\x80 not UTF-8", 13}, {"{}\n{}", 5}};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        llmcache_key key = key_of(i);
        llmcache_entry entry = entry_of(&key, 1);
        entry.body = bodies[i].bytes;
        entry.body_size = bodies[i].size;
        put_entry(&entry, LLMCACHE_PART_BOTH);
        expect(&entry, LLMCACHE_PART_PROMPT);
        expect(&entry, LLMCACHE_PART_EMBED);
    }
}

Test(store, large_bodies)
{
    size_t sizes[] = {4096, 65536, 1 << 20, 8 << 20};
    for (size_t i = 0; i < 4; i++) {
        llmcache_key key = key_of(i);
        llmcache_entry entry = entry_of(&key, 1);
        char *body = malloc(sizes[i]);
        fill(i, body, sizes[i]);
        entry.body = body;
        entry.body_size = sizes[i];
        put_entry(&entry, LLMCACHE_PART_BOTH);
        expect(&entry, LLMCACHE_PART_PROMPT);
        expect(&entry, LLMCACHE_PART_EMBED);
        free(body);
    }
}

Test(store, vectors_of_all_lengths)
{
    size_t dimensions[] = {1, 3, 256, 384, 3072};
    static float vector[3072];
    fill(5, vector, sizeof vector);
    memcpy(vector, "\r\n\0\0", 4);
    for (size_t i = 0; i < 5; i++) {
        llmcache_key key = key_of(i);
        llmcache_entry entry = entry_of(&key, 1);
        entry.vector = vector;
        entry.dimension = dimensions[i];
        put_entry(&entry, LLMCACHE_PART_EMBED);
        expect(&entry, LLMCACHE_PART_EMBED);
    }
}

Test(store, empty_texts_and_large_numbers)
{
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    entry.model = entry.question = entry.tags = entry.protocol = "";
    entry.created_ms = 0;
    entry.expires_ms = INT64_MAX / 2;
    entry.model_ms = INT64_MAX;
    entry.input_tokens = entry.output_tokens = (int64_t)1 << 53;
    entry.flags = UINT32_MAX;
    put_entry(&entry, LLMCACHE_PART_BOTH);
    expect(&entry, LLMCACHE_PART_PROMPT);
    expect(&entry, LLMCACHE_PART_EMBED);
}

/* ---- Removing and walking -------------------------------------------------------------------------- */

Test(store, removes_many)
{
    llmcache_key keys[300];
    for (uint64_t n = 0; n < 300; n++) {
        keys[n] = key_of(n);
        if (n < 200)
            put(&keys[n], n % 2 ? LLMCACHE_PART_BOTH : LLMCACHE_PART_PROMPT, 1);
    }
    cr_assert_eq(take(keys, 0, LLMCACHE_PART_BOTH), 0u);
    cr_assert_eq(take(keys, 300, LLMCACHE_PART_EMBED), 100u);
    cr_assert_eq(take(keys + 50, 250, LLMCACHE_PART_BOTH), 150u, "entries, not parts");
    cr_assert_eq(count_of(LLMCACHE_PART_PROMPT), 50u);
}

Test(store, keys_may_be_heads)
{
    llmcache_key key = key_of(1), other = key_of(2), head = {.space = "default", .head_only = 1};
    memcpy(head.fingerprint, key.fingerprint, 10);
    llmcache_key elsewhere = head;
    elsewhere.space = "other";
    llmcache_entry entry = entry_of(&key, 1);
    put_entry(&entry, LLMCACHE_PART_BOTH);
    put(&other, LLMCACHE_PART_BOTH, 1);
    for (int part = 1; part <= 2; part++) {
        lc_entry *found = get(&head, part);
        cr_assert_not_null(found);
        same(&entry, &found->facts, part);
        lc_entry_unref(found);
        cr_assert_not(has(&elsewhere, part));
    }
    cr_assert_eq(take(&elsewhere, 1, LLMCACHE_PART_BOTH), 0u);
    cr_assert_eq(take(&head, 1, LLMCACHE_PART_BOTH), 1u);
    cr_assert_not(has(&key, LLMCACHE_PART_PROMPT));
    cr_assert_not(has(&key, LLMCACHE_PART_EMBED));
    cr_assert(has(&other, LLMCACHE_PART_PROMPT));
}

Test(store, a_head_is_not_a_whole_key)
{
    llmcache_key key = key_of(1), near = key;
    near.fingerprint[31] ^= 1;
    put(&key, LLMCACHE_PART_BOTH, 1);
    cr_assert_not(has(&near, LLMCACHE_PART_PROMPT), "the same id, another fingerprint");
    cr_assert_not(has(&near, LLMCACHE_PART_EMBED));
}

typedef struct seen {
    unsigned char numbers[1500];
    int wrong;
} seen;

static int mark(void *user, const llmcache_entry *entry)
{
    seen *s = user;
    unsigned number = 0;
    if (sscanf(entry->model, "%u", &number) != 1 || number >= sizeof s->numbers)
        s->wrong++;
    else
        s->numbers[number]++;
    return 0;
}

Test(store, each_comes_once)
{
    static seen s;
    llmcache_error err;
    for (uint64_t n = 0; n < sizeof s.numbers; n++) {
        llmcache_key key = key_in(n % 3 ? "default" : "third", n);
        llmcache_entry entry = entry_of(&key, 1);
        entry.model = test_format("%llu", (unsigned long long)n);
        put_entry(&entry, LLMCACHE_PART_EMBED);
    }
    uint64_t damaged = 99;
    cr_assert_eq(store.ops.each(store.self, LLMCACHE_PART_EMBED, NULL, now, mark, &s, &damaged, &err), 0);
    cr_assert_eq(damaged, 0u);
    cr_assert_eq(s.wrong, 0);
    for (size_t n = 0; n < sizeof s.numbers; n++)
        cr_assert_eq(s.numbers[n], 1);
    cr_assert_eq(walk_all(LLMCACHE_PART_EMBED, "third", now, NULL, NULL), sizeof s.numbers / 3);
    walk w = {.stop_after = 7};
    cr_assert_eq(walk_all(LLMCACHE_PART_EMBED, NULL, now, &w, NULL), 7u);
    w = (walk){.removing = 1};
    cr_assert_eq(walk_all(LLMCACHE_PART_EMBED, NULL, now, &w, NULL), sizeof s.numbers,
                 "also when each is removed from within");
    cr_assert_eq(count_of(LLMCACHE_PART_EMBED), 0u);
}

Test(store, counts)
{
    llmcache_store_stats stats;
    for (uint64_t n = 0; n < 10; n++) {
        llmcache_key key = key_of(n);
        put(&key, n < 4 ? LLMCACHE_PART_BOTH : LLMCACHE_PART_PROMPT, 1);
        put(&key, LLMCACHE_PART_PROMPT, 2);
    }
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.connected, 1);
    if (stats.entries == 0 && stats.records == 0)
        cr_skip_test("%s does not know without a scan", fixture.name);
    cr_assert_eq(stats.entries, 10u);
    cr_assert_eq(stats.records, 4u);
    llmcache_key key = key_of(0);
    take(&key, 1, LLMCACHE_PART_BOTH);
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.entries, 9u);
    cr_assert_eq(stats.records, 3u);
}

Test(store, can_be_pinged)
{
    llmcache_error err = {0};
    cr_assert_eq(store.ops.ping(store.self, WAIT, &err), 0, "%s", err.message);
}

/* ---- Damage ---------------------------------------------------------------------------------------- */

static void damaged_once(enum store_damage how, int part)
{
    llmcache_key key = key_of(1), other = key_of(2), third = key_of(3);
    int code;
    put(&key, part, 1);
    put(&other, part, 1);
    put(&third, part, 1);
    fixture.damage(how, part, &key, &other);
    lc_entry_unref(get_at(&key, part, now, &code));
    if (how == DAMAGE_OTHER_KEY)
        cr_assert(code == LLMCACHE_CORRUPT || code == LLMCACHE_NOT_FOUND, "%d", code);
    else
        cr_assert_eq(code, LLMCACHE_CORRUPT, "%d", code);
    /* It was set aside, and the others are as they were. */
    cr_assert(test_wait_until((lc_entry_unref(get_at(&key, part, now, &code)), code == LLMCACHE_NOT_FOUND),
                              WAIT));
    cr_assert(has(&third, part));
    put(&key, part, 2);
    llmcache_entry entry = entry_of(&key, 2);
    expect(&entry, part);
}

#define DAMAGE_TEST(test_name, how, part)                                                     \
    Test(store, test_name)                                                                    \
    {                                                                                         \
        if (!fixture.damage)                                                                  \
            cr_skip_test("nobody can damage %s", fixture.name);                               \
        damaged_once(how, part);                                                              \
    }
DAMAGE_TEST(damaged_facts_of_an_entry, DAMAGE_FACTS, LLMCACHE_PART_PROMPT)
DAMAGE_TEST(damaged_facts_of_a_record, DAMAGE_FACTS, LLMCACHE_PART_EMBED)
DAMAGE_TEST(damaged_body_of_an_entry, DAMAGE_BODY, LLMCACHE_PART_PROMPT)
DAMAGE_TEST(damaged_body_of_a_record, DAMAGE_BODY, LLMCACHE_PART_EMBED)
DAMAGE_TEST(an_entry_under_a_key_not_its_own, DAMAGE_OTHER_KEY, LLMCACHE_PART_PROMPT)
DAMAGE_TEST(a_record_under_a_key_not_its_own, DAMAGE_OTHER_KEY, LLMCACHE_PART_EMBED)

Test(store, walking_passes_over_damage)
{
    if (!fixture.damage)
        cr_skip_test("nobody can damage %s", fixture.name);
    llmcache_key keys[5];
    for (uint64_t n = 0; n < 5; n++) {
        keys[n] = key_of(n);
        put(&keys[n], LLMCACHE_PART_EMBED, 1);
    }
    fixture.damage(DAMAGE_FACTS, LLMCACHE_PART_EMBED, &keys[0], &keys[4]);
    fixture.damage(DAMAGE_BODY, LLMCACHE_PART_EMBED, &keys[1], &keys[4]);
    uint64_t damaged = 99;
    cr_assert_eq(walk_all(LLMCACHE_PART_EMBED, NULL, now, NULL, &damaged), 3u);
    cr_assert_eq(damaged, 2u);
    take(keys, 5, LLMCACHE_PART_BOTH);
}

/* ---- Sharing and outliving -------------------------------------------------------------------------- */

Test(store, opened_again)
{
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    put_entry(&entry, LLMCACHE_PART_BOTH);
    lc_store_close(&store);
    store = open_store();
    if (!fixture.persistent) {
        cr_assert_not(has(&key, LLMCACHE_PART_PROMPT));
        return;
    }
    expect(&entry, LLMCACHE_PART_PROMPT);
    expect(&entry, LLMCACHE_PART_EMBED);
}

/* What a watch was told. */
typedef struct told {
    pthread_mutex_t lock;
    llmcache_key key;
    char id[LLMCACHE_ID_SIZE];
    int parts;   /* of the key, all that were told of together */
    int times, distrusted, trusted;
} told;

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    told *t = user;
    pthread_mutex_lock(&t->lock);
    if (strcmp(space, t->key.space) == 0 && strcmp(id, t->id) == 0) {
        t->parts |= parts;
        t->times++;
    }
    pthread_mutex_unlock(&t->lock);
}

static void on_distrust(void *user)
{
    told *t = user;
    pthread_mutex_lock(&t->lock);
    t->distrusted++;
    pthread_mutex_unlock(&t->lock);
}

static void on_trust(void *user)
{
    told *t = user;
    pthread_mutex_lock(&t->lock);
    t->trusted++;
    pthread_mutex_unlock(&t->lock);
}

/* The parts told of since the last call; forgets them. */
static int told_parts(told *t)
{
    pthread_mutex_lock(&t->lock);
    int parts = t->parts;
    t->parts = 0;
    pthread_mutex_unlock(&t->lock);
    return parts;
}

/* Are these parts told of in time? A store may say everything is to be distrusted instead. */
static int hears_of(told *t, int parts)
{
    int heard = 0;
    return test_wait_until(((heard |= told_parts(t)) & parts) == parts, WAIT);
}

static void start_watch(told *t, const llmcache_key *key)
{
    *t = (told){.lock = PTHREAD_MUTEX_INITIALIZER, .key = *key};
    lc_entry_id(key->fingerprint, t->id);
    llmcache_watch watch = {.user = t, .changed = on_changed, .distrust = on_distrust, .trust = on_trust};
    llmcache_error err;
    cr_assert_eq(store.ops.watch(store.self, &watch, &err), 0);
}

/* Puts from elsewhere until it is heard: the first may come before the watch is up. */
static int put_until_heard(lc_store *other, told *t, const llmcache_entry *entry)
{
    llmcache_error err;
    int64_t until = test_now_ms() + WAIT;
    while (test_now_ms() < until) {
        cr_assert_eq(other->ops.put(other->self, LLMCACHE_PART_BOTH, entry, WAIT, &err), 0);
        int heard = 0;
        if (test_wait_until((heard |= told_parts(t)) == LLMCACHE_PART_BOTH, 500))
            return 1;
    }
    return 0;
}

Test(store, changes_made_by_others_are_told)
{
    static told t;
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    llmcache_error err;
    uint64_t removed;
    if (!store.ops.watch)
        cr_skip_test("%s is not shared", fixture.name);
    start_watch(&t, &key);
    lc_store other = open_store();
    cr_assert(put_until_heard(&other, &t, &entry), "a new entry");
    expect(&entry, LLMCACHE_PART_PROMPT);

    llmcache_entry second = entry_of(&key, 2);
    cr_assert_eq(other.ops.put(other.self, LLMCACHE_PART_PROMPT, &second, WAIT, &err), 0);
    cr_assert(hears_of(&t, LLMCACHE_PART_PROMPT), "a replaced one");
    cr_assert_eq(other.ops.remove(other.self, LLMCACHE_PART_BOTH, &key, 1, WAIT, &removed, &err), 0);
    cr_assert(hears_of(&t, LLMCACHE_PART_BOTH), "a removed one");
    cr_assert_eq(t.distrusted, t.trusted);
    lc_store_close(&other);
}

Test(store, changes_made_by_hand_are_told)
{
    static told t;
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    if (!store.ops.watch || !fixture.wipe)
        cr_skip_test("%s is not shared", fixture.name);
    start_watch(&t, &key);
    lc_store other = open_store();
    cr_assert(put_until_heard(&other, &t, &entry));
    lc_store_close(&other);
    put(&key, LLMCACHE_PART_BOTH, 2);
    fixture.wipe(LLMCACHE_PART_PROMPT);
    cr_assert(hears_of(&t, LLMCACHE_PART_PROMPT));
    cr_assert_not(has(&key, LLMCACHE_PART_PROMPT));
    cr_assert(has(&key, LLMCACHE_PART_EMBED));
    fixture.wipe(LLMCACHE_PART_EMBED);
    cr_assert(hears_of(&t, LLMCACHE_PART_EMBED));
    cr_assert_not(has(&key, LLMCACHE_PART_EMBED));
}

Test(store, ones_own_changes_are_not_told)
{
    static told t;
    llmcache_key key = key_of(1), marker = key_of(2);
    if (!store.ops.watch)
        cr_skip_test("%s is not shared", fixture.name);
    start_watch(&t, &marker);
    lc_store other = open_store();
    llmcache_entry entry = entry_of(&marker, 1);
    cr_assert(put_until_heard(&other, &t, &entry));
    pthread_mutex_lock(&t.lock);
    t.key = key;
    lc_entry_id(key.fingerprint, t.id);
    t.times = 0;
    pthread_mutex_unlock(&t.lock);
    for (int version = 0; version < 50; version++)
        put(&key, LLMCACHE_PART_BOTH, version);
    take(&key, 1, LLMCACHE_PART_BOTH);
    /* What others do after it is told after it. */
    pthread_mutex_lock(&t.lock);
    int times = t.times;
    t.key = marker;
    lc_entry_id(marker.fingerprint, t.id);
    pthread_mutex_unlock(&t.lock);
    cr_assert(put_until_heard(&other, &t, &entry));
    cr_assert_eq(times, 0);
    lc_store_close(&other);
}

/* ---- Threads ----------------------------------------------------------------------------------------- */

#define THREADS 8
#define KEYS    16

typedef struct crowd {
    atomic_int wrong, failed, removed_seen;
    int number;
    struct crowd *all;
} crowd;

/* The body says whose it is. */
static int check_owner(void *user, const llmcache_entry *entry)
{
    crowd *c = user;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "{\"id\":\"%s\"", entry->id);
    if (entry->body_size < strlen(wanted) || memcmp(entry->body, wanted, strlen(wanted)) != 0)
        atomic_fetch_add(&c->wrong, 1);
    return 0;
}

static void *mill(void *user)
{
    crowd *c = user;
    uint64_t state = (uint64_t)c->number;
    for (int i = 0; i < 200; i++) {
        llmcache_key key = key_of(next_random(&state) % KEYS);
        llmcache_error err;
        uint64_t removed;
        int code;
        switch (next_random(&state) % 4) {
        case 0: {
            char body[200], id[LLMCACHE_ID_SIZE];
            float vector[4] = {1, 0, 0, 0};
            lc_entry_id(key.fingerprint, id);
            snprintf(body, sizeof body, "{\"id\":\"%s\",\"from\":%d,\"filler\":\"%0*d\"}", id, c->number,
                     (int)(next_random(&state) % 100) + 1, 0);
            llmcache_entry entry = {.struct_size = sizeof entry, .space = "default", .protocol = "chat",
                                    .model = "m", .question = "q", .tags = "", .body = body,
                                    .body_size = strlen(body), .embedder = "e", .vector = vector,
                                    .dimension = 4};
            memcpy(entry.fingerprint, key.fingerprint, sizeof entry.fingerprint);
            code = store.ops.put(store.self, LLMCACHE_PART_BOTH, &entry, WAIT, &err);
            break;
        }
        case 1:
            code = store.ops.remove(store.self, LLMCACHE_PART_BOTH, &key, 1, WAIT, &removed, &err);
            break;
        default:
            code = store.ops.get(store.self, i % 2 ? LLMCACHE_PART_PROMPT : LLMCACHE_PART_EMBED, &key, now,
                                 WAIT, check_owner, c, &err);
            code = code == LLMCACHE_NOT_FOUND ? 0 : code;
        }
        if (code)
            atomic_fetch_add(&c->failed, 1);
    }
    return NULL;
}

Test(store, many_threads_at_once)
{
    pthread_t threads[THREADS];
    crowd crowds[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        crowds[i].number = i;
        pthread_create(&threads[i], NULL, mill, &crowds[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(atomic_load(&crowds[i].wrong), 0);
        cr_assert_eq(atomic_load(&crowds[i].failed), 0);
    }
    cr_assert_leq(count_of(LLMCACHE_PART_PROMPT), (uint64_t)KEYS);
}

/* ---- Without memory ---------------------------------------------------------------------------------- */

static int keep_nothing(void *user, const llmcache_entry *entry)
{
    return check_owner(user, entry);
}

Test(store, survives_every_failed_allocation)
{
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    crowd c = {0};
    uint64_t n;
    put_entry(&entry, LLMCACHE_PART_BOTH);
    for (n = 1; n < 500; n++) {
        llmcache_error err;
        uint64_t removed, damaged;
        lc_memory_fail_at(n);
        int put_code = store.ops.put(store.self, LLMCACHE_PART_BOTH, &entry, WAIT, &err);
        int get_code = store.ops.get(store.self, LLMCACHE_PART_EMBED, &key, now, WAIT, keep_nothing, &c, &err);
        store.ops.get(store.self, LLMCACHE_PART_PROMPT, &key, now, WAIT, keep_nothing, &c, &err);
        store.ops.each(store.self, LLMCACHE_PART_EMBED, NULL, now, keep_nothing, &c, &damaged, &err);
        store.ops.remove(store.self, LLMCACHE_PART_PROMPT, &key, 1, WAIT, &removed, &err);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(failed || (put_code == 0 && get_code == 0));
        if (!failed)
            break;
    }
    cr_assert_lt(n, 500u, "it never came through");
    cr_assert_eq(atomic_load(&c.wrong), 0);
    put_entry(&entry, LLMCACHE_PART_BOTH);
    expect(&entry, LLMCACHE_PART_PROMPT);
    expect(&entry, LLMCACHE_PART_EMBED);
}

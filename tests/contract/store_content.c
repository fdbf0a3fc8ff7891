/* The store contract: putting, getting, expiry, kinds of content, removing and walking. */
#include "store_suite.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        SKIP("%s drops what expires by itself", fixture.name);
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

/* ---- Vectors alone --------------------------------------------------------------------------- */

typedef struct vectors_seen {
    llmcache_entry wanted;
    unsigned same, others, stop_after;
} vectors_seen;

static int look_at_vector(void *user, const llmcache_entry *entry)
{
    vectors_seen *s = user;
    const llmcache_entry *wanted = &s->wanted;
    cr_assert_not_null(entry->question);
    cr_assert_not_null(entry->protocol);
    cr_assert_not_null(entry->body);
    if (strcmp(entry->id, wanted->id) != 0 || strcmp(entry->space, wanted->space) != 0) {
        s->others++;
    } else {
        s->same++;
        cr_assert_arr_eq(entry->fingerprint, wanted->fingerprint, sizeof wanted->fingerprint);
        cr_assert_arr_eq(entry->partition, wanted->partition, sizeof wanted->partition);
        cr_assert_str_eq(entry->embedder, wanted->embedder);
        cr_assert_eq(entry->expires_ms, wanted->expires_ms);
        cr_assert_eq(entry->dimension, wanted->dimension);
        cr_assert_arr_eq(entry->vector, wanted->vector, wanted->dimension * sizeof *wanted->vector);
    }
    return s->stop_after && s->same + s->others >= s->stop_after;
}

static uint64_t walk_vectors(int64_t at, vectors_seen *s)
{
    llmcache_error err;
    uint64_t damaged = 99;
    cr_assert_eq(lc_store_each_vector(&store, at, look_at_vector, s, &damaged, &err), 0, "%s", err.message);
    return damaged;
}

Test(store, vectors_come_with_all_that_leads_to_them)
{
    llmcache_key key = key_of(1);
    vectors_seen s = {.wanted = entry_of(&key, 5)};
    s.wanted.expires_ms = now + 3600000;
    put_entry(&s.wanted, LLMCACHE_PART_BOTH);
    cr_assert_eq(walk_vectors(now, &s), 0u);
    cr_assert_eq(s.same, 1u, "the record, and not the exact entry");
    cr_assert_eq(s.others, 0u);
    s.wanted = entry_of(&key, 6);
    put_entry(&s.wanted, LLMCACHE_PART_EMBED);
    cr_assert_eq(walk_vectors(now, &s), 0u);
    cr_assert_eq(s.same, 2u, "the newer one");
    cr_assert_eq(s.others, 0u);
}

Test(store, vectors_of_all_namespaces_that_are_alive)
{
    vectors_seen s = {.wanted = {.space = "", .id = "none"}};
    for (uint64_t n = 0; n < 600; n++) {
        llmcache_key key = key_in(n % 3 ? "default" : "third", n);
        llmcache_entry entry = entry_of(&key, 1);
        entry.expires_ms = n % 6 ? 0 : now + 60000;
        put_entry(&entry, LLMCACHE_PART_EMBED);
    }
    cr_assert_eq(walk_vectors(now, &s), 0u);
    cr_assert_eq(s.others, 600u);
    s.others = 0;
    cr_assert_eq(walk_vectors(now + 60000, &s), 0u);
    cr_assert_eq(s.others, 500u, "100 have expired");
    s = (vectors_seen){.wanted = s.wanted, .stop_after = 300};
    walk_vectors(now, &s);
    cr_assert_eq(s.others, 300u);
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
        SKIP("%s does not know without a scan", fixture.name);
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

/* The store contract: observations, which are a part of their own and no part of any answer. */
#include "store_suite.h"

#include <criterion/criterion.h>

#define OBSERVATION LLMCACHE_PART_OBSERVATION

/* An observation has no vector. */
static llmcache_entry observation_of(const llmcache_key *key, int version)
{
    llmcache_entry entry = entry_of(key, version);
    entry.vector = NULL;
    entry.dimension = 0;
    entry.embedder = "";
    return entry;
}

Test(store, observations_are_given_back)
{
    llmcache_key key = key_of(1), other = key_of(2);
    for (int version = 1; version <= 3; version++) {
        llmcache_entry entry = observation_of(&key, version);
        put_entry(&entry, OBSERVATION);
        expect(&entry, OBSERVATION);
        walk w = {.wanted = &entry};
        cr_assert_eq(walk_all(OBSERVATION, NULL, now, &w, NULL), 1u);
    }
    cr_assert_not(has(&other, OBSERVATION));
    llmcache_key near = key;
    near.fingerprint[31] ^= 1;
    cr_assert_not(has(&near, OBSERVATION), "the same id, another fingerprint");
}

/* Even under one fingerprint nothing that happens to answers touches them, and the other way round. */
Test(store, observations_are_apart_from_answers)
{
    llmcache_key key = key_of(1);
    llmcache_store_stats stats;
    llmcache_entry answer = entry_of(&key, 1), observed = observation_of(&key, 2);
    put_entry(&observed, OBSERVATION);
    cr_assert_not(has(&key, LLMCACHE_PART_PROMPT));
    cr_assert_not(has(&key, LLMCACHE_PART_EMBED));
    cr_assert_eq(count_of(LLMCACHE_PART_PROMPT) + count_of(LLMCACHE_PART_EMBED), 0u);
    cr_assert_eq(take(&key, 1, LLMCACHE_PART_BOTH), 0u);
    put_entry(&answer, LLMCACHE_PART_BOTH);
    expect(&observed, OBSERVATION);
    expect(&answer, LLMCACHE_PART_PROMPT);
    store.ops.stats(store.self, &stats);
    cr_assert_leq(stats.entries, 1u);
    cr_assert_eq(take(&key, 1, OBSERVATION), 1u);
    cr_assert_not(has(&key, OBSERVATION));
    expect(&answer, LLMCACHE_PART_PROMPT);
    expect(&answer, LLMCACHE_PART_EMBED);
    put_entry(&observed, OBSERVATION);
    cr_assert_eq(take(&key, 1, LLMCACHE_PART_BOTH), 1u);
    expect(&observed, OBSERVATION);
    if (fixture.wipe) {
        put_entry(&answer, LLMCACHE_PART_BOTH);
        fixture.wipe(LLMCACHE_PART_PROMPT);
        fixture.wipe(LLMCACHE_PART_EMBED);
        expect(&observed, OBSERVATION);
    }
}

Test(store, observations_are_counted_apart)
{
    llmcache_store_stats stats;
    for (uint64_t n = 0; n < 10; n++) {
        llmcache_key key = key_of(n);
        put(&key, OBSERVATION, 1);
        put(&key, OBSERVATION, 2);
    }
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.entries + stats.records, 0u);
    if (stats.observations == 0)
        SKIP("%s does not know without a scan", fixture.name);
    cr_assert_eq(stats.observations, 10u);
    llmcache_key key = key_of(0);
    take(&key, 1, OBSERVATION);
    store.ops.stats(store.self, &stats);
    cr_assert_eq(stats.observations, 9u);
}

Test(store, observations_expire)
{
    llmcache_key key = key_of(1), forever = key_of(2);
    llmcache_entry entry = observation_of(&key, 1);
    llmcache_error err;
    int code;
    entry.expires_ms = now + 3600000;
    put_entry(&entry, OBSERVATION);
    put(&forever, OBSERVATION, 1);
    lc_entry_unref(get_at(&key, OBSERVATION, entry.expires_ms - 1, &code));
    cr_assert_eq(code, 0);
    lc_entry_unref(get_at(&key, OBSERVATION, entry.expires_ms, &code));
    cr_assert_eq(code, LLMCACHE_NOT_FOUND);
    cr_assert_eq(walk_all(OBSERVATION, NULL, entry.expires_ms, NULL, NULL), 1u);
    if (!store.ops.sweep)
        return;
    cr_assert_eq(store.ops.sweep(store.self, entry.expires_ms, &err), 0);
    cr_assert_eq(walk_all(OBSERVATION, NULL, now, NULL, NULL), 1u, "seen before it expires");
}

Test(store, observations_of_namespaces_are_apart)
{
    const char *spaces[] = {"default", "a:b", "a", "a*", "租戶"};
    for (int i = 0; i < 5; i++) {
        llmcache_key key = key_in(spaces[i], 1);
        put(&key, OBSERVATION, i);
    }
    for (int i = 0; i < 5; i++) {
        llmcache_key key = key_in(spaces[i], 1);
        llmcache_entry entry = observation_of(&key, i);
        expect(&entry, OBSERVATION);
        cr_assert_eq(walk_all(OBSERVATION, spaces[i], now, NULL, NULL), 1u, "%s", spaces[i]);
    }
    llmcache_key one = key_in("a*", 1);
    cr_assert_eq(take(&one, 1, OBSERVATION), 1u);
    cr_assert_eq(count_of(OBSERVATION), 4u);
}

/* What is told of a change names only the head of the fingerprint. */
Test(store, observations_are_found_by_their_heads)
{
    llmcache_key key = key_of(1), head = {.space = "default", .head_only = 1};
    for (int i = 0; i < 10; i++)
        head.fingerprint[i] = key.fingerprint[i];
    llmcache_entry entry = observation_of(&key, 1);
    put_entry(&entry, OBSERVATION);
    lc_entry *found = get(&head, OBSERVATION);
    cr_assert_not_null(found);
    same(&entry, &found->facts, OBSERVATION);
    lc_entry_unref(found);
    cr_assert_eq(take(&head, 1, OBSERVATION), 1u);
    cr_assert_not(has(&key, OBSERVATION));
}

Test(store, observations_outlive_the_process)
{
    llmcache_key key = key_of(1);
    llmcache_entry entry = observation_of(&key, 1);
    put_entry(&entry, OBSERVATION);
    lc_store_close(&store);
    store = open_store();
    if (fixture.persistent)
        expect(&entry, OBSERVATION);
    else
        cr_assert_not(has(&key, OBSERVATION));
}

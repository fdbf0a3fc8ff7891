/* The cache in memory: what it finds, forgets, evicts and counts, alone and among threads. */
#include "base/memory.h"
#include "store/memory_cache.h"
#include "store/store.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void digest_of(uint64_t number, unsigned char digest[32])
{
    uint64_t state = number;
    for (int i = 0; i < 4; i++) {
        uint64_t word = next_random(&state);
        memcpy(digest + 8 * i, &word, 8);
    }
}

static lc_memory_cache *new_cache(size_t max_bytes)
{
    lc_memory_cache *cache;
    cr_assert_eq(lc_memory_cache_new(max_bytes, &cache, NULL), 0);
    return cache;
}

/* An entry whose body says its number and version. */
static lc_entry *make(uint64_t number, int version, size_t size, int64_t expires)
{
    char *body = calloc(1, size + 64);
    snprintf(body, 64, "%llu.%d ", (unsigned long long)number, version);
    llmcache_entry facts = {.struct_size = sizeof facts, .space = "s", .protocol = "chat",
                            .model = "m", .question = "q", .tags = "", .embedder = "",
                            .body = body, .body_size = size + 64, .expires_ms = expires};
    digest_of(number, facts.fingerprint);
    lc_entry *entry = lc_entry_new(&facts);
    free(body);
    return entry;
}

static void put(lc_memory_cache *cache, uint64_t number, int version, size_t size)
{
    lc_entry *entry = make(number, version, size, 0);
    cr_assert_eq(lc_memory_cache_put(cache, entry, UINT64_MAX), 0);
    lc_entry_unref(entry);
}

/* The version found under the digest of a number, -1 for none. */
static int found_at(lc_memory_cache *cache, uint64_t number, int64_t now)
{
    unsigned char digest[32];
    lc_memory_hit hit;
    digest_of(number, digest);
    if (!lc_memory_cache_find(cache, digest, now, &hit))
        return -1;
    unsigned long long n;
    int version = -1;
    sscanf(hit.entry->facts.body, "%llu.%d", &n, &version);
    lc_entry_unref(hit.entry);
    return version;
}

static int found(lc_memory_cache *cache, uint64_t number)
{
    return found_at(cache, number, 0);
}

static void take(lc_memory_cache *cache, const char *space, uint64_t number)
{
    unsigned char digest[32];
    char id[LLMCACHE_ID_SIZE];
    digest_of(number, digest);
    lc_entry_id(digest, id);
    lc_memory_cache_remove(cache, space, id);
}

static void alias(lc_memory_cache *cache, uint64_t digest_number, uint64_t number, int semantic)
{
    unsigned char digest[32];
    lc_memory_hit hit;
    digest_of(number, digest);
    cr_assert(lc_memory_cache_find(cache, digest, 0, &hit));
    digest_of(digest_number, digest);
    lc_memory_cache_alias(cache, digest, hit.entry, semantic, 3, 0.875);
    lc_entry_unref(hit.entry);
}

static lc_memory_stats stats_of(lc_memory_cache *cache)
{
    lc_memory_stats stats;
    lc_memory_cache_stats(cache, &stats);
    return stats;
}

/* ---- Entries --------------------------------------------------------------------------------------- */

Test(entry, is_a_copy_in_one_piece)
{
    char body[] = "a\0b";
    float vector[3] = {0.6f, 0.8f, 0};
    llmcache_entry facts = {.struct_size = sizeof facts, .space = "s", .protocol = "chat",
                            .model = NULL, .question = "q", .tags = "t", .embedder = "e",
                            .body = body, .body_size = 3, .vector = vector, .dimension = 3};
    digest_of(1, facts.fingerprint);
    lc_entry *entry = lc_entry_new(&facts), *record = lc_entry_new_record(&facts);
    memset(body, 'x', sizeof body);
    cr_assert_arr_eq(entry->facts.body, "a\0b", 4);
    cr_assert_str_eq(entry->facts.model, "");
    cr_assert_null(entry->facts.vector);
    cr_assert_eq(entry->facts.dimension, 0u);
    cr_assert_float_eq(record->facts.vector[1], 0.8, 1e-6);
    cr_assert_eq(record->facts.dimension, 3u);
    cr_assert_eq(strlen(entry->facts.id), 20u);
    cr_assert_geq(entry->bytes, sizeof *entry + 3);
    lc_entry_unref(entry);
    lc_entry_unref(record);
    lc_entry_unref(NULL);
    lc_memory_fail_at(1);
    cr_assert_null(lc_entry_new(&facts));
    lc_memory_fail_at(0);
}

/* ---- One thread ------------------------------------------------------------------------------------ */

Test(memory_cache, finds_what_was_put)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    cr_assert_eq(found(cache, 1), -1);
    put(cache, 1, 1, 100);
    put(cache, 2, 1, 100);
    cr_assert_eq(found(cache, 1), 1);
    cr_assert_eq(found(cache, 2), 1);
    cr_assert_eq(found(cache, 3), -1);
    cr_assert_eq(stats_of(cache).answers, 2u);
    lc_memory_cache_free(cache);
}

Test(memory_cache, a_new_answer_kills_the_old_one_and_its_aliases)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    unsigned char digest[32];
    lc_memory_hit old;
    put(cache, 1, 1, 100);
    alias(cache, 50, 1, 0);
    digest_of(1, digest);
    cr_assert(lc_memory_cache_find(cache, digest, 0, &old));
    put(cache, 1, 2, 100);
    cr_assert_eq(atomic_load(&old.entry->dead), 1);
    cr_assert_eq(found(cache, 1), 2);
    cr_assert_eq(found(cache, 50), -1);
    cr_assert_eq(strncmp(old.entry->facts.body, "1.1", 3), 0, "still whole for who holds it");
    lc_entry_unref(old.entry);
    cr_assert_eq(stats_of(cache).answers, 1u);
    cr_assert_eq(stats_of(cache).digests, 1u, "the dead alias was dropped when it was met");
    lc_memory_cache_free(cache);
}

Test(memory_cache, putting_the_same_entry_again_changes_nothing)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    lc_entry *entry = make(1, 1, 100, 0);
    lc_memory_cache_put(cache, entry, UINT64_MAX);
    uint64_t bytes = stats_of(cache).bytes;
    lc_memory_cache_put(cache, entry, UINT64_MAX);
    cr_assert_eq(atomic_load(&entry->dead), 0);
    cr_assert_eq(found(cache, 1), 1);
    cr_assert_eq(stats_of(cache).bytes, bytes);
    lc_entry_unref(entry);
    lc_memory_cache_free(cache);
}

Test(memory_cache, expiry_is_by_the_time_given)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    lc_entry *entry = make(1, 1, 10, 1000);
    lc_memory_cache_put(cache, entry, UINT64_MAX);
    alias(cache, 50, 1, 0);
    cr_assert_eq(found_at(cache, 1, 999), 1);
    cr_assert_eq(found_at(cache, 50, 999), 1);
    cr_assert_eq(found_at(cache, 50, 1000), -1);
    cr_assert_eq(found_at(cache, 1, 1000), -1);
    cr_assert_eq(stats_of(cache).answers, 0u);
    lc_entry_unref(entry);
    lc_memory_cache_free(cache);
}

Test(memory_cache, aliases_say_what_they_are)
{
    lc_memory_cache *cache = new_cache(4 << 20);
    unsigned char digest[32];
    lc_memory_hit hit;
    put(cache, 1, 1, 100);
    alias(cache, 50, 1, 0);
    alias(cache, 51, 1, 1);
    digest_of(50, digest);
    cr_assert(lc_memory_cache_find(cache, digest, 0, &hit));
    cr_assert_eq(hit.semantic, 0);
    cr_assert_eq(hit.form, 3);
    cr_assert_float_eq(hit.similarity, 1, 0);
    lc_entry_unref(hit.entry);
    digest_of(51, digest);
    cr_assert(lc_memory_cache_find(cache, digest, 0, &hit));
    cr_assert_eq(hit.semantic, 1);
    cr_assert_float_eq(hit.similarity, 0.875, 0);
    lc_entry_unref(hit.entry);
    digest_of(1, digest);
    cr_assert(lc_memory_cache_find(cache, digest, 0, &hit));
    cr_assert_eq(hit.form, 0);
    lc_entry_unref(hit.entry);

    put(cache, 51, 7, 100);
    cr_assert_eq(found(cache, 51), 7, "an answer of its own takes the alias's place");
    alias(cache, 51, 1, 1);
    cr_assert_eq(found(cache, 51), 7, "and is not given up for an alias");
    lc_memory_cache_free(cache);
}

Test(memory_cache, removal_kills_the_answer_and_its_aliases)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    unsigned char digest[32];
    lc_memory_hit hit;
    put(cache, 1, 1, 100);
    alias(cache, 50, 1, 0);
    alias(cache, 51, 1, 1);
    digest_of(1, digest);
    cr_assert(lc_memory_cache_find(cache, digest, 0, &hit));
    take(cache, "other", 1);
    cr_assert_eq(found(cache, 1), 1, "another namespace's id");
    lc_memory_cache_remove(cache, "s", "no id at all");
    take(cache, "s", 1);
    cr_assert_eq(atomic_load(&hit.entry->dead), 1);
    cr_assert_eq(found(cache, 1), -1);
    cr_assert_eq(found(cache, 50), -1);
    cr_assert_eq(found(cache, 51), -1);
    digest_of(52, digest);
    lc_memory_cache_alias(cache, digest, hit.entry, 0, 0, 1);
    cr_assert_eq(found(cache, 52), -1, "a dead entry gets no alias");
    lc_memory_cache_put(cache, hit.entry, UINT64_MAX);
    cr_assert_eq(found(cache, 1), -1, "and is not put again");
    lc_entry_unref(hit.entry);
    put(cache, 1, 2, 100);
    cr_assert_eq(found(cache, 50), -1, "an alias of the dead does not lead to the new one");
    lc_memory_cache_free(cache);
}

Test(memory_cache, what_was_read_before_a_removal_is_not_kept)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    lc_entry *entry = make(1, 1, 100, 0);
    const unsigned char *digest = entry->facts.fingerprint;
    uint64_t before = lc_memory_cache_generation(cache, "s", digest);
    take(cache, "s", 1);
    lc_memory_cache_put(cache, entry, before);
    cr_assert_eq(found(cache, 1), -1);

    before = lc_memory_cache_generation(cache, "s", digest);
    lc_memory_cache_clear(cache);
    lc_memory_cache_put(cache, entry, before);
    cr_assert_eq(found(cache, 1), -1);

    before = lc_memory_cache_generation(cache, "s", digest);
    lc_memory_cache_put(cache, entry, before);
    cr_assert_eq(found(cache, 1), 1);
    lc_entry_unref(entry);
    lc_memory_cache_free(cache);
}

/* The report of a removal may come before the writer has put its own answer into memory. */
Test(memory_cache, what_was_removed_while_it_was_written_is_not_kept)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    lc_entry *entry = make(1, 1, 100, 0);
    const unsigned char *digest = entry->facts.fingerprint;
    uint64_t before = lc_memory_cache_generation(cache, "s", digest);
    take(cache, "s", 1);
    lc_memory_cache_put_new(cache, entry, before);
    cr_assert_eq(found(cache, 1), -1);
    before = lc_memory_cache_generation(cache, "s", digest);
    lc_memory_cache_put_new(cache, entry, before);
    cr_assert_eq(found(cache, 1), 1);
    lc_entry_unref(entry);
    lc_memory_cache_free(cache);
}

Test(memory_cache, what_was_read_before_a_write_is_not_kept)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    lc_entry *old = make(1, 1, 100, 0), *new = make(1, 2, 100, 0), *other = make(1, 3, 100, 0);
    const unsigned char *digest = old->facts.fingerprint;
    uint64_t before = lc_memory_cache_generation(cache, "s", digest);
    lc_memory_cache_put_new(cache, new, before);
    lc_memory_cache_put(cache, old, before);
    cr_assert_eq(found(cache, 1), 2);
    lc_memory_cache_put_new(cache, other, before);
    cr_assert_eq(found(cache, 1), -1, "of two writes at once nobody here knows the last");
    lc_entry_unref(old);
    lc_entry_unref(new);
    lc_entry_unref(other);
    lc_memory_cache_free(cache);
}

Test(memory_cache, switched_off_it_neither_finds_nor_keeps)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    put(cache, 1, 1, 100);
    lc_memory_cache_enable(cache, 0);
    cr_assert_eq(found(cache, 1), -1);
    put(cache, 1, 2, 100);
    cr_assert_eq(found(cache, 1), -1);
    lc_entry *entry = make(3, 1, 100, 0);
    uint64_t while_off = lc_memory_cache_generation(cache, "s", entry->facts.fingerprint);
    lc_memory_cache_enable(cache, 1);
    cr_assert_eq(found(cache, 1), -1);
    lc_memory_cache_put(cache, entry, while_off);
    cr_assert_eq(found(cache, 3), -1, "read while nobody watched the store");
    put(cache, 1, 3, 100);
    cr_assert_eq(found(cache, 1), 3);
    lc_entry_unref(entry);
    lc_memory_cache_free(cache);
}

Test(memory_cache, what_is_not_trusted_any_more_is_not_found_and_stays)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    put(cache, 1, 1, 100);
    lc_memory_cache_trust_until(cache, 0);
    cr_assert_eq(found(cache, 1), -1);
    put(cache, 2, 1, 100);
    cr_assert_eq(found(cache, 2), -1);
    lc_memory_cache_trust_until(cache, INT64_MAX - 1);
    cr_assert_eq(found(cache, 1), 1);
    cr_assert_eq(found(cache, 2), 1);
    lc_memory_cache_free(cache);
}

Test(memory_cache, clear_leaves_nothing_and_kills)
{
    lc_memory_cache *cache = new_cache(4 << 20);
    unsigned char digest[32];
    lc_memory_hit hit;
    uint64_t empty = stats_of(cache).bytes;
    for (uint64_t n = 0; n < 500; n++)
        put(cache, n, 1, 100);
    for (uint64_t n = 0; n < 500; n++)
        alias(cache, 1000 + n, n, 0);
    digest_of(7, digest);
    cr_assert(lc_memory_cache_find(cache, digest, 0, &hit));
    lc_memory_cache_clear(cache);
    cr_assert_eq(atomic_load(&hit.entry->dead), 1);
    lc_entry_unref(hit.entry);
    for (uint64_t n = 0; n < 1500; n++)
        cr_assert_eq(found(cache, n), -1);
    cr_assert_eq(stats_of(cache).bytes, empty);
    /* Nodes are used anew from the first on: an old alias must not lead into them. */
    for (uint64_t n = 0; n < 500; n++)
        put(cache, n, 2, 100);
    for (uint64_t n = 1000; n < 1500; n++)
        cr_assert_eq(found(cache, n), -1);
    lc_memory_cache_free(cache);
}

Test(memory_cache, renderings_are_counted)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    lc_entry *entry = make(1, 1, 100, 0);
    lc_memory_cache_put(cache, entry, UINT64_MAX);
    uint64_t before = stats_of(cache).bytes;
    lc_memory_cache_render(cache, entry, 1, lc_strdup("data: x"), 7);
    uint64_t with = stats_of(cache).bytes;
    cr_assert_geq(with, before + 7);
    lc_memory_cache_render(cache, entry, 1, lc_strdup("data: y"), 7);
    cr_assert_str_eq(atomic_load(&entry->rendering[1]), "data: x", "the first stays");
    cr_assert_eq(entry->rendering_size[1], 7u);
    cr_assert_null(atomic_load(&entry->rendering[0]));
    cr_assert_eq(stats_of(cache).bytes, with);
    take(cache, "s", 1);
    cr_assert_lt(stats_of(cache).bytes, before);
    lc_memory_cache_render(cache, entry, 0, lc_strdup("z"), 1);
    cr_assert_str_eq(atomic_load(&entry->rendering[0]), "z", "its holder has it all the same");
    lc_entry_unref(entry);
    lc_memory_cache_free(cache);
}

/* ---- Eviction -------------------------------------------------------------------------------------- */

Test(memory_cache, stays_within_its_bytes)
{
    size_t sizes[] = {65536, 1 << 20, 5 << 20};
    for (size_t s = 0; s < 3; s++) {
        lc_memory_cache *cache = new_cache(sizes[s]);
        uint64_t state = s;
        for (uint64_t n = 0; n < 20000; n++) {
            put(cache, n, 1, next_random(&state) % 3000);
            if (n % 3 == 0 && found(cache, n) == 1)
                alias(cache, n + 1000000, n, 0);
            cr_assert_leq(stats_of(cache).bytes, sizes[s]);
        }
        lc_memory_stats stats = stats_of(cache);
        cr_assert_gt(stats.evictions, 100u);
        cr_assert_gt(stats.bytes, sizes[s] / 2, "it is used, too");
        lc_memory_cache_free(cache);
    }
}

Test(memory_cache, too_large_an_answer_is_not_kept_but_replaces)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    put(cache, 1, 1, 100);
    put(cache, 2, 1, 100);
    put(cache, 1, 2, 1 << 19);
    cr_assert_eq(found(cache, 1), -1, "the old answer is not the answer any more");
    cr_assert_eq(found(cache, 2), 1);
    put(cache, 3, 1, 1 << 17);
    cr_assert_eq(found(cache, 3), 1);
    lc_memory_cache_free(cache);
}

Test(memory_cache, a_scan_does_not_flush_what_is_used)
{
    lc_memory_cache *cache = new_cache(4 << 20);
    /* 1000 of some 1.3 KB fill a third of it; they are asked for again and again. */
    for (int round = 0; round < 4; round++)
        for (uint64_t n = 0; n < 1000; n++)
            if (found(cache, n) != 1)
                put(cache, n, 1, 1000);
    for (uint64_t n = 0; n < 50000; n++)
        put(cache, 1000000 + n, 1, 1000);
    int left = 0;
    for (uint64_t n = 0; n < 1000; n++)
        left += found(cache, n) == 1;
    cr_assert_geq(left, 990, "%d of 1000 left", left);
    lc_memory_cache_free(cache);
}

Test(memory_cache, aliases_are_bounded)
{
    size_t bytes = 4 << 20;
    lc_memory_cache *cache = new_cache(bytes);
    put(cache, 1, 1, 1000);
    for (uint64_t n = 0; n < 100000; n++)
        alias(cache, 1000 + n, 1, 0);
    lc_memory_stats stats = stats_of(cache);
    cr_assert_lt(stats.digests, bytes / 8 / 64 + 2);
    cr_assert_gt(stats.digests, 1000u);
    cr_assert_leq(stats.bytes, bytes / 4);
    cr_assert_eq(found(cache, 1), 1);
    cr_assert_eq(found(cache, 1000 + 99999), 1, "the newest alias is there");
    lc_memory_cache_free(cache);
}

Test(memory_cache, an_evicted_answer_takes_its_aliases_along)
{
    lc_memory_cache *cache = new_cache(1 << 20);
    put(cache, 1, 1, 1000);
    alias(cache, 50, 1, 0);
    for (uint64_t n = 100; n < 5000; n++)
        put(cache, n, 1, 1000);
    cr_assert_eq(found(cache, 50), -1);
    cr_assert_eq(found(cache, 1), -1);
    put(cache, 1, 2, 1000);
    cr_assert_eq(found(cache, 50), -1);
    lc_memory_cache_free(cache);
}

Test(memory_cache, survives_every_failed_allocation)
{
    uint64_t n;
    for (n = 1; n < 2000; n++) {
        lc_memory_fail_at(n);
        lc_memory_cache *cache = NULL;
        if (lc_memory_cache_new(1 << 20, &cache, NULL) == 0) {
            for (uint64_t i = 0; i < 200; i++) {
                llmcache_entry facts = {.struct_size = sizeof facts, .space = "s", .body = "b",
                                        .body_size = 1};
                unsigned char digest[32];
                digest_of(i, facts.fingerprint);
                digest_of(i + 1000, digest);
                lc_entry *entry = lc_entry_new(&facts);
                if (!entry)
                    continue;
                cr_assert_eq(lc_memory_cache_put(cache, entry, UINT64_MAX), 0);
                lc_memory_cache_alias(cache, digest, entry, 0, 0, 1);
                lc_entry_unref(entry);
            }
        }
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        lc_memory_cache_free(cache);
        if (!failed)
            break;
    }
    cr_assert(n > 200 && n < 2000);
}

/* ---- Threads --------------------------------------------------------------------------------------- */

#define KEYS 64

typedef struct crowd {
    lc_memory_cache *cache;
    atomic_int version[KEYS]; /* the newest version that was put */
    atomic_int wrong;
} crowd;

/* Puts, removes, aliases, clears and finds: what is found must be of the key that was asked for. */
static void *mill(void *user)
{
    crowd *c = user;
    uint64_t state = (uint64_t)(uintptr_t)&state;
    for (int i = 0; i < 20000; i++) {
        uint64_t key = next_random(&state) % KEYS, other = 1000 + key;
        switch (next_random(&state) % 16) {
        case 0:
            put(c->cache, key, atomic_fetch_add(&c->version[key], 1) + 1, key * 50);
            break;
        case 1:
            take(c->cache, "s", key);
            break;
        case 2: {
            unsigned char digest[32];
            lc_memory_hit hit;
            digest_of(key, digest);
            if (lc_memory_cache_find(c->cache, digest, 0, &hit)) {
                digest_of(other, digest);
                lc_memory_cache_alias(c->cache, digest, hit.entry, 0, 0, 1);
                lc_memory_cache_render(c->cache, hit.entry, 0, lc_strdup("r"), 1);
                lc_entry_unref(hit.entry);
            }
            break;
        }
        case 3:
            if (next_random(&state) % 100 == 0)
                lc_memory_cache_clear(c->cache);
            break;
        default: {
            unsigned char digest[32];
            lc_memory_hit hit;
            digest_of(next_random(&state) % 2 ? key : other, digest);
            if (lc_memory_cache_find(c->cache, digest, 0, &hit)) {
                unsigned long long n = 0;
                int version = 0;
                sscanf(hit.entry->facts.body, "%llu.%d", &n, &version);
                if (n != key || version > atomic_load(&c->version[key]))
                    atomic_fetch_add(&c->wrong, 1);
                lc_entry_unref(hit.entry);
            }
        }
        }
    }
    return NULL;
}

Test(memory_cache, threads_find_only_the_right_answers)
{
    crowd c = {.cache = new_cache(100000)};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, mill, &c);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&c.wrong), 0);
    cr_assert_leq(stats_of(c.cache).bytes, 100000u);
    lc_memory_cache_free(c.cache);
}

typedef struct race {
    lc_memory_cache *cache;
    atomic_int stored; /* what "the store" holds: the version, readers read it as they would a store */
    atomic_int stop;
} race;

/* Reads the store and puts what it read, as an ask does. */
static void *reader(void *user)
{
    race *r = user;
    unsigned char digest[32];
    digest_of(1, digest);
    while (!atomic_load(&r->stop)) {
        uint64_t generation = lc_memory_cache_generation(r->cache, "s", digest);
        lc_entry *entry = make(1, atomic_load(&r->stored), 10, 0);
        lc_memory_cache_put(r->cache, entry, generation);
        lc_entry_unref(entry);
    }
    return NULL;
}

Test(memory_cache, a_removal_leaves_nothing_stale_however_readers_race)
{
    race r = {.cache = new_cache(1 << 20)};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, reader, &r);
    int stale = 0;
    for (int version = 1; version <= 3000; version++) {
        atomic_store(&r.stored, version);
        take(r.cache, "s", 1);
        int now = found(r.cache, 1);
        stale += now != -1 && now < version;
    }
    atomic_store(&r.stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(stale, 0);
    lc_memory_cache_free(r.cache);
}

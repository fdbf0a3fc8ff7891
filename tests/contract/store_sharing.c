/* The store contract: damage, other processes, threads, and want of memory. */
#include "store_suite.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

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
            SKIP("nobody can damage %s", fixture.name);                                       \
        damaged_once(how, part);                                                              \
    }
DAMAGE_TEST(damaged_facts_of_an_entry, DAMAGE_FACTS, LLMCACHE_PART_PROMPT)
DAMAGE_TEST(damaged_facts_of_a_record, DAMAGE_FACTS, LLMCACHE_PART_EMBED)
DAMAGE_TEST(damaged_body_of_an_entry, DAMAGE_BODY, LLMCACHE_PART_PROMPT)
DAMAGE_TEST(damaged_body_of_a_record, DAMAGE_BODY, LLMCACHE_PART_EMBED)
DAMAGE_TEST(damaged_facts_of_an_observation, DAMAGE_FACTS, LLMCACHE_PART_OBSERVATION)
DAMAGE_TEST(damaged_body_of_an_observation, DAMAGE_BODY, LLMCACHE_PART_OBSERVATION)
DAMAGE_TEST(an_observation_under_a_key_not_its_own, DAMAGE_OTHER_KEY, LLMCACHE_PART_OBSERVATION)
DAMAGE_TEST(an_entry_under_a_key_not_its_own, DAMAGE_OTHER_KEY, LLMCACHE_PART_PROMPT)
DAMAGE_TEST(a_record_under_a_key_not_its_own, DAMAGE_OTHER_KEY, LLMCACHE_PART_EMBED)

Test(store, walking_passes_over_damage)
{
    if (!fixture.damage)
        SKIP("nobody can damage %s", fixture.name);
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

static int count_vector(void *user, const llmcache_entry *entry)
{
    ++*(unsigned *)user;
    return 0;
}

Test(store, walking_over_vectors_passes_over_damage)
{
    if (!fixture.damage)
        SKIP("nobody can damage %s", fixture.name);
    llmcache_key keys[4];
    for (uint64_t n = 0; n < 4; n++) {
        keys[n] = key_of(n);
        put(&keys[n], LLMCACHE_PART_EMBED, 1);
    }
    fixture.damage(DAMAGE_FACTS, LLMCACHE_PART_EMBED, &keys[0], &keys[2]);
    fixture.damage(DAMAGE_OTHER_KEY, LLMCACHE_PART_EMBED, &keys[1], &keys[2]);
    llmcache_error err;
    uint64_t damaged = 99;
    unsigned seen = 0;
    cr_assert_eq(lc_store_each_vector(&store, now, count_vector, &seen, &damaged, &err), 0);
    cr_assert_eq(seen, 1u, "one is damaged, one gone, one under a key not its own");
    cr_assert(damaged == 1 || damaged == 2, "what is under another key counts in some stores: %llu",
              (unsigned long long)damaged);
    take(keys, 4, LLMCACHE_PART_BOTH);
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
    int64_t current_ms;
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

/* Every distrust has been taken back. */
static int trusts_again(told *t)
{
    pthread_mutex_lock(&t->lock);
    int same = t->distrusted == t->trusted;
    pthread_mutex_unlock(&t->lock);
    return same;
}

/* Are these parts told of in time? A store may say everything is to be distrusted instead. */
static int hears_of(told *t, int parts)
{
    int heard = 0;
    return test_wait_until(((heard |= told_parts(t)) & parts) == parts, WAIT);
}

static void on_current(void *user, int64_t since_ms)
{
    told *t = user;
    pthread_mutex_lock(&t->lock);
    t->current_ms = since_ms;
    pthread_mutex_unlock(&t->lock);
}

/* Does the store say that all is told up to then? */
static int is_current(told *t, int64_t since_ms)
{
    pthread_mutex_lock(&t->lock);
    int is = t->current_ms >= since_ms;
    pthread_mutex_unlock(&t->lock);
    return is;
}

static void start_watch(told *t, const llmcache_key *key)
{
    *t = (told){.lock = PTHREAD_MUTEX_INITIALIZER, .key = *key};
    lc_entry_id(key->fingerprint, t->id);
    llmcache_watch watch = {.user = t, .changed = on_changed, .distrust = on_distrust, .trust = on_trust,
                            .current = on_current};
    llmcache_error err;
    cr_assert_eq(store.ops.watch(store.self, &watch, &err), 0);
}

/* Puts from elsewhere until it is heard: the first may come before the watch is up. */
static int put_parts_until_heard(lc_store *other, told *t, const llmcache_entry *entry, int parts)
{
    llmcache_error err;
    int64_t until = test_now_ms() + WAIT;
    while (test_now_ms() < until) {
        cr_assert_eq(other->ops.put(other->self, parts, entry, WAIT, &err), 0);
        int heard = 0;
        if (test_wait_until((heard |= told_parts(t)) == parts, 500))
            return 1;
    }
    return 0;
}

static int put_until_heard(lc_store *other, told *t, const llmcache_entry *entry)
{
    return put_parts_until_heard(other, t, entry, LLMCACHE_PART_BOTH);
}

Test(store, changes_made_by_others_are_told)
{
    static told t;
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    llmcache_error err;
    uint64_t removed;
    if (!store.ops.watch)
        SKIP("%s is not shared", fixture.name);
    start_watch(&t, &key);
    lc_store other = open_store();
    cr_assert(put_until_heard(&other, &t, &entry), "a new entry");
    expect(&entry, LLMCACHE_PART_PROMPT);

    llmcache_entry second = entry_of(&key, 2);
    cr_assert_eq(other.ops.put(other.self, LLMCACHE_PART_PROMPT, &second, WAIT, &err), 0);
    cr_assert(hears_of(&t, LLMCACHE_PART_PROMPT), "a replaced one");
    cr_assert_eq(other.ops.remove(other.self, LLMCACHE_PART_BOTH, &key, 1, WAIT, &removed, &err), 0);
    cr_assert(hears_of(&t, LLMCACHE_PART_BOTH), "a removed one");
    cr_assert(test_wait_until(trusts_again(&t), WAIT));
    lc_store_close(&other);
}

/* The word that all is told up to now never comes before what it is about. */
Test(store, what_is_said_to_be_told_was_told)
{
    static told t;
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    llmcache_error err;
    if (!store.ops.watch)
        SKIP("%s is not shared", fixture.name);
    start_watch(&t, &key);
    lc_store other = open_store();
    cr_assert(put_until_heard(&other, &t, &entry));
    for (int turn = 0; turn < 5; turn++) {
        llmcache_entry next = entry_of(&key, turn + 2);
        int64_t begun_ms = test_now_ms();
        cr_assert(test_wait_until(is_current(&t, begun_ms), WAIT), "it is said again and again");
        told_parts(&t);
        cr_assert_eq(other.ops.put(other.self, LLMCACHE_PART_PROMPT, &next, WAIT, &err), 0, "%s", err.message);
        int64_t done_ms = test_now_ms() + 1;
        cr_assert(test_wait_until(is_current(&t, done_ms), WAIT));
        cr_assert_eq(told_parts(&t) & LLMCACHE_PART_PROMPT, LLMCACHE_PART_PROMPT);
    }
    lc_store_close(&other);
}

Test(store, observations_of_others_are_told)
{
    static told t;
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    llmcache_error err;
    uint64_t removed;
    if (!store.ops.watch)
        SKIP("%s is not shared", fixture.name);
    start_watch(&t, &key);
    lc_store other = open_store();
    cr_assert(put_parts_until_heard(&other, &t, &entry, LLMCACHE_PART_OBSERVATION));
    expect(&entry, LLMCACHE_PART_OBSERVATION);
    cr_assert_eq(other.ops.remove(other.self, LLMCACHE_PART_OBSERVATION, &key, 1, WAIT, &removed, &err), 0);
    cr_assert(hears_of(&t, LLMCACHE_PART_OBSERVATION), "a removed one");
    put(&key, LLMCACHE_PART_OBSERVATION, 1);
    cr_assert_eq(told_parts(&t), 0, "nothing was heard of one's own");
    fixture.wipe(LLMCACHE_PART_OBSERVATION);
    cr_assert(hears_of(&t, LLMCACHE_PART_OBSERVATION), "one removed by hand");
    lc_store_close(&other);
}

Test(store, changes_made_by_hand_are_told)
{
    static told t;
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1);
    if (!store.ops.watch || !fixture.wipe)
        SKIP("%s is not shared", fixture.name);
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

/* Nothing stands there at the end, as after one's own removal; in between something did. */
Test(store, what_others_put_and_remove_after_ones_own_removal_is_told)
{
    static told t;
    llmcache_key key = key_of(1);
    llmcache_entry entry = entry_of(&key, 1), second = entry_of(&key, 2);
    llmcache_error err;
    uint64_t removed;
    if (!store.ops.watch)
        SKIP("%s is not shared", fixture.name);
    start_watch(&t, &key);
    lc_store other = open_store();
    cr_assert(put_until_heard(&other, &t, &entry));
    put(&key, LLMCACHE_PART_BOTH, 1);
    take(&key, 1, LLMCACHE_PART_BOTH);
    for (int turn = 0; turn < 3; turn++) {
        cr_assert_eq(other.ops.put(other.self, LLMCACHE_PART_BOTH, &second, WAIT, &err), 0);
        cr_assert(hears_of(&t, LLMCACHE_PART_BOTH), "a new one");
        cr_assert_eq(other.ops.remove(other.self, LLMCACHE_PART_BOTH, &key, 1, WAIT, &removed, &err), 0);
        cr_assert(hears_of(&t, LLMCACHE_PART_BOTH), "its removal");
    }
    lc_store_close(&other);
}

Test(store, ones_own_writes_are_not_told)
{
    static told t;
    llmcache_key key = key_of(1), marker = key_of(2);
    if (!store.ops.watch)
        SKIP("%s is not shared", fixture.name);
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
    put_entry(&entry, LLMCACHE_PART_OBSERVATION);
    for (n = 1; n < 500; n++) {
        llmcache_error err;
        uint64_t removed, damaged;
        lc_memory_fail_at(n);
        int put_code = store.ops.put(store.self, LLMCACHE_PART_BOTH, &entry, WAIT, &err);
        int get_code = store.ops.get(store.self, LLMCACHE_PART_EMBED, &key, now, WAIT, keep_nothing, &c, &err);
        store.ops.get(store.self, LLMCACHE_PART_PROMPT, &key, now, WAIT, keep_nothing, &c, &err);
        store.ops.each(store.self, LLMCACHE_PART_EMBED, NULL, now, keep_nothing, &c, &damaged, &err);
        store.ops.remove(store.self, LLMCACHE_PART_PROMPT, &key, 1, WAIT, &removed, &err);
        int code = store.ops.put(store.self, LLMCACHE_PART_OBSERVATION, &entry, WAIT, &err);
        put_code = put_code ? put_code : code;
        store.ops.get(store.self, LLMCACHE_PART_OBSERVATION, &key, now, WAIT, keep_nothing, &c, &err);
        store.ops.each(store.self, LLMCACHE_PART_OBSERVATION, NULL, now, keep_nothing, &c, &damaged, &err);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(failed || (put_code == 0 && get_code == 0));
        if (!failed)
            break;
    }
    cr_assert_lt(n, 500u, "it never came through");
    cr_assert_eq(atomic_load(&c.wrong), 0);
    put_entry(&entry, LLMCACHE_PART_BOTH);
    put_entry(&entry, LLMCACHE_PART_OBSERVATION);
    expect(&entry, LLMCACHE_PART_PROMPT);
    expect(&entry, LLMCACHE_PART_EMBED);
    expect(&entry, LLMCACHE_PART_OBSERVATION);
}

/* The store contract: leases on entries. Skipped where the store has none. */
#include "store_suite.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#define LONG_MS 60000

#define NEEDS_LEASES()                                                                        \
    do {                                                                                      \
        if (!store.ops.lease)                                                                 \
            SKIP("%s has no leases", fixture.name);                                           \
    } while (0)

static int64_t ask(lc_store *s, const llmcache_key *key, const llmcache_lease *wish)
{
    llmcache_error err = {0};
    int64_t others_ms = -99;
    cr_assert_eq(s->ops.lease(s->self, key, wish, WAIT, &others_ms, &err), 0, "%s", err.message);
    cr_assert_neq(others_ms, -99);
    return others_ms;
}

static int64_t lease(const llmcache_key *key, const char *holder, int64_t lease_ms)
{
    return ask(&store, key, &(llmcache_lease){.holder = holder, .lease_ms = lease_ms});
}

static int64_t renew(const llmcache_key *key, const char *holder, int64_t lease_ms)
{
    return ask(&store, key, &(llmcache_lease){.holder = holder, .lease_ms = lease_ms, .renew = 1});
}

static void release(const llmcache_key *key, const char *holder, int64_t given_up_ms)
{
    llmcache_error err = {0};
    const llmcache_lease wish = {.holder = holder};
    cr_assert_eq(store.ops.release(store.self, key, &wish, given_up_ms, WAIT, &err), 0, "%s", err.message);
}

Test(store, a_lease_is_one_holders_until_it_is_released)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1);
    cr_assert_eq(lease(&key, "one-1", LONG_MS), 0);
    int64_t left_ms = lease(&key, "two-1", LONG_MS);
    cr_assert(left_ms > LONG_MS / 2 && left_ms <= LONG_MS, "%lld", (long long)left_ms);
    cr_assert_eq(lease(&key, "one-1", LONG_MS), 0, "the holder has it still");
    release(&key, "two-1", 0);
    cr_assert_gt(lease(&key, "two-1", LONG_MS), 0, "nobody else releases it");
    release(&key, "two-1", 500);
    cr_assert_gt(lease(&key, "three-1", LONG_MS), 0, "nor gives it up");
    release(&key, "one-1", 0);
    cr_assert_eq(lease(&key, "two-1", LONG_MS), 0);
    release(&key, "one-1", 0);
    cr_assert_gt(lease(&key, "one-1", LONG_MS), 0, "the last holder is anybody now");
    release(&key, "two-1", 0);
    release(&key, "two-1", 0);
}

Test(store, a_lease_is_seen_by_other_processes)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1);
    lc_store other = open_store();
    const llmcache_lease wish = {.holder = "two-1", .lease_ms = LONG_MS};
    cr_assert_eq(lease(&key, "one-1", LONG_MS), 0);
    cr_assert_gt(ask(&other, &key, &wish), 0);
    release(&key, "one-1", 0);
    cr_assert_eq(ask(&other, &key, &wish), 0);
    lc_store_close(&other);
    cr_assert_gt(lease(&key, "one-1", LONG_MS), 0, "it is its holder's, not its connection's");
    release(&key, "two-1", 0);
}

Test(store, leases_of_other_keys_namespaces_and_lanes_know_nothing_of_each_other)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1), tail = key, elsewhere = key_in("team/a:b", 1);
    tail.fingerprint[LLMCACHE_FINGERPRINT_SIZE - 1] ^= 1; /* the same id */
    const llmcache_lease other_lane = {.holder = "four-1", .lease_ms = LONG_MS, .lane = 1};
    llmcache_error err;
    cr_assert_eq(lease(&key, "one-1", LONG_MS), 0);
    cr_assert_eq(lease(&tail, "two-1", LONG_MS), 0);
    cr_assert_eq(lease(&elsewhere, "three-1", LONG_MS), 0);
    cr_assert_eq(ask(&store, &key, &other_lane), 0);
    cr_assert_gt(lease(&key, "four-1", LONG_MS), 0);
    cr_assert_eq(store.ops.release(store.self, &key, &other_lane, 0, WAIT, &err), 0);
    cr_assert_gt(lease(&key, "five-1", LONG_MS), 0, "the first lane is still held");
    release(&key, "one-1", 0);
    release(&tail, "two-1", 0);
    release(&elsewhere, "three-1", 0);
}

Test(store, a_lease_runs_out_and_is_had_by_who_comes_then)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1);
    cr_assert_eq(lease(&key, "one-1", 100), 0);
    int64_t left_ms = lease(&key, "two-1", LONG_MS);
    cr_assert_leq(left_ms, 100);
    cr_assert(test_wait_until(lease(&key, "two-1", LONG_MS) == 0, WAIT));
    cr_assert_lt(renew(&key, "one-1", LONG_MS), LONG_MS + 1);
    cr_assert_neq(renew(&key, "one-1", LONG_MS), 0, "too late");
    cr_assert_eq(renew(&key, "two-1", LONG_MS), 0);
    release(&key, "two-1", 0);
}

/* Nobody waits an hour for a server that has died. */
Test(store, a_clock_that_is_set_back_lengthens_no_lease)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1), given_up = key_of(2);
    if (!fixture.set_clock_back)
        SKIP("nobody sets the clock of %s", fixture.name);
    cr_assert_eq(lease(&key, "one-1", LONG_MS), 0);
    cr_assert_eq(lease(&given_up, "one-2", LONG_MS), 0);
    release(&given_up, "one-2", LONG_MS);
    fixture.set_clock_back();
    cr_assert_eq(lease(&key, "two-1", LONG_MS), 0);
    cr_assert_eq(lease(&given_up, "two-2", LONG_MS), 0);
    cr_assert_gt(lease(&key, "one-1", LONG_MS), 0, "it is the other's now");
    fixture.set_clock_back();
    cr_assert_eq(renew(&key, "two-1", LONG_MS), 0, "who lives has it still");
    cr_assert_gt(lease(&key, "one-1", LONG_MS), 0);
    release(&key, "two-1", 0);
    release(&given_up, "two-2", 0);
}

Test(store, renewing_prolongs_and_takes_nothing)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1);
    cr_assert_lt(renew(&key, "one-1", LONG_MS), 0, "there was nothing to renew");
    cr_assert_eq(lease(&key, "one-1", 2000), 0);
    cr_assert_eq(renew(&key, "one-1", LONG_MS), 0);
    cr_assert_gt(lease(&key, "two-1", LONG_MS), 2000);
    cr_assert_neq(renew(&key, "two-1", LONG_MS), 0);
    release(&key, "one-1", 0);
    cr_assert_lt(renew(&key, "one-1", LONG_MS), 0, "it is gone");
    cr_assert_eq(lease(&key, "two-1", LONG_MS), 0, "and nobody has it");
    release(&key, "two-1", 0);
}

Test(store, a_lease_given_up_is_nobodys_for_a_while)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1);
    cr_assert_eq(lease(&key, "one-1", LONG_MS), 0);
    release(&key, "one-1", LONG_MS);
    cr_assert_lt(lease(&key, "two-1", LONG_MS), 0);
    cr_assert_lt(lease(&key, "one-1", LONG_MS), 0);
    release(&key, "two-1", 0);
    cr_assert_lt(lease(&key, "two-1", LONG_MS), 0);
    llmcache_key other = key_of(2);
    cr_assert_eq(lease(&other, "one-1", LONG_MS), 0);
    release(&other, "one-1", 50);
    cr_assert(test_wait_until(lease(&other, "two-1", LONG_MS) == 0, WAIT));
    release(&other, "two-1", 0);
}

static int keep_body(void *user, const llmcache_entry *entry)
{
    cr_assert_null(entry->vector);
    *(const char **)user = test_format("%.*s", (int)entry->body_size, entry->body);
    return 0;
}

Test(store, a_lease_brings_the_entry_that_is_there)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1);
    const char *body = NULL;
    llmcache_lease wish = {.holder = "one-1", .lease_ms = LONG_MS, .now_ms = now, .fn = keep_body, .user = &body};
    cr_assert_eq(ask(&store, &key, &wish), 0);
    cr_assert_null(body);
    llmcache_entry entry = entry_of(&key, 1);
    entry.expires_ms = now + LONG_MS;
    put_entry(&entry, LLMCACHE_PART_PROMPT);
    wish.holder = "two-1";
    cr_assert_gt(ask(&store, &key, &wish), 0);
    cr_assert_str_eq(body, entry.body);
    release(&key, "one-1", 0);
    body = NULL;
    cr_assert_eq(ask(&store, &key, &wish), 0);
    cr_assert_str_eq(body, entry.body);
    body = NULL;
    wish.now_ms = entry.expires_ms;
    cr_assert_eq(ask(&store, &key, &wish), 0);
    cr_assert_null(body, "what has expired is not there");
    release(&key, "two-1", 0);
    take(&key, 1, LLMCACHE_PART_BOTH);
}

/* ---- What is told --------------------------------------------------------------------------------------- */

static atomic_int told, distrusted;
static llmcache_key watched;

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    char own[LLMCACHE_ID_SIZE];
    lc_entry_id(watched.fingerprint, own);
    if ((parts & LLMCACHE_PART_LEASE) && strcmp(space, watched.space) == 0 && strcmp(id, own) == 0)
        atomic_fetch_add(&told, 1);
}

static void on_distrust(void *user)
{
    atomic_fetch_add(&distrusted, 1);
}

static void on_trust(void *user)
{
}

Test(store, a_lease_given_up_is_told)
{
    NEEDS_LEASES();
    llmcache_key key = watched = key_in("team/a:b", 1);
    const llmcache_watch watch = {NULL, on_changed, on_distrust, on_trust};
    llmcache_error err;
    lc_store other = open_store();
    cr_assert_eq(other.ops.watch(other.self, &watch, &err), 0);
    /* The first may come before the watch is up. */
    int heard = 0;
    for (int i = 0; i < 20 && !heard; i++) {
        cr_assert(test_wait_until(lease(&key, "one-1", LONG_MS) == 0, WAIT));
        release(&key, "one-1", 1);
        heard = test_wait_until(atomic_load(&told) > 0, 500);
    }
    cr_assert(heard);
    lc_store_close(&other);
}

/* ---- Who comes first ------------------------------------------------------------------------------------- */

#define THREADS 8

typedef struct taker {
    pthread_t thread;
    int number, got;
} taker;

static void *take_once(void *user)
{
    taker *t = user;
    const llmcache_key key = key_of(7);
    t->got = lease(&key, test_format("taker-%d", t->number), LONG_MS) == 0;
    return NULL;
}

Test(store, of_many_who_want_a_lease_one_gets_it)
{
    NEEDS_LEASES();
    for (int round = 0; round < 10; round++) {
        taker takers[THREADS] = {0};
        int got = 0, winner = 0;
        for (int i = 0; i < THREADS; i++) {
            takers[i].number = i;
            pthread_create(&takers[i].thread, NULL, take_once, &takers[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(takers[i].thread, NULL);
            got += takers[i].got;
            winner = takers[i].got ? i : winner;
        }
        cr_assert_eq(got, 1);
        const llmcache_key key = key_of(7);
        release(&key, test_format("taker-%d", winner), 0);
    }
}

/* ---- Without memory -------------------------------------------------------------------------------------- */

Test(store, leases_survive_every_failed_allocation)
{
    NEEDS_LEASES();
    llmcache_key key = key_of(1);
    const char *body = NULL;
    llmcache_lease wish = {.holder = "one-1", .lease_ms = LONG_MS, .now_ms = now, .fn = keep_body, .user = &body};
    uint64_t n;
    put(&key, LLMCACHE_PART_PROMPT, 1);
    for (n = 1; n < 200; n++) {
        llmcache_error err;
        int64_t others_ms = 0;
        lc_memory_fail_at(n);
        int rc = store.ops.lease(store.self, &key, &wish, WAIT, &others_ms, &err);
        int code = store.ops.release(store.self, &key, &wish, 0, WAIT, &err);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(failed || (rc == 0 && code == 0));
        cr_assert_eq(others_ms, 0);
        if (!failed)
            break;
    }
    cr_assert_lt(n, 200u, "it never came through");
    release(&key, "one-1", 0);
    cr_assert_eq(lease(&key, "two-1", LONG_MS), 0);
    release(&key, "two-1", 0);
    take(&key, 1, LLMCACHE_PART_BOTH);
}

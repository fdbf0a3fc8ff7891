/*
 * The store contract: opening, watching and recovering while the N-th allocation fails, for every N until none does,
 * or while there are few file descriptors; and signals. A failure is a code with its message, a change by others is
 * told or all is to be distrusted, and as soon as there is enough again the same store works: nobody opens it anew.
 */
#include "store_suite.h"

#include "base/memory.h"
#include "trouble.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000, LONG_S = 240 };

/* What a watch was told. On no stack: a test that fails leaves its store listening. */
typedef struct ear {
    atomic_int changes, distrusts, trusts;
} ear;

static ear *new_ear(void)
{
    const ear deaf = {0};
    return (ear *)test_keep(&deaf, sizeof deaf);
}

static void on_changed(void *user, int parts, const char *space, const char *id)
{
    atomic_fetch_add(&((ear *)user)->changes, 1);
}

static void on_distrust(void *user)
{
    atomic_fetch_add(&((ear *)user)->distrusts, 1);
}

static void on_trust(void *user)
{
    atomic_fetch_add(&((ear *)user)->trusts, 1);
}

static int trusts(ear *e)
{
    return atomic_load(&e->distrusts) == atomic_load(&e->trusts);
}

/* What was changed before may not be taken for unchanged after any of these. */
static int words(ear *e)
{
    return atomic_load(&e->changes) + atomic_load(&e->distrusts) + atomic_load(&e->trusts);
}

static int ignore(void *user, const llmcache_entry *entry)
{
    return 0;
}

/* Everything once; what fails says so. */
static void use(lc_store *opened, const llmcache_entry *entry)
{
    llmcache_key key = {.space = entry->space};
    llmcache_lease wish = {.holder = "one-1", .lease_ms = WAIT, .now_ms = now, .fn = ignore};
    llmcache_error err;
    uint64_t removed;
    int64_t others_ms;
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    test_spoil(&err);
    test_check_error(opened->ops.ping(opened->self, WAIT, &err), &err, "ping");
    test_spoil(&err);
    test_check_error(opened->ops.put(opened->self, LLMCACHE_PART_BOTH, entry, WAIT, &err), &err, "put");
    test_spoil(&err);
    test_check_error(opened->ops.get(opened->self, LLMCACHE_PART_EMBED, &key, now, WAIT, ignore, NULL, &err), &err, "get");
    test_spoil(&err);
    test_check_error(lc_store_each_vector(opened, now, ignore, NULL, NULL, &err), &err, "each_vector");
    if (opened->ops.lease) {
        test_spoil(&err);
        test_check_error(opened->ops.lease(opened->self, &key, &wish, WAIT, &others_ms, &err), &err, "lease");
        test_spoil(&err);
        test_check_error(opened->ops.release(opened->self, &key, &wish, 0, WAIT, &err), &err, "release");
    }
    key.head_only = 1;
    test_spoil(&err);
    test_check_error(opened->ops.remove(opened->self, LLMCACHE_PART_BOTH, &key, 1, WAIT, &removed, &err), &err, "remove");
    if (opened->ops.sweep) {
        test_spoil(&err);
        test_check_error(opened->ops.sweep(opened->self, now, &err), &err, "sweep");
    }
}

/* With all it needs again it works, by itself. */
static void expect_to_work(lc_store *opened, const llmcache_entry *entry, const char *what, uint64_t n)
{
    llmcache_error err = {.message = ""};
    cr_assert(test_wait_until(!opened->ops.put(opened->self, LLMCACHE_PART_BOTH, entry, WAIT, &err), WAIT),
              "%s %llu: %s", what, (unsigned long long)n, err.message);
}

/* ---- Memory ------------------------------------------------------------------------------------------ */

Test(store, opening_survives_every_failed_allocation, .timeout = LONG_S)
{
    const llmcache_key key = key_of(1);
    const llmcache_entry entry = entry_of(&key, 1);
    int failed = 1;
    uint64_t n;
    for (n = 1; failed && n < MOST; n++) {
        llmcache_error err;
        lc_store opened = {0};
        test_spoil(&err);
        lc_memory_fail_at(n);
        int rc = try_to_open(&opened, &err);
        test_check_error(rc, &err, "opening");
        if (!rc)
            use(&opened, &entry);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(failed || !rc, "%s", err.message);
        if (!rc)
            expect_to_work(&opened, &entry, "after failed allocation", n);
        lc_store_close(&opened);
    }
    cr_assert_lt(n, (uint64_t)MOST, "it never came through");
    take(&key, 1, LLMCACHE_PART_BOTH);
}

/* Others put while the watch comes up and listens; *told: how much it was told of before. */
static int put_from_elsewhere(ear *e, const llmcache_entry *entry, int *told)
{
    llmcache_error err;
    test_wait_until(trusts(e) || lc_memory_failed(), WAIT);
    *told = words(e);
    int rc = store.ops.put(store.self, LLMCACHE_PART_PROMPT, entry, WAIT, &err); /* one part: one report */
    test_wait_until(words(e) > *told || lc_memory_failed(), WAIT);
    return rc;
}

static int hear_once(uint64_t n, lc_store *opened, const llmcache_entry *entry)
{
    ear *e = new_ear();
    llmcache_error err;
    const llmcache_watch watch = {.user = e, .changed = on_changed, .distrust = on_distrust, .trust = on_trust};
    int told = 0;
    test_spoil(&err);
    lc_memory_fail_at(n);
    int rc = opened->ops.watch(opened->self, &watch, &err);
    test_check_error(rc, &err, "watch");
    int put = rc ? -1 : put_from_elsewhere(e, entry, &told);
    int failed = lc_memory_failed();
    lc_memory_fail_at(0);
    if (!put)
        cr_assert(test_wait_until(words(e) > told, WAIT),
                  "a change was not told when allocation %llu failed", (unsigned long long)n);
    cr_assert(rc || test_wait_until(trusts(e), WAIT), "it never listens again after allocation %llu failed",
              (unsigned long long)n);
    lc_store_close(opened);
    return failed;
}

Test(store, hearing_survives_every_failed_allocation, .timeout = LONG_S)
{
    if (!store.ops.watch)
        SKIP("%s is not shared", fixture.name);
    const llmcache_key keys[] = {key_of(1), key_of(2)};
    const llmcache_entry own = entry_of(&keys[0], 1), entry = entry_of(&keys[1], 1);
    uint64_t n = 1;
    for (int failed = 1; failed && n < MOST; n++) {
        lc_store opened = open_store();
        expect_to_work(&opened, &own, "before failed allocation", n);
        failed = hear_once(n, &opened, &entry);
    }
    cr_assert_lt(n, (uint64_t)MOST, "it never came through");
    take(keys, 2, LLMCACHE_PART_BOTH);
}

/* ---- File descriptors -------------------------------------------------------------------------------- */

Test(store, few_file_descriptors_are_an_error_while_they_are_few, .timeout = LONG_S)
{
    const llmcache_key key = key_of(1);
    const llmcache_entry entry = entry_of(&key, 1);
    for (int spare = 0; spare < 16; spare++) {
        llmcache_error err;
        lc_store opened = {0};
        ear *e = new_ear();
        const llmcache_watch watch = {.user = e, .changed = on_changed, .distrust = on_distrust, .trust = on_trust};
        test_allow_descriptors(spare);
        test_spoil(&err);
        int rc = try_to_open(&opened, &err), watches = 0;
        test_check_error(rc, &err, "opening");
        if (!rc && opened.ops.watch) {
            test_spoil(&err);
            int code = opened.ops.watch(opened.self, &watch, &err);
            test_check_error(code, &err, "watch");
            watches = !code;
        }
        if (!rc) {
            test_spoil(&err);
            test_check_error(opened.ops.put(opened.self, LLMCACHE_PART_BOTH, &entry, 100, &err), &err, "put");
        }
        test_allow_all_descriptors();
        if (!rc)
            expect_to_work(&opened, &entry, "spare descriptors", (uint64_t)spare);
        cr_assert(!watches || test_wait_until(trusts(e), WAIT), "it never listens again: %d", spare);
        lc_store_close(&opened);
    }
    take(&key, 1, LLMCACHE_PART_BOTH);
}

/* ---- Signals ----------------------------------------------------------------------------------------- */

Test(store, signals_are_no_failure, .timeout = LONG_S)
{
    const llmcache_key key = key_of(1);
    const llmcache_entry entry = entry_of(&key, 1);
    test_interrupt(1);
    for (int i = 0; i < 200; i++) {
        llmcache_error err = {.message = ""};
        int rc = store.ops.put(store.self, LLMCACHE_PART_BOTH, &entry, WAIT, &err);
        if (!rc)
            rc = store.ops.get(store.self, LLMCACHE_PART_EMBED, &key, now, WAIT, ignore, NULL, &err);
        if (rc)
            test_interrupt(0);
        cr_assert_eq(rc, 0, "%d: %s", i, err.message);
    }
    test_interrupt(0);
    take(&key, 1, LLMCACHE_PART_BOTH);
}

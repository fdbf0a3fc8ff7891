/*
 * A real Redis Cluster whose slots are moved by redis-cli, in both ways it has, while entries are put, read and walked
 * over: nothing is missing, wrong or late. And batches: a node that hangs does not keep the others from being asked.
 */
#include "redis_cluster_server.h"
#include "store_load.h"

#include "store/redis_slots.h"

#include <criterion/criterion.h>
#include <string.h>

enum { DEADLINE_MS = 500, SLACK_MS = 300, PATIENT_MS = 60000, ENTRIES = 300 };

static test_redis_cluster cluster;
static lc_store store;
static const llmcache_entry *entries[ENTRIES];

static void start(void)
{
    llmcache_error err;
    const char *lacking = test_redis_lacks_cluster();
    if (lacking)
        cr_skip_test("%s", lacking);
    test_redis_cluster_start(&cluster, NULL);
    store = store_at(cluster.uri, NULL);
    for (int i = 0; i < ENTRIES; i++) {
        entries[i] = numbered_entry("default", i);
        cr_assert_eq(put_entry_in(&store, entries[i], PATIENT_MS, &err), 0, "%s", err.message);
    }
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(redis_reshard, .init = start, .fini = stop, .timeout = 240);

/* ---- redis-cli --------------------------------------------------------------------------------------- */

static int home_of(const llmcache_entry *entry)
{
    return test_redis_cluster_first_home(&cluster, lc_redis_slot_of(lc_redis_text(prompt_key_name(entry))));
}

/* Keys that a node has. */
static int keys_of(int node)
{
    return atoi(test_redis_command(&cluster.nodes[node], "DBSIZE"));
}

typedef struct walker {
    pthread_t thread;
    atomic_int over;
    int walks, failed, wrong;
    llmcache_error err;
} walker;

static int count_one(void *user, const llmcache_entry *entry)
{
    for (int i = 0; i < ENTRIES; i++)
        if (memcmp(entries[i]->fingerprint, entry->fingerprint, sizeof entry->fingerprint) == 0)
            ((int *)user)[i]++;
    return 0;
}

/* Every entry is met once, whatever moves. */
static void *walk(void *user)
{
    walker *w = user;
    while (!atomic_load(&w->over)) {
        int met[ENTRIES] = {0};
        w->failed += store.ops.each(store.self, LLMCACHE_PART_PROMPT, "default", 0, count_one, met, NULL, &w->err) != 0;
        w->walks++;
        for (int i = 0; i < ENTRIES; i++)
            w->wrong += met[i] != 1;
        test_nap();
    }
    return NULL;
}

static void run_cli_under_load(const char *const *more)
{
    const char *argv[24] = {test_program("redis-cli"), "--cluster"};
    size_t count = 2;
    while (*more)
        argv[count++] = *more++;
    store_load load = {.store = &store, .entries = entries, .count = ENTRIES, .deadline_ms = DEADLINE_MS,
                       .slack_ms = SLACK_MS};
    walker w = {0};
    store_load_start(&load);
    pthread_create(&w.thread, NULL, walk, &w);
    cr_expect(test_wait_until(store_load_done(&load) > 20, PATIENT_MS));
    test_run_result moved = test_run(argv, NULL, NULL);
    cr_expect_eq(moved.status, 0, "%s\n%s", moved.out, moved.err);
    int before = store_load_done(&load);
    cr_expect(test_wait_until(store_load_done(&load) > before + 20, PATIENT_MS));
    store_load_counts sum = store_load_end(&load);
    atomic_store(&w.over, 1);
    pthread_join(w.thread, NULL);
    cr_expect_eq(sum.wrong, 0);
    cr_expect_eq(sum.missing, 0);
    cr_expect_eq(sum.failed, 0);
    cr_expect_eq(sum.late, 0);
    cr_expect_gt(w.walks, 0);
    cr_expect_eq(w.failed, 0, "%s", w.err.message);
    cr_expect_eq(w.wrong, 0);
}

Test(redis_reshard, by_redis_cli_under_load)
{
    if (!test_program("redis-cli"))
        cr_skip_test("redis-cli is not installed");
    const char *place = test_format("127.0.0.1:%d", cluster.nodes[0].port);
    const char *from = test_format("%s,%s", cluster.ids[1], cluster.ids[2]);
    int before = keys_of(0);
    run_cli_under_load((const char *const[]){"reshard", place, "--cluster-from", from, "--cluster-to", cluster.ids[0],
                                             "--cluster-slots", "1000", "--cluster-yes", NULL});
    int after = keys_of(0);
    cr_assert_gt(after, before + 10, "keys have moved: %d, %d", before, after);
    run_cli_under_load((const char *const[]){"rebalance", place, "--cluster-threshold", "1", "--cluster-pipeline", "5",
                                             NULL});
    cr_assert_lt(keys_of(0), after - 10, "and back");
}

/* ---- Batches ----------------------------------------------------------------------------------------- */

Test(redis_reshard, a_node_that_hangs_does_not_keep_a_batch_from_the_others)
{
    enum { KEYS = 30 };
    llmcache_error err;
    uint64_t removed;
    llmcache_key keys[KEYS];
    int hanging = home_of(entries[0]), others = 0;
    for (int i = 0; i < KEYS; i++) {
        keys[i] = key_of_entry(entries[i]);
        others += home_of(entries[i]) != hanging;
    }
    cr_assert_gt(others, 5);
    test_redis_pause(&cluster.nodes[hanging]);
    int64_t start_ms = test_own_ms();
    int rc = store.ops.remove(store.self, LLMCACHE_PART_PROMPT, keys, KEYS, DEADLINE_MS, &removed, &err);
    cr_expect_eq(rc, LLMCACHE_TIMEOUT);
    cr_expect_lt(test_own_ms() - start_ms, DEADLINE_MS + SLACK_MS);
    for (int i = 0; i < KEYS; i++)
        if (home_of(entries[i]) != hanging)
            cr_expect_eq(get_entry_from(&store, LLMCACHE_PART_PROMPT, entries[i], PATIENT_MS, &err), LLMCACHE_NOT_FOUND,
                         "its node was asked beside the one that hangs");
    test_redis_resume(&cluster.nodes[hanging]);
}

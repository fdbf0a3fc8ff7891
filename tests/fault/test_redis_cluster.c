/*
 * A real Redis Cluster that loses primaries and moves slots while it is used: other slots go on, every operation ends within
 * its deadline, no answer is ever another's, nothing that was there all along is missed, and changes are heard.
 */
#include "redis_cluster_server.h"
#include "store_ear.h"
#include "store_entries.h"

#include "store/redis_slots.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEADLINE_MS = 300,
    SLACK_MS = 300, /* the deadline itself is kept to the millisecond */
    CLOSE_MS = 900, /* other threads have to end, whose turn may come late */
    PATIENT_MS = 60000,
    ENTRIES = 60
};

static test_redis_cluster cluster;
static lc_store store;
static const llmcache_entry *entries[ENTRIES];

static int slot_of(const llmcache_entry *entry)
{
    return lc_redis_slot_of(lc_redis_text(prompt_key_name(entry)));
}

static int home_of(const llmcache_entry *entry)
{
    return test_redis_cluster_first_home(&cluster, slot_of(entry));
}

static int get_one(lc_store *from, const llmcache_entry *entry, int64_t deadline_ms)
{
    llmcache_error err;
    return get_entry_from(from, LLMCACHE_PART_PROMPT, entry, deadline_ms, &err);
}

static int get(const llmcache_entry *entry)
{
    return get_one(&store, entry, PATIENT_MS);
}

static void start_as(const test_redis_cluster_options *options)
{
    llmcache_error err;
    const char *lacking = test_redis_lacks_cluster();
    if (lacking)
        cr_skip_test("%s", lacking);
    test_redis_cluster_start(&cluster, options);
    store = store_at(cluster.uri, NULL);
    for (int i = 0; i < ENTRIES; i++) {
        entries[i] = numbered_entry("default", i);
        cr_assert_eq(put_entry_in(&store, entries[i], PATIENT_MS, &err), 0, "%s", err.message);
    }
}

static void start_with(int node_timeout_ms)
{
    const test_redis_cluster_options options = {.node_timeout_ms = node_timeout_ms};
    start_as(&options);
}

static void stop(void)
{
    lc_store_close(&store);
}

/* ---- Load ------------------------------------------------------------------------------------------ */

enum { THREADS = 4 };

typedef struct worker {
    pthread_t thread;
    atomic_int *over;
    int number, failed, wrong, late, missing;
    atomic_int done;
} worker;

static void *work(void *user)
{
    worker *w = user;
    for (int i = w->number; !atomic_load(w->over); i++) {
        llmcache_error err;
        const llmcache_entry *e = entries[i % ENTRIES];
        int64_t start_ms = test_own_ms();
        int rc = i % 4 == 0 ? put_entry_in(&store, e, DEADLINE_MS, &err)
                            : get_entry_from(&store, i % 2 ? LLMCACHE_PART_PROMPT : LLMCACHE_PART_EMBED, e,
                                             DEADLINE_MS, &err);
        w->late += test_own_ms() - start_ms > DEADLINE_MS + SLACK_MS;
        w->wrong += rc == WRONG_ANSWER;
        w->missing += rc == LLMCACHE_NOT_FOUND;
        w->failed += rc < 0 && rc != LLMCACHE_NOT_FOUND;
        atomic_fetch_add(&w->done, rc == 0);
        test_nap();
    }
    return NULL;
}

static void start_work(worker *workers, atomic_int *over)
{
    atomic_store(over, 0);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.over = over, .number = i * 7};
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
}

/* The sum of what went wrong in a way that never may. */
static worker end_work(worker *workers, atomic_int *over)
{
    worker sum = {0};
    atomic_store(over, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        sum.wrong += workers[i].wrong;
        sum.late += workers[i].late;
        sum.failed += workers[i].failed;
        sum.missing += workers[i].missing;
        cr_expect_gt(atomic_load(&workers[i].done), 0);
    }
    return sum;
}

/* ---- Lost primaries --------------------------------------------------------------------------------- */

static void start_hasty(void)
{
    start_with(2000);
}

TestSuite(redis_cluster_loss, .init = start_hasty, .fini = stop, .timeout = 240);

/* An operation on a lost node's slot: an error, in time. */
static void expect_lost(const llmcache_entry *entry)
{
    int64_t start_ms = test_own_ms();
    int rc = get_one(&store, entry, DEADLINE_MS);
    cr_expect(rc <= 0, "an answer that is not the right one");
    cr_expect_lt(test_own_ms() - start_ms, DEADLINE_MS + SLACK_MS);
}

static int all_are_had(void)
{
    for (int i = 0; i < ENTRIES; i++)
        if (get_one(&store, entries[i], DEADLINE_MS) != 0)
            return 0;
    return 1;
}

static void lose(int signal_number)
{
    int lost = 0, others = 0;
    test_signal(&cluster.nodes[0].process, signal_number);
    for (int i = 0; i < ENTRIES; i++)
        if (home_of(entries[i]) == 0) {
            expect_lost(entries[i]);
            lost++;
        } else {
            cr_expect_eq(get(entries[i]), 0, "the other slots go on");
            others++;
        }
    cr_assert(lost > 5 && others > 5, "%d and %d", lost, others);
}

static void expect_taken_over(void)
{
    llmcache_store_stats stats;
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS), "the replica has all, and is found");
    cr_assert(test_redis_is_primary(&cluster.nodes[3]));
    cr_assert(test_wait_until((store.ops.stats(store.self, &stats), stats.connected), PATIENT_MS));
}

static int follows_again(void)
{
    return !test_redis_is_primary(&cluster.nodes[0]);
}

Test(redis_cluster_loss, a_killed_primary_costs_its_slots_until_its_replica_takes_over)
{
    lose(SIGKILL);
    expect_taken_over();
    test_redis_restart(&cluster.nodes[0]);
    cr_assert(test_wait_until(follows_again(), PATIENT_MS));
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
}

Test(redis_cluster_loss, a_hanging_primary_costs_its_slots_until_its_replica_takes_over)
{
    lose(SIGSTOP);
    expect_taken_over();
    test_redis_resume(&cluster.nodes[0]);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
}

Test(redis_cluster_loss, under_load_no_answer_is_wrong_and_none_late)
{
    worker workers[THREADS];
    atomic_int over;
    start_work(workers, &over);
    test_redis_kill(&cluster.nodes[1]);
    cr_expect(test_wait_until(test_redis_is_primary(&cluster.nodes[4]), PATIENT_MS));
    cr_expect(test_wait_until(all_are_had(), PATIENT_MS));
    test_redis_pause(&cluster.nodes[2]);
    cr_expect(test_wait_until(test_redis_is_primary(&cluster.nodes[5]), PATIENT_MS));
    cr_expect(test_wait_until(all_are_had(), PATIENT_MS));
    worker sum = end_work(workers, &over);
    test_redis_resume(&cluster.nodes[2]);
    cr_expect_eq(sum.wrong, 0);
    cr_expect_eq(sum.late, 0);
    cr_expect_gt(sum.failed, 0, "it was noticed");
}

Test(redis_cluster_loss, the_whole_cluster_lost_and_found)
{
    llmcache_store_stats stats;
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        test_redis_pause(&cluster.nodes[i]);
    for (int i = 0; i < ENTRIES; i++)
        expect_lost(entries[i]);
    store.ops.stats(store.self, &stats);
    cr_expect_eq(stats.connected, 0);
    cr_expect_not_null(strstr(stats.detail, "127.0.0.1"), "%s", stats.detail);
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        test_redis_resume(&cluster.nodes[i]);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
}

Test(redis_cluster_loss, closing_does_not_wait_for_hanging_nodes)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        test_redis_pause(&cluster.nodes[i]);
    expect_lost(entries[0]);
    int64_t start_ms = test_own_ms();
    lc_store_close(&store);
    cr_expect_lt(test_own_ms() - start_ms, CLOSE_MS);
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        test_redis_resume(&cluster.nodes[i]);
}

/* ---- A node that swallows what it is sent ------------------------------------------------------------ */

static void start_with_a_login(void)
{
    const test_redis_cluster_options options = {.password = "secret", .node_timeout_ms = 60000};
    start_as(&options);
}

TestSuite(redis_cluster_hole, .init = start_with_a_login, .fini = stop, .timeout = 240);

static const llmcache_entry *one_at(int home)
{
    for (int i = 0; i < ENTRIES; i++)
        if (home_of(entries[i]) == home)
            return entries[i];
    cr_assert_fail("nothing is kept on node %d", home);
    return NULL;
}

/* There is no connection to it yet, and logging in on one hangs. */
Test(redis_cluster_hole, what_other_nodes_are_asked_is_not_lost_with_it)
{
    enum { TIME_MS = 4000 };
    llmcache_error err;
    uint64_t removed;
    llmcache_key keys[TEST_CLUSTER_PRIMARIES];
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++)
        keys[i] = key_of_entry(one_at(i));
    test_signal(&cluster.nodes[0].process, SIGSTOP);
    lc_store other = store_at(cluster.uri, NULL);
    for (int i = 1; i < TEST_CLUSTER_PRIMARIES; i++)
        cr_assert_eq(get_one(&other, one_at(i), PATIENT_MS), 0, "who has what is known");
    cr_expect_lt(other.ops.remove(other.self, LLMCACHE_PART_PROMPT, keys, TEST_CLUSTER_PRIMARIES, TIME_MS, &removed, &err),
                 0);
    for (int i = 1; i < TEST_CLUSTER_PRIMARIES; i++)
        cr_expect_eq(get(one_at(i)), LLMCACHE_NOT_FOUND, "node %d was not asked", i);
    lc_store_close(&other);
    test_signal(&cluster.nodes[0].process, SIGCONT);
}

/* ---- Moving slots ------------------------------------------------------------------------------------ */

static void start_calm(void)
{
    start_with(0);
}

TestSuite(redis_cluster_slots, .init = start_calm, .fini = stop, .timeout = 240);

/* How often the nodes have sent commands on. */
static int sent_on(const char *how)
{
    const char *field = test_format("errorstat_%s:count=", how);
    int count = 0;
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++) {
        const char *found = strstr(test_redis_command(&cluster.nodes[i], "INFO errorstats"), field);
        count += found ? atoi(found + strlen(field)) : 0;
    }
    return count;
}

static void expect_ok(const char *said)
{
    cr_assert(said && (strcmp(said, "OK") == 0 || strcmp(said, "NOKEY") == 0), "%s", said);
}

static void begin_move(int slot, int from, int to)
{
    expect_ok(test_redis_command(&cluster.nodes[to], "CLUSTER SETSLOT %d IMPORTING %s", slot, cluster.ids[from]));
    expect_ok(test_redis_command(&cluster.nodes[from], "CLUSTER SETSLOT %d MIGRATING %s", slot, cluster.ids[to]));
}

static void move_keys(int slot, int from, int to)
{
    const char *names = test_redis_command(&cluster.nodes[from], "CLUSTER GETKEYSINSLOT %d 100", slot);
    while (*names) {
        size_t size = strcspn(names, "\n");
        expect_ok(test_redis_command(&cluster.nodes[from], "MIGRATE 127.0.0.1 %d %.*s 0 5000",
                                     cluster.nodes[to].port, (int)size, names));
        names += size + (names[size] == '\n');
    }
}

/* Keys that came to stand there while the slot was moving are moved too. */
static void end_move(int slot, int from, int to)
{
    expect_ok(test_redis_command(&cluster.nodes[to], "CLUSTER SETSLOT %d NODE %s", slot, cluster.ids[to]));
    expect_ok(test_redis_command(&cluster.nodes[from], "CLUSTER SETSLOT %d NODE %s", slot, cluster.ids[to]));
}

Test(redis_cluster_slots, a_slot_on_its_way_is_followed_by_asking)
{
    llmcache_error err;
    uint64_t removed = 0;
    int from = home_of(entries[0]), to = (from + 1) % TEST_CLUSTER_PRIMARIES, slot = slot_of(entries[0]);
    begin_move(slot, from, to);
    move_keys(slot, from, to);
    int asked = sent_on("ASK");
    cr_assert_eq(get(entries[0]), 0);
    cr_assert_gt(sent_on("ASK"), asked);
    cr_assert_eq(put_entry_in(&store, entries[0], PATIENT_MS, &err), 0);
    llmcache_key key = key_of_entry(entries[0]);
    cr_assert_eq(store.ops.remove(store.self, LLMCACHE_PART_PROMPT, &key, 1, PATIENT_MS, &removed, &err), 0);
    cr_assert_eq(removed, 1);
    cr_assert_eq(get(entries[0]), LLMCACHE_NOT_FOUND);
    end_move(slot, from, to);
    cr_assert_eq(get(entries[0]), LLMCACHE_NOT_FOUND);
}

/* A record is put by MULTI to EXEC, which goes on as a whole. */
Test(redis_cluster_slots, a_record_goes_where_its_slot_goes)
{
    llmcache_error err;
    const char *name = embed_key_name(entries[0]);
    int slot = lc_redis_slot_of(lc_redis_text(name));
    int from = test_redis_cluster_first_home(&cluster, slot), to = (from + 1) % TEST_CLUSTER_PRIMARIES;
    begin_move(slot, from, to);
    move_keys(slot, from, to);
    cr_assert_eq(put_entry_in(&store, entries[0], PATIENT_MS, &err), 0, "%s", err.message);
    cr_assert_eq(get_entry_from(&store, LLMCACHE_PART_EMBED, entries[0], PATIENT_MS, &err), 0);
    end_move(slot, from, to);
    cr_assert_eq(put_entry_in(&store, entries[0], PATIENT_MS, &err), 0, "%s", err.message);
    cr_assert_str_eq(test_redis_command(&cluster.nodes[to], "EXISTS %s", name), "1");
}

/*
 * All go to node 0, whose claim is then the newest for good. Moves in all directions at once make claims of one age,
 * and Redis itself drops the keys of a slot whose claim loses.
 */
static void move_all(int first, int count)
{
    for (int i = first; i < first + count; i++) {
        int from = home_of(entries[i]), slot = slot_of(entries[i]);
        if (from == 0)
            continue;
        begin_move(slot, from, 0);
        move_keys(slot, from, 0);
        end_move(slot, from, 0);
    }
}

Test(redis_cluster_slots, a_slot_that_has_moved_is_found)
{
    int moved = sent_on("MOVED");
    for (int i = 0; i < 30; i++) {
        move_all(i, 1);
        cr_assert_eq(get(entries[i]), 0);
    }
    cr_assert_gt(sent_on("MOVED"), moved, "the table was behind at least once");
}

static int count_one(void *user, const llmcache_entry *entry)
{
    for (int i = 0; i < ENTRIES; i++)
        if (memcmp(entries[i]->fingerprint, entry->fingerprint, sizeof entry->fingerprint) == 0)
            ((int *)user)[i]++;
    return 0;
}

/* Every entry is met once, whatever has moved. */
static void expect_walk(void)
{
    llmcache_error err;
    int met[ENTRIES] = {0};
    int rc = store.ops.each(store.self, LLMCACHE_PART_PROMPT, "default", 0, count_one, met, NULL, &err);
    cr_assert_eq(rc, 0, "%s", err.message);
    for (int i = 0; i < ENTRIES; i++)
        cr_expect_eq(met[i], 1, "entry %d was met %d times", i, met[i]);
}

Test(redis_cluster_slots, under_load_nothing_is_missing_while_slots_move)
{
    worker workers[THREADS];
    atomic_int over;
    start_work(workers, &over);
    for (int i = 0; i < ENTRIES; i += 10) {
        move_all(i, 10);
        expect_walk();
    }
    worker sum = end_work(workers, &over);
    cr_expect_eq(sum.wrong, 0);
    cr_expect_eq(sum.missing, 0);
    cr_expect_eq(sum.failed, 0);
    cr_expect_eq(sum.late, 0);
}

typedef struct mover {
    atomic_int started;
} mover;

static void *move_slots(void *user)
{
    mover *m = user;
    atomic_store(&m->started, 1);
    move_all(0, ENTRIES);
    return NULL;
}

Test(redis_cluster_slots, walks_beside_moving_slots_miss_nothing)
{
    mover m = {0};
    pthread_t thread;
    pthread_create(&thread, NULL, move_slots, &m);
    cr_assert(test_wait_until(atomic_load(&m.started), PATIENT_MS));
    for (int i = 0; i < 8; i++)
        expect_walk();
    pthread_join(thread, NULL);
    expect_walk();
}

static int replica_of(int home)
{
    for (int i = 0; i < TEST_CLUSTER_NODES; i++)
        if (strstr(test_redis_command(&cluster.nodes[i], "INFO replication"),
                   test_format("master_port:%d\r", cluster.nodes[home].port)))
            return i;
    test_give_up("a primary without a replica");
}

static void hand_over(int home, int heir)
{
    int done = 0;
    for (int i = 0; i < 10 && !done; i++) { /* one that did not come off is given up after five seconds */
        test_redis_command(&cluster.nodes[heir], "CLUSTER FAILOVER");
        done = test_wait_until(test_redis_is_primary(&cluster.nodes[heir]), 10000);
    }
    cr_assert(done);
    cr_assert(test_wait_until(!test_redis_is_primary(&cluster.nodes[home]), PATIENT_MS));
}

static int count_named(void *user, const llmcache_entry *entry)
{
    const llmcache_entry **named = user;
    if (*named && memcmp((*named)->fingerprint, entry->fingerprint, sizeof entry->fingerprint) == 0)
        *named = NULL;
    return 0;
}

static redisReply *raw_of(int node, const llmcache_entry *entry)
{
    redisContext *link = test_redis_connect(&cluster.nodes[node]);
    const char *name = prompt_key_name(entry);
    redisReply *value = redisCommand(link, "GET %s", name), *gone = redisCommand(link, "DEL %s", name);
    freeReplyObject(gone);
    redisFree(link);
    return value;
}

static void put_raw(int node, const llmcache_entry *entry, const redisReply *value)
{
    redisContext *link = test_redis_connect(&cluster.nodes[node]);
    redisReply *done = redisCommand(link, "SET %s %b", prompt_key_name(entry), value->str, value->len);
    cr_assert(done && done->type == REDIS_REPLY_STATUS);
    freeReplyObject(done);
    redisFree(link);
}

/* A store that has not heard yet that a primary is none any more asks it, and it has nothing of what came since. */
Test(redis_cluster_slots, a_walk_asks_the_nodes_that_took_over)
{
    llmcache_error err;
    const llmcache_entry *late = entries[0], *missing = late;
    int home = home_of(late), heir = replica_of(home);
    redisReply *value = raw_of(home, late);
    test_redis_command(&cluster.nodes[home], "CONFIG SET masterauth none-is-wanted"); /* so it cannot follow */
    hand_over(home, heir);
    put_raw(heir, late, value);
    freeReplyObject(value);
    cr_assert(test_wait_until(store.ops.each(store.self, LLMCACHE_PART_PROMPT, "default", 0, count_named, &missing,
                                             NULL, &err) == 0, PATIENT_MS), "%s", err.message);
    cr_expect_null(missing);
}

/* ---- Hearing of changes ------------------------------------------------------------------------------ */

static store_ear ear = STORE_EAR;

static store_heard heard(void)
{
    return store_ear_heard(&ear);
}

static void watch(void)
{
    store_ear_watch(&ear, &store);
    cr_assert_geq(heard().distrusts, 1, "nothing is trusted before it is heard");
    cr_assert(test_wait_until(heard().trusted, PATIENT_MS));
}

/* A change of one entry made by another. Putting the very same would not be one. */
static void expect_heard(lc_store *other, const llmcache_entry *entry)
{
    llmcache_error err;
    uint64_t removed;
    llmcache_key key = key_of_entry(entry);
    store_ear_forget(&ear, entry->id);
    cr_assert_eq(other->ops.remove(other->self, LLMCACHE_PART_PROMPT, &key, 1, PATIENT_MS, &removed, &err), 0,
                 "%s", err.message);
    cr_assert_eq(removed, 1u);
    cr_assert(test_wait_until(heard().changes > 0, PATIENT_MS), "slot %d", slot_of(entry));
    cr_assert_eq(put_entry_in(other, entry, PATIENT_MS, &err), 0, "%s", err.message);
}

Test(redis_cluster_slots, changes_on_every_node_are_heard)
{
    watch();
    lc_store other = store_at(cluster.uri, NULL);
    for (int i = 0; i < 12; i++)
        expect_heard(&other, entries[i]);
    lc_store_close(&other);
}

Test(redis_cluster_slots, one_lost_link_is_distrust)
{
    watch();
    lc_store other = store_at(cluster.uri, NULL);
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++) {
        int before = heard().distrusts;
        test_redis_command(&cluster.nodes[i], "CLIENT KILL TYPE pubsub");
        cr_assert(test_wait_until(heard().distrusts > before, PATIENT_MS));
        cr_assert(test_wait_until(heard().trusted, PATIENT_MS));
    }
    for (int i = 0; i < 6; i++)
        expect_heard(&other, entries[i]);
    lc_store_close(&other);
}

Test(redis_cluster_slots, changes_are_heard_while_and_after_a_slot_moves)
{
    watch();
    lc_store other = store_at(cluster.uri, NULL);
    int from = home_of(entries[0]), to = (from + 1) % TEST_CLUSTER_PRIMARIES, slot = slot_of(entries[0]);
    begin_move(slot, from, to);
    move_keys(slot, from, to);
    expect_heard(&other, entries[0]);
    end_move(slot, from, to);
    expect_heard(&other, entries[0]);
    lc_store_close(&other);
}

Test(redis_cluster_loss, changes_are_heard_again_after_a_failover)
{
    watch();
    int before = heard().distrusts;
    test_redis_kill(&cluster.nodes[0]);
    cr_assert(test_wait_until(heard().distrusts > before, PATIENT_MS));
    cr_assert(test_wait_until(heard().trusted, PATIENT_MS));
    cr_assert(test_redis_is_primary(&cluster.nodes[3]), "not before the new primary is heard");
    lc_store other = store_at(cluster.uri, NULL);
    cr_assert(test_wait_until(all_are_had(), PATIENT_MS));
    for (int i = 0; i < 12; i++)
        expect_heard(&other, entries[i]);
    lc_store_close(&other);
}

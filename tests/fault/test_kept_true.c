/*
 * What is removed on one server is not served by any. Four llmcache-server processes share an engine; clients ask, ask in
 * other words, remove in every way there is, on any server and in the engine itself, while links are lost, servers
 * are killed or stand still, and the engine dies, pauses or fails over. Every answer has a number of its own, so the book
 * (kept_true_book.h) knows afterwards which were served after they were gone, and how late.
 *
 *     LLMCACHE_KEPT_SECONDS=600 LLMCACHE_KEPT_SEED=7 build/tests/fault-kept-true-redis
 *
 * Two things must hold however slow the machine is. Once a server was seen to have taken in a change, it serves nothing
 * that was removed before; what it hears of wrong pairs it takes in a little later, within the second. And nothing is
 * served that was gone for more than a second when it was asked for: a server believes its memory for a second from the
 * last word of its store, by its own clock, so no load can make that longer. (Whoever shares a look-up that is under way
 * gets what it finds, hence the slack.) The seed decides what the clients do and what goes wrong; threads decide the
 * rest. One line of JSON says how late it was.
 *
 * With LLMCACHE_KEPT_CALM=1 nothing goes wrong, one client asks and no relay is in the way: what lateness is made of.
 */
#include "kept_true_world.h"
#include "support.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_CLIENTS = 6,
    BOUND_MS = 1000,
    SLACK_MS = 4000,
    LOOK_MS = 15000, /* how long a removal is followed to the other servers */
    SETTLE_MS = 60000
};

static uint64_t seed;
static int seconds, clients_now;
static atomic_int over, quiet, quiet_now;

static int64_t number_from(const char *name, int64_t standard)
{
    const char *text = getenv(name);
    return text && *text ? strtoll(text, NULL, 10) : standard;
}

/* ---- What clients do ------------------------------------------------------------------------------- */

/* A server that stands still is asked now and then only: whoever asks it waits. */
static int some_server(hand *h)
{
    int server = hand_below(h, KEPT_SERVERS);
    return world_is_frozen(server) && hand_below(h, 6) ? (server + 1) % KEPT_SERVERS : server;
}

/* Asks the others until none serves the answer any more. */
static void follow(hand *h, int topic, int wording, int answer, double begun_us)
{
    double acked_us = test_now_us();
    for (int i = 0; i < KEPT_SERVERS; i++) {
        double last_us = acked_us;
        int served = 1;
        if (world_is_frozen(i))
            continue;
        while (served && test_now_us() - acked_us < LOOK_MS * 1000.0 && !book_is_unsure(begun_us, acked_us)) {
            said s = world_ask(h, i, topic, wording, ",\"only_cached\":true,\"exact\":true", 0);
            served = s.answer == answer;
            if (served)
                last_us = s.begun_us;
            if (s.status == 0)
                break;
        }
        book_look(&(book_one_look){begun_us, acked_us, (last_us - acked_us) / 1000});
    }
}

/* Makes sure that it is kept, and in the memory of all. 0 when it could not be had. */
static said warm(hand *h, int topic, int wording)
{
    said s = {0};
    for (int i = 0; i < KEPT_SERVERS; i++)
        if (!world_is_frozen(i))
            s = world_ask(h, i, topic, wording, "", 0);
    return s;
}

static void remove_somehow(hand *h, int topic)
{
    int wording = hand_below(h, BOOK_WORDINGS), dice = hand_below(h, 10), done = 0;
    said s = warm(h, topic, wording);
    if (!s.answer)
        return;
    int kept_for = s.wording, server = some_server(h);
    double begun_us = test_now_us();
    if (dice < 4)
        done = world_delete(h, server, topic, kept_for, s.id);
    else if (dice < 6)
        done = world_purge_topic(h, server, topic);
    else if (dice < 9)
        done = world_remove_by_hand(h, topic, kept_for, s.id, BOOK_BOTH);
    else
        world_remove_by_hand(h, topic, kept_for, s.id, 1 + hand_below(h, 2));
    if (done)
        follow(h, topic, kept_for, s.answer, begun_us);
}

static void say_wrong(hand *h, int topic)
{
    int wording = hand_below(h, BOOK_WORDINGS);
    said s = world_ask(h, some_server(h), topic, wording, "", 0);
    if (s.from == BOOK_FROM_SEMANTIC && s.answer)
        world_feedback(h, some_server(h), topic, wording, &s);
}

static void refresh(hand *h, int topic, int wording)
{
    said s = world_ask(h, some_server(h), topic, wording, ",\"no_cache\":true", 0);
    if (s.answer && s.from == BOOK_FROM_MODEL && s.stored)
        book_removed(&(book_removal){s.begun_us, s.ended_us, topic, wording, BOOK_EXACT, "replaced"});
}

static void act(hand *h)
{
    int topic = world_topic(hand_below(h, 1 + hand_below(h, TOPICS_AT_ONCE)));
    int wording = hand_below(h, BOOK_WORDINGS), dice = hand_below(h, 1000);
    if (dice < 700)
        world_ask(h, some_server(h), topic, wording, "", 0);
    else if (dice < 780)
        world_ask(h, some_server(h), topic, wording, ",\"only_cached\":true", 0);
    else if (dice < 830)
        world_ask(h, some_server(h), topic, wording, ",\"ttl\":1", 0);
    else if (dice < 870)
        refresh(h, topic, wording);
    else if (dice < 950)
        remove_somehow(h, topic);
    else if (dice < 970)
        say_wrong(h, topic);
    else if (dice < 990) {
        said s = world_ask(h, some_server(h), topic, wording, ",\"exact\":true", 0);
        if (s.answer)
            world_overwrite(h, topic, wording, s.id);
    } else if (dice < 995)
        world_purge_all(h, some_server(h));
    else
        world_remove_all_by_hand(h);
}

static void *run_client(void *argument)
{
    hand h;
    hand_init(&h, seed + (uint64_t)(uintptr_t)argument * 1000003);
    while (!atomic_load(&over)) {
        if (atomic_load(&quiet)) {
            atomic_fetch_add(&quiet_now, 1);
            while (atomic_load(&quiet) && !atomic_load(&over))
                test_nap();
            atomic_fetch_sub(&quiet_now, 1);
        }
        act(&h);
    }
    hand_done(&h);
    return NULL;
}

static void make_quiet(void)
{
    atomic_store(&quiet, 1);
    if (!test_wait_until(atomic_load(&quiet_now) == clients_now, SETTLE_MS))
        test_give_up("clients do not come to an end");
}

static void end_quiet(void)
{
    atomic_store(&quiet, 0);
    if (!test_wait_until(atomic_load(&quiet_now) == 0, SETTLE_MS))
        test_give_up("clients do not begin again");
}

/* ---- What goes wrong ------------------------------------------------------------------------------- */

static void let_pass(hand *h, int least_ms, int most_ms)
{
    int64_t until_ms = test_now_ms() + least_ms + hand_below(h, most_ms - least_ms);
    test_wait_until(test_now_ms() >= until_ms, most_ms + 1000);
}

static void spoil_a_link(hand *h, int server)
{
    if (!kept_engine_here.hold)
        return;
    if (hand_below(h, 3) == 0) {
        kept_engine_here.cut(server);
        return;
    }
    kept_engine_here.hold(server);
    let_pass(h, 200, 3500);
    if (hand_below(h, 2))
        kept_engine_here.cut(server);
    kept_engine_here.release(server);
}

static void spoil_a_server(hand *h, int server)
{
    if (hand_below(h, 2)) {
        world_freeze(server);
        let_pass(h, 200, 3500);
        world_thaw(server);
    } else {
        world_kill_server(server);
        let_pass(h, 1, 300);
        world_start_server(server);
    }
}

static void spoil_the_engine(hand *h)
{
    int count = 0;
    while (kept_engine_here.troubles[count].name)
        count++;
    const kept_trouble *t = &kept_engine_here.troubles[hand_below(h, count)];
    if (t->quiet)
        make_quiet();
    t->begin((uint64_t)hand_below(h, 1 << 30));
    if (t->quiet)
        end_quiet();
    let_pass(h, 100, 2500);
    if (t->end)
        t->end();
}

static void spoil(hand *h)
{
    int server = hand_below(h, KEPT_SERVERS), dice = hand_below(h, 3);
    if (dice == 0)
        spoil_a_link(h, server);
    else if (dice == 1)
        spoil_a_server(h, server);
    else
        spoil_the_engine(h);
}

/* All is well: whatever any server still serves is looked at. */
static void look_at_all(hand *h)
{
    make_quiet();
    if (kept_engine_here.look)
        kept_engine_here.look();
    world_barrier(h);
    for (int i = 0; i < KEPT_SERVERS; i++)
        for (int which = 0; which < TOPICS_AT_ONCE; which++)
            for (int wording = 0; wording < BOOK_WORDINGS; wording++) {
                int topic = world_topic(which);
                world_ask(h, i, topic, wording, ",\"only_cached\":true,\"exact\":true", 1);
                world_ask(h, i, topic, wording, ",\"only_cached\":true", 1);
            }
    world_new_topics();
    end_quiet();
}

/* ---- The run --------------------------------------------------------------------------------------- */

static void start(void)
{
    const char *missing = kept_engine_here.missing();
    if (missing)
        cr_skip_test("%s", missing);
    seed = (uint64_t)number_from("LLMCACHE_KEPT_SEED", 20261125);
    seconds = (int)number_from("LLMCACHE_KEPT_SECONDS", 12);
    clients_now = kept_is_calm() ? 1 : MOST_CLIENTS;
    book_open();
    world_start();
}

TestSuite(kept_true, .init = start, .timeout = 36000);

static void report(const book_verdict *v, const char *when)
{
    book_looks looks;
    book_looks_read(&looks);
    printf("{\"kept_true\": \"%s\", \"when\": \"%s\", \"seed\": %llu, \"seconds\": %d, \"serves\": %d, \"exact\": %d, \"semantic\": %d, "
           "\"removals\": %d, \"unsure\": %d, \"late\": %d, \"over_1s\": %d, \"latest_ms\": %.1f, \"looks\": %d, \"looks_late\": %d, "
           "\"look_p50_ms\": %.2f, \"look_p99_ms\": %.2f, \"look_max_ms\": %.1f}\n",
           kept_engine_here.name, when, (unsigned long long)seed, seconds, v->serves, v->hits, v->semantic, v->removals,
           v->unsure, v->late, v->over_a_second, v->latest_ms, looks.count, looks.late, looks.p50_ms, looks.p99_ms,
           looks.max_ms);
    fflush(stdout);
}

Test(kept_true, nothing_that_was_removed_is_served)
{
    static pthread_t clients[MOST_CLIENTS];
    book_verdict calm, all;
    hand h;
    hand_init(&h, seed ^ 0x5eed);
    int64_t start_ms = test_now_ms();
    for (int i = 0; i < clients_now; i++)
        cr_assert_eq(pthread_create(&clients[i], NULL, run_client, (void *)(uintptr_t)i), 0);
    let_pass(&h, seconds * (kept_is_calm() ? 1000 : 250), seconds * (kept_is_calm() ? 1000 : 250) + 1);
    look_at_all(&h);
    book_judge(BOUND_MS + SLACK_MS, &calm);
    report(&calm, "all well");
    while (!kept_is_calm() && test_now_ms() - start_ms < (int64_t)seconds * 1000) {
        for (int i = 0; i < 3; i++) {
            let_pass(&h, 100, 700);
            spoil(&h);
        }
        look_at_all(&h);
    }
    atomic_store(&over, 1);
    for (int i = 0; i < clients_now; i++)
        pthread_join(clients[i], NULL);
    if (kept_engine_here.look)
        kept_engine_here.look();
    book_judge(BOUND_MS + SLACK_MS, &all);
    report(&all, kept_is_calm() ? "all well, at the end" : "with troubles");
    hand_done(&h);
    cr_expect_eq(all.calm_late, 0, "served after all had taken in a later change: %d; %s", all.calm_late, all.worst);
    cr_expect_eq(all.over_bound, 0, "%d were served later than %d ms; %s", all.over_bound, BOUND_MS + SLACK_MS,
                 all.worst);
    cr_expect(all.hits && all.semantic && all.removals);
}

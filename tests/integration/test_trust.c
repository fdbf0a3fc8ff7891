/*
 * How long a cache believes what its shared store has told it: a second from the last word, in memory and in what is
 * known of pairs. The store here is a test's own, which says what the test wants.
 */
#include "test_cache.h"

#include "store/store.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { SOON_MS = 10000 };

/* One store for two caches; each has its own listener. */
static lc_store shared;
static test_mock mock;

typedef struct side {
    llmcache_watch listener;
    llmcache *cache;
    atomic_int gets, records, fail_observations, fail_walks, walks, noted, hold_words, held;
    char observation[LLMCACHE_ID_SIZE]; /* the last that was put */
} side;

static side a, b;

static int get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
               llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    side *s = self;
    if (part == LLMCACHE_PART_OBSERVATION && atomic_exchange(&s->fail_observations, 0))
        return llmcache_error_set(err, LLMCACHE_TIMEOUT, "not now");
    atomic_fetch_add(&s->gets, part == LLMCACHE_PART_PROMPT);
    atomic_fetch_add(&s->records, part == LLMCACHE_PART_EMBED);
    return shared.ops.get(shared.self, part, key, now_ms, deadline_ms, fn, user, err);
}

static int put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms, llmcache_error *err)
{
    side *s = self;
    if (parts == LLMCACHE_PART_OBSERVATION) {
        memcpy(s->observation, entry->id, sizeof s->observation);
        atomic_fetch_add(&s->noted, 1);
        atomic_fetch_add(&s->held, atomic_load(&s->hold_words));
        while (atomic_load(&s->hold_words))
            test_nap();
    }
    return shared.ops.put(shared.self, parts, entry, deadline_ms, err);
}

static int take(void *self, int parts, const llmcache_key *keys, size_t count, int64_t deadline_ms,
                uint64_t *removed, llmcache_error *err)
{
    return shared.ops.remove(shared.self, parts, keys, count, deadline_ms, removed, err);
}

static int each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn, void *user,
                uint64_t *damaged, llmcache_error *err)
{
    side *s = self;
    atomic_fetch_add(&s->walks, part == LLMCACHE_PART_OBSERVATION);
    if (part == LLMCACHE_PART_OBSERVATION && atomic_load(&s->fail_walks))
        return llmcache_error_set(err, LLMCACHE_TIMEOUT, "not now");
    return shared.ops.each(shared.self, part, space, now_ms, fn, user, damaged, err);
}

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static void stats(void *self, llmcache_store_stats *out)
{
    shared.ops.stats(shared.self, out);
}

static int watch(void *self, const llmcache_watch *listener, llmcache_error *err)
{
    ((side *)self)->listener = *listener;
    return 0;
}

static void close_side(void *self)
{
}

static const llmcache_store_ops ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "told", .get = get, .put = put,
                                       .remove = take, .each = each, .ping = ping, .stats = stats,
                                       .watch = watch, .close = close_side};

static void open_side(side *s)
{
    static const char *const settings[] = {"threshold", "0.9", NULL};
    llmcache_error err;
    llmcache_options *options = test_cache_options(&mock, settings);
    cr_assert_eq(llmcache_options_store(options, &ops, s, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_open(options, &s->cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
}

static void start(void)
{
    static const lc_store_options options = {.max_bytes = 4 << 20};
    llmcache_error err;
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['one', 'Uno', 0.99], ['two', 'dos', 0.99], ['three', 'tres', 0.99]]}");
    cr_assert_eq(lc_store_open_memory(&options, &shared, &err), 0);
    open_side(&a);
}

static void stop(void)
{
    llmcache_close(a.cache);
    if (b.cache)
        llmcache_close(b.cache);
    lc_store_close(&shared);
}

TestSuite(trust, .init = start, .fini = stop, .timeout = 60);

/* As if the store had said now that all was told up to so many milliseconds ago; far ahead, so that a slow machine
 * does not matter. */
static void say_current(side *s, int64_t ago_ms)
{
    s->listener.current(s->listener.user, test_now_ms() - ago_ms);
}

static const int64_t LONG_AGO = 5000, AHEAD = -1000000;

static int reads_for(side *s, const char *question)
{
    int before = atomic_load(&s->gets);
    cr_assert_str_eq(test_ask_source(s->cache, question), "exact");
    return atomic_load(&s->gets) - before;
}

Test(trust, memory_is_used_while_the_last_word_is_new)
{
    test_ask_source(a.cache, "one");
    cr_expect_eq(reads_for(&a, "one"), 0, "a store that says nothing is believed");
    say_current(&a, AHEAD);
    cr_expect_eq(reads_for(&a, "one"), 0);
    say_current(&a, LONG_AGO);
    cr_expect_eq(reads_for(&a, "one"), 1);
    cr_expect_eq(reads_for(&a, "one"), 1, "what the store says now is not remembered as known");
    say_current(&a, AHEAD);
    cr_expect_eq(reads_for(&a, "one"), 0, "what was there is there again");
}

static int matches(side *s, const char *question)
{
    llmcache_ask_options only = {.struct_size = sizeof only, .only_cached = 1};
    llmcache_answer *answer;
    if (llmcache_ask(s->cache, question, &only, &answer, NULL))
        return 0;
    int semantic = llmcache_answer_source(answer) == LLMCACHE_SOURCE_SEMANTIC;
    llmcache_answer_free(answer);
    return semantic;
}

Test(trust, nothing_is_matched_by_meaning_when_the_last_word_is_old)
{
    test_ask_source(a.cache, "one");
    say_current(&a, AHEAD);
    cr_assert(test_wait_until(matches(&a, "uno"), SOON_MS));
    say_current(&a, LONG_AGO);
    cr_expect_not(matches(&a, "uno"), "its bytes are known, and the word about the pair may be missing");
    cr_expect_eq(reads_for(&a, "one"), 1, "its own answer is in the store");
    say_current(&a, AHEAD);
    cr_expect(test_wait_until(matches(&a, "uno"), SOON_MS));
}

Test(trust, what_is_kept_meanwhile_is_matched_later)
{
    say_current(&a, LONG_AGO);
    cr_assert_str_eq(test_ask_source(a.cache, "two"), "model");
    say_current(&a, AHEAD);
    cr_expect(test_wait_until(matches(&a, "dos"), SOON_MS));
}

/* A store that cannot be read is not walked once more for every change it tells of. */
Test(trust, changes_do_not_hurry_what_has_just_failed)
{
    atomic_store(&a.fail_walks, 1);
    a.listener.trust(a.listener.user);
    cr_assert(test_wait_until(atomic_load(&a.walks) >= 2, SOON_MS));
    int before = atomic_load(&a.walks);
    int64_t start_ms = test_now_ms();
    for (int i = 0; i < 100; i++) {
        a.listener.changed(a.listener.user, LLMCACHE_PART_EMBED, "default", "00000000000000000000");
        test_nap();
    }
    int64_t seconds = (test_now_ms() - start_ms) / 1000;
    cr_expect_leq(atomic_load(&a.walks) - before, seconds + 2);
    atomic_store(&a.fail_walks, 0);
    cr_assert(test_wait_until(atomic_load(&a.walks) > before, SOON_MS));
}

/* The report of a wrong pair came, and the store could not be asked what it was. */
Test(trust, a_word_that_could_not_be_read_is_read_later)
{
    open_side(&b);
    test_ask_source(a.cache, "one");
    b.listener.trust(b.listener.user); /* it reads what a has written */
    say_current(&b, AHEAD);
    cr_assert(test_wait_until(matches(&b, "uno"), SOON_MS));
    llmcache_answer *answer = test_ask(a.cache, "one", NULL);
    cr_assert_eq(llmcache_feedback_about(a.cache, llmcache_answer_id(answer), 0, "uno", NULL, NULL), 0);
    test_ask_source(a.cache, "one");
    atomic_store(&b.fail_observations, 1);
    b.listener.changed(b.listener.user, LLMCACHE_PART_BOTH, "default", llmcache_answer_id(answer));
    b.listener.changed(b.listener.user, LLMCACHE_PART_OBSERVATION, "default", a.observation);
    llmcache_answer_free(answer);
    say_current(&b, AHEAD);
    cr_assert(test_wait_until(atomic_load(&b.fail_observations) == 0, SOON_MS), "it was asked");
    cr_expect(test_wait_until(!matches(&b, "uno"), SOON_MS), "and known in the end");
}

/* A server that starts while the store is in trouble: it could read the records, and not what is known of pairs. */
Test(trust, nothing_is_matched_before_what_is_known_of_pairs_was_read)
{
    test_ask_source(a.cache, "two");
    llmcache_answer *answer = test_ask(a.cache, "one", NULL);
    cr_assert_eq(llmcache_feedback_about(a.cache, llmcache_answer_id(answer), 0, "uno", NULL, NULL), 0);
    llmcache_answer_free(answer);
    test_ask_source(a.cache, "one");
    atomic_store(&b.fail_walks, 1);
    open_side(&b);
    cr_expect_not(matches(&b, "uno"), "that it is wrong is not known yet");
    say_current(&b, AHEAD);
    cr_expect_not(matches(&b, "uno"));
    atomic_store(&b.fail_walks, 0);
    cr_expect(test_wait_until(matches(&b, "dos"), SOON_MS));
    cr_expect_not(matches(&b, "uno"));
}

static void *call_wrong(void *user)
{
    llmcache_feedback_about(a.cache, user, 0, "uno", NULL, NULL);
    return NULL;
}

/* The store is read anew while a word is on its way there: what is read does not have it, and it counts all the same. */
Test(trust, a_word_on_its_way_to_the_store_is_not_forgotten)
{
    pthread_t caller;
    test_ask_source(a.cache, "one");
    cr_assert(test_wait_until(matches(&a, "uno"), SOON_MS));
    llmcache_answer *answer = test_ask(a.cache, "one", NULL);
    cr_assert(test_wait_until(atomic_load(&a.noted) > 0, SOON_MS), "the hit is noted before the word is held");
    atomic_store(&a.hold_words, 1);
    cr_assert_eq(pthread_create(&caller, NULL, call_wrong, (void *)llmcache_answer_id(answer)), 0);
    cr_assert(test_wait_until(atomic_load(&a.held) > 0, SOON_MS));
    cr_expect_not(matches(&a, "uno"));
    for (int i = 0; i < 2; i++) { /* the second begins when the first is over */
        int walks = atomic_load(&a.walks);
        a.listener.trust(a.listener.user);
        cr_assert(test_wait_until(atomic_load(&a.walks) > walks, SOON_MS));
    }
    cr_expect_not(matches(&a, "uno"), "it was forgotten");
    atomic_store(&a.hold_words, 0);
    pthread_join(caller, NULL);
    llmcache_answer_free(answer);
}

/* ---- After a lost link ----------------------------------------------------------------------- */

/* Its answer is in memory, and changes went unheard before. */
static void lose_word(side *s, const char *question)
{
    cr_assert_str_eq(test_ask_source(s->cache, question), "model");
    s->listener.distrust(s->listener.user);
    s->listener.trust(s->listener.user);
    say_current(s, AHEAD);
    cr_assert_str_eq(test_ask_source(s->cache, question), "exact");
}

Test(trust, a_record_is_looked_up_once_after_a_lost_link)
{
    lose_word(&a, "one");
    cr_assert(test_wait_until(matches(&a, "uno"), SOON_MS));
    int before = atomic_load(&a.records);
    cr_expect(matches(&a, "uno"), "its bytes are known now");
    cr_expect(matches(&a, "Uno"), "and the record, whatever the wording");
    cr_expect_eq(atomic_load(&a.records), before);
}

/* Of an answer only the record was removed, while nobody heard of it: the index still has it, memory the answer. */
Test(trust, a_record_removed_unheard_is_not_served)
{
    open_side(&b);
    lose_word(&a, "one");
    cr_assert(test_wait_until(matches(&a, "uno"), SOON_MS));
    a.listener.distrust(a.listener.user);
    llmcache_filter records = {.struct_size = sizeof records, .records = LLMCACHE_PART_EMBED};
    uint64_t removed = 0;
    cr_assert_eq(llmcache_purge(b.cache, &records, &removed, NULL), 0);
    cr_assert_eq(removed, 1);
    a.listener.trust(a.listener.user);
    say_current(&a, AHEAD);
    cr_assert_str_eq(test_ask_source(a.cache, "one"), "exact");
    cr_expect_not(matches(&a, "uno"));
    cr_expect_not(matches(&a, "Uno"));
}

/* It was seen in the store, and its removal is told of. */
Test(trust, a_record_that_was_seen_and_then_removed_is_not_served)
{
    open_side(&b);
    lose_word(&a, "one");
    cr_assert(test_wait_until(matches(&a, "uno"), SOON_MS));
    llmcache_filter records = {.struct_size = sizeof records, .records = LLMCACHE_PART_EMBED};
    llmcache_answer *answer = test_ask(a.cache, "one", NULL);
    cr_assert_eq(llmcache_purge(b.cache, &records, NULL, NULL), 0);
    a.listener.changed(a.listener.user, LLMCACHE_PART_EMBED, "default", llmcache_answer_id(answer));
    llmcache_answer_free(answer);
    cr_assert_str_eq(test_ask_source(a.cache, "one"), "exact");
    cr_expect_not(matches(&a, "uno"));
}

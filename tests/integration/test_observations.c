/* Feedback and observations through the public interface: a pair judged wrong is never matched again. */
#include "redis_server.h"
#include "store/store.h"
#include "test_cache.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define SOON 10000

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['one', 'eins', 0.98], ['One?', 'uno', 0.99],"
                       " ['one', 'UNO!', 0.99]]}");
}

TestSuite(observations, .init = set_up, .timeout = 60);

static char id[LLMCACHE_ID_SIZE];

/* Asks; its source, and the answer's id in `id`. */
static const char *ask(llmcache *cache, const char *question)
{
    llmcache_answer *answer = test_ask(cache, question, NULL);
    const char *source = llmcache_answer_source_name(answer);
    strcpy(id, llmcache_answer_id(answer));
    llmcache_answer_free(answer);
    return source;
}

/* Asks without keeping what the model says, which would be exact the next time. */
static const char *look(llmcache *cache, const char *question)
{
    llmcache_ask_options options = {.struct_size = sizeof options, .no_store = 1};
    llmcache_answer *answer = test_ask(cache, question, &options);
    const char *source = llmcache_answer_source_name(answer);
    llmcache_answer_free(answer);
    return source;
}

static llmcache_feedback_report say(llmcache *cache, int good, const char *question)
{
    llmcache_feedback_report report = {.struct_size = sizeof report};
    llmcache_error err = {0};
    cr_assert_eq(llmcache_feedback_about(cache, id, good, question, &report, &err), 0, "%s", err.message);
    return report;
}

/* What is kept, as lines "verdict source asked|candidate". */
typedef struct list {
    char text[4096];
    int count;
    llmcache_observation last;
} list;

static int add_line(void *user, const llmcache_observation *o)
{
    list *l = user;
    size_t used = strlen(l->text);
    snprintf(l->text + used, sizeof l->text - used, "%s %s %s|%s\n", llmcache_verdict_name(o->verdict),
             llmcache_observer_name(o->observer), o->asked, o->candidate);
    l->count++;
    l->last = *o;
    return 0;
}

static list kept(llmcache *cache, const char *verdict)
{
    list l = {""};
    llmcache_error err = {0};
    llmcache_filter filter = {.struct_size = sizeof filter, .tag = verdict};
    cr_assert_eq(llmcache_observations(cache, &filter, add_line, &l, &err), 0, "%s", err.message);
    return l;
}

static llmcache *open_cache(const char *store)
{
    return test_cache(&mock, "threshold", "0.9", "store", store);
}

/* ---- Wrong ------------------------------------------------------------------------------------------- */

static void a_wrong_pair_never_comes_back(llmcache *cache)
{
    cr_assert_str_eq(ask(cache, "one"), "model");
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    llmcache_feedback_report report = say(cache, 0, NULL);
    cr_assert_eq(report.removed, 1);
    cr_assert_eq(report.pairs, 1);
    cr_assert_str_eq(kept(cache, "wrong").text, "wrong feedback uno|one\n");
    cr_assert_str_eq(look(cache, "uno"), "model", "the answer is gone");
    cr_assert_str_eq(ask(cache, "one"), "model");
    cr_assert_str_eq(look(cache, "uno"), "model", "and the new one is not for this question");
    cr_assert_str_eq(look(cache, "UNO!"), "model", "nor for words that come to the same");
    cr_assert_str_eq(look(cache, "eins"), "semantic", "other pairs are as before");
    llmcache_purge(cache, NULL, NULL, NULL);
    cr_assert_str_eq(ask(cache, "uno"), "model");
    cr_assert_str_eq(ask(cache, "uno"), "exact", "kept under its own words");
    cr_assert_str_eq(ask(cache, "one"), "model", "and not for the other direction");
}

Test(observations, a_wrong_pair_never_comes_back_in_memory)
{
    llmcache *cache = open_cache("memory:");
    a_wrong_pair_never_comes_back(cache);
    cr_assert_geq(test_counters(cache).rejected, 1);
    llmcache_close(cache);
}

Test(observations, a_wrong_pair_is_known_after_a_restart)
{
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = open_cache(uri);
    a_wrong_pair_never_comes_back(cache);
    llmcache_purge(cache, NULL, NULL, NULL);
    cr_assert_eq(kept(cache, "wrong").count, 1, "purging answers leaves observations");
    llmcache_close(cache);
    cache = open_cache(uri);
    cr_assert_str_eq(ask(cache, "one"), "model");
    cr_assert_str_eq(ask(cache, "uno"), "model");
    llmcache_close(cache);
}

Test(observations, explain_has_it_as_a_rule)
{
    llmcache *cache = open_cache("memory:");
    llmcache_error err;
    char *json;
    ask(cache, "one");
    ask(cache, "uno");
    say(cache, 0, NULL);
    ask(cache, "one");
    cr_assert_eq(llmcache_explain(cache, "uno", NULL, &json, &err), 0);
    cr_assert_not_null(strstr(json, "\"why\":\"wrong-before\""), "%s", json);
    cr_assert_not_null(strstr(json, "{\"rule\":\"wrong-before\",\"outcome\":\"veto\",\"detail\":\"feedback\"}"),
                       "%s", json);
    llmcache_free(json);
    llmcache_close(cache);
}

/* An answer whose bytes are remembered in memory is served without being judged. */
Test(observations, what_was_remembered_by_its_bytes_is_forgotten)
{
    llmcache *cache = open_cache("memory:");
    ask(cache, "one");
    ask(cache, "uno");
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = "ONE", .candidate = "Uno?",
                              .verdict = LLMCACHE_WRONG, .observer = LLMCACHE_BY_JUDGE};
    cr_assert_eq(llmcache_observe(cache, &o, NULL), 0);
    cr_assert_str_eq(ask(cache, "uno"), "model");
    cr_assert_str_eq(ask(cache, "one"), "exact", "the answer itself was not said to be wrong");
    llmcache_close(cache);
}

Test(observations, an_exact_answer_that_is_wrong_makes_no_pair)
{
    llmcache *cache = open_cache("memory:");
    ask(cache, "one");
    cr_assert_eq(say(cache, 0, NULL).pairs, 0);
    cr_assert_eq(kept(cache, NULL).count, 0);
    cr_assert_str_eq(ask(cache, "one"), "model");
    ask(cache, "uno");
    cr_assert_eq(say(cache, 0, "One").pairs, 0, "its own question");
    cr_assert_str_eq(ask(cache, "one"), "model");
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    llmcache_close(cache);
}

Test(observations, the_question_says_which_pair)
{
    llmcache *cache = open_cache("memory:");
    ask(cache, "one");
    ask(cache, "uno");
    ask(cache, "eins");
    cr_assert_eq(say(cache, 0, "eins").pairs, 1);
    list l = kept(cache, "wrong");
    cr_assert_str_eq(l.text, "wrong feedback eins|one\n");
    cr_assert_eq(l.last.doubtful, 0);
    cr_assert_float_eq(l.last.similarity, 0.98, 1e-3);
    cr_assert_str_eq(ask(cache, "one"), "model");
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    cr_assert_str_eq(ask(cache, "eins"), "model");
    llmcache_close(cache);
}

Test(observations, without_it_all_wordings_are_judged_and_marked)
{
    llmcache *cache = open_cache("memory:");
    ask(cache, "one");
    ask(cache, "uno");
    ask(cache, "eins");
    cr_assert_eq(say(cache, 0, NULL).pairs, 2);
    list l = kept(cache, "wrong");
    cr_assert_eq(l.count, 2);
    cr_assert_eq(l.last.doubtful, 1);
    cr_assert_str_eq(ask(cache, "one"), "model");
    cr_assert_str_eq(look(cache, "eins"), "model");
    cr_assert_str_eq(look(cache, "uno"), "model");
    llmcache_close(cache);
}

/* A pair no hit is known of: the ids and the words of a log, weeks later. */
Test(observations, a_question_without_a_hit_makes_a_pair)
{
    llmcache *cache = open_cache("memory:");
    ask(cache, "one");
    cr_assert_eq(say(cache, 0, "uno").pairs, 1);
    ask(cache, "one");
    cr_assert_str_eq(ask(cache, "uno"), "model");
    llmcache_close(cache);
}

Test(observations, an_answer_that_left_can_still_be_wrong)
{
    llmcache *cache = open_cache("memory:");
    char gone[LLMCACHE_ID_SIZE];
    ask(cache, "one");
    ask(cache, "uno");
    strcpy(gone, id);
    llmcache_purge(cache, NULL, NULL, NULL);
    llmcache_feedback_report report = say(cache, 0, NULL);
    cr_assert_eq(report.removed, 0);
    cr_assert_eq(report.pairs, 1);
    ask(cache, "one");
    cr_assert_str_eq(ask(cache, "uno"), "model");
    strcpy(id, "ffffffffffffffffffff");
    cr_assert_eq(llmcache_feedback(cache, id, 0, NULL), LLMCACHE_NOT_FOUND);
    llmcache_close(cache);
}

/* ---- Right, and whose word counts ---------------------------------------------------------------------- */

Test(observations, right_serves_nothing_that_a_rule_refuses)
{
    llmcache *cache = open_cache("memory:");
    mock_behave(&mock, "{'pairs': [['Flights for 2 people', 'Flights for 3 people', 0.99]]}");
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = "Flights for 3 people",
                              .candidate = "Flights for 2 people", .verdict = LLMCACHE_RIGHT,
                              .observer = LLMCACHE_BY_FEEDBACK};
    cr_assert_eq(llmcache_observe(cache, &o, NULL), 0);
    ask(cache, "Flights for 2 people");
    cr_assert_str_eq(ask(cache, "Flights for 3 people"), "model");
    llmcache_close(cache);
}

Test(observations, a_person_takes_back_what_was_wrong)
{
    llmcache *cache = open_cache("memory:");
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = "uno", .candidate = "one",
                              .verdict = LLMCACHE_WRONG, .observer = LLMCACHE_BY_FEEDBACK};
    cr_assert_eq(llmcache_observe(cache, &o, NULL), 0);
    ask(cache, "one");
    cr_assert_eq(say(cache, 1, "uno").pairs, 1);
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    llmcache_close(cache);
}

Test(observations, what_was_removed_counts_no_more)
{
    llmcache *cache = open_cache("memory:");
    uint64_t removed = 0;
    ask(cache, "one");
    cr_assert_eq(say(cache, 0, "uno").pairs, 1);
    ask(cache, "one");
    llmcache_filter young = {.struct_size = sizeof young, .older_than_ms = 1000};
    cr_assert_eq(llmcache_observations_purge(cache, &young, &removed, NULL), 0);
    cr_assert_eq(removed, 0);
    llmcache_filter dry = {.struct_size = sizeof dry, .dry_run = 1};
    cr_assert_eq(llmcache_observations_purge(cache, &dry, &removed, NULL), 0);
    cr_assert_eq(removed, 1);
    cr_assert_eq(kept(cache, NULL).count, 1);
    cr_assert_eq(llmcache_observations_purge(cache, NULL, &removed, NULL), 0);
    cr_assert_eq(removed, 1);
    cr_assert_eq(kept(cache, NULL).count, 0);
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    llmcache_close(cache);
}

Test(observations, they_are_kept_as_long_as_the_setting_says)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "observation-ttl", "10d");
    ask(cache, "one");
    ask(cache, "uno");
    list hits = kept(cache, "unjudged");
    cr_assert_eq(hits.last.expires_ms - hits.last.time_ms, 7 * 86400000LL, "nobody judges it after a week");
    say(cache, 0, NULL);
    list wrong = kept(cache, "wrong");
    cr_assert_eq(wrong.last.expires_ms - wrong.last.time_ms, 10 * 86400000LL);
    ask(cache, "one");
    __atomic_add_fetch(&test_clock_ms, 10 * 86400000LL, __ATOMIC_RELAXED);
    cr_assert_eq(kept(cache, NULL).count, 0);
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    llmcache_close(cache);
}

/* ---- Without text -------------------------------------------------------------------------------------- */

Test(observations, without_text_a_pair_is_known_by_its_digests)
{
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "observation-text", "no", "store", uri);
    ask(cache, "one");
    ask(cache, "uno");
    cr_assert_eq(say(cache, 0, NULL).pairs, 1);
    cr_assert_str_eq(kept(cache, NULL).text, "wrong feedback |\n");
    llmcache_close(cache);
    cache = test_cache(&mock, "threshold", "0.9", "observation-text", "no", "store", uri);
    ask(cache, "one");
    cr_assert_str_eq(ask(cache, "Uno"), "model");
    list l = kept(cache, NULL);
    llmcache *other = test_cache(&mock, "threshold", "0.9");
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .verdict = LLMCACHE_WRONG,
                              .observer = LLMCACHE_BY_IMPORT};
    memcpy(o.asked_digest, l.last.asked_digest, sizeof o.asked_digest);
    memcpy(o.candidate_digest, l.last.candidate_digest, sizeof o.candidate_digest);
    cr_assert_eq(llmcache_observe(other, &o, NULL), 0, "and can be copied by them");
    ask(other, "one");
    cr_assert_str_eq(ask(other, "uno"), "model");
    llmcache_close(other);
    llmcache_close(cache);
}

/* ---- Namespaces ---------------------------------------------------------------------------------------- */

Test(observations, one_namespace_never_acts_in_another)
{
    llmcache *cache = open_cache("memory:");
    llmcache_ask_options there = {.struct_size = sizeof there, .space = "tenant"};
    const char *questions[] = {"one", "uno"};
    ask(cache, "one");
    ask(cache, "uno");
    say(cache, 0, NULL);
    for (int i = 0; i < 2; i++) {
        llmcache_answer *answer = test_ask(cache, questions[i], &there);
        cr_assert_str_eq(llmcache_answer_source_name(answer), i ? "semantic" : "model");
        llmcache_answer_free(answer);
    }
    llmcache_filter filter = {.struct_size = sizeof filter, .space = "tenant", .tag = "wrong"};
    list l = {""};
    cr_assert_eq(llmcache_observations(cache, &filter, add_line, &l, NULL), 0);
    cr_assert_eq(l.count, 0);
    llmcache_close(cache);
}

Test(observations, answers_and_observations_are_not_listed_together)
{
    llmcache *cache = open_cache("memory:");
    ask(cache, "one");
    cr_assert_eq(say(cache, 1, "uno").pairs, 1);
    cr_assert_eq(kept(cache, NULL).count, 1);
    cr_assert_eq(test_counters(cache).entries, 1);
    llmcache_filter other = {.struct_size = sizeof other, .id = kept(cache, NULL).last.id};
    uint64_t removed = 9;
    cr_assert_eq(llmcache_purge(cache, &other, &removed, NULL), 0);
    cr_assert_eq(removed, 0);
    cr_assert_eq(llmcache_get(cache, other.id, NULL, NULL, NULL), LLMCACHE_INVALID);
    llmcache_close(cache);
}

Test(observations, what_is_none_is_refused)
{
    llmcache *cache = open_cache("memory:");
    llmcache_error err;
    const llmcache_observation good = {.struct_size = sizeof good, .space = "default", .asked = "a",
                                       .candidate = "b", .verdict = LLMCACHE_WRONG,
                                       .observer = LLMCACHE_BY_IMPORT};
    llmcache_observation odd[6] = {good, good, good, good, good, good};
    odd[0].space = "";
    odd[1].candidate = "A.";
    odd[2].asked = NULL;
    odd[3].verdict = 3;
    odd[4].observer = LLMCACHE_BY_HIT;
    odd[5].feature_count = LLMCACHE_FEATURES_MAX + 1;
    for (int i = 0; i < 6; i++)
        cr_expect_eq(llmcache_observe(cache, &odd[i], &err), LLMCACHE_INVALID, "%d", i);
    cr_expect_eq(llmcache_observe(cache, &good, &err), 0);
    llmcache_close(cache);
}

/* ---- A store that keeps none --------------------------------------------------------------------------- */

static lc_store inner;
static atomic_int refusal, refused;

static int none_of(int part, llmcache_error *err)
{
    refused |= part == LLMCACHE_PART_OBSERVATION;
    return part == LLMCACHE_PART_OBSERVATION ? llmcache_error_set(err, refusal, "no such part") : 0;
}

static int own_get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
                   llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    int code = none_of(part, err);
    return code ? code : inner.ops.get(inner.self, part, key, now_ms, deadline_ms, fn, user, err);
}

static int own_put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
                   llmcache_error *err)
{
    int code = none_of(parts, err);
    return code ? code : inner.ops.put(inner.self, parts, entry, deadline_ms, err);
}

static int own_remove(void *self, int parts, const llmcache_key *keys, size_t count,
                      int64_t deadline_ms, uint64_t *removed, llmcache_error *err)
{
    int code = none_of(parts, err);
    return code ? code : inner.ops.remove(inner.self, parts, keys, count, deadline_ms, removed, err);
}

static int own_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                    void *user, uint64_t *damaged, llmcache_error *err)
{
    int code = none_of(part, err);
    return code ? code : inner.ops.each(inner.self, part, space, now_ms, fn, user, damaged, err);
}

static int own_ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static void own_stats(void *self, llmcache_store_stats *stats)
{
    inner.ops.stats(inner.self, stats);
}

static void own_close(void *self)
{
    lc_store_close(&inner);
}

static llmcache *open_without_part(int code)
{
    static const llmcache_store_ops ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "own", .get = own_get,
                                           .put = own_put, .remove = own_remove, .each = own_each,
                                           .ping = own_ping, .stats = own_stats, .close = own_close};
    const lc_store_options none = {.max_bytes = 0};
    llmcache_options *options = test_cache_options(&mock, (const char *const[]){"threshold", "0.9", NULL});
    llmcache *cache;
    llmcache_error err;
    refusal = code;
    cr_assert_eq(lc_store_open_memory(&none, &inner, &err), 0);
    cr_assert_eq(llmcache_options_store(options, &ops, &inner, &err), 0);
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
    return cache;
}

Test(observations, without_a_place_in_the_store_they_are_kept_in_memory)
{
    const int codes[] = {LLMCACHE_UNSUPPORTED, LLMCACHE_INVALID};
    for (int i = 0; i < 2; i++) {
        llmcache *cache = open_without_part(codes[i]);
        a_wrong_pair_never_comes_back(cache);
        cr_assert(refused);
        cr_assert_eq(kept(cache, "wrong").count, 1);
        llmcache_close(cache);
    }
}

/* A store that fails at them: nothing waits for it, answers come as ever, and what was said counts. */
Test(observations, a_store_that_fails_at_them_costs_no_answer)
{
    llmcache *cache = open_without_part(LLMCACHE_STORE);
    ask(cache, "one");
    cr_assert_str_eq(ask(cache, "uno"), "semantic");
    cr_assert_eq(llmcache_feedback(cache, id, 0, NULL), LLMCACHE_STORE, "the pair cannot be looked up");
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = "uno", .candidate = "one",
                              .verdict = LLMCACHE_WRONG, .observer = LLMCACHE_BY_FEEDBACK};
    cr_assert_eq(llmcache_observe(cache, &o, NULL), LLMCACHE_STORE);
    ask(cache, "one");
    cr_assert_str_eq(look(cache, "uno"), "model", "it counts all the same");
    llmcache_close(cache);
}

/* ---- Several caches on one store ----------------------------------------------------------------------- */

static void seen_by_the_other(const char *uri)
{
    llmcache *here = open_cache(uri), *there = open_cache(uri);
    ask(here, "one");
    cr_assert_str_eq(ask(here, "uno"), "semantic");
    cr_assert(test_wait_until(strcmp(look(there, "uno"), "semantic") == 0, SOON));
    cr_assert_str_eq(look(there, "uno"), "semantic", "remembered by its bytes");
    say(here, 0, "uno");
    ask(here, "one");
    cr_assert(test_wait_until(strcmp(look(there, "uno"), "model") == 0 &&
                                  strcmp(look(there, "one"), "exact") == 0, SOON));
    for (int i = 0; i < 20; i++)
        cr_assert_str_eq(look(there, "uno"), "model", "the new answer is there, and not for this");
    uint64_t removed;
    cr_assert_eq(llmcache_observations_purge(here, NULL, &removed, NULL), 0);
    cr_assert(test_wait_until(strcmp(look(there, "uno"), "semantic") == 0, SOON),
              "what was taken back is seen too");
    llmcache_close(here);
    llmcache_close(there);
}

Test(observations, feedback_is_seen_by_others_on_sqlite)
{
    seen_by_the_other(test_format("sqlite:%s/cache.db", test_folder()));
}

Test(observations, feedback_is_seen_by_others_on_redis)
{
    test_redis redis;
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, NULL);
    seen_by_the_other(redis.uri);
}

Test(observations, deleting_answers_in_redis_leaves_them)
{
    test_redis redis;
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, NULL);
    llmcache *cache = open_cache(redis.uri);
    ask(cache, "one");
    ask(cache, "uno");
    say(cache, 0, NULL);
    const char *name = test_redis_command(&redis, "KEYS observation_cache:default:*");
    cr_assert_eq(strlen(name), strlen("observation_cache:default:") + 20, "%s", name);
    cr_assert_gt(atoll(test_redis_command(&redis, "PTTL %s", name)), 89 * 86400000LL);
    const char *keys = test_redis_command(&redis, "KEYS *_cache:default:*");
    for (const char *at = keys; *at; at += strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n')) {
        const char *key = test_keep(at, strcspn(at, "\n"));
        if (strncmp(key, "observation_cache:", 18) != 0)
            test_redis_command(&redis, "DEL %s", key);
    }
    cr_assert_str_eq(ask(cache, "one"), "model");
    cr_assert_str_eq(ask(cache, "uno"), "model");
    llmcache_close(cache);
}

/* Verified mode, the guard, what is kept of them: with the mock model, whose answers differ where the questions do. */
#include "redis_server.h"
#include "test_cache.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <string.h>

#define SOON  20000
#define TEXTS 60 /* topics that are explored */
#define MORE  10 /* topics after them */

static test_mock mock;

/* Topic i, in four wordings a, b, c, d: all near each other. No digits, which the rules would look at. */
static const char *words(int topic, char wording)
{
    return test_format("%c%c thing %c", 'a' + topic / 26, 'a' + topic % 26, wording);
}

static void set_up(void)
{
    mock_start(&mock);
    for (int i = 0; i < TEXTS + MORE; i++)
        for (char w = 'b'; w <= 'd'; w++)
            mock_behave(&mock, "{'pairs': [['%s', '%s', 0.97]]}", words(i, 'a'), words(i, w));
}

TestSuite(learning, .init = set_up, .timeout = 120);

static void say_the_same(void)
{
    mock_behave(&mock, "{'path': '/v1/chat', 'text': 'Water boils when it is hot enough.'}");
}

#define open_cache(...) test_cache(&mock, "policy", "verified", "max-error", "30%", __VA_ARGS__)

static json_t *policy(llmcache *cache)
{
    char *json;
    llmcache_error err = {0};
    cr_assert_eq(llmcache_policy(cache, &json, &err), 0, "%s", err.message);
    json_t *root = test_json(json);
    llmcache_free(json);
    return root;
}

/* A number of the state: "compared", "same". */
static long count(llmcache *cache, const char *part, const char *name)
{
    return (long)json_integer_value(json_object_get(json_object_get(policy(cache), part), name));
}

static json_t *curve(llmcache *cache, size_t which)
{
    return json_array_get(json_object_get(json_object_get(policy(cache), "learned"), "curves"), which);
}

static double number(json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* What was learned, for people. */
static const char *shown(llmcache *cache)
{
    return test_format("%s", json_dumps(json_object_get(policy(cache), "learned"), 0));
}

/* What was counted; fits and limits are made of it now and then. */
static const char *learned(llmcache *cache)
{
    json_t *all = json_object_get(curve(cache, 0), "all");
    return test_format("%g records, %g candidates, %g hits, %g explored, %g checked, %g wrong",
                       number(json_object_get(policy(cache), "learned"), "records"),
                       number(curve(cache, 0), "candidates"), number(curve(cache, 0), "hits"),
                       number(curve(cache, 0), "explored"), number(all, "checked"), number(all, "wrong"));
}

static long compared(llmcache *cache)
{
    return count(cache, "compared", "same") + count(cache, "compared", "different");
}

/* Keeps every topic's answer, then asks each in other words, until all answers are compared. Before it has seen
 * thirty of them it serves none. */
static long explore(llmcache *cache, char wording)
{
    for (int i = 0; i < TEXTS; i++)
        cr_assert_str_eq(test_ask_source(cache, words(i, 'a')), "model");
    long asked = 0;
    for (int i = 0; i < TEXTS; i++) {
        int is_model = strcmp(test_ask_source(cache, words(i, wording)), "model") == 0;
        cr_assert(is_model || i > 30, "%d", i);
        asked += is_model;
    }
    cr_assert(test_wait_until(compared(cache) >= asked, SOON), "%ld of %ld", compared(cache), asked);
    return asked;
}

/* How many of these are served. */
static int hits(llmcache *cache, int topics, char wording)
{
    int sum = 0;
    for (int i = 0; i < topics; i++)
        sum += strcmp(test_ask_source(cache, words(i, wording)), "semantic") == 0;
    return sum;
}

static void ask_in(llmcache *cache, const char *space, const char *question)
{
    llmcache_ask_options options = {.struct_size = sizeof options, .space = space};
    llmcache_answer_free(test_ask(cache, question, &options));
}

Test(learning, it_asks_first_and_serves_what_turned_out_right)
{
    llmcache *cache = open_cache("store", "memory:");
    say_the_same();
    explore(cache, 'b');
    cr_assert_eq(count(cache, "compared", "different"), 0);
    cr_assert_gt(number(curve(cache, 0), "limit"), 0);
    cr_assert_gt(hits(cache, TEXTS, 'c'), TEXTS / 2);
    cr_assert_str_eq(json_string_value(json_object_get(policy(cache), "policy")), "verified");
    llmcache_close(cache);
}

Test(learning, where_answers_differ_nothing_is_served)
{
    llmcache *cache = open_cache("store", "memory:");
    explore(cache, 'b');
    cr_assert_eq(count(cache, "compared", "different"), TEXTS);
    cr_assert_eq(number(curve(cache, 0), "limit"), 0);
    cr_assert_eq(hits(cache, TEXTS, 'c'), 0);
    llmcache_close(cache);
}

Test(learning, what_a_rule_refuses_is_never_served)
{
    llmcache *cache = open_cache("store", "memory:");
    mock_behave(&mock, "{'pairs': [['Boil 3 eggs', 'Boil 4 eggs', 0.999]]}");
    say_the_same(); /* a judge that says right to everything */
    explore(cache, 'b');
    cr_assert_gt(hits(cache, TEXTS, 'c'), 0);
    cr_assert_str_eq(test_ask_source(cache, "Boil 3 eggs"), "model");
    for (int i = 0; i < 3; i++) {
        llmcache_ask_options options = {.struct_size = sizeof options, .no_store = 1};
        llmcache_answer *answer = test_ask(cache, "Boil 4 eggs", &options);
        cr_assert_eq(llmcache_answer_source(answer), LLMCACHE_SOURCE_MODEL);
        llmcache_answer_free(answer);
    }
    llmcache_close(cache);
}

/* Of a refused pair it is known that the answers must differ: now and then they are compared. */
Test(learning, refused_ones_show_whether_the_comparison_can_tell)
{
    llmcache *cache = open_cache("store", "memory:");
    for (int i = 1; i <= 250; i++)
        mock_behave(&mock, "{'pairs': [['Boil 1000 eggs', 'Boil %d eggs', 0.99]]}", i);
    say_the_same();
    test_ask_source(cache, "Boil 1000 eggs");
    for (int i = 1; i <= 250; i++)
        cr_assert_str_eq(test_ask_source(cache, test_format("Boil %d eggs", i)), "model");
    cr_assert(test_wait_until(count(cache, "compared", "controls") > 0, SOON));
    cr_assert_eq(compared(cache), 0, "and nothing else comes of it");
    llmcache_close(cache);
}

Test(learning, it_falls_back_after_wrong_ones)
{
    llmcache *cache = open_cache("store", "memory:");
    say_the_same();
    explore(cache, 'b');
    cr_assert_gt(number(curve(cache, 0), "limit"), 0);
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .verdict = LLMCACHE_WRONG,
                              .observer = LLMCACHE_BY_EXPLORATION, .similarity = .97, .language = "en"};
    for (int i = 0; i < 2 * TEXTS; i++) {
        o.asked = test_format("told %d", i);
        o.candidate = test_format("other %d", i);
        cr_assert_eq(llmcache_observe(cache, &o, NULL), 0);
    }
    for (int i = TEXTS; i < TEXTS + MORE; i++) {
        test_ask_source(cache, words(i, 'a'));
        cr_assert_str_eq(test_ask_source(cache, words(i, 'b')), "model", "a record nobody knows");
    }
    llmcache_close(cache);
}

/* ---- Kept ------------------------------------------------------------------------------------------------ */

Test(learning, a_restart_goes_on_where_it_was)
{
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = open_cache("store", store);
    say_the_same();
    explore(cache, 'b');
    const char *before = learned(cache);
    llmcache_close(cache);
    cache = open_cache("store", store);
    cr_assert(test_wait_until(strcmp(learned(cache), before) == 0, SOON), "%s\n%s", before, learned(cache));
    cr_assert_gt(hits(cache, TEXTS, 'c'), TEXTS / 2);
    llmcache_close(cache);
}

static void two_share(const char *store)
{
    llmcache *first = open_cache("store", store), *second = open_cache("store", store);
    say_the_same();
    test_ask_source(second, "something to begin with");
    long asked = explore(first, 'b');
    cr_assert(test_wait_until(json_integer_value(json_object_get(json_object_get(policy(second), "learned"),
                                                                 "records")) >= asked,
                              SOON),
              "%s", shown(second));
    json_t *a = curve(first, 0), *b = curve(second, 0);
    cr_assert(test_wait_until(number(curve(second, 0), "slope") != 0, SOON));
    cr_assert_str_eq(json_string_value(json_object_get(a, "curve")), json_string_value(json_object_get(b, "curve")));

    cr_assert_eq(llmcache_policy_set(first, "freeze", NULL, NULL), 0);
    cr_assert(test_wait_until(json_is_true(json_object_get(json_object_get(policy(second), "learned"), "frozen")),
                              SOON),
              "freezing reaches the other");
    cr_assert_eq(llmcache_policy_set(second, "thaw", NULL, NULL), 0);
    cr_assert(test_wait_until(json_is_false(json_object_get(json_object_get(policy(first), "learned"), "frozen")),
                              SOON));
    llmcache_close(second);
    llmcache_close(first);
}

Test(learning, two_share_a_file)
{
    two_share(test_format("sqlite:%s/cache.db", test_folder()));
}

Test(learning, two_share_redis)
{
    test_redis redis;
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, NULL);
    two_share(redis.uri);
}

/* ---- Steered ----------------------------------------------------------------------------------------------- */

Test(learning, freeze_reset_export_import)
{
    llmcache *cache = open_cache("store", "memory:");
    llmcache_error err;
    char *state;
    say_the_same();
    explore(cache, 'b');
    const char *before = learned(cache);
    cr_assert_eq(llmcache_policy_export(cache, &state, &err), 0);
    cr_assert_eq(llmcache_policy_set(cache, "freeze", NULL, &err), 0);
    cr_assert_eq(llmcache_policy_set(cache, "thaw", NULL, &err), 0);
    cr_assert_eq(llmcache_policy_set(cache, "reset", NULL, &err), 0);
    cr_assert_null(curve(cache, 0));
    cr_assert_eq(hits(cache, 5, 'c'), 0);
    llmcache *other = open_cache("store", "memory:");
    cr_assert_eq(llmcache_policy_set(other, "import", state, &err), 0, "%s", err.message);
    cr_assert_str_eq(learned(other), before);
    cr_assert_eq(llmcache_policy_set(other, "import", "{\"version\":1}", &err), LLMCACHE_INVALID);
    cr_assert_eq(llmcache_policy_set(other, "import", NULL, &err), LLMCACHE_INVALID);
    cr_assert_eq(llmcache_policy_set(other, "melt", NULL, &err), LLMCACHE_INVALID);
    cr_assert_str_eq(learned(other), before, "nothing of that changed it");
    llmcache_free(state);
    llmcache_close(other);
    llmcache_close(cache);
}

/* What was observed just before may not have been written, or read by others, yet. */
Test(learning, a_reset_elsewhere_forgets_what_is_on_its_way)
{
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *first = open_cache("store", store), *second = open_cache("store", store);
    say_the_same();
    ask_in(first, "before", words(0, 'a'));
    ask_in(first, "before", words(0, 'b'));
    cr_assert(test_wait_until(compared(first) == 1, SOON));
    __atomic_add_fetch(&test_clock_ms, 1, __ATOMIC_RELAXED);
    cr_assert_eq(llmcache_policy_set(second, "reset", NULL, NULL), 0);
    __atomic_add_fetch(&test_clock_ms, 1, __ATOMIC_RELAXED);
    cr_assert(test_wait_until(number(curve(first, 0), "candidates") == 0, SOON), "%s", shown(first));
    ask_in(first, "after", words(0, 'a'));
    ask_in(first, "after", words(0, 'b'));
    cr_assert(test_wait_until(curve(second, 0), SOON), "what is observed after it counts");
    cr_assert(test_wait_until(strstr(shown(second), "after"), SOON), "%s", shown(second));
    cr_assert_null(strstr(shown(first), "before"), "%s", shown(first));
    cr_assert_null(strstr(shown(second), "before"), "%s", shown(second));
    llmcache_close(second);
    llmcache_close(first);
}

Test(learning, nothing_is_learned_by_default)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9");
    llmcache_error err;
    char *state;
    test_ask_source(cache, words(0, 'a'));
    cr_assert_str_eq(test_ask_source(cache, words(0, 'b')), "semantic");
    cr_assert(json_is_false(json_object_get(policy(cache), "learns")));
    cr_assert_eq(llmcache_policy_set(cache, "freeze", NULL, &err), LLMCACHE_UNSUPPORTED);
    cr_assert_eq(llmcache_policy_export(cache, &state, &err), LLMCACHE_UNSUPPORTED);
    cr_assert_eq(mock_calls(&mock, "/v1/chat"), 1);
    llmcache_close(cache);
}

Test(learning, settings_are_checked)
{
    llmcache_options *options = test_cache_options(&mock, NULL);
    llmcache_error err;
    cr_assert_eq(llmcache_options_set(options, "max-error", "2%", &err), 0);
    cr_assert_eq(llmcache_options_set(options, "max-error", "0.02", &err), 0);
    cr_assert_eq(llmcache_options_set(options, "max-error", "60%", &err), LLMCACHE_SETTING);
    cr_assert_eq(llmcache_options_set(options, "max-error", "2 %", &err), 0);
    cr_assert_eq(llmcache_options_set(options, "shadow-share", "101%", &err), LLMCACHE_SETTING);
    cr_assert_eq(llmcache_options_set(options, "max-error-among", "days", &err), 0);
    llmcache *cache;
    cr_assert_eq(llmcache_open(options, &cache, &err), LLMCACHE_SETTING);
    llmcache_options_free(options);
}

/* ---- The guard --------------------------------------------------------------------------------------------- */

/* Waits for what goes on behind the hits, so that none is left out since too many were under way. */
static void hit_and_wait(llmcache *cache, int topic, char wording)
{
    long calls = count(cache, "shadow", "calls");
    cr_assert_str_eq(test_ask_source(cache, words(topic, 'a')), topic < 0 ? "" : "model");
    if (strcmp(test_ask_source(cache, words(topic, wording)), "semantic") == 0)
        cr_assert(test_wait_until(count(cache, "shadow", "calls") == calls + 1, SOON));
}

Test(learning, a_share_of_hits_is_checked_and_counted)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "shadow-share", "100%");
    say_the_same();
    for (int i = 0; i < 5; i++)
        hit_and_wait(cache, i, 'b');
    cr_assert(test_wait_until(compared(cache) == 5, SOON));
    cr_assert_eq(mock_calls(&mock, "/v1/chat"), 10, "five misses, five behind a hit's back");
    cr_assert_eq(count(cache, "compared", "same"), 5);
    cr_assert_gt(count(cache, "shadow", "output_tokens"), 0);
    cr_assert_eq(number(json_object_get(curve(cache, 0), "all"), "checked"), 5);
    cr_assert_eq(number(json_object_get(curve(cache, 0), "all"), "wrong"), 0);
    cr_assert_str_eq(test_ask_source(cache, words(0, 'b')), "exact", "what was paid for is kept");
    llmcache_close(cache);
}

Test(learning, over_budget_the_threshold_rises)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "shadow-share", "100%", "max-error", "2%");
    for (int i = 0; i < 12; i++) /* all of them wrong */
        hit_and_wait(cache, i, 'b');
    cr_assert(test_wait_until(number(curve(cache, 0), "alarms") > 0, SOON), "%s", shown(cache));
    cr_assert(json_is_true(json_object_get(curve(cache, 0), "alarmed")));
    test_ask_source(cache, words(20, 'a'));
    cr_assert_str_eq(test_ask_source(cache, words(20, 'b')), "model", "the fixed threshold is not trusted any more");
    llmcache_close(cache);
}

Test(learning, who_wants_no_call_gets_none)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "shadow-share", "100%");
    llmcache_ask_options options = {.struct_size = sizeof options, .only_cached = 1};
    test_ask_source(cache, words(0, 'a'));
    llmcache_answer *answer = test_ask(cache, words(0, 'b'), &options);
    cr_assert_eq(llmcache_answer_source(answer), LLMCACHE_SOURCE_SEMANTIC);
    llmcache_answer_free(answer);
    cr_assert_eq(count(cache, "shadow", "skipped"), 1);
    llmcache_close(cache);
    cr_assert_eq(mock_calls(&mock, "/v1/chat"), 1);
}

/* A model that fails behind a hit's back harms nobody. */
Test(learning, a_check_that_fails_is_counted)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "shadow-share", "100%");
    test_ask_source(cache, words(0, 'a'));
    mock_behave(&mock, "{'path': '/v1/chat', 'status': 500}");
    cr_assert_str_eq(test_ask_source(cache, words(0, 'b')), "semantic");
    cr_assert(test_wait_until(count(cache, "shadow", "failed") == 1, SOON));
    cr_assert_eq(compared(cache), 0);
    cr_assert_str_eq(test_ask_source(cache, words(0, 'b')), "semantic");
    llmcache_close(cache);
}

/* ---- Tenants ----------------------------------------------------------------------------------------------- */

static size_t curves_of_two(const char *pool)
{
    llmcache *cache = open_cache("store", "memory:", "learning-pool", pool);
    static const char *const spaces[] = {"one", "two"};
    for (int i = 0; i < 2; i++) {
        ask_in(cache, spaces[i], words(0, 'a'));
        ask_in(cache, spaces[i], words(0, 'b'));
    }
    size_t curves = json_array_size(json_object_get(json_object_get(policy(cache), "learned"), "curves"));
    llmcache_close(cache);
    return curves;
}

Test(learning, namespaces_learn_apart_unless_told_otherwise)
{
    cr_assert_eq(curves_of_two("no"), 2);
    cr_assert_eq(curves_of_two("yes"), 1);
}

/* ---- Seen -------------------------------------------------------------------------------------------------- */

Test(learning, metrics_are_in_order)
{
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "shadow-share", "100%");
    char *text;
    hit_and_wait(cache, 0, 'b');
    cr_assert(test_wait_until(compared(cache) == 1, SOON));
    cr_assert_eq(llmcache_metrics(cache, LLMCACHE_PROMETHEUS, &text, NULL), 0);
    cr_assert_not_null(strstr(text, "llmcache_false_hit_ratio{embedder=\"openai:"), "%s", text);
    cr_assert_not_null(strstr(text, "llmcache_shadow_calls_total{outcome=\"answered\"} 1\n"));
    cr_assert_null(strstr(text, "default"), "no namespace is named");
    const char *promtool = test_program("promtool");
    if (promtool) {
        test_run_result result = test_run((const char *const[]){promtool, "check", "metrics", NULL}, NULL, text);
        cr_assert_eq(result.status, 0, "%s%s", result.out, result.err);
    }
    llmcache_free(text);
    cr_assert_eq(llmcache_metrics(cache, LLMCACHE_JSON, &text, NULL), 0);
    json_t *learning = json_object_get(test_json(text), "learning");
    cr_assert(json_is_true(json_object_get(learning, "learns")));
    cr_assert(json_is_null(json_object_get(learning, "learned")), "namespaces are for who may manage the cache");
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(learning, "shadow"), "calls")), 1);
    llmcache_free(text);
    llmcache_close(cache);
}

Test(learning, explain_says_what_was_learned)
{
    llmcache *cache = open_cache("store", "memory:");
    char *json;
    test_ask_source(cache, words(0, 'a'));
    cr_assert_eq(llmcache_explain(cache, words(0, 'b'), NULL, &json, NULL), 0);
    cr_assert_not_null(strstr(json, "\"learned\":{\"action\":\"compare\",\"why\":\"unproven\""), "%s", json);
    cr_assert_not_null(strstr(json, "\"why\":\"learned\""), "%s", json);
    llmcache_free(json);
    cr_assert_eq(json_array_size(json_object_get(json_object_get(policy(cache), "learned"), "curves")), 0,
                 "explaining leaves nothing behind");
    llmcache_close(cache);
}

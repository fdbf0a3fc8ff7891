/* A store that fails every time: it always gets an error to fill, as backend.h says, and the caller always an answer. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <llmcache/backend.h>
#include <llmcache/observe.h>
#include <stdatomic.h>
#include <string.h>

static test_mock mock;
static atomic_int calls, without_error;

static int fail(llmcache_error *err)
{
    atomic_fetch_add(&calls, 1);
    atomic_fetch_add(&without_error, err == NULL);
    return llmcache_error_set(err, LLMCACHE_NETWORK, "it is not there");
}

static int get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
               llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    return fail(err);
}

static int put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms, llmcache_error *err)
{
    return fail(err);
}

static int take(void *self, int parts, const llmcache_key *keys, size_t count, int64_t deadline_ms,
                uint64_t *removed, llmcache_error *err)
{
    return fail(err);
}

static int each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn, void *user,
                uint64_t *damaged, llmcache_error *err)
{
    return fail(err);
}

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return fail(err);
}

static void stats(void *self, llmcache_store_stats *out)
{
    *out = (llmcache_store_stats){0};
}

static int watch(void *self, const llmcache_watch *listener, llmcache_error *err)
{
    return 0;
}

static void close_store(void *self)
{
}

static const llmcache_store_ops failing = {.version = LLMCACHE_BACKEND_VERSION, .name = "failing", .get = get,
                                           .put = put, .remove = take, .each = each, .ping = ping,
                                           .stats = stats, .close = close_store};

static llmcache *open_with(const llmcache_store_ops *ops)
{
    static const char *const settings[] = {"threshold", "0.9", NULL};
    llmcache_error err;
    llmcache *cache;
    llmcache_options *options = test_cache_options(&mock, settings);
    cr_assert_eq(llmcache_options_store(options, ops, &calls, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
    return cache;
}

static void start(void)
{
    mock_start(&mock);
}

TestSuite(failing_store, .init = start, .timeout = 60);

static int ignore(void *user, const llmcache_entry *entry)
{
    return 0;
}

static int ignore_observation(void *user, const llmcache_observation *observation)
{
    return 0;
}

Test(failing_store, gets_an_error_to_fill_whatever_the_caller_gives)
{
    llmcache *cache = open_with(&failing);
    llmcache_answer *answer;
    llmcache_rebuild_report report;
    char *json = NULL;
    llmcache_filter one = {.struct_size = sizeof one, .model = "m"};
    llmcache_observation said = {.struct_size = sizeof said, .space = "default", .asked = "one", .candidate = "two",
                                 .verdict = LLMCACHE_WRONG, .observer = LLMCACHE_BY_FEEDBACK};
    cr_assert_eq(llmcache_ask(cache, "什麼是快取？", NULL, &answer, NULL), 0);
    llmcache_answer_free(answer);
    cr_expect_lt(llmcache_put(cache, "question", "answer", NULL, NULL), 0);
    cr_expect_lt(llmcache_each(cache, NULL, ignore, NULL, NULL), 0);
    cr_expect_lt(llmcache_get(cache, "0123456789", ignore, NULL, NULL), 0);
    cr_expect_lt(llmcache_purge(cache, &one, NULL, NULL), 0);
    cr_expect_lt(llmcache_feedback(cache, "0123456789", 0, NULL), 0);
    cr_expect_lt(llmcache_observe(cache, &said, NULL), 0);
    cr_expect_lt(llmcache_observations(cache, NULL, ignore_observation, NULL, NULL), 0);
    cr_expect_lt(llmcache_observations_purge(cache, NULL, NULL, NULL), 0);
    cr_expect_lt(llmcache_rebuild(cache, &report, NULL), 0);
    llmcache_lint(cache, NULL, &json, NULL);
    llmcache_free(json);
    json = NULL;
    llmcache_explain(cache, "什麼是快取？", NULL, &json, NULL);
    llmcache_free(json);
    llmcache_close(cache);
    cr_expect_gt(atomic_load(&calls), 10);
    cr_expect_eq(atomic_load(&without_error), 0);
}

/* What nobody else can see, nobody else can remove. */
Test(failing_store, memory_holds_only_what_a_shared_store_has)
{
    llmcache_store_ops shared = failing;
    llmcache *cache = open_with(&failing);
    test_ask_source(cache, "one");
    cr_expect_str_eq(test_ask_source(cache, "one"), "exact", "a store of this process alone");
    llmcache_close(cache);
    shared.watch = watch;
    cache = open_with(&shared);
    llmcache_answer *answer = test_ask(cache, "one", NULL);
    cr_expect_eq(llmcache_answer_stored(answer), 0);
    cr_expect_str_eq(llmcache_answer_why(answer), "store");
    llmcache_answer_free(answer);
    cr_expect_str_eq(test_ask_source(cache, "one"), "model");
    cr_expect_eq(test_counters(cache).stored, 0);
    llmcache_close(cache);
}

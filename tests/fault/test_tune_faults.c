/* Torture for tuning by observations: the N-th allocation fails, for every N until none does. */
#include "test_cache.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <llmcache/tune.h>
#include <stdio.h>
#include <string.h>

TestSuite(tune_faults, .timeout = 600);

enum { TEXTS = 6, DIGESTS = 6 };

/* All texts lie in one direction. */
static int embed(void *self, const char *const *texts, size_t count, float *vectors, int64_t deadline_ms,
                 llmcache_error *err)
{
    for (size_t i = 0; i < count; i++) {
        vectors[2 * i] = 1;
        vectors[2 * i + 1] = 0;
    }
    return 0;
}

static size_t dimension(void *self)
{
    return 2;
}

static const char *space(void *self)
{
    return "test:2";
}

static void nothing(void *self)
{
}

static llmcache_options *options_of(void)
{
    static const llmcache_embedder_ops ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "test", .embed = embed,
                                              .dimension = dimension, .space = space, .close = nothing};
    static int self;
    llmcache_options *options =
        test_cache_options(NULL, (const char *const[]){"store", "memory:", "provider", "demo:", NULL});
    cr_assert_eq(llmcache_options_embedder(options, &ops, &self, NULL), 0);
    return options;
}

static void observe(llmcache *cache, int i, int with_text)
{
    llmcache_error err;
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .similarity = 0.97, .asked = "",
                              .candidate = "", .language = "en", .observer = LLMCACHE_BY_JUDGE,
                              .verdict = i % 3 ? LLMCACHE_RIGHT : LLMCACHE_WRONG};
    char asked[32], candidate[48];
    snprintf(asked, sizeof asked, "where is the %c house", 'a' + i);
    snprintf(candidate, sizeof candidate, "where can i find the %c house", 'a' + i);
    if (with_text) {
        o.asked = asked;
        o.candidate = candidate;
    }
    memset(o.asked_digest, 1 + 2 * i, sizeof o.asked_digest);
    memset(o.candidate_digest, 2 + 2 * i, sizeof o.candidate_digest);
    cr_assert_eq(llmcache_observe(cache, &o, &err), 0, "%s", err.message);
}

static int tune(llmcache *cache, char **json, llmcache_error *err)
{
    const llmcache_tune_options options = {.struct_size = sizeof options, .max_wrong = 0.4, .confidence = 0.6,
                                           .refit = 1, .min_labels = 1};
    return llmcache_tune_observations(cache, NULL, &options, json, err);
}

Test(tune_faults, every_allocation)
{
    llmcache *cache;
    llmcache_error err;
    llmcache_options *options = options_of();
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    for (int i = 0; i < TEXTS + DIGESTS; i++)
        observe(cache, i, i < TEXTS);
    char *whole = NULL;
    cr_assert_eq(tune(cache, &whole, &err), 0, "%s", err.message);
    cr_assert_not_null(strstr(whole, "\"by_text\":6,\"by_features\":6"), "%s", whole);
    uint64_t n = 1;
    for (int failed = 1; failed; n++) {
        char *json = NULL;
        memset(&err, 0, sizeof err);
        lc_memory_fail_at(n);
        int code = tune(cache, &json, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        if (code == 0) /* no pair is left out, and none is stopped by want of memory */
            cr_expect_str_eq(json, whole, "%d: %s", (int)n, json);
        else
            cr_expect(failed && !json && err.message[0], "%d: %d %s", (int)n, code, err.message);
        llmcache_free(json);
    }
    cr_expect_gt(n, 60, "the run allocates more than that");
    llmcache_free(whole);
    llmcache_close(cache);
    llmcache_options_free(options);
}

static int stop(void *user, size_t done, size_t total)
{
    return done <= total;
}

Test(tune_faults, the_caller_may_stop)
{
    llmcache *cache;
    llmcache_error err;
    llmcache_options *options = options_of();
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    observe(cache, 0, 1);
    const llmcache_tune_options how = {.struct_size = sizeof how, .progress = stop};
    char *json = NULL;
    cr_expect_eq(llmcache_tune_observations(cache, NULL, &how, &json, &err), LLMCACHE_ABORTED);
    cr_expect_null(json);
    llmcache_close(cache);
    llmcache_options_free(options);
}

/* Torture for feedback and observations: the N-th allocation fails, for every N until none does. */
#include "test_cache.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['Name a colour', 'Name a hue', 0.99], ['Name a colour', 'Name a tint', 0.98]]}");
}

TestSuite(observation_faults, .init = set_up, .timeout = 600);

static int has_texts(void *user, const llmcache_observation *o)
{
    cr_assert(*o->asked && *o->candidate);
    return 0;
}

static void ask(llmcache *cache, const char *question, int wrong)
{
    llmcache_error err = {.message = ""};
    llmcache_answer *answer = NULL;
    if (llmcache_ask(cache, question, NULL, &answer, &err)) {
        cr_assert(err.message[0], "a failure says why");
        return;
    }
    cr_assert(!wrong || llmcache_answer_source(answer) != LLMCACHE_SOURCE_SEMANTIC,
              "a pair that was taken in as wrong was served");
    llmcache_feedback_about(cache, llmcache_answer_id(answer), 0, "Name a shade", NULL, &err);
    llmcache_answer_free(answer);
}

static void once(const llmcache_options *options)
{
    llmcache *cache = NULL;
    llmcache_error err;
    llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = "Name a hue",
                              .candidate = "Name a colour", .verdict = LLMCACHE_WRONG,
                              .observer = LLMCACHE_BY_IMPORT};
    if (llmcache_open(options, &cache, &err))
        return;
    llmcache_put(cache, "Name a colour", "Blue.", NULL, &err);
    ask(cache, "Name a tint", 0);
    int wrong = llmcache_observe(cache, &o, &err) == 0;
    llmcache_put(cache, "Name a colour", "Blue.", NULL, &err);
    ask(cache, "Name a hue", wrong);
    llmcache_observations(cache, NULL, has_texts, NULL, &err);
    llmcache_observations_purge(cache, NULL, NULL, &err);
    llmcache_purge(cache, NULL, NULL, &err);
    llmcache_close(cache);
}

Test(observation_faults, every_allocation)
{
    const char *settings[] = {"store", "memory:", "threshold", "0.9", NULL};
    llmcache_options *options = test_cache_options(&mock, settings);
    uint64_t n = 1;
    for (;; n++) {
        lc_memory_fail_at(n);
        once(options);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        if (!failed)
            break;
    }
    cr_assert_gt(n, 100, "the run allocates more than that");
    llmcache_options_free(options);
}

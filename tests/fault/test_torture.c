/*
 * Torture: the N-th allocation fails, for every N until none does. Whatever happens, nothing crashes or
 * leaks (the sanitizers watch), and an answer that is given is the right one.
 */
#include "test_cache.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <llmcache/tune.h>
#include <string.h>

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['What is a cache?', 'Explain what a cache is', 0.99],"
                       " ['Name a stream near the sea', 'Name one stream by the sea', 0.87]]}");
    mock_behave(&mock, "{'match': 'judge-model', 'text': 'yes'}");
}

TestSuite(torture, .init = set_up, .timeout = 600);

static llmcache_options *options_for(const char *store)
{
    const char *settings[] = {"store", store, "threshold", "0.9", "judge", "openai:judge-model", NULL};
    return test_cache_options(&mock, settings);
}

/* The answer must be to this question, and nothing else may come out. */
static void ask(llmcache *cache, const char *question, const char *expected)
{
    llmcache_answer *answer = NULL;
    llmcache_error err = {.message = ""};
    int code = llmcache_ask(cache, question, NULL, &answer, &err);
    if (code) {
        cr_assert(err.code == code && err.message[0], "a failure says why");
        cr_assert_null(answer);
        return;
    }
    cr_assert(strstr(llmcache_answer_text(answer), expected), "\"%s\" was answered with: %s", question,
              llmcache_answer_text(answer));
    llmcache_answer_free(answer);
}

/* What is heard is the answer, or, when it fails, a head of it. */
static int on_text(void *user, const char *text, size_t size)
{
    strncat(user, text, size); /* room for far more than the mock says */
    return 0;
}

static void hear(llmcache *cache, const char *question)
{
    char heard[4096] = "";
    llmcache_answer *answer = NULL;
    llmcache_error err = {.message = ""};
    llmcache_ask_options options = {.struct_size = sizeof options, .on_text = on_text, .on_text_user = heard};
    int code = llmcache_ask(cache, question, &options, &answer, &err);
    cr_assert(code ? err.code == code && err.message[0] : strcmp(heard, llmcache_answer_text(answer)) == 0,
              "heard \"%s\", %d %s", heard, code, err.message);
    llmcache_answer_free(answer);
}

static int heed(void *user, const llmcache_judgement *judgement)
{
    return 0;
}

static void judge(llmcache *cache)
{
    static const llmcache_pair pairs[] = {
        {.struct_size = sizeof *pairs, .a = "What is a cache?", .b = "Explain what a cache is", .label = 1},
        {.struct_size = sizeof *pairs, .a = "Name a colour", .b = "Name a river", .label = 0, .source = "x"}};
    const llmcache_tune_options options = {.struct_size = sizeof options, .refit = 1};
    llmcache_error err;
    char *text;
    llmcache_judge(cache, pairs, 2, heed, NULL, &err);
    if (llmcache_tune(cache, pairs, 2, &options, &text, &err) == 0)
        llmcache_free(text);
}

static void once(const llmcache_options *options)
{
    llmcache *cache = NULL;
    llmcache_error err;
    char *text;
    if (llmcache_open(options, &cache, &err))
        return;
    ask(cache, "What is a cache?", "cache");
    ask(cache, "What is a cache?", "cache");
    ask(cache, "Explain what a cache is", "cache");
    ask(cache, "Name a colour", "colour");
    ask(cache, "Name a stream near the sea", "stream");
    ask(cache, "Name one stream by the sea", "stream"); /* in the grey zone */
    hear(cache, "Name a bird");
    hear(cache, "Name a bird");
    test_reply reply = test_call(cache, "/v1/chat/completions", NULL,
                                 "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                                 "\"content\":\"Name a river\"}]}");
    cr_assert(reply.code || reply.status >= 400 || strstr(reply.body, "[DONE]"));
    if (llmcache_explain(cache, "Name a colour", NULL, &text, &err) == 0)
        llmcache_free(text);
    judge(cache);
    if (llmcache_metrics(cache, LLMCACHE_PROMETHEUS, &text, &err) == 0)
        llmcache_free(text);
    llmcache_put(cache, "Name a tree", "An oak.", NULL, &err);
    llmcache_purge(cache, NULL, NULL, &err);
    llmcache_close(cache);
}

static void torture(const char *store, uint64_t step)
{
    llmcache_options *options = options_for(store);
    uint64_t n = 1;
    for (;; n += step) {
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

Test(torture, every_allocation_with_the_memory_store)
{
    torture("memory:", 1);
}

Test(torture, every_allocation_with_sqlite)
{
    torture(test_format("sqlite:%s/cache.db", test_folder()), 1);
}

/* ---- Learning ---------------------------------------------------------------------------------------------- */

/* What a rule refuses is not served, whatever is lost on the way; all that is written is read again. */
static void learn_once(const llmcache_options *options)
{
    llmcache *cache = NULL;
    llmcache_error err;
    char *text;
    if (llmcache_open(options, &cache, &err))
        return;
    ask(cache, "What is a cache?", "cache");
    ask(cache, "Explain what a cache is", "cache");
    ask(cache, "Name a colour", "colour");
    ask(cache, "Name a hue", "hue"); /* not proven yet: an answer of its own */
    if (llmcache_explain(cache, "Name a hue", NULL, &text, &err) == 0)
        llmcache_free(text);
    if (llmcache_metrics(cache, LLMCACHE_PROMETHEUS, &text, &err) == 0)
        llmcache_free(text);
    if (llmcache_policy(cache, &text, &err) == 0)
        llmcache_free(text);
    llmcache_policy_set(cache, "freeze", NULL, &err);
    llmcache_policy_set(cache, "thaw", NULL, &err);
    if (llmcache_policy_export(cache, &text, &err) == 0) {
        llmcache_policy_set(cache, "import", text, &err);
        llmcache_free(text);
    }
    llmcache_policy_set(cache, "reset", NULL, &err);
    llmcache_close(cache);
}

static void torture_learning(const char *const settings[])
{
    llmcache_options *options = test_cache_options(&mock, settings);
    uint64_t n = 1;
    for (;; n++) {
        lc_memory_fail_at(n);
        learn_once(options);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        if (!failed)
            break;
    }
    cr_assert_gt(n, 100);
    llmcache_options_free(options);
}

Test(torture, every_allocation_of_learning)
{
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    torture_learning((const char *const[]){"store", store, "policy", "verified", NULL});
}

static void shadow_once(const llmcache_options *options)
{
    llmcache *cache = NULL;
    llmcache_error err;
    if (llmcache_open(options, &cache, &err))
        return;
    ask(cache, "What is a cache?", "cache");
    ask(cache, "Explain what a cache is", "cache");
    llmcache_close(cache);
}

Test(torture, every_allocation_of_a_check_behind_a_hit)
{
    llmcache_options *options = test_cache_options(
        &mock, (const char *const[]){"threshold", "0.9", "shadow-share", "100%", NULL});
    uint64_t n = 1;
    for (int failed = 1; failed; n++) {
        lc_memory_fail_at(n);
        shadow_once(options);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
    }
    cr_assert_gt(n, 100);
    llmcache_options_free(options);
}

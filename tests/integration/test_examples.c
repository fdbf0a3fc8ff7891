/* The example programs, run: what they print is what the manual says they do. */
#include "support.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(examples, .timeout = 60);

static test_run_result run(const char *name, const char *store)
{
    const char *const argv[] = {test_build_path(test_format("examples/example-%s", name)), NULL};
    const char *const environment[] = {"LLMCACHE_PROVIDER=demo:", "LLMCACHE_DEMO_LATENCY_MS=0",
                                       "LLMCACHE_EMBEDDER=none", test_format("LLMCACHE_STORE=%s", store),
                                       NULL};
    test_run_result result = test_run(argv, environment, NULL);
    cr_assert_eq(result.status, 0, "%s: %s", name, result.err);
    return result;
}

Test(examples, ask)
{
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    cr_assert_not_null(strstr(run("ask", store).out, "(model)\n"));
    cr_assert_not_null(strstr(run("ask", store).out, "(exact)\n"));
}

Test(examples, stream)
{
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    test_run_result live = run("stream", store), again = run("stream", store);
    cr_assert_not_null(strstr(live.out, "data: [DONE]\n\n"));
    cr_assert_not_null(strstr(again.out, "data: [DONE]\n\n"));
    cr_assert_not_null(strstr(live.err, "X-Cache-Status: MISS"), "%s", live.err);
    cr_assert_not_null(strstr(again.err, "X-Cache-Status: HIT"), "%s", again.err);
}

Test(examples, own_provider)
{
    cr_assert_str_eq(run("own_provider", "memory:").out,
                     "A memory of what was asked before. (model)\n"
                     "A memory of what was asked before. (exact)\nasked 1 time\n");
}

Test(examples, judge)
{
    const char *said = run("judge", "memory:").out;
    cr_assert_not_null(strstr(said, "什麼是快取？ | 什麼是快取？: exact\n"), "%s", said);
    cr_assert_not_null(strstr(said, "How do I disable 2FA?: model, no-embedder\n"), "%s", said);
    cr_assert_not_null(strstr(said, "none wrong among 299: at most 1.0 % are\n"), "%s", said);
}

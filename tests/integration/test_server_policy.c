/* What was learned, as a person meets it: over HTTP and in a shell, a process each on one SQLite file. */
#include "llmcache_server.h"
#include "mock_client.h"

#include <criterion/criterion.h>
#include <string.h>

#define SOON 20000

TestSuite(server_policy, .timeout = 60);

static test_server server;
static test_mock mock;
static const char *environment[8];

/* One mock, one file; the server, and whatever the shell runs, share both. */
static void start(const char *policy, const char *admin_key)
{
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.97], ['one', 'eins', 0.97]]}");
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    const char *const flags[] = {"--provider", "openai:", "--store", store, "--embedder",
                                 "openai:text-embedding-3-small", "--openai-base-url", mock.openai,
                                 "--openai-api-key", "sk-test", "--policy", policy, "--max-error", "5%",
                                 admin_key ? "--admin-key" : NULL, admin_key, NULL};
    environment[0] = test_format("LLMCACHE_STORE=%s", store);
    environment[1] = test_format("LLMCACHE_OPENAI_BASE_URL=%s", mock.openai);
    environment[2] = "LLMCACHE_EMBEDDER=openai:text-embedding-3-small";
    environment[3] = "OPENAI_API_KEY=sk-test";
    environment[4] = test_format("LLMCACHE_POLICY=%s", policy);
    test_server_start(&server, flags, NULL);
}

static test_run_result run_words(const char *const words[])
{
    const char *argv[16] = {test_build_path("cli/llmcache-cli")};
    for (int i = 0; words[i] && i < 14; i++)
        argv[i + 1] = words[i];
    return test_run(argv, environment, NULL);
}
#define run(...) run_words((const char *const[]){__VA_ARGS__, NULL})

static json_t *state(void)
{
    test_reply reply = test_server_get(&server, "/cache/policy");
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    return test_json(reply.body);
}

static json_t *learned(json_t *policy, const char *name)
{
    return json_object_get(json_object_get(policy, "learned"), name);
}

static void ask(const char *question)
{
    test_reply reply = test_server_post(&server, "/ask", test_format("{\"question\":\"%s\"}", question));
    cr_assert_eq(reply.status, 200, "%s", reply.body);
}

static json_t *post(const char *body, int status)
{
    test_reply reply = test_server_post(&server, "/cache/policy", body);
    cr_assert_eq(reply.status, status, "%s: %s", body, reply.body);
    return test_json(reply.body);
}

Test(server_policy, over_http)
{
    start("verified", NULL);
    ask("one");
    ask("uno");
    json_t *policy = state();
    cr_assert_str_eq(json_string_value(json_object_get(policy, "policy")), "verified");
    cr_assert_float_eq(json_number_value(json_object_get(policy, "max_error")), .05, 1e-9);
    cr_assert(test_wait_until(json_integer_value(learned(state(), "records")) == 1, SOON));
    test_reply exported = test_server_get(&server, "/cache/policy/state");
    cr_assert_eq(exported.status, 200);
    cr_assert(json_is_true(learned(post("{\"action\":\"freeze\"}", 200), "frozen")));
    cr_assert(json_is_false(learned(post("{\"action\":\"thaw\"}", 200), "frozen")));
    cr_assert_eq(json_array_size(learned(post("{\"action\":\"reset\"}", 200), "curves")), 0u);
    policy = post(test_format("{\"action\":\"import\",\"state\":%s}", exported.body), 200);
    cr_assert_eq(json_array_size(learned(policy, "curves")), 1u);
    post("{\"action\":\"import\"}", 422);
    post("{\"action\":\"import\",\"state\":{}}", 422);
    post("{\"action\":\"melt\"}", 422);
    post("{}", 422);
}

Test(server_policy, where_nothing_is_learned_it_says_so)
{
    start("default", NULL);
    cr_assert(json_is_false(json_object_get(state(), "learns")));
    cr_assert_geq(test_server_post(&server, "/cache/policy", "{\"action\":\"freeze\"}").status, 400);
    test_run_result result = run("policy");
    cr_assert_eq(result.status, 0, "%s", result.err);
    cr_assert_not_null(strstr(result.out, "policy is not verified"), "%s", result.out);
    cr_assert_neq(run("policy", "freeze").status, 0);
}

Test(server_policy, only_who_may_manage_the_cache_may_see_or_steer)
{
    start("verified", "secret");
    cr_assert_eq(test_server_get(&server, "/cache/policy").status, 401);
    cr_assert_eq(test_server_get(&server, "/cache/policy/state").status, 401);
    cr_assert_eq(test_server_post(&server, "/cache/policy", "{\"action\":\"reset\"}").status, 401);
}

/* The shell's process learns from the same store, and what it does reaches the server's. */
Test(server_policy, a_shell_steers_the_server)
{
    start("verified", NULL);
    const char *file = test_format("%s/state.json", test_folder());
    ask("one");
    ask("uno");
    cr_assert(test_wait_until(json_integer_value(learned(state(), "records")) == 1, SOON));

    test_run_result result = run("ask", "--json", "eins");
    cr_assert_eq(result.status, 0, "%s", result.err);
    cr_assert_not_null(strstr(result.out, "\"source\":\"model\""), "%s", result.out);
    cr_assert(test_wait_until(json_number_value(json_object_get(json_array_get(learned(state(), "curves"), 0),
                                                                "candidates")) >= 1,
                              SOON));
    result = run("policy", "freeze");
    cr_assert_eq(result.status, 0, "%s", result.err);
    cr_assert_not_null(strstr(result.out, "frozen"), "%s", result.out);
    cr_assert(test_wait_until(json_is_true(learned(state(), "frozen")), SOON));
    cr_assert_eq(run("policy", "thaw").status, 0);
    cr_assert(test_wait_until(json_is_false(learned(state(), "frozen")), SOON));

    cr_assert_eq(run("policy", "export", file).status, 0);
    cr_assert_eq(run("policy", "reset").status, 0);
    cr_assert(test_wait_until(json_array_size(learned(state(), "curves")) == 0, SOON));
    cr_assert_eq(run("policy", "import", file).status, 0);
    cr_assert(test_wait_until(json_array_size(learned(state(), "curves")) == 1, SOON));
    result = run("policy", "--json");
    cr_assert(json_is_true(json_object_get(test_json(result.out), "learns")));
}

Test(server_policy, the_shell_says_what_it_does_not_know)
{
    start("verified", NULL);
    cr_assert_eq(run("policy", "melt").status, 2);
    cr_assert_eq(run("policy", "import").status, 2);
    cr_assert_eq(run("policy", "freeze", "file").status, 2);
    cr_assert_eq(run("policy", "import", "/nowhere/at/all").status, 2);
}

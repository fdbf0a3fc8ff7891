/* Who may ask, whose answers they get, and whose credential the service sees. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <string.h>

#define CHAT "/v1/chat/completions"

static const char body[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(callers, .init = set_up, .timeout = 60);

static const char *const alice[] = {"Authorization", "Bearer alice-secret", NULL};
static const char *const team_key[] = {"x-api-key", "team-secret", NULL};
static const char *const stranger[] = {"Authorization", "Bearer somebody-else", NULL};

/* The authorization the service saw in its n-th call. */
static const char *seen_credential(size_t n)
{
    json_t *log = mock_log(&mock);
    json_t *headers = json_object_get(json_array_get(json_object_get(log, "calls"), n), "headers");
    const char *value = json_string_value(json_object_get(headers, "authorization"));
    const char *kept = test_format("%s", value ? value : "none");
    json_decref(log);
    return kept;
}

Test(callers, with_a_list_of_keys_only_they_may_ask)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "api-keys", "alice-secret, team=team-secret");
    cr_assert_eq(test_call(cache, CHAT, alice, body).status, 200);
    cr_assert_eq(test_call(cache, CHAT, team_key, body).status, 200);
    test_reply refused = test_call(cache, CHAT, stranger, body);
    cr_assert_eq(refused.status, 401);
    cr_assert(strstr(refused.body, "\"error\"") && !strstr(refused.body, "somebody"), "%s", refused.body);
    cr_assert_eq(test_call(cache, CHAT, NULL, body).status, 401);
    cr_assert_eq(test_call(cache, "/v1/other", stranger, body).status, 401);
    cr_assert_eq(mock_calls(&mock, CHAT), 2, "each key its own answers");
    cr_assert_str_eq(seen_credential(0), "Bearer sk-test-openai", "callers' keys stay here");
    char space[LLMCACHE_SPACE_SIZE];
    llmcache_header key = {"x-api-key", "team-secret"};
    cr_assert_eq(llmcache_admit(cache, &key, 1, NULL, space, NULL), 0);
    cr_assert_str_eq(space, "team");
    cr_assert_eq(llmcache_admit(cache, &key, 1, "blue", space, NULL), 0);
    cr_assert_str_eq(space, "team/blue");
    cr_assert_eq(llmcache_admit(cache, NULL, 0, NULL, space, NULL), LLMCACHE_DENIED);
    llmcache_close(cache);
}

Test(callers, nobody_can_choose_his_way_into_anothers_namespace)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    char space[LLMCACHE_SPACE_SIZE];
    llmcache_header key = {"Authorization", "Bearer alice-secret"};
    cr_assert_eq(llmcache_admit(cache, &key, 1, NULL, space, NULL), 0);
    cr_assert_eq(strncmp(space, "key-", 4), 0);
    cr_assert(!strstr(space, "alice"));
    test_call(cache, CHAT, alice, body);
    const char *thief[] = {"X-LLMCache-Namespace", space, NULL};
    cr_assert_eq(test_call(cache, CHAT, thief, body).status, 400);
    const char *path[] = {"X-LLMCache-Namespace", test_format("x/%s", space), NULL};
    cr_assert_eq(test_call(cache, CHAT, path, body).status, 400);
    const char *below[] = {"Authorization", "Bearer alice-secret", "X-LLMCache-Namespace", "blue", NULL};
    test_reply other = test_call(cache, CHAT, below, body);
    cr_assert_str_eq(test_reply_header(&other, "X-Cache-Status"), "MISS");
    other = test_call(cache, CHAT, NULL,
                      "{\"model\":\"m\",\"cache\":{\"namespace\":\"key-1\"},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    cr_assert_eq(other.status, 400);
    llmcache_close(cache);
}

/* PostgreSQL refuses such a name at each use, and a store that refuses is given up for a moment by everybody. */
Test(callers, a_namespace_is_text)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    char space[LLMCACHE_SPACE_SIZE];
    const char *broken[] = {"X-LLMCache-Namespace", "blue\xff", NULL}, *cut[] = {"X-LLMCache-Namespace", "\xe8\x97", NULL};
    cr_assert_eq(test_call(cache, CHAT, broken, body).status, 400);
    cr_assert_eq(test_call(cache, CHAT, cut, body).status, 400);
    cr_assert_eq(llmcache_admit(cache, NULL, 0, "藍色", space, NULL), 0);
    cr_assert_str_eq(space, "藍色");
    llmcache_close(cache);
}

Test(callers, a_setting_says_whose_credential_goes_up)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    test_call(cache, CHAT, alice, body);
    test_call(cache, CHAT, NULL, body);
    cr_assert_str_eq(seen_credential(0), "Bearer alice-secret");
    cr_assert_str_eq(seen_credential(1), "Bearer sk-test-openai");
    llmcache_close(cache);
    mock_reset(&mock);
    cache = test_cache(&mock, "embedder", "none", "credential", "server");
    test_call(cache, CHAT, alice, body);
    cr_assert_str_eq(seen_credential(0), "Bearer sk-test-openai");
    test_reply other = test_call(cache, CHAT, stranger, body);
    cr_assert_str_eq(test_reply_header(&other, "X-Cache-Status"), "MISS", "callers are still apart");
    llmcache_close(cache);
    cache = test_cache(&mock, "embedder", "none", "credential", "caller");
    cr_assert_eq(test_call(cache, CHAT, NULL, body).status, 401);
    cr_assert_eq(test_call(cache, CHAT, alice, body).status, 200);
    llmcache_close(cache);
}

Test(callers, one_namespace_for_all_is_a_setting)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "namespace", "office");
    test_call(cache, CHAT, alice, body);
    test_reply shared = test_call(cache, CHAT, stranger, body);
    cr_assert_str_eq(test_reply_header(&shared, "X-Cache-Status"), "HIT");
    llmcache_close(cache);
}

Test(callers, bad_lists_are_refused_without_showing_a_key)
{
    static const char *const bad[] = {"short", "a b=long-enough-key", "key-x=long-enough-key", "x/y=long-enough-key"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *settings[] = {"api-keys", bad[i], NULL};
        llmcache_options *options = test_cache_options(&mock, settings);
        llmcache *cache;
        llmcache_error err;
        cr_assert_eq(llmcache_open(options, &cache, &err), LLMCACHE_SETTING, "%s", bad[i]);
        cr_assert(strstr(err.message, "api-keys") && !strstr(err.message, "long-enough"), "%s", err.message);
        llmcache_options_free(options);
    }
}

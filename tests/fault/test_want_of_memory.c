/*
 * What comes back is whole or an error, whichever allocation fails: nothing that is there is said to be absent, nothing
 * that is said to be gone is left, no list and no stream ends early without a word.
 */
#include "test_cache.h"

#include "base/memory.h"
#include "trouble.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <llmcache/tune.h>
#include <string.h>

enum { MOST = 3000, ANSWERS = 5, PATIENT_MS = 5000 };

static test_mock mock;

TestSuite(want_of_memory, .timeout = 300);

static llmcache *cache_of_answers(void)
{
    llmcache *cache = test_cache(NULL, "provider", "demo:", "embedder", "none");
    llmcache_error err;
    for (int i = 0; i < ANSWERS; i++)
        cr_assert_eq(llmcache_put(cache, test_format("question %d", i), "an answer", NULL, &err), 0, "%s", err.message);
    return cache;
}

static int take_id(void *user, const llmcache_entry *entry)
{
    memcpy(user, entry->id, LLMCACHE_ID_SIZE);
    return 1;
}

static int count_one(void *user, const llmcache_entry *entry)
{
    ++*(int *)user;
    return 0;
}

static int answers_in(llmcache *cache)
{
    int count = 0;
    cr_assert_eq(llmcache_each(cache, NULL, count_one, &count, NULL), 0);
    return count;
}

/* ---- Looking ---------------------------------------------------------------------------------------------- */

Test(want_of_memory, an_answer_that_is_there_is_not_said_to_be_absent)
{
    llmcache *cache = cache_of_answers();
    char id[LLMCACHE_ID_SIZE];
    llmcache_each(cache, NULL, take_id, id, NULL);
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        llmcache_error err;
        int seen = 0;
        cr_assert_lt(n, MOST);
        test_spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_get(cache, id, count_one, &seen, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        test_check_error(code, &err, "get");
        cr_assert(code == 0 ? seen == 1 : code == LLMCACHE_MEMORY, "allocation %d: %s", (int)n, err.message);
    }
    llmcache_close(cache);
}

Test(want_of_memory, a_list_has_all_or_is_an_error)
{
    llmcache *cache = cache_of_answers();
    llmcache_filter search = {.struct_size = sizeof search, .search = "answer"};
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        llmcache_error err;
        int seen = 0, found = 0;
        cr_assert_lt(n, MOST);
        test_spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_each(cache, NULL, count_one, &seen, &err);
        test_check_error(code, &err, "each");
        cr_assert(code || seen == ANSWERS, "allocation %d: %d of %d", (int)n, seen, ANSWERS);
        test_spoil(&err);
        code = llmcache_each(cache, &search, count_one, &found, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        test_check_error(code, &err, "search");
        cr_assert(code || found == ANSWERS, "allocation %d: %d of %d", (int)n, found, ANSWERS);
    }
    llmcache_close(cache);
}

/* ---- Removing --------------------------------------------------------------------------------------------- */

Test(want_of_memory, what_is_said_to_be_purged_is_gone)
{
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        llmcache_error err;
        uint64_t removed = 0;
        cr_assert_lt(n, MOST);
        llmcache *cache = cache_of_answers();
        test_spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_purge(cache, NULL, &removed, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        test_check_error(code, &err, "purge");
        cr_assert(code || (removed == ANSWERS && answers_in(cache) == 0), "allocation %d", (int)n);
        llmcache_close(cache);
    }
}

Test(want_of_memory, an_answer_that_was_called_wrong_is_gone)
{
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        llmcache_error err;
        char id[LLMCACHE_ID_SIZE];
        llmcache_feedback_report report = {.struct_size = sizeof report};
        cr_assert_lt(n, MOST);
        llmcache *cache = cache_of_answers();
        const llmcache_observation hit = {.struct_size = sizeof hit, .space = "default", .asked = "another question",
                                          .candidate = "question 1", .verdict = LLMCACHE_RIGHT,
                                          .observer = LLMCACHE_BY_JUDGE};
        llmcache_each(cache, NULL, take_id, id, NULL);
        llmcache_observation about = hit;
        memcpy(about.candidate_id, id, sizeof about.candidate_id);
        cr_assert_eq(llmcache_observe(cache, &about, &err), 0, "%s", err.message);
        test_spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_feedback_about(cache, id, 0, NULL, &report, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        test_check_error(code, &err, "feedback");
        cr_assert(code || llmcache_get(cache, id, count_one, &(int){0}, NULL) == LLMCACHE_NOT_FOUND,
                  "allocation %d: the answer is still there", (int)n);
        cr_assert(code != LLMCACHE_NOT_FOUND, "allocation %d: %s", (int)n, err.message);
        llmcache_close(cache);
    }
}

/* ---- Hearing ---------------------------------------------------------------------------------------------- */

static llmcache *server_at(const char *store)
{
    const char *settings[] = {"store", store, "threshold", "0.9", NULL};
    return test_cache_open(&mock, settings);
}

/* Is the pair served by meaning? Nothing is kept by asking. */
static int is_served(llmcache *cache)
{
    llmcache_ask_options options = {.struct_size = sizeof options, .only_cached = 1};
    llmcache_answer *answer = NULL;
    int served = llmcache_ask(cache, "Name a hue", &options, &answer, NULL) == 0;
    llmcache_answer_free(answer);
    return served;
}

/* A question may go unserved once for want of memory: 20 in a row do not. */
static int is_refused(llmcache *cache)
{
    int refused = 1;
    for (int i = 0; i < 20 && refused; i++, test_nap())
        refused = !is_served(cache);
    return refused;
}

Test(want_of_memory, another_servers_word_that_a_pair_is_wrong_is_heard)
{
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['Name a colour', 'Name a hue', 0.99]]}");
    const llmcache_observation wrong = {.struct_size = sizeof wrong, .space = "default", .asked = "Name a hue",
                                        .candidate = "Name a colour", .verdict = LLMCACHE_WRONG,
                                        .observer = LLMCACHE_BY_IMPORT};
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        llmcache_error err;
        cr_assert_lt(n, MOST);
        const char *store = test_format("sqlite:%s/cache.db", test_folder());
        llmcache *here = server_at(store), *there = server_at(store);
        llmcache_put(there, "Name a colour", "Blue.", NULL, &err);
        cr_assert(test_wait_until(is_served(here), PATIENT_MS), "it is served at first");
        lc_memory_fail_at(n);
        int told = llmcache_observe(there, &wrong, &err) == 0;
        test_wait_until(!told || !is_served(here), PATIENT_MS);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(!told || test_wait_until(is_refused(here), PATIENT_MS),
                  "allocation %d: it goes on serving a pair that is wrong", (int)n);
        llmcache_close(here);
        llmcache_close(there);
    }
}

/* ---- Streaming -------------------------------------------------------------------------------------------- */

static void stream_once(const char *question, uint64_t n, int *failed)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "store", "memory:");
    lc_memory_fail_at(n);
    test_reply reply = test_call(cache, "/v1/chat/completions", NULL,
                                 test_format("{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                                             "\"content\":\"%s\"}]}", question));
    *failed |= lc_memory_failed();
    lc_memory_fail_at(0);
    cr_assert(reply.code || reply.status >= 400 || strstr(reply.body, "[DONE]"),
              "allocation %d: a stream ended early and nothing said so: %s", (int)n, reply.body);
    llmcache_close(cache);
}

/* Streams of lengths between two sizes of a buffer: the end of one of them needs the next size. */
Test(want_of_memory, a_stream_that_lost_its_end_is_no_success)
{
    mock_start(&mock);
    for (int length = 0; length < 4; length++)
        mock_behave(&mock, "{'match': 'length %d', 'chunk_chars': 10, 'text': '%.*s'}", length, 10 + 10 * length,
                    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    int failed = 1;
    for (uint64_t n = 1; failed; n++) {
        cr_assert_lt(n, MOST);
        failed = 0;
        for (int length = 0; length < 4; length++)
            stream_once(test_format("length %d", length), n, &failed);
    }
}

/* ---- Every call ------------------------------------------------------------------------------------------- */

static int free_text(int code, char **text)
{
    if (!code)
        llmcache_free(*text);
    return code;
}

static int ask_for(llmcache *cache, const char *question, int only_cached, llmcache_error *err)
{
    llmcache_ask_options options = {.struct_size = sizeof options, .only_cached = only_cached};
    llmcache_answer *answer = NULL;
    int code = llmcache_ask(cache, question, &options, &answer, err);
    llmcache_answer_free(answer);
    return code;
}

static int ask_what_is_kept(llmcache *cache, llmcache_error *err)
{
    return ask_for(cache, "question 1", 0, err);
}

static int ask_what_is_not(llmcache *cache, llmcache_error *err)
{
    return ask_for(cache, "something else", 1, err);
}

static int explain(llmcache *cache, llmcache_error *err)
{
    char *text = NULL;
    return free_text(llmcache_explain(cache, "something else", NULL, &text, err), &text);
}

static int tell_metrics(llmcache *cache, llmcache_error *err)
{
    char *text = NULL;
    int code = free_text(llmcache_metrics(cache, LLMCACHE_PROMETHEUS, &text, err), &text);
    return code ? code : free_text(llmcache_metrics(cache, LLMCACHE_JSON, &text, err), &text);
}

static int tell_health(llmcache *cache, llmcache_error *err)
{
    llmcache_status status;
    char *text = NULL;
    int code = free_text(llmcache_health(cache, &status, &text, err), &text);
    return code ? code : free_text(llmcache_doctor(cache, &text, err), &text);
}

static int tell_policy(llmcache *cache, llmcache_error *err)
{
    char *text = NULL;
    int code = free_text(llmcache_policy(cache, &text, err), &text);
    if (!code)
        code = free_text(llmcache_policy_export(cache, &text, err), &text);
    return code ? code : llmcache_policy_set(cache, "freeze", NULL, err);
}

static int lint(llmcache *cache, llmcache_error *err)
{
    char *text = NULL;
    return free_text(llmcache_lint(cache, NULL, &text, err), &text);
}

static int see(void *user, const llmcache_observation *o)
{
    return 0;
}

static int observe(llmcache *cache, llmcache_error *err)
{
    const llmcache_observation o = {.struct_size = sizeof o, .space = "default", .asked = "a b c", .candidate = "d e f",
                                    .verdict = LLMCACHE_WRONG, .observer = LLMCACHE_BY_IMPORT};
    int code = llmcache_observe(cache, &o, err);
    return code ? code : llmcache_observations(cache, NULL, see, NULL, err);
}

static int rebuild(llmcache *cache, llmcache_error *err)
{
    return llmcache_rebuild(cache, NULL, err);
}

static int embed(llmcache *cache, llmcache_error *err)
{
    static const char *const texts[] = {"one", "two"};
    size_t dimension;
    float *vectors;
    int code = llmcache_embed(cache, texts, 2, &vectors, &dimension, err);
    if (!code)
        llmcache_free(vectors);
    return code;
}

static int heed(void *user, const llmcache_judgement *judgement)
{
    return 0;
}

static int judge(llmcache *cache, llmcache_error *err)
{
    static const llmcache_pair pairs[] = {
        {.struct_size = sizeof *pairs, .a = "question 1", .b = "question one", .label = 1},
        {.struct_size = sizeof *pairs, .a = "a colour", .b = "a river", .label = 0}};
    const llmcache_tune_options options = {.struct_size = sizeof options, .refit = 1};
    char *text = NULL;
    int code = llmcache_judge(cache, pairs, 2, heed, NULL, err);
    return code ? code : free_text(llmcache_tune(cache, pairs, 2, &options, &text, err), &text);
}

static int put(llmcache *cache, llmcache_error *err)
{
    return llmcache_put(cache, "question 9", "an answer", NULL, err);
}

Test(want_of_memory, every_failure_says_why)
{
    static const struct {
        const char *name;
        int (*call)(llmcache *cache, llmcache_error *err);
    } calls[] = {{"ask what is kept", ask_what_is_kept}, {"ask what is not", ask_what_is_not}, {"explain", explain},
                 {"metrics", tell_metrics}, {"health", tell_health}, {"policy", tell_policy}, {"lint", lint},
                 {"observe", observe}, {"rebuild", rebuild}, {"embed", embed}, {"judge", judge}, {"put", put}};
    mock_start(&mock);
    llmcache *cache = test_cache(&mock, "store", "memory:", "threshold", "0.9", "policy", "verified");
    llmcache_error err;
    for (int i = 0; i < ANSWERS; i++)
        cr_assert_eq(llmcache_put(cache, test_format("question %d", i), "an answer", NULL, &err), 0, "%s", err.message);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (uint64_t n = 1, failed = 1; failed; n++) {
            cr_assert_lt(n, MOST, "%s", calls[i].name);
            test_spoil(&err);
            lc_memory_fail_at(n);
            int code = calls[i].call(cache, &err);
            failed = (uint64_t)lc_memory_failed();
            lc_memory_fail_at(0);
            test_check_error(code, &err, calls[i].name);
        }
    llmcache_close(cache);
}

/* An error's reply in HTTP is JSON with a message. */
Test(want_of_memory, every_failed_reply_says_why)
{
    static const char *const bodies[][2] = {
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}"},
        {"/v1/embeddings", "{\"model\":\"local\",\"input\":\"a\"}"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":\"a\"}"},
        {"/v1/models", ""}};
    mock_start(&mock);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        for (uint64_t n = 1, failed = 1; failed; n++) {
            cr_assert_lt(n, MOST, "%s", bodies[i][0]);
            llmcache *cache = test_cache(&mock, "store", "memory:");
            lc_memory_fail_at(n);
            test_reply reply = test_call(cache, bodies[i][0], NULL, bodies[i][1]);
            failed = (uint64_t)lc_memory_failed();
            lc_memory_fail_at(0);
            if (reply.status >= 500 && strcmp(reply.body, "{}") != 0) {
                json_t *error = json_object_get(test_json(reply.body), "error");
                const char *message = json_string_value(json_object_get(error, "message"));
                cr_assert(message && *message, "%s, allocation %d: %s", bodies[i][0], (int)n, reply.body);
            }
            llmcache_close(cache);
        }
}

/*
 * What comes back is whole or an error, whichever allocation fails: nothing that is there is said to be absent, nothing
 * that is said to be gone is left, no list and no stream ends early without a word.
 */
#include "test_cache.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <llmcache/observe.h>
#include <string.h>

enum { MOST = 3000, ANSWERS = 5, PATIENT_MS = 5000 };

static test_mock mock;

TestSuite(want_of_memory, .timeout = 300);

static void spoil(llmcache_error *err)
{
    memset(err, 'x', sizeof *err);
}

static void check(int code, const llmcache_error *err, const char *doing)
{
    if (!code)
        return;
    cr_assert_eq(err->code, code, "%s: %d is reported as %d", doing, code, err->code);
    cr_assert(memchr(err->message, '\0', sizeof err->message) && *err->message, "%s says nothing", doing);
}

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
        spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_get(cache, id, count_one, &seen, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        check(code, &err, "get");
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
        spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_each(cache, NULL, count_one, &seen, &err);
        check(code, &err, "each");
        cr_assert(code || seen == ANSWERS, "allocation %d: %d of %d", (int)n, seen, ANSWERS);
        spoil(&err);
        code = llmcache_each(cache, &search, count_one, &found, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        check(code, &err, "search");
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
        spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_purge(cache, NULL, &removed, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        check(code, &err, "purge");
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
        spoil(&err);
        lc_memory_fail_at(n);
        int code = llmcache_feedback_about(cache, id, 0, NULL, &report, &err);
        failed = lc_memory_failed();
        lc_memory_fail_at(0);
        check(code, &err, "feedback");
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

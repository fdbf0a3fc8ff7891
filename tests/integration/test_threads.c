/*
 * One cache, sixteen threads: asking in the same and in other words, putting, purging, judging, looking inside, all at
 * once. Under the thread sanitizer this is where a race would show; in any build every answer must be to its question.
 */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 16, ROUNDS = 60, QUESTIONS = 12 };

static test_mock mock;
static llmcache *cache;
static atomic_int wrong, failed, hits;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(threads, .init = set_up, .timeout = 240);

/* "subject 3": no rule speaks between two wordings of one subject, the number does between two subjects. */
static void write_question(int number, int other_words, char out[64])
{
    snprintf(out, 64, other_words ? "Tell me about subject %d, please" : "What is subject %d?", number);
}

static void ask(int number, int other_words)
{
    char question[64], subject[32];
    llmcache_answer *answer;
    llmcache_error err;
    write_question(number, other_words, question);
    snprintf(subject, sizeof subject, "subject %d", number);
    if (llmcache_ask(cache, question, NULL, &answer, &err)) {
        atomic_fetch_add(&failed, 1);
        return;
    }
    const char *at = strstr(llmcache_answer_text(answer), subject);
    char next = at ? at[strlen(subject)] : 'x';
    atomic_fetch_add(&wrong, !at || (next >= '0' && next <= '9'));
    atomic_fetch_add(&hits, llmcache_answer_source(answer) != LLMCACHE_SOURCE_MODEL);
    llmcache_answer_free(answer);
}

static int pass(void *user, const llmcache_entry *entry)
{
    return 0;
}

static void meddle(int thread, int round)
{
    char question[64], text[96];
    char *json;
    llmcache_counters counters;
    llmcache_error err;
    int number = (thread * 7 + round) % QUESTIONS;
    const char *one = number % 2 ? "subject 3?" : "about subject";
    const llmcache_filter filter = {.struct_size = sizeof filter, .contains = one};
    write_question(number, round % 2, question);
    switch (round % 6) {
    case 0:
        snprintf(text, sizeof text, "All of subject %d.", number);
        llmcache_put(cache, question, text, NULL, &err);
        break;
    case 1:
        llmcache_purge(cache, round % 4 ? &filter : NULL, NULL, &err);
        break;
    case 2:
        llmcache_each(cache, NULL, pass, NULL, &err);
        break;
    case 3:
        if (llmcache_explain(cache, question, NULL, &json, &err) == 0)
            llmcache_free(json);
        break;
    case 4:
        if (llmcache_metrics(cache, LLMCACHE_PROMETHEUS, &json, &err) == 0)
            llmcache_free(json);
        break;
    default:
        llmcache_stats(cache, &counters, sizeof counters);
    }
}

static void *run(void *user)
{
    int thread = (int)(size_t)user;
    for (int round = 0; round < ROUNDS; round++) {
        ask((thread + round) % QUESTIONS, (thread + round / 3) % 2);
        if (thread % 4 == 0)
            meddle(thread, round);
    }
    return NULL;
}

static void all_at_once(const char *store)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < QUESTIONS; i++) {
        char first[64], second[64];
        write_question(i, 0, first);
        write_question(i, 1, second);
        mock_behave(&mock, "{'pairs': [['%s', '%s', 0.97]]}", first, second);
    }
    cache = test_cache(&mock, "store", store, "threshold", "0.95");
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(wrong, 0);
    cr_expect_eq(failed, 0);
    cr_expect_gt(hits, 0);
    llmcache_close(cache);
}

Test(threads, with_the_memory_store)
{
    all_at_once("memory:");
}

Test(threads, with_sqlite)
{
    all_at_once(test_format("sqlite:%s/cache.db", test_folder()));
}

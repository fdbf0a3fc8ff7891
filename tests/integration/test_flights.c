/* Single-flight end to end: one call for all who ask at once, whatever becomes of it. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define MANY 50

static const char question[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
static const char streamed[] =
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static test_mock mock;

static void set_up(void)
{
    mock_start(&mock);
}

TestSuite(flights, .init = set_up, .timeout = 60);

typedef struct asker {
    llmcache *cache;
    const char *body;
    int code, status;
    char source[16];
    char *text;
    size_t size;
    int stop_after; /* bytes; 0: read all */
    size_t seen;
} asker;

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    asker *a = user;
    a->status = status;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(headers[i].name, "X-LLMCache-Source"))
            snprintf(a->source, sizeof a->source, "%s", headers[i].value);
    return 0;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    asker *a = user;
    a->text = realloc(a->text, a->size + size + 1);
    memcpy(a->text + a->size, bytes, size);
    a->size += size;
    a->text[a->size] = '\0';
    return a->stop_after && a->size >= (size_t)a->stop_after;
}

static void *ask(void *argument)
{
    asker *a = argument;
    llmcache_request request = {.struct_size = sizeof request,
                                .method = "POST",
                                .target = CHAT,
                                .body = a->body,
                                .body_size = strlen(a->body)};
    llmcache_sink sink = {a, on_begin, on_write};
    a->code = llmcache_call(a->cache, &request, &sink, NULL);
    return NULL;
}

/* Runs all askers at once and waits for them. */
static void run(asker *askers, size_t count)
{
    pthread_t threads[MANY * 2];
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void crowd(asker *askers, size_t count, llmcache *cache, const char *body)
{
    memset(askers, 0, count * sizeof *askers);
    for (size_t i = 0; i < count; i++) {
        askers[i].cache = cache;
        askers[i].body = body;
    }
}

static void forget(asker *askers, size_t count, llmcache *cache)
{
    for (size_t i = 0; i < count; i++)
        free(askers[i].text);
    llmcache_close(cache);
}

Test(flights, fifty_who_ask_at_once_make_one_call)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    asker askers[MANY];
    mock_behave(&mock, "{'delay_ms': 300}");
    crowd(askers, MANY, cache, question);
    run(askers, MANY);
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    int shared = 0;
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(askers[i].code, 0);
        cr_assert_eq(askers[i].status, 200);
        cr_assert_str_eq(askers[i].text, askers[0].text);
        shared += strcmp(askers[i].source, "model") != 0;
    }
    cr_assert_eq(shared, MANY - 1);
    cr_assert_eq(test_counters(cache).misses, 1);
    cr_assert_eq(test_counters(cache).in_flight, 0);
    forget(askers, MANY, cache);
}

Test(flights, those_who_stream_get_the_stream_from_its_start)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    asker askers[MANY];
    mock_behave(&mock, "{'chunk_delay_ms': 30}");
    crowd(askers, MANY, cache, streamed);
    run(askers, MANY);
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(askers[i].code, 0);
        cr_assert(strstr(askers[i].text, "data: [DONE]"));
        cr_assert_str_eq(askers[i].text, askers[0].text);
    }
    forget(askers, MANY, cache);
}

Test(flights, an_error_reaches_all_who_waited_and_is_not_kept)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    asker askers[MANY];
    mock_behave(&mock, "{'delay_ms': 200, 'status': 429, 'headers': {'Retry-After': '7'}}");
    crowd(askers, MANY, cache, question);
    run(askers, MANY);
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(askers[i].status, 429);
    mock_reset(&mock);
    cr_assert_eq(test_call(cache, CHAT, NULL, question).status, 200);
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    forget(askers, MANY, cache);
}

Test(flights, a_call_goes_on_when_its_client_leaves)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    asker leaver;
    mock_behave(&mock, "{'chunk_delay_ms': 20}");
    crowd(&leaver, 1, cache, streamed);
    leaver.stop_after = 10;
    ask(&leaver);
    cr_assert_eq(leaver.code, LLMCACHE_ABORTED);
    cr_assert(test_wait_until(test_counters(cache).stored == 1, 10000));
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    test_reply again = test_call(cache, CHAT, NULL, streamed);
    cr_assert_str_eq(test_reply_header(&again, "X-LLMCache-Source"), "exact");
    forget(&leaver, 1, cache);
}

Test(flights, a_cut_stream_stays_cut_and_is_not_kept)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    asker askers[4];
    mock_behave(&mock, "{'cut_after_events': 3, 'chunk_delay_ms': 20}");
    crowd(askers, 4, cache, streamed);
    run(askers, 4);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(askers[i].status, 200);
        cr_assert_lt(askers[i].code, 0, "a cut reply must not look whole");
        cr_assert(!strstr(askers[i].text, "[DONE]"));
    }
    cr_assert_eq(test_counters(cache).stored, 0);
    forget(askers, 4, cache);
}

Test(flights, who_wants_the_whole_and_who_streams_share_when_they_can)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    asker askers[20];
    mock_behave(&mock, "{'delay_ms': 300}");
    crowd(askers, 20, cache, question);
    pthread_t first;
    cr_assert_eq(pthread_create(&first, NULL, ask, &askers[0]), 0);
    cr_assert(test_wait_until(mock_open_calls(&mock) == 1, 5000));
    for (int i = 1; i < 20; i++)
        askers[i].body = streamed;
    run(askers + 1, 19);
    pthread_join(first, NULL);
    cr_assert_eq(mock_calls(&mock, CHAT), 1);
    for (int i = 1; i < 20; i++) {
        cr_assert_eq(askers[i].code, 0);
        cr_assert(strstr(askers[i].text, "data: [DONE]"), "%s", askers[i].text);
    }
    forget(askers, 20, cache);
}

Test(flights, a_replay_can_be_paced)
{
    llmcache *cache = test_cache(&mock, "embedder", "none", "replay-delay-ms", "20");
    test_reply first = test_call(cache, CHAT, NULL, question);
    int64_t start = test_now_ms();
    test_reply paced = test_call(cache, CHAT, NULL, streamed);
    cr_assert_eq(first.status, 200);
    cr_assert_str_eq(test_reply_header(&paced, "X-Cache-Status"), "HIT");
    cr_assert_gt(paced.writes, 3);
    cr_assert_geq(test_now_ms() - start, 20 * (paced.writes - 1));
    cr_assert(strstr(paced.body, "data: [DONE]"));
    llmcache_close(cache);
}

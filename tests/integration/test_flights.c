/* Single-flight end to end: one call for all who ask at once, whatever becomes of it. */
#include "test_cache.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"
#define MANY 100

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
    const char *path; /* NULL: chat */
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
                                .target = a->path ? a->path : CHAT,
                                .body = a->body,
                                .body_size = strlen(a->body)};
    llmcache_sink sink = {a, on_begin, on_write};
    a->code = llmcache_call(a->cache, &request, &sink, NULL);
    return NULL;
}

static int64_t number_behind(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? atoll(at + strlen(name)) : 0;
}

/* How often the threads left the processor, all of them together; -1 when another than this one is on it or wants it. */
static int64_t switches(void)
{
    DIR *threads = opendir("/proc/self/task");
    int64_t sum = threads ? 0 : -1;
    for (struct dirent *entry; sum >= 0 && (entry = readdir(threads));) {
        if (*entry->d_name == '.' || atoi(entry->d_name) == gettid())
            continue;
        const char *text = test_read_file(test_format("/proc/self/task/%s/status", entry->d_name), NULL);
        const char *state = text ? strstr(text, "State:\t") : NULL;
        if (state) /* else it has just ended */
            sum = state[7] != 'S' ? -1 : sum + number_behind(text, "\nvoluntary_ctxt_switches:");
    }
    if (threads)
        closedir(threads);
    return sum;
}

/*
 * Is every other thread waiting, for the network or for one another? Then all askers have joined. Threads that
 * hand a lock round may each be met while they wait for it, hence twice, with nobody having run between.
 */
static int all_wait(void)
{
    int64_t before = switches();
    return before >= 0 && switches() == before;
}

/*
 * The first asks; the others come while its call is held by the mock, whose rule has `hold`. Once all of them
 * wait, the mock goes on. With `calls` 2 that is so for the next call too.
 */
static void run_held(asker *askers, size_t count, int calls)
{
    pthread_t threads[MANY];
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
        if (i == 0)
            cr_assert(test_wait_until(mock_calls(&mock, NULL) == 1, 20000));
    }
    for (int nth = 1; nth <= calls; nth++) {
        cr_assert(test_wait_until(mock_calls(&mock, NULL) == nth && all_wait(), 20000), "call %d", nth);
        mock_release(&mock);
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void run(asker *askers, size_t count)
{
    run_held(askers, count, 1);
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

Test(flights, a_hundred_who_ask_at_once_make_one_call)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    asker askers[MANY];
    mock_behave(&mock, "{'hold': true}");
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
    mock_behave(&mock, "{'hold': true, 'chunk_delay_ms': 10}");
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
    mock_behave(&mock, "{'hold': true, 'status': 429, 'headers': {'Retry-After': '7'}}");
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
    mock_behave(&mock, "{'hold': true, 'cut_after_events': 3}");
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
    mock_behave(&mock, "{'hold': true}");
    crowd(askers, 20, cache, question);
    for (int i = 1; i < 20; i++)
        askers[i].body = streamed;
    run(askers, 20);
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

/* ---- Streams and wholes mixed --------------------------------------------------------------------- */

#define MESSAGES "/v1/messages"

static const struct form {
    const char *path, *whole, *streamed, *end;
} forms[] = {
    {CHAT, question,
     "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "data: [DONE]\n\n"},
    {MESSAGES, "{\"model\":\"m\",\"max_tokens\":99,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "{\"model\":\"m\",\"max_tokens\":99,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "event: message_stop\n"},
    {"/v1/responses", "{\"model\":\"m\",\"input\":\"hi\"}", "{\"model\":\"m\",\"stream\":true,\"input\":\"hi\"}",
     "event: response.completed\n"},
};

/* Every other one streams; the first does as `leader_streams` says. */
static void mixed_crowd(asker *askers, llmcache *cache, const struct form *form, int leader_streams)
{
    crowd(askers, MANY, cache, form->whole);
    for (int i = 0; i < MANY; i++) {
        askers[i].path = form->path;
        if (i % 2 == !leader_streams)
            askers[i].body = form->streamed;
    }
}

static int streams(const asker *a)
{
    return strstr(a->body, "\"stream\":true") != NULL;
}

Test(flights, a_hundred_in_both_forms_make_one_call_and_end_when_it_does)
{
    for (size_t i = 0; i < 2 * sizeof forms / sizeof *forms; i++) {
        const struct form *form = &forms[i / 2];
        asker askers[MANY];
        llmcache *cache = test_cache(&mock, "embedder", "none");
        mock_reset(&mock);
        mock_behave(&mock, "{'hold': true, 'chunk_delay_ms': 1}");
        mixed_crowd(askers, cache, form, (int)i % 2);
        run(askers, MANY);
        cr_assert_eq(mock_calls(&mock, NULL), 1, "%s, leader streams: %zu", form->path, i % 2);
        for (int k = 0; k < MANY; k++) {
            cr_assert(askers[k].code == 0 && askers[k].status == 200);
            cr_assert_str_eq(askers[k].text, askers[k < 2 ? k : k % 2].text, "all of a form get the same bytes");
            cr_assert_eq(strstr(askers[k].text, form->end) != NULL, streams(&askers[k]), "%s", askers[k].text);
        }
        /* Nobody waits for anything but the call itself: none ends long after the one who made it. */
        cr_assert_eq(test_counters(cache).in_flight, 0);
        cr_assert_eq(test_counters(cache).stored, 1);
        /* Who comes when it has just landed finds it kept. */
        cr_assert_eq(test_counters(cache).hits_shared + test_counters(cache).hits_exact, MANY - 1);
        forget(askers, MANY, cache);
    }
}

Test(flights, an_error_reaches_both_forms_once)
{
    static const char *const errors[] = {"{'hold': true, 'status': 529}", "{'hold': true, 'drop': true}"};
    for (size_t i = 0; i < 4; i++) {
        asker askers[MANY];
        llmcache *cache = test_cache(&mock, "embedder", "none");
        mock_reset(&mock);
        mock_behave(&mock, "%s", errors[i / 2]);
        mixed_crowd(askers, cache, &forms[1], (int)i % 2);
        run(askers, MANY);
        cr_assert_eq(mock_calls(&mock, NULL), 1, "%s", errors[i / 2]);
        for (int k = 0; k < MANY; k++) {
            cr_assert_eq(askers[k].code, 0);
            cr_assert_eq(askers[k].status, i / 2 ? 502 : 529);
            cr_assert(strstr(askers[k].text, "\"error\""), "%s", askers[k].text);
        }
        forget(askers, MANY, cache);
    }
}

/* The whole cannot be made of a stream that broke off; who wants it is not sent out one by one for that. */
Test(flights, those_who_wait_for_the_whole_of_a_broken_stream_make_one_more_call)
{
    static const char *const breaks[] = {"'cut_after_events': 3, 'cut_clean': true", "'no_done': true",
                                         "'error_after_events': 3"};
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        asker askers[MANY];
        llmcache *cache = test_cache(&mock, "embedder", "none");
        mock_reset(&mock);
        mock_behave(&mock, "{'next': 1, 'hold': true, %s}", breaks[i]);
        mock_behave(&mock, "{'hold': true}");
        mixed_crowd(askers, cache, &forms[0], 1);
        run_held(askers, MANY, 2);
        cr_assert_eq(mock_calls(&mock, NULL), 2, "%s", breaks[i]);
        for (int k = 0; k < MANY; k++) {
            cr_assert_eq(askers[k].status, 200);
            if (streams(&askers[k]))
                cr_assert(!strstr(askers[k].text, "[DONE]"), "%s", breaks[i]);
            else
                cr_assert(strstr(askers[k].text, "\"finish_reason\""), "%s", askers[k].text);
        }
        cr_assert_eq(test_counters(cache).stored, 1);
        forget(askers, MANY, cache);
    }
}

Test(flights, what_is_no_answer_is_the_services_fault_in_both_forms)
{
    asker askers[2];
    llmcache *cache = test_cache(&mock, "embedder", "none");
    mock_behave(&mock, "{'hold': true, 'body': 'no JSON at all'}");
    crowd(askers, 2, cache, question);
    askers[1].body = forms[0].streamed;
    run(askers, 2);
    cr_assert_eq(askers[0].status, 200);
    cr_assert_eq(askers[1].status, 502, "%d %s", askers[1].status, askers[1].text);
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    forget(askers, 2, cache);
}

Test(flights, a_leader_that_leaves_carries_on_for_both_forms)
{
    asker askers[MANY];
    llmcache *cache = test_cache(&mock, "embedder", "none");
    mock_behave(&mock, "{'hold': true, 'chunk_delay_ms': 10}");
    mixed_crowd(askers, cache, &forms[0], 1);
    askers[0].stop_after = 1;
    run(askers, MANY);
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    cr_assert_eq(askers[0].code, LLMCACHE_ABORTED);
    for (int k = 1; k < MANY; k++)
        cr_assert(askers[k].code == 0 && strstr(askers[k].text, streams(&askers[k]) ? "[DONE]" : "\"usage\""));
    cr_assert_eq(test_counters(cache).stored, 1);
    forget(askers, MANY, cache);
}

/* Some services never tell usage. */
Test(flights, an_answer_without_usage_serves_who_would_like_it_all_the_same)
{
    llmcache *cache = test_cache(&mock, "embedder", "none");
    mock_behave(&mock, "{'usage': 0}");
    cr_assert_eq(test_call(cache, CHAT, NULL, question).status, 200);
    test_reply replay = test_call(cache, CHAT, NULL, forms[0].streamed);
    cr_assert_eq(replay.status, 200, "%s", replay.body);
    cr_assert(strstr(replay.body, "data: [DONE]"));
    llmcache_close(cache);
}

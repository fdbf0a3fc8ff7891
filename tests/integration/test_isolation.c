/*
 * Time across namespaces tells nothing: whatever another tenant has asked, a question costs the same
 * operations. Operations are counted, not timed: reads, writes and walks of the store, texts embedded, calls
 * of the model.
 */
#include "test_cache.h"

#include "store/store.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define EMBEDDINGS "/v1/embeddings"

TestSuite(isolation, .timeout = 60);

/* ---- A store that counts ------------------------------------------------------------------------- */

enum { GET_PROMPT, GET_EMBED, PUT, REMOVE, EACH, COUNTED };

typedef struct counting {
    lc_store store;
    atomic_int counts[COUNTED];
    atomic_int without_err; /* calls that had no place for their error, which backend.h promises */
} counting;

static int count_get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
                     llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    counting *c = self;
    c->counts[part == LLMCACHE_PART_PROMPT ? GET_PROMPT : GET_EMBED]++;
    c->without_err += !err;
    return c->store.ops.get(c->store.self, part, key, now_ms, deadline_ms, fn, user, err);
}

static int count_put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
                     llmcache_error *err)
{
    counting *c = self;
    c->counts[PUT]++;
    c->without_err += !err;
    return c->store.ops.put(c->store.self, parts, entry, deadline_ms, err);
}

static int count_remove(void *self, int parts, const llmcache_key *keys, size_t count, int64_t deadline_ms,
                        uint64_t *removed, llmcache_error *err)
{
    counting *c = self;
    c->counts[REMOVE]++;
    c->without_err += !err;
    return c->store.ops.remove(c->store.self, parts, keys, count, deadline_ms, removed, err);
}

static int count_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                      void *user, uint64_t *damaged, llmcache_error *err)
{
    counting *c = self;
    c->counts[EACH]++;
    c->without_err += !err;
    return c->store.ops.each(c->store.self, part, space, now_ms, fn, user, damaged, err);
}

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static void stats(void *self, llmcache_store_stats *out)
{
    counting *c = self;
    c->store.ops.stats(c->store.self, out);
}

static void close_counting(void *self)
{
    counting *c = self;
    lc_store_close(&c->store);
}

static const llmcache_store_ops counting_ops = {
    .version = LLMCACHE_BACKEND_VERSION, .name = "counting", .get = count_get, .put = count_put,
    .remove = count_remove, .each = count_each, .ping = ping, .stats = stats, .close = close_counting};

/* ---- What one question costs --------------------------------------------------------------------- */

static test_mock mock;
static counting counted;
static llmcache *cache;

static void open_cache(void)
{
    static const lc_store_options plain = {.connect_ms = 50};
    llmcache_options *options = test_cache_options(&mock, (const char *const[]){"threshold", "0.9", NULL});
    llmcache_error err;
    memset(&counted, 0, sizeof counted);
    cr_assert_eq(lc_store_open("memory:", &plain, &counted.store, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_options_store(options, &counting_ops, &counted, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
    /* The index is loaded by the first question; it is nobody's here. */
    const char *const other[] = {"Authorization", "Bearer key-of-z", NULL};
    test_call(cache, CHAT, other, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"warm\"}]}");
}

#define ASK(text) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"

typedef struct costs {
    int store[COUNTED], embedded, called;
    uint64_t rejected;
    int status;
    char source[16];
} costs;

/* A question of tenant B, and all it takes. */
static costs cost_of(const char *body, const char *control)
{
    const char *const headers[] = {"Authorization", "Bearer key-of-b", control ? "Cache-Control" : NULL,
                                   control, NULL};
    costs before = {.embedded = mock_calls(&mock, EMBEDDINGS), .called = mock_calls(&mock, CHAT)}, after;
    for (int i = 0; i < COUNTED; i++)
        before.store[i] = counted.counts[i];
    before.rejected = test_counters(cache).rejected;
    test_reply reply = test_call(cache, CHAT, headers, body);
    memset(&after, 0, sizeof after);
    for (int i = 0; i < COUNTED; i++)
        after.store[i] = counted.counts[i] - before.store[i];
    after.embedded = mock_calls(&mock, EMBEDDINGS) - before.embedded;
    after.called = mock_calls(&mock, CHAT) - before.called;
    after.rejected = test_counters(cache).rejected - before.rejected;
    after.status = reply.status;
    const char *source = test_reply_header(&reply, "X-LLMCache-Source");
    snprintf(after.source, sizeof after.source, "%s", source ? source : "");
    return after;
}

static void same_costs(const costs *alone, const costs *beside, const char *what)
{
    static const char *const names[] = {"get prompt", "get embed", "put", "remove", "each"};
    for (int i = 0; i < COUNTED; i++)
        cr_expect_eq(alone->store[i], beside->store[i], "%s: %s %d, %d", what, names[i], alone->store[i],
                     beside->store[i]);
    cr_expect_eq(alone->embedded, beside->embedded, "%s: embedded", what);
    cr_expect_eq(alone->called, beside->called, "%s: called", what);
    cr_expect_eq(alone->rejected, beside->rejected, "%s: rejected", what);
    cr_expect_eq(alone->status, beside->status, "%s: status", what);
    cr_expect_str_eq(alone->source, beside->source, "%s", what);
}

static const char *const asked_by_a[] = {ASK("what is the salary of Tom?"), ASK("tell me the pay of Tom"),
                                         ASK("what is the salary 4411 of Tom?")};

/* What B's question costs, with or without A having asked before. */
static costs ask_beside(int with_a, const char *body, const char *control)
{
    const char *const a[] = {"Authorization", "Bearer key-of-a", NULL};
    open_cache();
    for (int i = 0; with_a && i < 3; i++)
        for (int twice = 0; twice < 2; twice++)
            cr_assert_eq(test_call(cache, CHAT, a, asked_by_a[i]).status, 200);
    costs cost = cost_of(body, control);
    llmcache_close(cache);
    return cost;
}

Test(isolation, a_question_costs_the_same_whoever_else_has_asked_it)
{
    static const char *const controls[] = {NULL, "only-if-cached", "no-cache", "max-age=60"};
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['what is the salary of Tom?', 'tell me the pay of Tom', 0.96]]}");
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        static const char asked[] = ASK("what is the salary of Tom?");
        costs alone = ask_beside(0, asked, controls[i]), beside = ask_beside(1, asked, controls[i]);
        same_costs(&alone, &beside, controls[i] ? controls[i] : "plain");
        cr_expect(i == 1 ? beside.called == 0 && beside.status == 504
                         : beside.called == 1 && strcmp(beside.source, "model") == 0,
                  "%d calls, %d %s", beside.called, beside.status, beside.source);
    }
    mock_stop(&mock);
}

/*
 * Words put together so that their vector falls on that of another's question. In another namespace it is not
 * even a candidate, so that not one rule need hold; in one's own it is, and the rules are asked.
 */
Test(isolation, a_collision_in_another_namespace_is_no_candidate)
{
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['what is the salary 4411 of Tom?', 'zq vv salary 4417 of Tom what', 0.9999]]}");
    static const char crafted[] = ASK("zq vv salary 4417 of Tom what");
    costs alone = ask_beside(0, crafted, "only-if-cached"), beside = ask_beside(1, crafted, "only-if-cached");
    same_costs(&alone, &beside, "crafted");
    cr_expect_eq(beside.status, 504);
    cr_expect_eq(beside.store[GET_EMBED], 0);
    open_cache();
    cost_of(ASK("what is the salary 4411 of Tom?"), NULL);
    costs own = cost_of(crafted, "only-if-cached");
    cr_expect_eq(own.status, 504);
    cr_expect_eq(own.rejected, 1, "a rule refused it");
    llmcache_close(cache);
    mock_stop(&mock);
}

/* The counting itself can tell: the same tenant's second question is cheaper. */
Test(isolation, ones_own_answers_do_show)
{
    mock_start(&mock);
    open_cache();
    costs first = cost_of(ASK("again"), NULL), second = cost_of(ASK("again"), NULL);
    cr_expect_eq(first.called, 1);
    cr_expect_eq(second.called, 0);
    cr_expect_lt(second.store[GET_PROMPT] + second.store[PUT], first.store[GET_PROMPT] + first.store[PUT]);
    llmcache_close(cache);
    mock_stop(&mock);
}

/* ---- At the same moment ------------------------------------------------------------------------------ */

static void *ask_as_a(void *unused)
{
    const char *const a[] = {"Authorization", "Bearer key-of-a", NULL};
    test_call(cache, CHAT, a, ASK("both at once"));
    return NULL;
}

static void *ask_as_b(void *unused)
{
    const char *const b[] = {"Authorization", "Bearer key-of-b", NULL};
    test_call(cache, CHAT, b, ASK("both at once"));
    return NULL;
}

/* Nobody waits for another tenant's call, nor gets it for nothing. */
Test(isolation, tenants_never_share_a_call_under_way)
{
    pthread_t threads[2];
    mock_start(&mock);
    open_cache();
    mock_behave(&mock, "{'path': '%s', 'hold': true}", CHAT);
    pthread_create(&threads[0], NULL, ask_as_a, NULL);
    pthread_create(&threads[1], NULL, ask_as_b, NULL);
    /* The warming up was one call. */
    int both = test_wait_until(mock_calls(&mock, CHAT) >= 3, 10000);
    mock_release(&mock);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    cr_expect(both, "one waited for the other");
    cr_expect_eq(test_counters(cache).hits_shared, 0);
    llmcache_close(cache);
    mock_stop(&mock);
}

/* Whoever asks may want no error's text, and some work is done with nobody to tell; a store always has room. */
Test(isolation, a_store_has_room_for_every_error)
{
    mock_start(&mock);
    open_cache();
    uint64_t removed;
    test_call(cache, CHAT, NULL, ASK("anything"));
    cr_assert_eq(llmcache_put(cache, "question", "answer", NULL, NULL), 0);
    cr_assert_eq(llmcache_purge(cache, NULL, &removed, NULL), 0);
    cr_assert_gt(counted.counts[PUT], 1);
    cr_assert_gt(counted.counts[REMOVE], 0);
    cr_assert_gt(counted.counts[EACH], 0);
    llmcache_close(cache);
    cr_assert_eq(counted.without_err, 0);
}

/*
 * Leases from inside one cache: what it makes of a store whose leases behave in every way, and two flights of its own
 * with the same question. Many servers over real stores: lease_suite.c.
 */
#include "test_cache.h"

#include "base/memory.h"
#include "store/store.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define ASK(text) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define SOON 20000

/* ---- A store whose leases do as they are told ------------------------------------------------------- */

typedef struct odd {
    lc_store store; /* memory: */
    llmcache_watch watch;
    atomic_int rc;              /* of lease */
    atomic_int_least64_t others_ms; /* what it says, renewals aside */
    atomic_int renewed_ms;      /* what it says of renewals */
    atomic_int turns;           /* after so many it is free; 0: for ever as it is */
    atomic_int asked, renewed, released, given_up;
    atomic_int bring; /* the entry there is */
} odd;

static int odd_lease(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                     int64_t *others_ms, llmcache_error *err)
{
    odd *o = self;
    cr_assert(err && *lease->holder && lease->lease_ms > 0);
    if (lease->renew) {
        o->renewed++;
        *others_ms = o->renewed_ms;
        return 0;
    }
    o->asked++;
    if (o->rc)
        return llmcache_error_set(err, o->rc, "no lease today");
    if (o->bring)
        o->store.ops.get(o->store.self, LLMCACHE_PART_PROMPT, key, lease->now_ms, deadline_ms, lease->fn, lease->user,
                         err);
    *others_ms = o->turns && --o->turns == 0 ? 0 : o->others_ms;
    if (*others_ms == 0)
        o->others_ms = 0;
    return 0;
}

static int odd_release(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                       int64_t deadline_ms, llmcache_error *err)
{
    odd *o = self;
    o->released++;
    o->given_up += given_up_ms > 0;
    return 0;
}

static int odd_get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
                   llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    odd *o = self;
    if (o->bring) /* it came just after it was looked for */
        return llmcache_error_set(err, LLMCACHE_NOT_FOUND, "no such entry");
    return o->store.ops.get(o->store.self, part, key, now_ms, deadline_ms, fn, user, err);
}

static int odd_put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms, llmcache_error *err)
{
    odd *o = self;
    return o->store.ops.put(o->store.self, parts, entry, deadline_ms, err);
}

static int odd_remove(void *self, int parts, const llmcache_key *keys, size_t count, int64_t deadline_ms,
                      uint64_t *removed, llmcache_error *err)
{
    odd *o = self;
    return o->store.ops.remove(o->store.self, parts, keys, count, deadline_ms, removed, err);
}

static int odd_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn, void *user,
                    uint64_t *damaged, llmcache_error *err)
{
    odd *o = self;
    return o->store.ops.each(o->store.self, part, space, now_ms, fn, user, damaged, err);
}

static int odd_ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static void odd_stats(void *self, llmcache_store_stats *stats)
{
    odd *o = self;
    o->store.ops.stats(o->store.self, stats);
}

static int odd_watch(void *self, const llmcache_watch *watch, llmcache_error *err)
{
    odd *o = self;
    o->watch = *watch;
    return 0;
}

static void odd_close(void *self)
{
    odd *o = self;
    lc_store_close(&o->store);
}

static const llmcache_store_ops odd_ops = {
    .version = LLMCACHE_BACKEND_VERSION, .name = "odd", .get = odd_get, .put = odd_put, .remove = odd_remove,
    .each = odd_each, .ping = odd_ping, .stats = odd_stats, .watch = odd_watch, .close = odd_close,
    .lease = odd_lease, .release = odd_release};

static test_mock mock;
static odd store;
static llmcache *cache;
static const llmcache_provider_ops *provider; /* instead of the mock; NULL */
static void *given_to;                        /* its self */

static void open_with(const char *const settings[])
{
    static const lc_store_options plain = {.connect_ms = 50};
    llmcache_error err;
    mock_start(&mock);
    llmcache_options *options = test_cache_options(&mock, settings);
    memset(&store, 0, sizeof store);
    cr_assert_eq(lc_store_open("memory:", &plain, &store.store, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_options_store(options, &odd_ops, &store, &err), 0, "%s", err.message);
    if (provider)
        cr_assert_eq(llmcache_options_provider(options, "chat", provider, given_to, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
}

static void open_plain(void)
{
    open_with((const char *const[]){"embedder", "none", NULL});
}

static const char *source_of(const char *body)
{
    test_reply reply = test_call(cache, CHAT, NULL, body);
    cr_assert_eq(reply.status, 200, "%s", reply.body);
    return test_reply_header(&reply, "X-LLMCache-Source");
}

TestSuite(leases_inside, .timeout = 60);

Test(leases_inside, one_is_taken_for_a_call_and_given_back)
{
    open_plain();
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert(test_wait_until(store.released == 1, SOON));
    cr_assert_str_eq(source_of(ASK("a")), "exact");
    cr_assert_eq(store.asked, 1, "a hit asks for none");
    cr_assert_eq(store.given_up, 0);
    mock_behave(&mock, "{'status': 500}");
    cr_assert_eq(test_call(cache, CHAT, NULL, ASK("b")).status, 500);
    cr_assert(test_wait_until(store.given_up == 1, SOON));
    llmcache_counters counters = test_counters(cache);
    cr_assert_eq(counters.leases_taken, 2);
    cr_assert_eq(counters.leases_waited + counters.leases_answered + counters.leases_given_up, 0);
    llmcache_close(cache);
}

Test(leases_inside, a_store_without_leases_after_all_is_not_asked_each_time)
{
    open_plain();
    store.rc = LLMCACHE_UNSUPPORTED;
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert_str_eq(source_of(ASK("b")), "model");
    cr_assert_str_eq(source_of(ASK("c")), "model");
    cr_assert_eq(store.asked, 1);
    cr_assert_eq(store.released, 0);
    cr_assert_eq(test_counters(cache).store_errors, 0);
    llmcache_close(cache);
}

Test(leases_inside, a_store_that_fails_costs_the_lease_only)
{
    open_plain();
    store.rc = LLMCACHE_TIMEOUT;
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert_eq(test_counters(cache).store_errors, 1);
    cr_assert_eq(test_counters(cache).leases_taken, 0);
    store.rc = 0;
    cr_assert_str_eq(source_of(ASK("b")), "model");
    cr_assert_eq(test_counters(cache).leases_taken, 1);
    llmcache_close(cache);
}

Test(leases_inside, who_does_not_hear_the_store_takes_none)
{
    open_plain();
    store.watch.distrust(store.watch.user);
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert_eq(store.asked, 0);
    store.watch.trust(store.watch.user);
    cr_assert_str_eq(source_of(ASK("b")), "model");
    cr_assert_eq(store.asked, 1);
    llmcache_close(cache);
}

/* Nothing is ever reported. */
Test(leases_inside, waiting_ends_when_the_lease_can_have_run_out)
{
    open_plain();
    store.others_ms = 20;
    store.turns = 4;
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert_eq(store.asked, 4);
    llmcache_counters counters = test_counters(cache);
    cr_assert_eq(counters.leases_waited, 1);
    cr_assert_eq(counters.leases_taken_over, 1);
    cr_assert_eq(counters.leases_taken, 1);
    llmcache_close(cache);
}

/* ---- How long it takes ------------------------------------------------------------------------------ */

/* A model that answers at once and notes how long it was given. */
static int quick_call(void *self, const llmcache_request *request, const llmcache_limits *limits,
                      const llmcache_sink *sink, llmcache_error *err)
{
    static const char answer[] = "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":"
                                 "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"
                                 "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,"
                                 "\"completion_tokens\":1,\"total_tokens\":2}}";
    static const llmcache_header headers[] = {{"Content-Type", "application/json"}};
    atomic_store((atomic_int_least64_t *)self, limits->total_ms);
    if (sink->begin(sink->user, 200, headers, 1, sizeof answer - 1) || sink->write(sink->user, answer, sizeof answer - 1))
        return llmcache_error_set(err, LLMCACHE_ABORTED, "nobody listens");
    return 0;
}

static const char *quick_base(void *self)
{
    return "quick";
}

static int quick_ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static void quick_close(void *self)
{
}

static const llmcache_provider_ops quick_ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "quick", .call = quick_call,
                                                .base = quick_base, .ping = quick_ping, .close = quick_close};

/* The time the call was given. */
static int64_t given_ms(const char *timeout_ms, int64_t others_ms, int turns)
{
    static atomic_int_least64_t given;
    given_to = &given;
    provider = &quick_ops;
    open_with((const char *const[]){"embedder", "none", "upstream-timeout-ms", timeout_ms, NULL});
    provider = NULL;
    store.others_ms = others_ms;
    store.turns = turns;
    cr_assert_str_eq(source_of(ASK("a")), "model");
    return atomic_load(&given);
}

Test(leases_inside, who_does_not_wait_has_all_the_time_for_the_call)
{
    cr_assert_eq(given_ms("300", 0, 0), 300);
    llmcache_close(cache);
}

Test(leases_inside, waiting_for_ever_leaves_a_tenth_for_the_call)
{
    cr_assert_eq(given_ms("300", 50, 0), 30);
    cr_assert_gt(store.asked, 1);
    cr_assert_eq(test_counters(cache).leases_given_up, 1);
    cr_assert_eq(store.released, 0);
    llmcache_close(cache);
}

Test(leases_inside, who_takes_over_has_what_is_left)
{
    int64_t given = given_ms("100000", 40, 3);
    cr_assert_eq(test_counters(cache).leases_taken_over, 1);
    cr_assert_leq(given, 100000 - 80, "two waits of 40 ms");
    cr_assert_geq(given, 10000);
    llmcache_close(cache);
}

Test(leases_inside, one_given_up_stops_nobody)
{
    open_plain();
    store.others_ms = -1;
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert_eq(store.asked, 1);
    cr_assert_eq(test_counters(cache).leases_taken + test_counters(cache).leases_waited, 0);
    llmcache_close(cache);
}

/* It was put between the look-up and the lease. */
Test(leases_inside, an_answer_that_came_meanwhile_is_served)
{
    open_plain();
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert(test_wait_until(store.released == 1, SOON));
    store.watch.distrust(store.watch.user); /* memory is empty */
    store.watch.trust(store.watch.user);
    store.bring = 1;
    cr_assert_str_eq(source_of(ASK("a")), "exact");
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    cr_assert_eq(store.released, 2, "what was taken is given back");
    llmcache_close(cache);
}

static void *ask_one(void *user)
{
    return (void *)source_of(ASK("slow"));
}

static void *ask_failing(void *user)
{
    test_call(cache, CHAT, NULL, ASK("large"));
    return NULL;
}

/* Renewed while the call is under way; one that is lost is neither renewed again nor released. */
Test(leases_inside, a_long_call_renews_its_lease_until_it_is_lost)
{
    pthread_t thread;
    open_with((const char *const[]){"embedder", "none", "lease-ms", "30", NULL});
    mock_behave(&mock, "{'hold': true}");
    cr_assert_eq(pthread_create(&thread, NULL, ask_one, NULL), 0);
    cr_assert(test_wait_until(store.renewed >= 3, SOON));
    store.renewed_ms = -1;
    int at = store.renewed;
    cr_assert(test_wait_until(store.renewed > at, SOON));
    at = store.renewed;
    cr_assert_not(test_wait_until(store.renewed > at + 1, 200));
    mock_release(&mock);
    pthread_join(thread, NULL);
    llmcache_close(cache);
    cr_assert_eq(store.released, 0);
}

/* Others need not wait for the end of what will not be kept. */
Test(leases_inside, a_reply_too_large_to_keep_gives_its_lease_up_at_once)
{
    pthread_t thread;
    open_with((const char *const[]){"embedder", "none", "max-answer-bytes", "64", NULL});
    mock_behave(&mock, "{'huge': 4000000, 'stall_after_bytes': 2000000}");
    cr_assert_eq(pthread_create(&thread, NULL, ask_failing, NULL), 0);
    cr_assert(test_wait_until(store.given_up == 1, SOON));
    cr_assert_eq(mock_open_calls(&mock), 1);
    mock_stop(&mock);
    pthread_join(thread, NULL);
    llmcache_close(cache);
    cr_assert_eq(store.released, 1);
}

Test(leases_inside, a_stale_answer_is_fetched_anew_by_one_server)
{
    open_with((const char *const[]){"embedder", "none", "ttl", "60", "stale-while-revalidate", "1h", NULL});
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert(test_wait_until(store.released == 1, SOON));
    test_clock_ms += 61000;
    store.others_ms = 60000;
    cr_assert_str_eq(source_of(ASK("a")), "stale");
    cr_assert(test_wait_until(store.asked == 2 && test_counters(cache).in_flight == 0, SOON));
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    store.others_ms = 0;
    cr_assert_str_eq(source_of(ASK("a")), "stale");
    cr_assert(test_wait_until(test_counters(cache).stored == 2, SOON));
    cr_assert_eq(mock_calls(&mock, NULL), 2);
    llmcache_close(cache);
}

/* What it brings is kept by nobody, so nobody else's call is waited for, and nobody waits for it. */
Test(leases_inside, a_stale_answer_fetched_anew_for_nobody_to_keep_takes_no_lease)
{
    open_with((const char *const[]){"embedder", "none", "ttl", "60", "stale-while-revalidate", "1h", NULL});
    cr_assert_str_eq(source_of(ASK("a")), "model");
    cr_assert(test_wait_until(store.released == 1, SOON));
    test_clock_ms += 61000;
    store.others_ms = 60000;
    const char *const headers[] = {"X-LLMCache-TTL", "0", NULL};
    test_reply reply = test_call(cache, CHAT, headers, ASK("a"));
    cr_assert_eq(reply.status, 200);
    cr_assert_str_eq(test_reply_header(&reply, "X-LLMCache-Source"), "stale");
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == 2, SOON));
    cr_assert(test_wait_until(test_counters(cache).in_flight == 0, SOON));
    cr_assert_eq(store.asked, 1);
    cr_assert_eq(store.released, 1);
    cr_assert_eq(test_counters(cache).stored, 1);
    llmcache_close(cache);
}

Test(leases_inside, a_lease_is_lost_for_want_of_memory_and_no_answer)
{
    open_plain();
    uint64_t n;
    for (n = 1; n < 2000; n++) {
        llmcache_error err;
        llmcache_answer *answer = NULL;
        lc_memory_fail_at(n);
        int code = llmcache_ask(cache, test_format("memory %d", (int)n), NULL, &answer, &err);
        int failed = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(failed || !code, "%s", err.message);
        llmcache_answer_free(answer);
        if (!failed)
            break;
    }
    cr_assert_lt(n, 2000u);
    cr_assert_gt(store.asked, 0);
    llmcache_close(cache); /* waits for calls under way */
    cr_assert_eq(store.renewed, 0);
}

/* ---- Two flights of one cache ------------------------------------------------------------------------ */

typedef struct asker {
    pthread_t thread;
    const char *header, *value;
    test_reply reply;
} asker;

static void *ask_with(void *user)
{
    asker *a = user;
    const char *const headers[] = {a->header, a->value, NULL};
    a->reply = test_call(cache, CHAT, a->header ? headers : NULL, ASK("both"));
    return NULL;
}

/* Other conditions make a flight of its own, which waits for the first like another server's. */
Test(leases_inside, flights_of_one_cache_share_too)
{
    asker askers[2] = {{.header = NULL}, {.header = "X-LLMCache-Mode", .value = "exact"}};
    mock_start(&mock);
    cache = test_cache(&mock, "embedder", "none", "store", test_format("sqlite:%s/cache.db", test_folder()), "lease-ms",
                       "60000");
    mock_behave(&mock, "{'hold': true}");
    cr_assert_eq(pthread_create(&askers[0].thread, NULL, ask_with, &askers[0]), 0);
    cr_assert(test_wait_until(mock_calls(&mock, NULL) == 1, SOON));
    cr_assert_eq(pthread_create(&askers[1].thread, NULL, ask_with, &askers[1]), 0);
    cr_assert(test_wait_until(test_counters(cache).leases_waited == 1, SOON));
    mock_release(&mock);
    for (int i = 0; i < 2; i++)
        pthread_join(askers[i].thread, NULL);
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    cr_assert_str_eq(askers[1].reply.body, askers[0].reply.body);
    cr_assert_str_eq(test_reply_header(&askers[1].reply, "X-LLMCache-Source"), "shared");
    llmcache_close(cache);
}

/* Its lease is another server's by now, so the store tells nobody here of its end; the answer is kept all the same. */
Test(leases_inside, who_waits_here_hears_of_an_answer_whose_lease_was_lost)
{
    asker askers[2] = {{.header = NULL}, {.header = "X-LLMCache-Mode", .value = "exact"}};
    open_with((const char *const[]){"embedder", "none", "lease-ms", "30", NULL});
    mock_behave(&mock, "{'hold': true}");
    store.renewed_ms = 60000;
    cr_assert_eq(pthread_create(&askers[0].thread, NULL, ask_with, &askers[0]), 0);
    cr_assert(test_wait_until(store.renewed == 1, SOON));
    store.others_ms = 600000;
    cr_assert_eq(pthread_create(&askers[1].thread, NULL, ask_with, &askers[1]), 0);
    cr_assert(test_wait_until(test_counters(cache).leases_waited == 1, SOON));
    store.bring = 1;
    mock_release(&mock);
    for (int i = 0; i < 2; i++)
        pthread_join(askers[i].thread, NULL);
    cr_assert_str_eq(test_reply_header(&askers[0].reply, "X-LLMCache-Source"), "model");
    cr_assert_str_eq(test_reply_header(&askers[1].reply, "X-LLMCache-Source"), "shared");
    cr_assert_eq(mock_calls(&mock, NULL), 1);
    cr_assert_eq(store.released, 0);
    llmcache_close(cache);
}

/*
 * One flight across servers: how many calls a question makes that is asked at once on four servers, how soon another
 * takes the place of one that is killed, and what a lease costs a miss. For each store that can be had here.
 */
#include "bench.h"
#include "llmcache_server.h"
#include "mock_client.h"
#ifdef BENCH_POSTGRES
#include "postgres_server.h"
#endif
#include "redis_server.h"

#include "store/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"

enum { SERVERS = 4, EACH = 16, LEASE_MS = 1000, WAIT_MS = 30000 };

static test_mock mock;
static test_server servers[SERVERS];

/* ---- The stores -------------------------------------------------------------------------------------- */

static test_redis redis;
#ifdef BENCH_POSTGRES
static test_postgres postgres;
#endif

/* An empty store of a kind, NULL where there is none. */
static const char *start_store(const char *kind)
{
    if (strcmp(kind, "sqlite") == 0)
        return test_format("sqlite:%s/cache.db", test_folder());
    if (strcmp(kind, "redis") == 0 && test_redis_installed()) {
        test_redis_start(&redis, NULL);
        return redis.uri;
    }
#ifdef BENCH_POSTGRES
    if (strcmp(kind, "postgresql") == 0 && !test_postgres_missing()) {
        test_postgres_start(&postgres);
        return postgres.uri;
    }
#endif
    return NULL;
}

/* ---- What an operation costs --------------------------------------------------------------------------- */

typedef struct pair {
    lc_store store;
    uint64_t number;
} pair;

static llmcache_key next_key(pair *p)
{
    llmcache_key key = {.space = "default"};
    p->number++;
    memcpy(key.fingerprint, &p->number, sizeof p->number);
    return key;
}

static int see(void *user, const llmcache_entry *entry)
{
    return 0;
}

static void get_nothing(void *user, size_t count)
{
    pair *p = user;
    llmcache_error err;
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = next_key(p);
        if (p->store.ops.get(p->store.self, LLMCACHE_PART_PROMPT, &key, 0, WAIT_MS, see, NULL, &err) !=
            LLMCACHE_NOT_FOUND)
            test_give_up("%s", err.message);
    }
}

static void lease_and_release(void *user, size_t count)
{
    pair *p = user;
    llmcache_error err;
    const llmcache_lease lease = {.holder = "bench-1", .lease_ms = 5000, .fn = see};
    for (size_t i = 0; i < count; i++) {
        llmcache_key key = next_key(p);
        int64_t others_ms;
        if (p->store.ops.lease(p->store.self, &key, &lease, WAIT_MS, &others_ms, &err) ||
            p->store.ops.release(p->store.self, &key, &lease, 0, WAIT_MS, &err))
            test_give_up("%s", err.message);
    }
}

static void measure_operations(bench_report *report, const char *kind, const char *uri)
{
    static const lc_store_options options = {.connect_ms = 5000};
    pair p = {0};
    llmcache_error err;
    if (lc_store_open(uri, &options, &p.store, &err))
        test_give_up("%s", err.message);
    test_wait_until(p.store.ops.ping(p.store.self, WAIT_MS, &err) == 0, WAIT_MS);
    bench_compare(report, test_format("%s: a lease taken and released", kind), "a get that finds nothing",
                  lease_and_release, get_nothing, &p, 500, 9, 0);
    lc_store_close(&p.store);
}

/* ---- What a miss costs ----------------------------------------------------------------------------------- */

typedef struct misses {
    llmcache *with, *without;
    int number;
} misses;

static void miss(llmcache *cache, misses *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        llmcache_answer *answer;
        llmcache_error err;
        if (llmcache_ask(cache, test_format("question %d", ++m->number), NULL, &answer, &err))
            test_give_up("%s", err.message);
        llmcache_answer_free(answer);
    }
}

static void miss_with(void *user, size_t count)
{
    miss(((misses *)user)->with, user, count);
}

static void miss_without(void *user, size_t count)
{
    miss(((misses *)user)->without, user, count);
}

static llmcache *open_cache(const char *uri, const char *lease_ms)
{
    const char *const settings[] = {"store", uri, "embedder", "none", "store-timeout-ms", "5000", "provider", "openai:",
                                    "openai-base-url", mock.openai, "openai-api-key", "sk-test", "lease-ms", lease_ms};
    llmcache_options *options;
    llmcache *cache;
    llmcache_error err;
    int code = llmcache_options_new(&options, &err);
    for (size_t i = 0; i < sizeof settings / sizeof *settings && !code; i += 2)
        code = llmcache_options_set(options, settings[i], settings[i + 1], &err);
    if (code || llmcache_open(options, &cache, &err))
        test_give_up("%s", err.message);
    llmcache_options_free(options);
    return cache;
}

static int has_taken_one(misses *m)
{
    llmcache_counters counters;
    miss_with(m, 1);
    llmcache_stats(m->with, &counters, sizeof counters);
    return counters.leases_taken > 0;
}

static void measure_misses(bench_report *report, const char *kind, const char *uri)
{
    misses m = {0};
    m.with = open_cache(uri, "5000");
    m.without = open_cache(uri, "0");
    if (!test_wait_until(has_taken_one(&m), WAIT_MS))
        test_give_up("%s: no leases", kind);
    bench_compare(report, test_format("%s: a miss, with a model that answers at once", kind),
                  "the same with lease-ms 0", miss_with, miss_without, &m, 200, 9, 0);
    llmcache_close(m.with);
    llmcache_close(m.without);
}

/* ---- Servers --------------------------------------------------------------------------------------------- */

static int count_of(int server, const char *name)
{
    test_reply reply = test_server_get(&servers[server], "/metrics/json");
    return (int)json_integer_value(json_object_get(test_json(reply.body), name));
}

static const char *chat(const char *text, int number)
{
    return test_format("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s %d\"}]}", text, number);
}

static int takes_leases(int server)
{
    static int number;
    test_server_post(&servers[server], CHAT, chat("warm", ++number));
    return count_of(server, "leases_taken") > 0;
}

static void start_server(int i, const char *uri, const char *lease_ms)
{
    test_server_start(&servers[i],
                      (const char *const[]){"--store", uri, "--lease-ms", lease_ms, "--store-timeout-ms", "5000",
                                            "--max-connections", "64", "--provider", "openai:", "--openai-base-url",
                                            mock.openai, "--openai-api-key", "sk-test", NULL},
                      NULL);
    if (strcmp(lease_ms, "0") && !test_wait_until(takes_leases(i), WAIT_MS))
        test_give_up("server %d takes no leases", i);
}

typedef struct asker {
    pthread_t thread;
    int server;
    const char *body;
} asker;

static void *ask(void *user)
{
    asker *a = user;
    test_reply reply = test_server_post(&servers[a->server], CHAT, a->body);
    test_reply_done(&reply);
    return NULL;
}

static void set_out(asker *askers, int count, const char *body)
{
    for (int i = 0; i < count; i++) {
        askers[i] = (asker){.server = i % SERVERS, .body = body};
        pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
    }
}

static void come_back(asker *askers, int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(askers[i].thread, NULL);
}

/* Calls a question takes that SERVERS * EACH ask at once. */
static double calls_of_a_crowd(int rounds)
{
    static asker askers[SERVERS * EACH];
    mock_reset(&mock);
    mock_behave(&mock, "{'first_byte_delay_ms': 50}");
    for (int round = 0; round < rounds; round++) {
        set_out(askers, SERVERS * EACH, chat("crowd", round));
        come_back(askers, SERVERS * EACH);
    }
    return (double)mock_calls(&mock, NULL) / rounds;
}

static int compare_numbers(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* From the kill of the server whose call it is to the next one's call, in leases. */
static double take_over_once(int round)
{
    asker askers[SERVERS];
    int waited = 0;
    mock_reset(&mock);
    mock_behave(&mock, "{'hold': true}");
    for (int i = 1; i < SERVERS; i++)
        waited -= count_of(i, "leases_waited");
    set_out(askers, 1, chat("take over", round));
    test_wait_until(mock_calls(&mock, NULL) == 1, WAIT_MS);
    for (int i = 1; i < SERVERS; i++) {
        askers[i] = (asker){.server = i, .body = askers[0].body};
        pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
    }
    for (int now = -1; now != SERVERS - 1; test_nap()) {
        now = waited;
        for (int i = 1; i < SERVERS; i++)
            now += count_of(i, "leases_waited");
    }
    double start_us = test_now_us();
    test_kill(&servers[0].process);
    if (!test_wait_until(mock_calls(&mock, NULL) == 2, WAIT_MS))
        test_give_up("nobody took over");
    double took_us = test_now_us() - start_us;
    mock_release(&mock);
    come_back(askers, SERVERS);
    if (mock_calls(&mock, NULL) != 2)
        test_give_up("%d calls, not 2", mock_calls(&mock, NULL));
    return took_us / 1000 / LEASE_MS;
}

static void measure_servers(bench_report *report, const char *kind, const char *uri)
{
    int rounds = bench_quick() ? 5 : 20, kills = bench_quick() ? 1 : 5;
    double took[5];
    for (int i = 0; i < SERVERS; i++)
        start_server(i, uri, test_format("%d", LEASE_MS));
    bench_value(report, test_format("%s: calls for a question asked %d times at once on %d servers", kind,
                                    SERVERS * EACH, SERVERS),
                calls_of_a_crowd(rounds), "calls", 1);
    for (int i = 0; i < kills; i++) {
        took[i] = take_over_once(i);
        mock_reset(&mock);
        start_server(0, uri, test_format("%d", LEASE_MS));
    }
    qsort(took, (size_t)kills, sizeof *took, compare_numbers);
    bench_value(report, test_format("%s: another takes over from a killed server, median", kind), took[kills / 2],
                "leases", 1.1);
    bench_value(report, test_format("%s: the same, longest", kind), took[kills - 1], "leases", 0);
    for (int i = 0; i < SERVERS; i++)
        test_server_stop(&servers[i]);
}

int main(void)
{
    static const char *const kinds[] = {"sqlite", "redis", "postgresql"};
    bench_report *report = bench_new("One flight across four servers");
    mock_start(&mock);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *uri = start_store(kinds[i]);
        if (!uri)
            continue;
        measure_operations(report, kinds[i], uri);
        mock_reset(&mock);
        measure_misses(report, kinds[i], uri);
        measure_servers(report, kinds[i], uri);
    }
    mock_stop(&mock);
    return bench_done(report);
}

/* Questions while the index is still being loaded: nothing waits for a long load, and what is there serves. */
#include "test_cache.h"

#include "store/store.h"
#include "support.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

TestSuite(index_loading, .timeout = 60);

/* ---- A store that stops in the middle of its walk ------------------------------------------------- */

typedef struct halting {
    lc_store store;
    uint64_t records; /* it says it has */
    int before;       /* halts before the first record, else after it */
    int halted_once;
    sem_t halted, go_on;
    llmcache_entry_fn fn;
    void *user;
} halting;

static int halting_get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
                       llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    halting *h = self;
    return h->store.ops.get(h->store.self, part, key, now_ms, deadline_ms, fn, user, err);
}

static int halting_put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
                       llmcache_error *err)
{
    halting *h = self;
    return h->store.ops.put(h->store.self, parts, entry, deadline_ms, err);
}

static int halting_remove(void *self, int parts, const llmcache_key *keys, size_t count, int64_t deadline_ms,
                          uint64_t *removed, llmcache_error *err)
{
    halting *h = self;
    return h->store.ops.remove(h->store.self, parts, keys, count, deadline_ms, removed, err);
}

static int halting_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                        void *user, uint64_t *damaged, llmcache_error *err)
{
    halting *h = self;
    return h->store.ops.each(h->store.self, part, space, now_ms, fn, user, damaged, err);
}

static int pass_one(void *user, const llmcache_entry *entry)
{
    halting *h = user;
    int stop = h->before ? 0 : h->fn(h->user, entry);
    if (!h->halted_once) {
        h->halted_once = 1;
        sem_post(&h->halted);
        sem_wait(&h->go_on);
    }
    return h->before ? h->fn(h->user, entry) : stop;
}

static int halting_each_vector(void *self, int64_t now_ms, llmcache_entry_fn fn, void *user, uint64_t *damaged,
                               llmcache_error *err)
{
    halting *h = self;
    h->fn = fn;
    h->user = user;
    return lc_store_each_vector(&h->store, now_ms, pass_one, h, damaged, err);
}

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    return 0;
}

static void stats(void *self, llmcache_store_stats *out)
{
    halting *h = self;
    h->store.ops.stats(h->store.self, out);
    out->records = h->records;
}

static void close_halting(void *self)
{
    halting *h = self;
    lc_store_close(&h->store);
}

static const llmcache_store_ops halting_ops = {
    .version = LLMCACHE_BACKEND_VERSION, .name = "halting", .get = halting_get, .put = halting_put,
    .remove = halting_remove, .each = halting_each, .ping = ping, .stats = stats, .close = close_halting,
    .each_vector = halting_each_vector};

/* ---- A cache that is started over two records ------------------------------------------------------ */

static test_mock mock;
static halting slow;

static llmcache *start(uint64_t records, int before)
{
    static const lc_store_options plain = {.connect_ms = 1000};
    const char *uri = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache;
    llmcache_error err;
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['two', 'dos', 0.99]]}");
    cache = test_cache(&mock, "threshold", "0.9", "store", uri);
    test_ask_source(cache, "one");
    test_ask_source(cache, "two");
    llmcache_close(cache);
    slow = (halting){.records = records, .before = before};
    sem_init(&slow.halted, 0, 0);
    sem_init(&slow.go_on, 0, 0);
    cr_assert_eq(lc_store_open(uri, &plain, &slow.store, &err), 0, "%s", err.message);
    /* Whoever waits for the index here waits for ever. */
    const char *const settings[] = {"threshold", "0.9", "embed-timeout-ms", "600000", NULL};
    llmcache_options *options = test_cache_options(&mock, settings);
    cr_assert_eq(llmcache_options_store(options, &halting_ops, &slow, &err), 0, "%s", err.message);
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
    return cache;
}

static int health_says(llmcache *cache, const char *part)
{
    char *text;
    llmcache_status status;
    cr_assert_eq(llmcache_health(cache, &status, &text, NULL), 0);
    int says = strstr(text, part) != NULL;
    llmcache_free(text);
    return says;
}

Test(index_loading, nothing_waits_for_a_long_load_and_what_is_there_serves)
{
    llmcache *cache = start(1000000, 0);
    sem_wait(&slow.halted);
    cr_assert(health_says(cache, "\"detail\":\"loading\",\"records\":1,\"expected\":1000000,"));
    cr_assert_str_eq(test_ask_source(cache, "two"), "exact");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic", "its record is there");
    cr_assert_str_eq(test_ask_source(cache, "dos"), "model", "its record is not");
    sem_post(&slow.go_on);
    cr_assert(test_wait_until(!health_says(cache, "\"detail\":\"loading\""), 5000));
    mock_behave(&mock, "{'pairs': [['two', 'zwei', 0.99]]}");
    cr_assert_str_eq(test_ask_source(cache, "zwei"), "semantic");
    llmcache_close(cache);
}

typedef struct asker {
    llmcache *cache;
    const char *source;
} asker;

static void *ask_uno(void *user)
{
    asker *a = user;
    a->source = test_ask_source(a->cache, "uno");
    return NULL;
}

Test(index_loading, a_short_load_is_waited_for)
{
    asker a = {.cache = start(2, 1)};
    pthread_t thread;
    sem_wait(&slow.halted);
    cr_assert_eq(pthread_create(&thread, NULL, ask_uno, &a), 0);
    sem_post(&slow.go_on);
    pthread_join(thread, NULL);
    cr_assert_str_eq(a.source, "semantic");
    llmcache_close(a.cache);
}

/* An index shared by several caches: who fills it, who need not, and what becomes of what it missed. */
#include "test_cache.h"

#include "api/options.h"
#include "fake_shared_index.h"
#include "support.h"

#include <criterion/criterion.h>
#include <string.h>

static test_mock mock;
static fake_shared_index server;
static const char *store;

static void set_up(void)
{
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['two', 'dos', 0.99]]}");
    fake_shared_start(&server);
    store = test_format("sqlite:%s/cache.db", test_folder());
}

static void tear_down(void)
{
    fake_shared_done(&server);
}

TestSuite(shared_index, .init = set_up, .fini = tear_down, .timeout = 60);

static llmcache *open_with(const char *space)
{
    const char *const settings[] = {"threshold", "0.9", "store", store, "embedder", space, NULL};
    llmcache_options *options = test_cache_options(&mock, settings);
    llmcache *cache;
    llmcache_error err;
    options->brought.index = fake_shared_open(&server);
    options->brought.has_index = 1;
    cr_assert_eq(llmcache_open(options, &cache, &err), 0, "%s", err.message);
    llmcache_options_free(options);
    return cache;
}

static llmcache *open_cache(void)
{
    return open_with("openai:text-embedding-3-small");
}

/* One that knows nothing of the shared index. */
static llmcache *open_stranger(void)
{
    return test_cache(&mock, "threshold", "0.9", "store", store);
}

static int filled(void)
{
    return atomic_load(&server.filled);
}

static int records(void)
{
    lc_index_stats stats;
    lc_flat_ops.stats(server.flat, &stats);
    return (int)stats.records;
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

/* Two answers in the store, none in the index. */
static void keep_two(void)
{
    llmcache *cache = open_stranger();
    test_ask_source(cache, "one");
    test_ask_source(cache, "two");
    llmcache_close(cache);
}

/* ---- Filling ------------------------------------------------------------------------------------------ */

Test(shared_index, the_first_fills_it_and_the_second_reads_no_vector)
{
    keep_two();
    llmcache *first = open_cache();
    cr_assert(test_wait_until(filled(), 5000));
    cr_assert_eq(atomic_load(&server.adds), 2);
    llmcache *second = open_cache();
    cr_assert_str_eq(test_ask_source(second, "uno"), "semantic");
    cr_assert_eq(atomic_load(&server.adds), 2);
    cr_assert_eq(atomic_load(&server.marks), 1);
    llmcache_close(second);
    llmcache_close(first);
}

Test(shared_index, what_one_writes_another_finds)
{
    llmcache *first = open_cache(), *second = open_cache();
    cr_assert_str_eq(test_ask_source(first, "one"), "model");
    cr_assert_str_eq(test_ask_source(second, "uno"), "semantic");
    cr_assert_eq(llmcache_purge(first, NULL, NULL, NULL), 0);
    cr_assert_eq(records(), 0);
    cr_assert_str_eq(test_ask_source(second, "eine"), "model");
    llmcache_close(second);
    llmcache_close(first);
}

Test(shared_index, what_a_stranger_writes_gets_in_and_what_he_removes_goes)
{
    llmcache *cache = open_cache(), *stranger = open_stranger();
    cr_assert(test_wait_until(filled(), 5000));
    test_ask_source(stranger, "one");
    cr_assert(test_wait_until(records() == 1, 5000));
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    cr_assert_eq(llmcache_purge(stranger, NULL, NULL, NULL), 0);
    cr_assert(test_wait_until(records() == 0, 5000));
    llmcache_close(stranger);
    llmcache_close(cache);
}

/* Removed while no cache of the index ran, it is still in there; the exact answer is in the store. */
Test(shared_index, a_record_removed_while_nobody_looked_is_not_served)
{
    llmcache_filter only = {.struct_size = sizeof only, .records = LLMCACHE_PART_EMBED};
    uint64_t removed = 0;
    keep_two();
    llmcache *cache = open_cache();
    cr_assert(test_wait_until(filled(), 5000));
    llmcache_close(cache);
    llmcache *stranger = open_stranger();
    cr_assert_eq(llmcache_purge(stranger, &only, &removed, NULL), 0);
    cr_assert_eq(removed, 2);
    llmcache_close(stranger);
    cache = open_cache();
    cr_assert_eq(records(), 2);
    cr_assert_str_eq(test_ask_source(cache, "one"), "exact");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "model");
    cr_assert_eq(records(), 2, "one was met and dropped, one was kept");
    llmcache_close(cache);
}

Test(shared_index, it_is_not_marked_when_it_was_emptied_meanwhile)
{
    lc_index index = fake_shared_open(&server);
    lc_index_fill fill;
    llmcache_error err;
    cr_assert_eq(index.ops.fill_state(index.self, 1000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED);
    cr_assert_eq(index.ops.clear(index.self, 1000, &err), 0);
    cr_assert_eq(index.ops.set_filled(index.self, 1000, &err), 0);
    cr_assert_eq(index.ops.fill_state(index.self, 1000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED);
}

Test(shared_index, it_is_filled_once_it_can_be_reached)
{
    keep_two();
    atomic_store(&server.away, 1);
    llmcache *cache = open_cache();
    cr_assert(test_wait_until(health_says(cache, "\"detail\":\"the fake index is away\""), 5000));
    cr_assert_str_eq(test_ask_source(cache, "one"), "exact");
    cr_assert_str_eq(test_ask_source(cache, "eine"), "model");
    atomic_store(&server.away, 0);
    cr_assert(test_wait_until(filled(), 10000));
    cr_assert_eq(records(), 3);
    llmcache_close(cache);
}

Test(shared_index, a_rebuild_fills_it_before_it_is_done)
{
    keep_two();
    llmcache *cache = open_cache();
    llmcache_rebuild_report report;
    llmcache_error err;
    cr_assert(test_wait_until(filled(), 5000));
    atomic_store(&server.adds, 0);
    cr_assert_eq(llmcache_rebuild(cache, &report, &err), 0, "%s", err.message);
    cr_assert(filled());
    cr_assert_eq(atomic_load(&server.adds), 2);
    cr_assert_eq(records(), 2);
    atomic_store(&server.away, 1);
    cr_assert_neq(llmcache_rebuild(cache, &report, &err), 0, "what cannot be emptied cannot be made anew");
    llmcache_close(cache);
}

/* ---- What it missed ------------------------------------------------------------------------------------- */

Test(shared_index, an_addition_that_failed_is_tried_again)
{
    llmcache *cache = open_cache(), *other = open_cache();
    cr_assert(test_wait_until(filled(), 5000));
    atomic_store(&server.refusing, 1);
    test_ask_source(cache, "one");
    cr_assert(test_wait_until(records() == 1, 5000));
    cr_assert_str_eq(test_ask_source(other, "uno"), "semantic");
    llmcache_close(other);
    llmcache_close(cache);
}

Test(shared_index, what_it_missed_while_it_was_away_is_read_from_the_store)
{
    llmcache *cache = open_cache();
    cr_assert(test_wait_until(filled(), 5000));
    atomic_store(&server.away, 1);
    test_ask_source(cache, "one");
    test_ask_source(cache, "two");
    cr_assert(test_wait_until(atomic_load(&server.adds) >= 4, 5000), "each was tried again");
    atomic_store(&server.away, 0);
    cr_assert(test_wait_until(records() == 2, 10000));
    llmcache_close(cache);
}

Test(shared_index, a_load_that_was_refused_a_record_is_not_marked)
{
    keep_two();
    atomic_store(&server.refusing, -1);
    llmcache *cache = open_cache();
    cr_assert(test_wait_until(atomic_load(&server.adds) >= 2, 10000), "tried, and tried again");
    cr_assert(!filled());
    atomic_store(&server.refusing, 0);
    cr_assert(test_wait_until(filled(), 10000));
    cr_assert_eq(records(), 2);
    llmcache_close(cache);
}

/* The store has records of another model: they are made again, and only then is it filled. */
Test(shared_index, it_is_marked_when_records_of_another_embedder_were_made_again)
{
    keep_two();
    llmcache *cache = open_with("openai:text-embedding-3-large");
    cr_assert(test_wait_until(filled(), 10000));
    cr_assert_eq(records(), 2);
    cr_assert_str_eq(test_ask_source(cache, "dos"), "semantic");
    llmcache_close(cache);
}

/* ---- Of one's own after all ------------------------------------------------------------------------------ */

Test(shared_index, one_that_fell_back_is_filled_by_everybody)
{
    keep_two();
    atomic_store(&server.own, 1);
    llmcache *first = open_cache();
    cr_assert_str_eq(test_ask_source(first, "uno"), "semantic");
    llmcache *second = open_cache();
    cr_assert(test_wait_until(atomic_load(&server.adds) == 4, 5000));
    cr_assert(!filled());
    cr_assert(health_says(second, "\"index\":{\"ok\":true,\"kind\":\"fake\",\"detail\":\"the fake index is old\""));
    cr_assert(health_says(second, "\"shared\":false,\"fell_back\":true"));
    llmcache_close(second);
    llmcache_close(first);
}

Test(shared_index, metrics_and_the_doctor_tell_of_it)
{
    llmcache *cache = open_cache();
    char *text;
    cr_assert(test_wait_until(filled(), 5000));
    cr_assert(health_says(cache, "\"detail\":\"fake\"") && health_says(cache, "\"shared\":true,\"fell_back\":false"));
    cr_assert_eq(llmcache_metrics(cache, 0, &text, NULL), 0);
    cr_assert(strstr(text, "\nllmcache_index_up{index=\"fake\"} 1\n"));
    cr_assert(strstr(text, "\nllmcache_index_fell_back{index=\"fake\"} 0\n"));
    llmcache_free(text);
    atomic_store(&server.own, 1);
    cr_assert_eq(llmcache_doctor(cache, &text, NULL), 0);
    cr_assert(strstr(text, "{\"part\":\"index\",\"ok\":false,\"detail\":\"the fake index is old\",\"mend\":\"correct"));
    llmcache_free(text);
    atomic_store(&server.away, 1);
    cr_assert_eq(llmcache_metrics(cache, 0, &text, NULL), 0);
    cr_assert(strstr(text, "\nllmcache_index_up{index=\"fake\"} 0\n"));
    llmcache_free(text);
    llmcache_close(cache);
}

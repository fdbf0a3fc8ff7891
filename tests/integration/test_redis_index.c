/*
 * The index redis: against real servers: two processes share one over a Redis 8, a Redis 7 makes it fall back, and
 * what stands in Redis is as documented. What every index must do is in tests/contract.
 */
#include "test_cache.h"

#include "index/index.h"
#include "redis_server.h"
#include "support.h"
#include "test_vectors.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 8, WAIT_MS = 10000 };

static test_mock mock;
static test_redis redis;

static void set_up(void)
{
    const test_redis_options options = {.program = test_redis8()};
    if (!options.program)
        cr_skip_test(TEST_NO_REDIS8);
    test_redis_start(&redis, &options);
    mock_start(&mock);
    mock_behave(&mock, "{'pairs': [['one', 'uno', 0.99], ['two', 'dos', 0.99]]}");
}

TestSuite(redis_index, .init = set_up, .timeout = 120);

static llmcache *open_cache(void)
{
    return test_cache(&mock, "threshold", "0.9", "store", redis.uri, "index", "redis:", "store-timeout-ms", "2000",
                      "store-write-timeout-ms", "2000");
}

static llmcache *open_stranger(void)
{
    return test_cache(&mock, "threshold", "0.9", "store", redis.uri, "store-timeout-ms", "2000");
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

/* Elements of all vector sets; scripts without a blank, which would end a word. */
static int kept(const test_redis *in)
{
    return atoi(test_redis_command(
        in, "EVAL local\tn=0\tfor\t_,k\tin\tipairs(redis.call('KEYS','vector_cache:*:*:*'))\tdo\t"
            "n=n+redis.call('VCARD',k)\tend\treturn\tn 0"));
}

static const char *filled(const test_redis *in)
{
    return test_redis_command(in, "EVAL local\tk=redis.call('KEYS','vector_cache:*:facts')[1]\treturn\tk\tand\t"
                                  "redis.call('HGET',k,'filled') 0");
}

/* ---- Sharing ------------------------------------------------------------------------------------------- */

Test(redis_index, the_second_cache_finds_what_the_first_keeps_without_loading_it)
{
    llmcache *first = open_cache();
    cr_assert(test_wait_until(filled(&redis), WAIT_MS));
    test_ask_source(first, "one");
    cr_assert_eq(kept(&redis), 1);
    test_redis_command(&redis, "CONFIG RESETSTAT");
    llmcache *second = open_cache();
    cr_assert_str_eq(test_ask_source(second, "uno"), "semantic");
    cr_assert_null(strstr(test_redis_command(&redis, "INFO commandstats"), "cmdstat_VADD"));
    cr_assert(health_says(second, "\"index\":{\"ok\":true,\"kind\":\"redis\""));
    cr_assert(health_says(second, "\"records\":1,"));
    cr_assert(health_says(second, "\"shared\":true,\"fell_back\":false"));
    cr_assert_eq(llmcache_purge(first, NULL, NULL, NULL), 0);
    cr_assert_eq(kept(&redis), 0);
    cr_assert_str_eq(test_ask_source(second, "eine"), "model");
    llmcache_close(second);
    llmcache_close(first);
}

Test(redis_index, it_is_filled_from_a_store_that_had_none)
{
    llmcache *stranger = open_stranger();
    test_ask_source(stranger, "one");
    test_ask_source(stranger, "two");
    llmcache_close(stranger);
    llmcache *cache = open_cache();
    cr_assert(test_wait_until(filled(&redis), WAIT_MS));
    cr_assert_eq(kept(&redis), 2);
    cr_assert_str_eq(test_ask_source(cache, "dos"), "semantic");
    llmcache_close(cache);
}

Test(redis_index, what_a_stranger_writes_and_deletes_is_taken_in)
{
    llmcache *cache = open_cache(), *stranger = open_stranger();
    cr_assert(test_wait_until(filled(&redis), WAIT_MS));
    test_ask_source(stranger, "one");
    cr_assert(test_wait_until(kept(&redis) == 1, WAIT_MS));
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    cr_assert_eq(llmcache_purge(stranger, NULL, NULL, NULL), 0);
    cr_assert(test_wait_until(kept(&redis) == 0, WAIT_MS));
    llmcache_close(stranger);
    llmcache_close(cache);
}

Test(redis_index, a_redis_that_was_emptied_is_filled_again)
{
    const char *sqlite = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "store", sqlite, "index", test_format("redis:%s", redis.uri),
                                 "store-timeout-ms", "2000", "store-write-timeout-ms", "2000");
    llmcache_rebuild_report report;
    llmcache_error err;
    cr_assert(test_wait_until(filled(&redis), WAIT_MS));
    test_ask_source(cache, "one");
    cr_assert_eq(kept(&redis), 1);
    test_redis_command(&redis, "FLUSHALL");
    cr_assert_str_eq(test_ask_source(cache, "eine"), "model", "nothing is found, and nothing fails");
    cr_assert_eq(llmcache_rebuild(cache, &report, &err), 0, "%s", err.message);
    cr_assert_not_null(filled(&redis));
    cr_assert_eq(kept(&redis), 2);
    llmcache_close(cache);
    test_redis_command(&redis, "FLUSHALL");
    cache = test_cache(&mock, "threshold", "0.9", "store", sqlite, "index", test_format("redis:%s", redis.uri));
    cr_assert(test_wait_until(filled(&redis), WAIT_MS), "whoever opens next");
    cr_assert_eq(kept(&redis), 2);
    llmcache_close(cache);
}

/* The store's own Redis: everything is gone, and the store's report of it is enough. */
Test(redis_index, a_flush_of_store_and_index_is_noticed_at_once)
{
    llmcache *cache = open_cache();
    cr_assert(test_wait_until(filled(&redis), WAIT_MS));
    test_ask_source(cache, "one");
    test_redis_command(&redis, "FLUSHALL");
    cr_assert(test_wait_until(filled(&redis), WAIT_MS));
    cr_assert_str_eq(test_ask_source(cache, "one"), "model");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    llmcache_close(cache);
}

/* ---- Servers as they come --------------------------------------------------------------------------------- */

Test(redis_index, a_redis_without_vector_sets_makes_it_fall_back_and_says_so)
{
    test_redis old;
    char *text;
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&old, NULL);
    if (!strstr(test_redis_command(&old, "INFO server"), "redis_version:7"))
        cr_skip_test("the redis-server here is no Redis 7");
    llmcache *cache = test_cache(&mock, "threshold", "0.9", "store", old.uri, "index", "redis:");
    test_ask_source(cache, "one");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic");
    cr_assert(health_says(cache, "has no vector sets (a Redis 8 has)"));
    cr_assert(health_says(cache, "\"shared\":false,\"fell_back\":true"));
    cr_assert_eq(llmcache_doctor(cache, &text, NULL), 0);
    cr_assert(strstr(text, "{\"part\":\"index\",\"ok\":false"));
    llmcache_free(text);
    llmcache_close(cache);
    cache = test_cache(&mock, "threshold", "0.9", "store", old.uri, "index", "redis:");
    cr_assert_str_eq(test_ask_source(cache, "uno"), "semantic", "filled from the store");
    llmcache_close(cache);
}

static int open_code(const char *uri, const char *store, llmcache_error *err)
{
    lc_index index = {0};
    lc_index_options options = {.store = store, .vector_space = "v"};
    int code = lc_index_open(uri, &options, &index, err);
    lc_index_close(&index);
    return code;
}

Test(redis_index, a_setting_that_names_no_redis_is_refused, .init = NULL)
{
    static const struct {
        const char *uri, *store;
        int code;
    } cases[] = {
        {"redis:", "redis://127.0.0.1:1", 0},
        {"redis", "unix:/nowhere", 0},
        {"redis:redis://127.0.0.1:1", "sqlite:", 0},
        {"redis://127.0.0.1:1", NULL, 0},
        {"redis:unix:/nowhere?db=2", "memory:", 0},
        {"redis:", "sqlite:", LLMCACHE_SETTING},
        {"redis:", NULL, LLMCACHE_SETTING},
        {"redis:localhost", "redis://127.0.0.1:1", LLMCACHE_SETTING},
        {"redis:redis://:secret@", "sqlite:", LLMCACHE_SETTING},
        {"redis:", "redis+cluster://:secret@127.0.0.1:1", LLMCACHE_UNSUPPORTED},
        {"redis:rediss+cluster://:secret@127.0.0.1:1", "sqlite:", LLMCACHE_UNSUPPORTED},
        {"redis:", "redis+sentinel://:secret@127.0.0.1:1/name", 0},
        {"redis:redis+sentinel://:secret@127.0.0.1:1/name", "sqlite:", 0},
        {"rediss+sentinel://:secret@127.0.0.1:1/name", NULL, 0},
        {"redis+sentinel://:secret@127.0.0.1:1", "sqlite:", LLMCACHE_SETTING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        llmcache_error err = {0};
        cr_expect_eq(open_code(cases[i].uri, cases[i].store, &err), cases[i].code, "%s over %s: %s", cases[i].uri,
                     cases[i].store ? cases[i].store : "nothing", err.message);
        cr_expect_null(strstr(err.message, "secret"));
        cr_expect(!cases[i].code || strstr(err.message, "index"), "%s", err.message);
    }
}

/* ---- The layout ---------------------------------------------------------------------------------------------- */

static lc_index open_plain(const char *space)
{
    lc_index index;
    llmcache_error err;
    lc_index_options options = {.store = redis.uri, .vector_space = space};
    cr_assert_eq(lc_index_open("redis:", &options, &index, &err), 0, "%s", err.message);
    return index;
}

static void add(const lc_index *index, uint64_t number, uint64_t seed, int64_t expires)
{
    float vector[DIM];
    unsigned char fingerprint[32], digest[32];
    llmcache_error err = {0};
    lc_record record = {.space = "default", .fingerprint = fingerprint, .partition = digest, .vector = vector,
                        .dimension = DIM, .expires_ms = expires};
    test_vector(seed, vector, DIM);
    test_digest(number, fingerprint);
    test_digest(1000, digest);
    cr_assert_eq(index->ops.add(index->self, &record, 5000, &err), 0, "%s", err.message);
}

static const char *stat_of(const char *command)
{
    const char *found = strstr(test_redis_command(&redis, "INFO commandstats"), test_format("cmdstat_%s:calls=", command));
    return found ? test_format("%d", atoi(strchr(found, '=') + 1)) : "0";
}

Test(redis_index, what_is_there_already_is_not_added_again)
{
    lc_index index = open_plain("v");
    add(&index, 1, 1, 0);
    add(&index, 1, 1, 0);
    cr_assert_str_eq(stat_of("VADD"), "1");
    add(&index, 1, 2, 0);
    cr_assert_str_eq(stat_of("VADD"), "2", "another vector");
    cr_assert_str_eq(stat_of("VREM"), "1", "whose old one went before: VADD alone would not reach a replica");
    add(&index, 1, 2, 5);
    cr_assert_eq(kept(&redis), 1, "another expiry");
    /* Somebody deletes the set by hand: adding again mends it. */
    const char *head = test_redis_command(&redis, "KEYS vector_cache:*:default:*");
    test_redis_command(&redis, "DEL %s", head);
    add(&index, 1, 2, 5);
    cr_assert_eq(kept(&redis), 1);
    lc_index_close(&index);
}

Test(redis_index, embedding_spaces_share_a_redis_and_nothing_else)
{
    lc_index one = open_plain("one"), other = open_plain("other");
    lc_index_fill fill;
    lc_index_stats stats;
    llmcache_error err;
    add(&one, 1, 1, 0);
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0, "%s", err.message);
    cr_assert_eq(one.ops.set_filled(one.self, 5000, &err), 0);
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_DONE);
    cr_assert_eq(other.ops.fill_state(other.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED);
    other.ops.stats(other.self, &stats);
    cr_assert_eq(stats.records, 0u);
    cr_assert_eq(other.ops.clear(other.self, 5000, &err), 0);
    cr_assert_eq(kept(&redis), 1);
    lc_index_close(&other);
    lc_index_close(&one);
}

/* Of all caches that find a Redis started anew, one reads the store. */
Test(redis_index, who_fills_it_stays_so_while_he_adds_and_no_longer)
{
    lc_index one = open_plain("v"), other = open_plain("v");
    lc_index_fill fill;
    llmcache_error err;
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED);
    const char *claim = test_redis_command(&redis, "KEYS vector_cache:*:filling");
    test_redis_command(&redis, "PEXPIRE %s 1000", claim);
    add(&other, 2, 2, 0);
    cr_assert_leq(atoi(test_redis_command(&redis, "PTTL %s", claim)), 1000, "others who add are not who fills");
    add(&one, 1, 1, 0);
    cr_assert_gt(atoi(test_redis_command(&redis, "PTTL %s", claim)), 1000);
    cr_assert_eq(other.ops.fill_state(other.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_ELSEWHERE);
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED, "the same asks again");
    test_redis_command(&redis, "DEL %s", claim); /* as when its time is over */
    cr_assert_eq(other.ops.fill_state(other.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED);
    lc_index_close(&other);
    lc_index_close(&one);
}

Test(redis_index, only_what_was_begun_is_marked_as_filled)
{
    lc_index one = open_plain("v"), other = open_plain("v");
    lc_index_fill fill;
    llmcache_error err;
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED);
    test_redis_command(&redis, "FLUSHALL");
    cr_assert_eq(one.ops.set_filled(one.self, 5000, &err), 0);
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED, "it was emptied meanwhile");
    cr_assert_eq(other.ops.clear(other.self, 5000, &err), 0);
    cr_assert_eq(one.ops.set_filled(one.self, 5000, &err), 0);
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_WANTED, "and by another of us");
    cr_assert_eq(other.ops.fill_state(other.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_ELSEWHERE, "one is at it");
    cr_assert_eq(one.ops.set_filled(one.self, 5000, &err), 0);
    cr_assert_eq(one.ops.fill_state(one.self, 5000, &fill, &err), 0);
    cr_assert_eq(fill, LC_FILL_DONE);
    lc_index_close(&other);
    lc_index_close(&one);
}

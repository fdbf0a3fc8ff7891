/*
 * redis:// against a real server: the layout others see, logging in, TLS and sockets, damage, refusals.
 * What every store must do is in tests/contract.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "redis_server.h"
#include "store_entries.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 5000 };

static test_redis redis;
static lc_store store;

static int open_at(const char *uri, const char *ca_file, llmcache_error *err)
{
    const lc_store_options options = {.connect_ms = 50, .ca_file = ca_file};
    return lc_store_open(uri, &options, &store, err);
}

static void start(void)
{
    llmcache_error err;
    if (!test_redis_installed())
        cr_skip_test("redis-server is not installed");
    test_redis_start(&redis, NULL);
    cr_assert_eq(open_at(redis.uri, NULL, &err), 0, "%s", err.message);
}

static void stop(void)
{
    lc_store_close(&store);
}

TestSuite(redis_store, .init = start, .fini = stop, .timeout = 60);

static int put(const llmcache_entry *entry, llmcache_error *err)
{
    return put_entry_in(&store, entry, DEADLINE_MS, err);
}

static int get(int part, const llmcache_entry *entry, llmcache_error *err)
{
    return get_entry_from(&store, part, entry, DEADLINE_MS, err);
}

static int there(const llmcache_entry *entry)
{
    llmcache_error err;
    return get(LLMCACHE_PART_PROMPT, entry, &err) == 0 && get(LLMCACHE_PART_EMBED, entry, &err) == 0;
}

/* ---- The layout ---------------------------------------------------------------------------------- */

Test(redis_store, keys_and_values_are_as_documented)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    cr_assert_eq(put(entry, &err), 0, "%s", err.message);
    const char *value = test_redis_command(&redis, "GET %s", prompt_key_name(entry));
    cr_assert_eq(strncmp(value, "{\"", 2), 0);
    cr_assert_str_eq(strchr(value, '\n') + 1, entry->body);
    cr_assert_str_eq(test_redis_command(&redis, "HGET %s answer", embed_key_name(entry)), entry->body);
    cr_assert_str_eq(test_redis_command(&redis, "HSTRLEN %s vector", embed_key_name(entry)), "32");
    cr_assert_str_eq(test_redis_command(&redis, "HLEN %s", embed_key_name(entry)), "3");
    cr_assert_str_eq(test_redis_command(&redis, "DBSIZE"), "2");
    cr_assert_str_eq(test_redis_command(&redis, "PTTL %s", prompt_key_name(entry)), "-1");
    cr_assert_str_eq(test_redis_command(&redis, "PTTL %s", embed_key_name(entry)), "-1");
}

Test(redis_store, both_parts_carry_the_expiry)
{
    llmcache_error err;
    llmcache_entry copy = *numbered_entry("default", 1), *entry = &copy;
    entry->expires_ms = entry->created_ms + 60000;
    cr_assert_eq(put(entry, &err), 0);
    const char *const names[] = {prompt_key_name(entry), embed_key_name(entry)};
    for (int i = 0; i < 2; i++) {
        int left = atoi(test_redis_command(&redis, "PTTL %s", names[i]));
        cr_assert(left > 50000 && left <= 60000, "%d", left);
    }
    entry->expires_ms = 0; /* put again without: no old expiry stays */
    cr_assert_eq(put(entry, &err), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_str_eq(test_redis_command(&redis, "PTTL %s", names[i]), "-1");
}

Test(redis_store, each_part_lives_without_the_other)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    cr_assert_eq(put(entry, &err), 0);
    test_redis_command(&redis, "DEL %s", prompt_key_name(entry));
    cr_assert_eq(get(LLMCACHE_PART_PROMPT, entry, &err), LLMCACHE_NOT_FOUND);
    cr_assert_eq(get(LLMCACHE_PART_EMBED, entry, &err), 0);
    cr_assert_eq(put(entry, &err), 0);
    test_redis_command(&redis, "DEL %s", embed_key_name(entry));
    cr_assert_eq(get(LLMCACHE_PART_PROMPT, entry, &err), 0);
    cr_assert_eq(get(LLMCACHE_PART_EMBED, entry, &err), LLMCACHE_NOT_FOUND);
}

/* ---- Ways in ------------------------------------------------------------------------------------- */

static void works_at(const char *uri, const char *ca_file)
{
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    lc_store_close(&store);
    cr_assert_eq(open_at(uri, ca_file, &err), 0, "%s: %s", uri, err.message);
    cr_assert_eq(store.ops.ping(store.self, DEADLINE_MS, &err), 0, "%s: %s", uri, err.message);
    cr_assert_eq(put(entry, &err), 0, "%s: %s", uri, err.message);
    cr_assert(there(entry), "%s", uri);
}

Test(redis_store, over_a_unix_socket_and_in_a_database_of_its_own)
{
    works_at(redis.unix_uri, NULL);
    works_at(test_format("%s/3", redis.uri), NULL);
    works_at(test_format("unix://%s?db=4", redis.socket), NULL);
    cr_assert_not_null(strstr(test_redis_command(&redis, "INFO keyspace"), "db3:keys=2"));
    cr_assert_not_null(strstr(test_redis_command(&redis, "INFO keyspace"), "db4:keys=2"));
}

Test(redis_store, with_a_password_and_with_a_user)
{
    const test_redis_options options[] = {{.password = "p@ss:w/rd"}, {.user = "me", .password = "secret"}};
    const char *const logins[] = {":p%40ss%3Aw%2Frd", "me:secret"};
    for (int i = 0; i < 2; i++) {
        test_redis other;
        test_redis_start(&other, &options[i]);
        works_at(test_format("redis://%s@127.0.0.1:%d", logins[i], other.port), NULL);
        test_redis_kill(&other);
    }
}

Test(redis_store, over_tls_with_a_certificate_that_is_checked)
{
    const test_redis_options options = {.tls = 1, .password = "secret"};
    test_redis secure;
    llmcache_error err;
    test_redis_start(&secure, &options);
    works_at(secure.uri, secure.ca_file);
    lc_store_close(&store);
    cr_assert_eq(open_at(secure.uri, NULL, &err), 0); /* this machine does not know the certificate */
    cr_assert_eq(store.ops.ping(store.self, DEADLINE_MS, &err), LLMCACHE_NETWORK);
    cr_assert_not_null(strstr(err.message, "certificate"), "%s", err.message);
    test_redis_kill(&secure);
}

Test(redis_store, refusals_say_what_to_do)
{
    const test_redis_options locked = {.password = "secret"},
                             full = {.config = "maxmemory 1\nmaxmemory-policy noeviction\n"};
    const struct {
        const test_redis_options *options;
        const char *login, *path, *says;
    } cases[] = {{&locked, "", "", "wants a password"},
                 {&locked, "wrong@", "", "refused the user or the password"},
                 {NULL, "needless@", "", "has no password set"},
                 {NULL, "", "/77", "no database of this number"},
                 {&full, "", "", "maxmemory"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_redis other;
        llmcache_error err;
        const llmcache_entry *entry = numbered_entry("default", 1);
        lc_store_close(&store);
        test_redis_start(&other, cases[i].options);
        const char *uri = test_format("redis://%s127.0.0.1:%d%s", cases[i].login, other.port, cases[i].path);
        cr_assert_eq(open_at(uri, NULL, &err), 0);
        cr_expect_eq(put(entry, &err), LLMCACHE_STORE);
        cr_expect_not_null(strstr(err.message, cases[i].says), "%s", err.message);
        cr_expect_null(strstr(err.message, "secret"));
        test_redis_kill(&other);
    }
}

/* ---- Damage -------------------------------------------------------------------------------------- */

static void expect_damaged(int part, const llmcache_entry *entry, const char *name, const char *how)
{
    llmcache_error err;
    cr_expect_eq(get(part, entry, &err), LLMCACHE_CORRUPT, "%s: %s", how, err.message);
    cr_expect_eq(get(part, entry, &err), LLMCACHE_NOT_FOUND, "%s", how);
    cr_expect_str_eq(test_redis_command(&redis, "EXISTS llmcache_damaged:%s", name), "1", "%s", how);
    int left = atoi(test_redis_command(&redis, "PTTL llmcache_damaged:%s", name));
    cr_expect(left > 0, "%s", how);
    test_redis_command(&redis, "DEL llmcache_damaged:%s", name);
}

Test(redis_store, a_damaged_prompt_is_set_aside)
{
    const char *const commands[] = {"SET %s nonsense", "SET %s {}\n{}", "APPEND %s x",
                                    "SETRANGE %s 3 xxx", "DEL %s", "LPUSH %s a"};
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    const char *name = prompt_key_name(entry);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strncmp(commands[i], "LPUSH", 5) != 0)
            cr_assert_eq(put(entry, &err), 0);
        test_redis_command(&redis, test_format(commands[i], name), "");
        if (strncmp(commands[i], "DEL", 3) != 0)
            expect_damaged(LLMCACHE_PART_PROMPT, entry, name, commands[i]);
    }
    llmcache_store_stats stats;
    store.ops.stats(store.self, &stats);
    cr_assert_not_null(strstr(stats.detail, "damaged set aside: 5"), "%s", stats.detail);
}

Test(redis_store, a_damaged_record_is_set_aside)
{
    const char *const commands[] = {"HDEL %s vector", "HDEL %s answer", "HSET %s facts {}",
                                    "HSET %s vector abc", "HSET %s vector abcdabcd",
                                    "HSET %s answer other", "SET %s text"};
    llmcache_error err;
    const llmcache_entry *entry = numbered_entry("default", 1);
    const char *name = embed_key_name(entry);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        cr_assert_eq(put(entry, &err), 0);
        test_redis_command(&redis, test_format(commands[i], name), "");
        expect_damaged(LLMCACHE_PART_EMBED, entry, name, commands[i]);
    }
}

Test(redis_store, a_value_under_anothers_name_is_not_found)
{
    llmcache_error err;
    const llmcache_entry *a = numbered_entry("default", 1);
    const llmcache_entry *const others[] = {numbered_entry("default", 2), numbered_entry("other", 1)};
    cr_assert_eq(put(a, &err), 0);
    for (int i = 0; i < 2; i++) {
        test_redis_command(&redis, "COPY %s %s", prompt_key_name(a), prompt_key_name(others[i]));
        test_redis_command(&redis, "COPY %s %s", embed_key_name(a), embed_key_name(others[i]));
        cr_assert_eq(get(LLMCACHE_PART_PROMPT, others[i], &err), LLMCACHE_NOT_FOUND);
        cr_assert_eq(get(LLMCACHE_PART_EMBED, others[i], &err), LLMCACHE_NOT_FOUND);
    }
}

/* ---- Many ---------------------------------------------------------------------------------------- */

static int one_more(void *user, const llmcache_entry *entry)
{
    ++*(int *)user;
    return 0;
}

static int count_and_remove(void *user, const llmcache_entry *entry)
{
    llmcache_error err;
    uint64_t removed = 0;
    llmcache_key key = key_of_entry(entry);
    cr_assert_eq(store.ops.remove(store.self, LLMCACHE_PART_BOTH, &key, 1, DEADLINE_MS, &removed, &err), 0);
    cr_assert_eq(removed, 1);
    ++*(int *)user;
    return 0;
}

Test(redis_store, a_walk_sees_each_entry_once_even_while_it_removes_them)
{
    enum { COUNT = 3000 };
    llmcache_error err;
    uint64_t damaged = 7;
    int seen = 0;
    for (int i = 0; i < COUNT; i++) {
        const llmcache_entry *entry = numbered_entry(i % 2 ? "odd" : "even", i);
        cr_assert_eq(put(entry, &err), 0);
    }
    test_redis_command(&redis, "SET prompt_cache:odd:short x");
    cr_assert_eq(store.ops.each(store.self, LLMCACHE_PART_PROMPT, "odd", lc_wall_ms(), count_and_remove,
                                &seen, &damaged, &err), 0, "%s", err.message);
    cr_assert_eq(seen, COUNT / 2);
    cr_assert_eq(damaged, 1);
    seen = 0;
    cr_assert_eq(store.ops.each(store.self, LLMCACHE_PART_EMBED, NULL, lc_wall_ms(), count_and_remove,
                                &seen, NULL, &err), 0);
    cr_assert_eq(seen, COUNT / 2);
}

/* ---- Vectors without answers ---------------------------------------------------------------------- */

static int64_t bytes_sent(void)
{
    const char *field = strstr(test_redis_command(&redis, "INFO stats"), "total_net_output_bytes:");
    return field ? atoll(field + strlen("total_net_output_bytes:")) : -1;
}

typedef struct vectors {
    int count, wrong;
} vectors;

static int check_vector(void *user, const llmcache_entry *found)
{
    vectors *v = user;
    const llmcache_entry *wanted = numbered_entry("default", v->count++);
    v->wrong += found->dimension != wanted->dimension || !found->vector || strcmp(found->embedder, wanted->embedder) != 0 ||
                strcmp(found->space, "default") != 0 || found->body_size != 0;
    return 0;
}

Test(redis_store, vectors_are_read_without_the_answers)
{
    enum { COUNT = 300, SIZE = 10000 };
    llmcache_error err;
    uint64_t damaged = 7;
    int seen = 0;
    vectors v = {0};
    char *body = malloc(SIZE);
    memset(body, 'a', SIZE);
    for (int i = 0; i < COUNT; i++) {
        llmcache_entry entry = *numbered_entry("default", i);
        entry.body = body;
        entry.body_size = SIZE;
        cr_assert_eq(put(&entry, &err), 0);
    }
    free(body);
    int64_t before = bytes_sent();
    cr_assert_eq(store.ops.each(store.self, LLMCACHE_PART_EMBED, NULL, lc_wall_ms(), one_more, &seen, &damaged, &err), 0);
    int64_t whole = bytes_sent() - before;
    cr_assert_eq(store.ops.each_vector(store.self, lc_wall_ms(), check_vector, &v, &damaged, &err), 0);
    int64_t vectors_only = bytes_sent() - before - whole;
    cr_assert_eq(seen, COUNT);
    cr_assert_eq(v.count, COUNT);
    cr_assert_eq(v.wrong, 0);
    cr_assert_eq(damaged, 0u);
    cr_assert_lt(vectors_only * 8, whole, "%lld of %lld bytes", (long long)vectors_only, (long long)whole);
}

Test(redis_store, large_answers_come_back_whole)
{
    enum { SIZE = 20 * 1024 * 1024 };
    llmcache_error err;
    llmcache_entry entry = *numbered_entry("default", 1);
    char *body = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)('a' + i * 7 % 26);
    entry.body = body;
    entry.body_size = SIZE;
    cr_assert_eq(put(&entry, &err), 0, "%s", err.message);
    cr_assert(there(&entry));
    free(body);
}

Test(redis_store, by_the_id_alone)
{
    llmcache_error err;
    uint64_t removed = 0;
    const llmcache_entry *a = numbered_entry("default", 1), *b = numbered_entry("default", 2);
    cr_assert_eq(put(a, &err), 0);
    cr_assert_eq(put(b, &err), 0);
    llmcache_key keys[3] = {{.space = "default", .head_only = 1}, {.space = "default", .head_only = 1},
                            {.space = "other", .head_only = 1}};
    memcpy(keys[0].fingerprint, a->fingerprint, 10);
    memcpy(keys[2].fingerprint, a->fingerprint, 10);
    cr_assert_eq(store.ops.remove(store.self, LLMCACHE_PART_BOTH, keys, 3, DEADLINE_MS, &removed, &err), 0);
    cr_assert_eq(removed, 1);
    cr_assert(there(b));
    cr_assert_str_eq(test_redis_command(&redis, "DBSIZE"), "2");
}

Test(redis_store, every_failing_allocation_is_an_error_and_nothing_else)
{
    const llmcache_entry *entry = numbered_entry("default", 1);
    for (uint64_t n = 1; n < 400; n++) {
        llmcache_error err;
        lc_store_close(&store);
        lc_memory_fail_at(n);
        int rc = open_at(redis.uri, NULL, &err);
        if (!rc)
            rc = put(entry, &err);
        if (!rc)
            rc = get(LLMCACHE_PART_EMBED, entry, &err);
        int fired = lc_memory_failed();
        lc_memory_fail_at(0);
        cr_assert(rc == 0 || rc == LLMCACHE_MEMORY || (fired && rc == LLMCACHE_STORE), "%d: %s", rc, err.message);
        if (!fired)
            return;
    }
    cr_assert_fail("allocations never end");
}

/* ---- Leases and rights ------------------------------------------------------------------------------- */

static int lease_as(const char *user, const char *rights)
{
    llmcache_error err;
    int64_t others_ms;
    const llmcache_entry *entry = numbered_entry("default", 1);
    const llmcache_key key = key_of_entry(entry);
    const llmcache_lease lease = {.holder = "one-1", .lease_ms = 60000};
    redisContext *link = test_redis_connect(&redis);
    const char *command =
        test_format("ACL SETUSER %s on >pw ~prompt_cache:* ~embed_cache:* ~observation_cache:* %s", user, rights);
    redisReply *reply = redisCommand(link, command);
    cr_assert(reply && reply->type == REDIS_REPLY_STATUS, "%s", reply ? reply->str : "lost");
    freeReplyObject(reply);
    redisFree(link);
    lc_store own = store_at(test_format("redis://%s:pw@127.0.0.1:%d", user, redis.port), NULL);
    int rc = own.ops.lease(own.self, &key, &lease, DEADLINE_MS, &others_ms, &err);
    if (!rc)
        rc = own.ops.release(own.self, &key, &lease, 100, DEADLINE_MS, &err);
    cr_assert_eq(put_entry_in(&own, entry, DEADLINE_MS, &err), 0, "%s", err.message);
    lc_store_close(&own);
    return rc;
}

/* Not a failure of the store: the cache does without. */
Test(redis_store, a_user_without_the_rights_has_no_leases)
{
    cr_expect_eq(lease_as("whole", "+@all ~llmcache_*"), 0);
    cr_expect_eq(lease_as("documented", "+@all -@scripting +eval ~llmcache_lease:* ~llmcache_given_up:*"), 0);
    cr_expect_eq(lease_as("noscripts", "+@all -@scripting ~llmcache_*"), LLMCACHE_UNSUPPORTED);
    cr_expect_eq(lease_as("nokeys", "+@all"), LLMCACHE_UNSUPPORTED);
}

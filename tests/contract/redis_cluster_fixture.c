/* Reaching into a cluster behind the store's back: what is done is done on the key's own node. */
#include "redis_cluster_fixture.h"

#include "base/sha256.h"

#include <criterion/criterion.h>
#include <string.h>

static test_redis_cluster cluster;

const char *redis_cluster_start(const test_redis_cluster_options *options)
{
    if (test_redis_lacks_cluster())
        return NULL;
    test_redis_cluster_start(&cluster, options);
    return cluster.uri;
}

const char *redis_cluster_ca_file(void)
{
    return cluster.ca_file;
}

static const char *prefix_of(int part)
{
    return part == LLMCACHE_PART_PROMPT        ? "prompt_cache"
           : part == LLMCACHE_PART_OBSERVATION ? "observation_cache"
                                               : "embed_cache";
}

/* Namespaces of the suite's damaged keys are plain words. */
static const char *name_of(int part, const llmcache_key *key)
{
    char hex[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    lc_hex(key->fingerprint, LLMCACHE_FINGERPRINT_SIZE, hex);
    if (part != LLMCACHE_PART_PROMPT)
        hex[LLMCACHE_ID_SIZE - 1] = '\0';
    return test_format("%s:%s:%s", prefix_of(part), key->space, hex);
}

/* Links to all primaries, in turn, until one does it. */
static redisReply *do_somewhere(const char **words, const size_t *sizes, int count)
{
    redisReply *reply = NULL;
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++) {
        redisContext *link = test_redis_connect(&cluster.nodes[i]);
        freeReplyObject(reply);
        reply = redisCommandArgv(link, count, words, sizes);
        redisFree(link);
        cr_assert_not_null(reply);
        if (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "MOVED", 5) != 0)
            break;
    }
    return reply;
}

static void set_value(const char *name, const char *value, size_t size)
{
    const char *words[] = {"SET", name, value};
    const size_t sizes[] = {3, strlen(name), size};
    freeReplyObject(do_somewhere(words, sizes, 3));
}

/* RENAME works only within a slot: this goes from one to another. */
static void move_value(const char *from, const char *to)
{
    const char *dump[] = {"DUMP", from}, *del[] = {"DEL", from};
    redisReply *value = do_somewhere(dump, NULL, 2);
    cr_assert_eq(value->type, REDIS_REPLY_STRING);
    const char *restore[] = {"RESTORE", to, "0", value->str, "REPLACE"};
    const size_t sizes[] = {7, strlen(to), 1, value->len, 7};
    redisReply *done = do_somewhere(restore, sizes, 5);
    cr_assert_eq(done->type, REDIS_REPLY_STATUS);
    freeReplyObject(done);
    freeReplyObject(value);
    freeReplyObject(do_somewhere(del, NULL, 2));
}

void redis_cluster_damage(enum store_damage how, int part, const llmcache_key *key, const llmcache_key *other)
{
    const char *name = name_of(part, key);
    int is_string = part != LLMCACHE_PART_EMBED;
    if (how == DAMAGE_FACTS) {
        test_redis_cluster_command(&cluster, is_string ? "SETRANGE %s 1 xxxx" : "HSET %s facts {}", name);
    } else if (how == DAMAGE_OTHER_KEY) {
        move_value(name_of(part, other), name);
    } else if (is_string) {
        const char *value = test_redis_cluster_command(&cluster, "GET %s", name);
        set_value(name, value, strlen(value) - 5);
    } else {
        test_redis_cluster_command(&cluster, "HSET %s answer half", name);
    }
}

/* Removes or only counts. */
static int64_t go_over(int part, int removing)
{
    int64_t count = 0;
    for (int i = 0; i < TEST_CLUSTER_PRIMARIES; i++) {
        redisContext *link = test_redis_connect(&cluster.nodes[i]);
        redisReply *keys = redisCommand(link, "KEYS %s:*", prefix_of(part));
        cr_assert(keys && keys->type == REDIS_REPLY_ARRAY);
        count += (int64_t)keys->elements;
        for (size_t at = 0; at < keys->elements && removing; at++)
            freeReplyObject(redisCommand(link, "DEL %b", keys->element[at]->str, keys->element[at]->len));
        freeReplyObject(keys);
        redisFree(link);
    }
    return count;
}

void redis_cluster_wipe(int part)
{
    go_over(part, 1);
}

int64_t redis_cluster_left(void)
{
    return go_over(LLMCACHE_PART_PROMPT, 0) + go_over(LLMCACHE_PART_EMBED, 0) +
           go_over(LLMCACHE_PART_OBSERVATION, 0);
}

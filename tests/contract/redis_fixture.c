/* Reaching into the Redis behind the store's back, as people do with redis-cli. */
#include "redis_fixture.h"

#include "base/sha256.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

test_redis fixture_redis;

static const char *prefix_of(int part)
{
    return part == LLMCACHE_PART_PROMPT        ? "prompt_cache"
           : part == LLMCACHE_PART_OBSERVATION ? "observation_cache"
                                               : "embed_cache";
}

/* The keys of a part, one a line. */
static const char *keys_of(int part)
{
    return test_redis_command(&fixture_redis, "KEYS %s:*", prefix_of(part));
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

void redis_damage(enum store_damage how, int part, const llmcache_key *key, const llmcache_key *other)
{
    const char *name = name_of(part, key);
    int is_string = part != LLMCACHE_PART_EMBED;
    switch (how) {
    case DAMAGE_FACTS:
        test_redis_command(&fixture_redis, is_string ? "SETRANGE %s 1 xxxx" : "HSET %s facts {}", name);
        break;
    case DAMAGE_BODY:
        if (is_string) {
            const char *value = test_redis_command(&fixture_redis, "GET %s", name);
            redisContext *link = test_redis_connect(&fixture_redis);
            freeReplyObject(redisCommand(link, "SET %s %b", name, value, strlen(value) - 5));
            redisFree(link);
        } else {
            test_redis_command(&fixture_redis, "HSET %s answer half", name);
        }
        break;
    case DAMAGE_OTHER_KEY:
        cr_assert_str_eq(test_redis_command(&fixture_redis, "RENAME %s %s", name_of(part, other), name), "OK");
        break;
    }
}

void redis_wipe(int part)
{
    redisContext *link = test_redis_connect(&fixture_redis);
    const char *keys = keys_of(part);
    while (*keys) {
        size_t size = strcspn(keys, "\n");
        freeReplyObject(redisCommand(link, "DEL %b", keys, size));
        keys += size + (keys[size] == '\n');
    }
    redisFree(link);
}

static int64_t count_keys(int part)
{
    const char *keys = keys_of(part);
    int64_t count = *keys != '\0';
    for (; *keys; keys++)
        count += *keys == '\n';
    return count;
}

int64_t redis_left(void)
{
    return count_keys(LLMCACHE_PART_PROMPT) + count_keys(LLMCACHE_PART_EMBED) +
           count_keys(LLMCACHE_PART_OBSERVATION);
}

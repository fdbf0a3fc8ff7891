/* Reading what sentinels say. */
#include "net/redis_sentinel_reply.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static int is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

/* Digits only; -1 otherwise. */
static long long read_digits(const redisReply *reply)
{
    long long value = 0;
    if (!is_text(reply) || reply->len == 0 || reply->len > 18)
        return -1;
    for (size_t i = 0; i < reply->len; i++) {
        if (reply->str[i] < '0' || reply->str[i] > '9')
            return -1;
        value = value * 10 + (reply->str[i] - '0');
    }
    return value;
}

/* Of name, value, name, value ...; 0 when it is not there. */
static uint64_t read_epoch(const redisReply *facts)
{
    for (size_t i = 0; facts->type == REDIS_REPLY_ARRAY && i + 1 < facts->elements; i += 2) {
        const redisReply *name = facts->element[i];
        if (is_text(name) && strcmp(name->str, "config-epoch") == 0) {
            long long epoch = read_digits(facts->element[i + 1]);
            return epoch > 0 ? (uint64_t)epoch : 0;
        }
    }
    return 0;
}

int lc_redis_sentinel_read(const redisReply *address, const redisReply *facts, const char *sentinel,
                           const char *service, lc_redis_word_of_sentinel *word, llmcache_error *err)
{
    if (address->type == REDIS_REPLY_NIL)
        return lc_fail(err, LLMCACHE_STORE, "the sentinel at %s knows no Redis named %s", sentinel, service);
    int rc = lc_redis_check(address, sentinel, err);
    if (rc)
        return rc;
    lc_redis_word_of_sentinel fresh = {.epoch = read_epoch(facts)};
    if (address->type != REDIS_REPLY_ARRAY || address->elements != 2 || !is_text(address->element[0]) ||
        strlen(address->element[0]->str) != address->element[0]->len ||
        !lc_redis_address_set(address->element[0]->str, address->element[0]->len, read_digits(address->element[1]),
                              &fresh.address))
        return lc_fail(err, LLMCACHE_STORE, "%s does not answer as a sentinel does", sentinel);
    *word = fresh;
    return 0;
}

/* Payloads are words, and one of them is the service. */
int lc_redis_sentinel_concerns(const redisReply *message, const char *service)
{
    if (message->type != REDIS_REPLY_ARRAY || message->elements != 3 || !is_text(message->element[0]) ||
        strcmp(message->element[0]->str, "message") != 0 || !is_text(message->element[2]))
        return 0;
    for (const char *at = message->element[2]->str; *at; at += strspn(at, " ")) {
        size_t size = strcspn(at, " ");
        if (size == strlen(service) && memcmp(at, service, size) == 0)
            return 1;
        at += size;
    }
    return 0;
}

int lc_redis_role_is_primary(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && is_text(reply->element[0]) &&
           strcmp(reply->element[0]->str, "master") == 0;
}

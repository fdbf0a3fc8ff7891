/*
 * Leases in Redis: a string with an expiry beside the entry, in a cluster in the entry's slot, whose value is the
 * holder; and a mark, with an expiry too, when the last one gave up. Only the mark's prefix is followed by the watch: all
 * servers hear of every change below a followed prefix, and of a lease that ends with an answer the answer tells. Who may
 * have the lease is decided where it stands, by a script: taking, renewing and releasing all compare the holder first,
 * and no single command that every Redis has does that. The entry is read by the same script, so that a lease
 * costs a question one round trip.
 */
#include "store/redis_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/redis_keys.h"
#include "store/redis_value.h"

#include <stdio.h>
#include <string.h>

/* A key without an expiry is none of ours, and nobody is to wait for it. */
static const char take_script[] =
    "local holder = redis.call('GET', KEYS[1])\n"
    "local left = holder and redis.call('PTTL', KEYS[1]) or 0\n"
    "local others = 0\n"
    "if holder == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "elseif left > 0 then others = left\n"
    "elseif ARGV[3] == '1' or redis.call('EXISTS', KEYS[2]) == 1 then others = -1\n"
    "else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end\n"
    "return {others, KEYS[3] and redis.call('GET', KEYS[3])}";

static const char release_script[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "if ARGV[2] ~= '0' then redis.call('SET', KEYS[2], '', 'PX', ARGV[2]) end\n"
    "return redis.call('DEL', KEYS[1])";

typedef struct names {
    lc_buffer lease, given_up, entry;
} names;

static int make_names(names *n, const llmcache_key *key, int lane)
{
    lc_buffer_init(&n->lease, 0);
    lc_buffer_init(&n->given_up, 0);
    lc_buffer_init(&n->entry, 0);
    lc_redis_lease_name(LC_REDIS_LEASE_PREFIX, key, lane, &n->lease);
    lc_redis_lease_name(LC_REDIS_GIVEN_UP_PREFIX, key, lane, &n->given_up);
    lc_redis_key_name(LLMCACHE_PART_PROMPT, key, &n->entry);
    return n->lease.broken || n->given_up.broken || n->entry.broken;
}

static void free_names(names *n)
{
    lc_buffer_done(&n->lease);
    lc_buffer_done(&n->given_up);
    lc_buffer_done(&n->entry);
}

static int starts(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

/* A server without scripts, or a user who may not run them or touch these keys, will not have them soon. */
static int check(const lc_redis_store *store, const redisReply *reply, llmcache_error *err)
{
    int rc = lc_redis_check(reply, store->name, err);
    if (rc && (starts(reply->str, "NOPERM") || starts(reply->str, "ERR unknown command") ||
               strstr(reply->str, "can't access at least one of the keys")))
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "%s does not allow leases (EVAL, keys llmcache_lease:* and llmcache_given_up:*)",
                       store->name);
    return rc;
}

static int exchange(lc_redis_store *store, const lc_redis_batch *batch, int64_t until_ms, redisReply **reply,
                    llmcache_error *err)
{
    int rc = lc_redis_route_exchange(&store->route, batch, until_ms, reply, err);
    return rc ? rc : check(store, *reply, err);
}

/* What cannot be read is as good as not there; damage is set aside as ever. */
static void show_entry(lc_redis_store *store, const llmcache_lease *lease, lc_redis_word name, int64_t until_ms,
                       const redisReply *reply)
{
    llmcache_error err;
    lc_redis_value value = {0};
    int rc = lc_redis_value_read(LLMCACHE_PART_PROMPT, name, reply, store->name, &value, &err);
    if (rc == LLMCACHE_CORRUPT)
        lc_redis_set_aside(store, name, until_ms);
    else if (!rc && !lc_redis_is_expired(&value.entry, lease->now_ms))
        lease->fn(lease->user, &value.entry);
    lc_redis_value_done(&value);
}

static void add_take(lc_redis_batch *batch, const names *n, const llmcache_lease *lease)
{
    char lasts[24];
    snprintf(lasts, sizeof lasts, "%lld", (long long)lease->lease_ms);
    lc_redis_word words[9] = {lc_redis_text("EVAL"), lc_redis_text(take_script), lc_redis_text(lease->fn ? "3" : "2"),
                              lc_redis_bytes(&n->lease), lc_redis_bytes(&n->given_up)};
    size_t count = 5;
    if (lease->fn)
        words[count++] = lc_redis_bytes(&n->entry);
    words[count++] = lc_redis_text(lease->holder);
    words[count++] = lc_redis_text(lasts);
    words[count++] = lc_redis_text(lease->renew ? "1" : "0");
    lc_redis_add(batch, count, words);
}

int lc_redis_lease(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t deadline_ms,
                   int64_t *others_ms, llmcache_error *err)
{
    lc_redis_store *store = self;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    lc_redis_batch batch;
    redisReply *reply = NULL;
    names n;
    int rc = make_names(&n, key, lease->lane) ? lc_fail_memory(err) : 0;
    lc_redis_batch_init(&batch);
    add_take(&batch, &n, lease);
    if (!rc)
        rc = exchange(store, &batch, until_ms, &reply, err);
    if (!rc && (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1))
        rc = lc_fail(err, LLMCACHE_STORE, "%s answered a script with something else", store->name);
    if (!rc) {
        if (lease->fn && reply->elements > 1)
            show_entry(store, lease, lc_redis_bytes(&n.entry), until_ms, reply->element[1]);
        *others_ms = reply->element[0]->integer;
    }
    lc_redis_free_replies(&reply, 1);
    lc_redis_batch_done(&batch);
    free_names(&n);
    return rc;
}

int lc_redis_release(void *self, const llmcache_key *key, const llmcache_lease *lease, int64_t given_up_ms,
                     int64_t deadline_ms, llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *reply = NULL;
    char lasts[24];
    names n;
    snprintf(lasts, sizeof lasts, "%lld", (long long)(given_up_ms > 0 ? given_up_ms : 0));
    int rc = make_names(&n, key, lease->lane) ? lc_fail_memory(err) : 0;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("EVAL"), lc_redis_text(release_script), lc_redis_text("2"),
                 lc_redis_bytes(&n.lease), lc_redis_bytes(&n.given_up), lc_redis_text(lease->holder),
                 lc_redis_text(lasts));
    if (!rc)
        rc = exchange(self, &batch, lc_mono_ms() + deadline_ms, &reply, err);
    lc_redis_free_replies(&reply, 1);
    lc_redis_batch_done(&batch);
    free_names(&n);
    return rc;
}

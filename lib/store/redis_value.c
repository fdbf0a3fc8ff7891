/*
 * Values, there and back. Reading trusts nothing: the facts must parse, name this very key, and agree with the
 * sizes of answer and vector.
 */
#include "store/redis_value.h"

#include "base/error.h"
#include "base/memory.h"
#include "store/redis_keys.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

/* ---- Writing ------------------------------------------------------------------------------------ */

/*
 * How long the server is to keep it, "" for ever. The entry's own expiry rules when it is read; this one only
 * frees the room, so it is never shorter: not when the entry's clock is not this machine's.
 */
static void life_text(const llmcache_entry *entry, int64_t wall_ms, char text[24])
{
    int64_t whole_ms = entry->expires_ms - entry->created_ms;
    int64_t life_ms = entry->expires_ms - wall_ms;
    text[0] = '\0';
    if (entry->expires_ms == 0)
        return;
    if (life_ms <= 0 || life_ms > whole_ms)
        life_ms = whole_ms;
    snprintf(text, 24, "%lld", (long long)(life_ms > 0 ? life_ms : 1));
}

static int add_name(int part, const llmcache_entry *entry, lc_buffer *name)
{
    llmcache_key key = {.space = entry->space};
    memcpy(key.fingerprint, entry->fingerprint, sizeof key.fingerprint);
    return lc_redis_key_name(part, &key, name);
}

static int give_up(lc_redis_batch *batch, int code)
{
    if (!batch->bytes.broken)
        batch->bytes.broken = code;
    return batch->bytes.broken;
}

int lc_redis_put_string(int part, const llmcache_entry *entry, int64_t wall_ms, lc_redis_batch *batch,
                        lc_buffer *name, lc_redis_print *print)
{
    lc_buffer value;
    char life[24];
    lc_buffer_init(&value, 0);
    add_name(part, entry, name);
    lc_facts_write(entry, 0, &value);
    lc_buffer_byte(&value, '\n');
    lc_buffer_add(&value, entry->body, entry->body_size);
    life_text(entry, wall_ms, life);
    if (name->broken || value.broken)
        give_up(batch, name->broken ? name->broken : value.broken);
    else
        LC_REDIS_ADD(batch, lc_redis_text("EXISTS"), lc_redis_bytes(name));
    const lc_redis_word words[] = {lc_redis_text("SET"), lc_redis_bytes(name),
                                   lc_redis_bytes(&value), lc_redis_text("PX"), lc_redis_text(life)};
    if (!batch->bytes.broken) {
        lc_redis_add(batch, life[0] ? 5 : 3, words);
        *print = lc_redis_print_of(value.data, value.size);
    }
    lc_buffer_done(&value);
    return batch->bytes.broken;
}

static void add_vector(const float *vector, size_t dimension, lc_buffer *out)
{
    lc_buffer_reserve(out, dimension * 4);
    for (size_t i = 0; i < dimension; i++) {
        uint32_t bits;
        memcpy(&bits, &vector[i], sizeof bits);
        const unsigned char bytes[] = {bits & 0xff, bits >> 8 & 0xff, bits >> 16 & 0xff, bits >> 24};
        lc_buffer_add(out, bytes, sizeof bytes);
    }
}

int lc_redis_put_record(const llmcache_entry *entry, int64_t wall_ms, lc_redis_batch *batch,
                        lc_buffer *name, lc_redis_print *print)
{
    lc_buffer facts, vector;
    char life[24];
    lc_buffer_init(&facts, 0);
    lc_buffer_init(&vector, 0);
    add_name(LLMCACHE_PART_EMBED, entry, name);
    lc_facts_write(entry, 1, &facts);
    add_vector(entry->vector, entry->dimension, &vector);
    life_text(entry, wall_ms, life);
    if (name->broken || facts.broken || vector.broken) {
        give_up(batch, name->broken   ? name->broken
                       : facts.broken ? facts.broken
                                      : vector.broken);
    } else {
        LC_REDIS_ADD(batch, lc_redis_text("MULTI"));
        LC_REDIS_ADD(batch, lc_redis_text("UNLINK"), lc_redis_bytes(name));
        LC_REDIS_ADD(batch, lc_redis_text("HSET"), lc_redis_bytes(name), lc_redis_text("facts"),
                     lc_redis_bytes(&facts), lc_redis_text("vector"), lc_redis_bytes(&vector),
                     lc_redis_text("answer"),
                     (lc_redis_word){entry->body ? entry->body : "", entry->body_size});
        if (life[0])
            LC_REDIS_ADD(batch, lc_redis_text("PEXPIRE"), lc_redis_bytes(name), lc_redis_text(life));
        LC_REDIS_ADD(batch, lc_redis_text("EXEC"));
        *print = lc_redis_print_of(facts.data, facts.size);
    }
    lc_buffer_done(&facts);
    lc_buffer_done(&vector);
    return batch->bytes.broken;
}

static int fail_odd(const char *redis, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_STORE, "%s answered a write in a way of its own", redis);
}

int lc_redis_check_string(redisReply **replies, size_t count, size_t *at, const char *redis,
                          llmcache_error *err)
{
    if (count - *at < 2)
        return fail_odd(redis, err);
    const redisReply *existed = replies[(*at)++], *set = replies[(*at)++];
    int rc = lc_redis_check(existed, redis, err);
    if (!rc)
        rc = lc_redis_check(set, redis, err);
    return rc ? rc : existed->integer == 0;
}

/* Up to EXEC, whose array has what UNLINK said first. A command refused while queued complains before
 * EXEC does, and better. */
int lc_redis_check_record(redisReply **replies, size_t count, size_t *at, const char *redis,
                          llmcache_error *err)
{
    const redisReply *done = NULL;
    while (*at < count && !done) {
        const redisReply *reply = replies[(*at)++];
        int rc = lc_redis_check(reply, redis, err);
        if (rc)
            return rc;
        if (reply->type == REDIS_REPLY_ARRAY)
            done = reply;
    }
    if (!done || done->elements < 2)
        return fail_odd(redis, err);
    for (size_t i = 0; i < done->elements; i++) {
        int rc = lc_redis_check(done->element[i], redis, err);
        if (rc)
            return rc;
    }
    return done->element[0]->integer == 0;
}

/* ---- Prints ------------------------------------------------------------------------------------- */

int lc_redis_get_print(int part, lc_redis_word name, lc_redis_batch *batch)
{
    char last[16];
    snprintf(last, sizeof last, "%d", LC_REDIS_PRINT_BYTES - 1);
    if (part != LLMCACHE_PART_EMBED)
        return LC_REDIS_ADD(batch, lc_redis_text("GETRANGE"), name, lc_redis_text("0"),
                            lc_redis_text(last));
    return LC_REDIS_ADD(batch, lc_redis_text("HGET"), name, lc_redis_text("facts"));
}

lc_redis_print lc_redis_read_print(const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL)
        return lc_redis_print_of("", 0);
    return lc_redis_print_of(reply->str ? reply->str : "", reply->str ? reply->len : 0);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

int lc_redis_get(int part, lc_redis_word name, lc_redis_batch *batch)
{
    if (part != LLMCACHE_PART_EMBED)
        return LC_REDIS_ADD(batch, lc_redis_text("GET"), name);
    return LC_REDIS_ADD(batch, lc_redis_text("HMGET"), name, lc_redis_text("facts"),
                        lc_redis_text("vector"), lc_redis_text("answer"));
}

int lc_redis_get_vector(lc_redis_word name, lc_redis_batch *batch)
{
    return LC_REDIS_ADD(batch, lc_redis_text("HMGET"), name, lc_redis_text("facts"), lc_redis_text("vector"));
}

static int fail_damaged(const char *redis, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_CORRUPT, "%s holds a damaged entry", redis);
}

static int fail_absent(llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_NOT_FOUND, "no such entry");
}

/* Does the entry belong under this name? */
static int check_name(int part, lc_redis_word name, const llmcache_entry *entry, llmcache_error *err)
{
    lc_buffer own;
    lc_buffer_init(&own, 0);
    add_name(part, entry, &own);
    int rc = own.broken ? lc_fail_memory(err)
             : own.size == name.size && memcmp(own.data, name.bytes, name.size) == 0
                 ? 0
                 : fail_absent(err);
    lc_buffer_done(&own);
    return rc;
}

static int read_string(const redisReply *reply, const char *redis, lc_redis_value *value,
                       llmcache_error *err)
{
    if (reply->type == REDIS_REPLY_NIL)
        return fail_absent(err);
    const char *end = reply->type == REDIS_REPLY_STRING ? memchr(reply->str, '\n', reply->len) : NULL;
    if (!end)
        return fail_damaged(redis, err);
    llmcache_entry *entry = &value->entry;
    int rc = lc_facts_read(reply->str, (size_t)(end - reply->str), entry, &value->memory, err);
    if (rc)
        return rc;
    entry->body = end + 1;
    if (entry->body_size != reply->len - (size_t)(end + 1 - reply->str))
        return fail_damaged(redis, err);
    return 0;
}

/* Little-endian floats into aligned memory. */
static void read_vector(const char *bytes, size_t dimension, float *vector)
{
    const unsigned char *at = (const unsigned char *)bytes;
    for (size_t i = 0; i < dimension; i++, at += 4) {
        uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                        (uint32_t)at[3] << 24;
        memcpy(&vector[i], &bits, sizeof bits);
    }
}

static int all_are(const redisReply *fields, int type)
{
    for (size_t i = 0; i < fields->elements; i++)
        if (fields->element[i]->type != type)
            return 0;
    return 1;
}

/* facts, vector and, unless it was not asked for, answer. */
static int read_record(const redisReply *reply, size_t fields, const char *redis, lc_redis_value *value,
                       llmcache_error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != fields)
        return fail_damaged(redis, err);
    if (all_are(reply, REDIS_REPLY_NIL))
        return fail_absent(err);
    if (!all_are(reply, REDIS_REPLY_STRING))
        return fail_damaged(redis, err);
    const redisReply *facts = reply->element[0], *vector = reply->element[1],
                     *answer = fields > 2 ? reply->element[2] : NULL;
    llmcache_entry *entry = &value->entry;
    int rc = lc_facts_read(facts->str, facts->len, entry, &value->memory, err);
    if (rc)
        return rc;
    if (entry->dimension == 0 || vector->len % 4 || entry->dimension != vector->len / 4 ||
        (answer && entry->body_size != answer->len))
        return fail_damaged(redis, err);
    value->vector = lc_alloc_array(entry->dimension, sizeof *value->vector);
    if (!value->vector)
        return lc_fail_memory(err);
    read_vector(vector->str, entry->dimension, value->vector);
    entry->vector = value->vector;
    entry->body = answer ? answer->str : "";
    entry->body_size = answer ? answer->len : 0;
    return 0;
}

/* `fields` of a record; 0: a string. */
static int read_value(int part, size_t fields, lc_redis_word name, const redisReply *reply, const char *redis,
                      lc_redis_value *value, llmcache_error *err)
{
    lc_redis_value fresh = {0};
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0)
        return fail_damaged(redis, err);
    int rc = lc_redis_check(reply, redis, err);
    if (!rc)
        rc = fields ? read_record(reply, fields, redis, &fresh, err) : read_string(reply, redis, &fresh, err);
    if (!rc)
        rc = check_name(part, name, &fresh.entry, err);
    if (rc) {
        lc_redis_value_done(&fresh);
        return rc;
    }
    *value = fresh;
    return 0;
}

int lc_redis_value_read(int part, lc_redis_word name, const redisReply *reply, const char *redis,
                        lc_redis_value *value, llmcache_error *err)
{
    return read_value(part, part == LLMCACHE_PART_EMBED ? 3 : 0, name, reply, redis, value, err);
}

int lc_redis_vector_read(lc_redis_word name, const redisReply *reply, const char *redis,
                         lc_redis_value *value, llmcache_error *err)
{
    return read_value(LLMCACHE_PART_EMBED, 2, name, reply, redis, value, err);
}

void lc_redis_value_done(lc_redis_value *value)
{
    lc_free(value->memory);
    lc_free(value->vector);
    *value = (lc_redis_value){0};
}

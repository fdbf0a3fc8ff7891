/*
 * Changes of the Redis index. Each is one script, which is atomic; those that go over many records do a few at a time,
 * so that Redis is not kept from other work for long.
 *
 * Redis does nothing else while a vector is added. Exploring the graph less for it (EF 64) takes a third of the time and
 * finds as much, until records are removed: of 10,000 left of 18,000, 1.7% were not found any more, with 200 all were
 * (docs/index.md).
 *
 * A record is known by its place. A vector is replaced by removing it first: Redis 8.0 does not pass on to its
 * replicas and its log what VADD changes of an element that is there.
 */
#include "index/redis_vectors.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/sha256.h"
#include "index/vector_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SOME_EXPIRED = 32,    /* removed by one script: each costs some 100 us */
    SOME_PARTITIONS = 64, /* likewise */
    SWEEP_MS = 5000,      /* one sweep at most */
    EACH_MS = 500,        /* one of its scripts: who closes the cache waits for it */
    ARGUMENTS = 9         /* of a script */
};

/* ---- The scripts ----------------------------------------------------------------------------------- */

/* All begin with this: the names, and the removal of a record with all that leads to it. */
#define PRELUDE                                                                                     \
    "local head, claim = KEYS[1], KEYS[1] .. ':filling'\n"                                          \
    "local facts, places, expiries, partitions =\n"                                                 \
    "    head .. ':facts', head .. ':places', head .. ':expiries', head .. ':partitions'\n"         \
    "local function drop(place, value)\n"                                                           \
    "    local partition, element = string.sub(value, 1, 64), string.sub(value, 81)\n"              \
    "    local set = head .. ':' .. string.sub(place, 1, -22) .. ':' .. partition\n"                \
    "    redis.call('VREM', set, element)\n"                                                        \
    "    if redis.call('EXISTS', set) == 0 then redis.call('HDEL', partitions, partition) end\n"    \
    "    redis.call('ZREM', expiries, place)\n"                                                     \
    "    redis.call('HDEL', places, place)\n"                                                       \
    "end\n"                                                                                         \
    "local function tell(word)\n"                                                                   \
    "    return {word, redis.call('HLEN', places), redis.call('HLEN', partitions),\n"               \
    "            tonumber(redis.call('HGET', facts, 'dimension') or 0)}\n"                          \
    "end\n"

/* namespace, partition, id, element, expires, digest of the vector, vector, dimension, who we are if we fill it */
static const char add_script[] = PRELUDE
    "if redis.call('GET', claim) == ARGV[9] then redis.call('PEXPIRE', claim, 5000) end\n"
    "local space, partition, element, expires, dimension = ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[8]\n"
    "local ours = redis.call('HGET', facts, 'dimension')\n"
    "if ours and ours ~= dimension then return tell(1) end\n"
    "local owner = redis.call('HGET', partitions, partition)\n"
    "if owner and owner ~= space then return tell(2) end\n"
    "local place, value = space .. ':' .. ARGV[3], partition .. ARGV[6] .. element\n"
    "local set = head .. ':' .. space .. ':' .. partition\n"
    "local old = redis.call('HGET', places, place)\n"
    /* Whoever deleted the set by hand has left the place. */
    "if old == value and redis.call('VLINKS', set, element) then return tell(0) end\n"
    "if old then drop(place, old) end\n"
    "redis.call('VADD', set, 'FP32', ARGV[7], element, 'NOQUANT', 'EF', 200)\n"
    "redis.call('HSET', places, place, value)\n"
    "if expires ~= '0' then redis.call('ZADD', expiries, expires, place) end\n"
    "redis.call('HSET', partitions, partition, space)\n"
    "if not ours then redis.call('HSET', facts, 'dimension', dimension) end\n"
    "return tell(0)\n";

/* namespace and id in one */
static const char remove_script[] = PRELUDE
    "local value = redis.call('HGET', places, ARGV[1])\n"
    "if not value then return tell(0) end\n"
    "drop(ARGV[1], value)\n"
    "return tell(1)\n";

/* now, how many */
static const char sweep_script[] = PRELUDE
    "local gone = redis.call('ZRANGEBYSCORE', expiries, '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])\n"
    "for _, place in ipairs(gone) do\n"
    "    local value = redis.call('HGET', places, place)\n"
    "    if value then drop(place, value) else redis.call('ZREM', expiries, place) end\n"
    "end\n"
    "return tell(#gone)\n";

/*
 * how many partitions. The mark goes first, and the places with it: what is added meanwhile to a set that is still to
 * go is added again when somebody fills the index. The word is how many sets are left.
 */
static const char clear_script[] = PRELUDE
    "redis.call('UNLINK', facts, places, expiries, claim)\n"
    "local some = redis.call('HRANDFIELD', partitions, ARGV[1], 'WITHVALUES')\n"
    "for i = 1, #some, 2 do\n"
    "    redis.call('UNLINK', head .. ':' .. some[i + 1] .. ':' .. some[i])\n"
    "    redis.call('HDEL', partitions, some[i])\n"
    "end\n"
    "return tell(redis.call('HLEN', partitions))\n";

/*
 * name of the vector space, a random word, who we are. The word is 1 for a filled index, 2 for one that somebody else is
 * filling, else 0, and the generation is appended, with the run and the reign of this Redis. Who fills it stays so for
 * five seconds after each addition.
 * Who may not ask for INFO has no run id, and an index that a restart does not unmark.
 */
#define RUN_ID                                                                                      \
    "local function ask(part, name)\n"                                                              \
    "    local info = redis.pcall('INFO', part)\n"                                                  \
    "    return type(info) == 'string' and string.match(info, name .. ':(%w+)') or 'unknown'\n"     \
    "end\n"                                                                                         \
    "local run = ask('server', 'run_id') .. ':' .. ask('replication', 'master_replid')\n"
static const char fill_script[] = PRELUDE RUN_ID
    "if redis.call('HGET', facts, 'filled') == run then return tell(1) end\n"
    "local filler = redis.call('GET', claim)\n"
    "if filler and filler ~= ARGV[3] then return tell(2) end\n"
    "redis.call('SET', claim, ARGV[3], 'PX', 5000)\n"
    "redis.call('HSETNX', facts, 'generation', ARGV[2])\n"
    "redis.call('HSET', facts, 'name', ARGV[1])\n"
    "local told = tell(0)\n"
    "told[5] = redis.call('HGET', facts, 'generation') .. ':' .. run\n"
    "return told\n";

/* generation and run, who we are */
static const char mark_script[] = PRELUDE RUN_ID
    "local generation = redis.call('HGET', facts, 'generation')\n"
    "if not generation or generation .. ':' .. run ~= ARGV[1] then return tell(0) end\n"
    "redis.call('HSET', facts, 'filled', run)\n"
    "if redis.call('GET', claim) == ARGV[2] then redis.call('UNLINK', claim) end\n"
    "return tell(1)\n";

/* ---- Running them ----------------------------------------------------------------------------------- */

/* Four integers and perhaps a text: the word, then what the server holds. */
static int read_told(lc_redis_index *index, const redisReply *reply, int64_t *word, llmcache_error *err)
{
    int code = lc_redis_index_check(index, reply, err);
    if (code)
        return code;
    int good = reply->type == REDIS_REPLY_ARRAY && reply->elements >= 4;
    for (size_t i = 0; good && i < 4; i++)
        good = reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer >= 0;
    if (!good)
        return lc_fail(err, LLMCACHE_STORE, "%s answered a script of the index with something else",
                       index->uri.name);
    *word = reply->element[0]->integer;
    atomic_store(&index->records, (uint64_t)reply->element[1]->integer);
    atomic_store(&index->partitions, (uint64_t)reply->element[2]->integer);
    atomic_store(&index->dimension, (size_t)reply->element[3]->integer);
    return 0;
}

/* `rest` (may be NULL) gets the whole reply: free it. */
static int run(lc_redis_index *index, const char *script, size_t count, const lc_redis_word *arguments,
               int64_t until_ms, int64_t *word, redisReply **rest, llmcache_error *err)
{
    lc_redis_word words[4 + ARGUMENTS] = {lc_redis_text("EVAL"), lc_redis_text(script), lc_redis_text("1"),
                                          lc_redis_text(index->head)};
    lc_redis_batch batch;
    redisReply *reply = NULL;
    memcpy(words + 4, arguments, count * sizeof *arguments);
    lc_redis_batch_init(&batch);
    lc_redis_add(&batch, 4 + count, words);
    int code = lc_redis_pool_exchange(index->pool, &batch, until_ms, &reply, err);
    lc_redis_batch_done(&batch);
    if (!code)
        code = read_told(index, reply, word, err);
    if (!code && rest)
        *rest = reply;
    else
        lc_redis_free_replies(&reply, 1);
    return code;
}

#define RUN(index, script, until_ms, word, err, ...)                                                \
    run(index, script, sizeof((lc_redis_word[]){__VA_ARGS__}) / sizeof(lc_redis_word),              \
        (lc_redis_word[]){__VA_ARGS__}, until_ms, word, NULL, err)

void lc_vector_set_name(const lc_redis_index *index, const char *space, const unsigned char *partition,
                        lc_buffer *name)
{
    char digits[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    lc_hex(partition, LLMCACHE_FINGERPRINT_SIZE, digits);
    lc_buffer_format(name, "%s:%s:%s", index->head, space, digits);
}

/* ---- Adding and removing ---------------------------------------------------------------------------- */

typedef struct written {
    char partition[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    char id[LLMCACHE_ID_SIZE];
    char element[2 * LLMCACHE_FINGERPRINT_SIZE + 32];
    char expires[24], digest[17], dimension[24];
} written;

static void write_record(const lc_record *record, written *w)
{
    char fingerprint[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    unsigned char digest[LC_SHA256_SIZE];
    lc_hex(record->partition, LLMCACHE_FINGERPRINT_SIZE, w->partition);
    lc_hex(record->fingerprint, LLMCACHE_FINGERPRINT_SIZE, fingerprint);
    lc_hex(record->fingerprint, (LLMCACHE_ID_SIZE - 1) / 2, w->id);
    snprintf(w->expires, sizeof w->expires, "%" PRId64, record->expires_ms);
    snprintf(w->element, sizeof w->element, "%s:%s", fingerprint, w->expires);
    lc_sha256_once(record->vector, record->dimension * sizeof *record->vector, digest);
    lc_hex(digest, 8, w->digest);
    snprintf(w->dimension, sizeof w->dimension, "%zu", record->dimension);
}

int lc_vector_set_add(lc_redis_index *index, const lc_record *record, int64_t until_ms, llmcache_error *err)
{
    written w;
    int64_t word = 0;
    int code = lc_vector_check(record->vector, record->dimension, 0, err);
    if (code)
        return code;
    write_record(record, &w);
    lc_redis_word vector = {record->vector, record->dimension * sizeof *record->vector};
    code = RUN(index, add_script, until_ms, &word, err, lc_redis_text(record->space),
               lc_redis_text(w.partition), lc_redis_text(w.id), lc_redis_text(w.element),
               lc_redis_text(w.expires), lc_redis_text(w.digest), vector, lc_redis_text(w.dimension),
               lc_redis_text(index->claim));
    if (!code && word == 1)
        code = lc_vector_check(record->vector, record->dimension, atomic_load(&index->dimension), err);
    if (!code && word == 2)
        code = lc_fail(err, LLMCACHE_INVALID, "index: a partition belongs to another namespace");
    return code;
}

int lc_vector_set_remove(lc_redis_index *index, const char *space, const char *id, int64_t until_ms, int *removed,
                         llmcache_error *err)
{
    int64_t word = 0;
    lc_buffer place;
    lc_buffer_init(&place, 0);
    lc_buffer_format(&place, "%s:%s", space, id);
    int code = place.broken
                   ? lc_fail_memory(err)
                   : RUN(index, remove_script, until_ms, &word, err, lc_redis_bytes(&place));
    lc_buffer_done(&place);
    if (!code && removed)
        *removed = word == 1;
    return code;
}

/* ---- Many at once ----------------------------------------------------------------------------------- */

int lc_vector_set_clear(lc_redis_index *index, int64_t until_ms, llmcache_error *err)
{
    char some[24];
    int64_t left = 0;
    snprintf(some, sizeof some, "%d", SOME_PARTITIONS);
    int code;
    do
        code = RUN(index, clear_script, until_ms, &left, err, lc_redis_text(some));
    while (!code && left && lc_mono_ms() < until_ms);
    if (!code && left)
        code = lc_fail(err, LLMCACHE_TIMEOUT, "%s: %" PRId64 " partitions of the index could not be removed in time",
                       index->uri.name, left);
    return code;
}

uint64_t lc_vector_set_sweep(lc_redis_index *index, int64_t now_ms)
{
    char now[24], some[24];
    int64_t gone = 0, end_ms = lc_mono_ms() + SWEEP_MS;
    uint64_t all = 0;
    llmcache_error err;
    snprintf(now, sizeof now, "%" PRId64, now_ms);
    snprintf(some, sizeof some, "%d", SOME_EXPIRED);
    do {
        if (RUN(index, sweep_script, lc_mono_ms() + EACH_MS, &gone, &err, lc_redis_text(now), lc_redis_text(some)))
            break;
        all += (uint64_t)gone;
    } while (gone == SOME_EXPIRED && lc_mono_ms() < end_ms);
    return all;
}

/* ---- Filling ----------------------------------------------------------------------------------------- */

static void keep_generation(lc_redis_index *index, const redisReply *reply)
{
    int there = reply->elements == 5 && reply->element[4]->type == REDIS_REPLY_STRING &&
                reply->element[4]->len < sizeof index->generation;
    pthread_mutex_lock(&index->lock);
    snprintf(index->generation, sizeof index->generation, "%s", there ? reply->element[4]->str : "");
    pthread_mutex_unlock(&index->lock);
}

void lc_redis_index_word(const lc_redis_index *index, char word[33])
{
    unsigned char digest[LC_SHA256_SIZE];
    int64_t seed[] = {lc_wall_ms(), lc_mono_ns(), (int64_t)(uintptr_t)index, (int64_t)(uintptr_t)word, getpid()};
    lc_sha256_once(seed, sizeof seed, digest);
    lc_hex(digest, 16, word);
}

int lc_vector_set_fill_state(lc_redis_index *index, int64_t until_ms, lc_index_fill *state, llmcache_error *err)
{
    char fresh[33];
    int64_t filled = 0;
    redisReply *reply = NULL;
    lc_redis_index_word(index, fresh);
    const lc_redis_word words[] = {lc_redis_text(index->space), lc_redis_text(fresh), lc_redis_text(index->claim)};
    int code = run(index, fill_script, 3, words, until_ms, &filled, &reply, err);
    if (code)
        return code;
    if (!filled)
        keep_generation(index, reply);
    lc_redis_free_replies(&reply, 1);
    *state = filled == 1 ? LC_FILL_DONE : filled == 2 ? LC_FILL_ELSEWHERE : LC_FILL_WANTED;
    return 0;
}

int lc_vector_set_mark(lc_redis_index *index, int64_t until_ms, llmcache_error *err)
{
    char generation[sizeof index->generation];
    int64_t marked;
    pthread_mutex_lock(&index->lock);
    memcpy(generation, index->generation, sizeof generation);
    pthread_mutex_unlock(&index->lock);
    return RUN(index, mark_script, until_ms, &marked, err, lc_redis_text(generation),
               lc_redis_text(index->claim));
}

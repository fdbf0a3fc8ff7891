/*
 * The store redis://: one key for each part of an entry (redis_keys.h), each whole by itself
 * (redis_value.h), over a pool with a switch (redis_pool.h). Every operation is one round trip. Nothing is
 * kept here but a few counters, which are what is known without a scan.
 */
#include "store/store.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/redis_keys.h"
#include "store/redis_pool.h"
#include "store/redis_scan.h"
#include "store/redis_value.h"
#include "store/redis_watch.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    PROBE_MS = 1000,
    READ_AT_ONCE = 16,    /* values asked for in one batch of each */
    REMOVE_AT_ONCE = 256, /* keys */
    PUT_COMMANDS = 8
};
#define DAMAGED_LIFE_MS "604800000" /* a week to look at them */

typedef struct redis_store {
    lc_redis_uri uri;
    char *ca_file;
    lc_redis_pool *pool;
    lc_redis_watch *watch;
    atomic_uint_least64_t entries, records; /* as counted by the last each, and since */
    atomic_uint_least64_t damaged;          /* set aside */
} redis_store;

static atomic_uint_least64_t *count_of(redis_store *store, int part)
{
    return part == LLMCACHE_PART_EMBED ? &store->records : &store->entries;
}

/* ---- Damaged values ----------------------------------------------------------------------------- */

/* Moves it under another name, where nobody reads it and people can look at it for a while. Best effort. */
static void set_aside(redis_store *store, lc_redis_word name, int64_t until_ms)
{
    lc_redis_batch batch;
    lc_buffer aside;
    redisReply *replies[4];
    llmcache_error err;
    lc_redis_batch_init(&batch);
    lc_buffer_init(&aside, 0);
    lc_buffer_text(&aside, LC_REDIS_DAMAGED_PREFIX);
    lc_buffer_add(&aside, name.bytes, name.size);
    LC_REDIS_ADD(&batch, lc_redis_text("MULTI"));
    LC_REDIS_ADD(&batch, lc_redis_text("RENAME"), name, lc_redis_bytes(&aside));
    LC_REDIS_ADD(&batch, lc_redis_text("PEXPIRE"), lc_redis_bytes(&aside),
                 lc_redis_text(DAMAGED_LIFE_MS));
    LC_REDIS_ADD(&batch, lc_redis_text("EXEC"));
    if (!aside.broken && !lc_redis_pool_exchange(store->pool, &batch, until_ms, replies, &err))
        lc_redis_free_replies(replies, batch.count);
    atomic_fetch_add(&store->damaged, 1);
    lc_redis_batch_done(&batch);
    lc_buffer_done(&aside);
}

/* ---- Names by the head of a fingerprint ----------------------------------------------------------- */

typedef struct search {
    lc_buffer *name;
    int found;
} search;

static int take_first(void *user, const lc_redis_word *names, size_t count, llmcache_error *err)
{
    search *s = user;
    s->found = 1;
    return lc_buffer_add(s->name, names[0].bytes, names[0].size) ? lc_fail_memory(err) : 1;
}

/* The name of a prompt of which only the id is known; "" when there is none. Its record would know, but
 * may be gone, so the keys are walked. */
static int find_prompt(redis_store *store, const llmcache_key *key, int64_t until_ms,
                       lc_buffer *name, llmcache_error *err)
{
    char id[LLMCACHE_ID_SIZE];
    lc_buffer pattern;
    search s = {.name = name};
    lc_entry_id(key->fingerprint, id);
    lc_buffer_init(&pattern, 0);
    int rc = lc_redis_key_pattern(LLMCACHE_PART_PROMPT, key->space, id, &pattern)
                 ? lc_fail_memory(err)
                 : lc_redis_scan(store->pool, pattern.data, until_ms, take_first, &s, err);
    lc_buffer_done(&pattern);
    return rc;
}

static int find_name(redis_store *store, int part, const llmcache_key *key, int64_t until_ms,
                     lc_buffer *name, llmcache_error *err)
{
    if (part == LLMCACHE_PART_PROMPT && key->head_only)
        return find_prompt(store, key, until_ms, name, err);
    return lc_redis_key_name(part, key, name) ? lc_fail_memory(err) : 0;
}

/* ---- Reading ------------------------------------------------------------------------------------ */

static int fail_absent(llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_NOT_FOUND, "no such entry");
}

static int is_expired(const llmcache_entry *entry, int64_t now_ms)
{
    return entry->expires_ms && entry->expires_ms <= now_ms;
}

/* A record's name holds only the head of the fingerprint: the rest is checked here. */
static int is_other(const llmcache_key *key, const llmcache_entry *entry)
{
    return !key->head_only &&
           memcmp(key->fingerprint, entry->fingerprint, sizeof key->fingerprint) != 0;
}

static int read_one(redis_store *store, int part, lc_redis_word name, int64_t until_ms,
                    redisReply **reply, lc_redis_value *value, llmcache_error *err)
{
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    lc_redis_get(part, name, &batch);
    int rc = lc_redis_pool_exchange(store->pool, &batch, until_ms, reply, err);
    lc_redis_batch_done(&batch);
    if (!rc)
        rc = lc_redis_value_read(part, name, *reply, store->uri.name, value, err);
    if (rc == LLMCACHE_CORRUPT)
        set_aside(store, name, until_ms);
    return rc;
}

static int get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
               llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    redis_store *store = self;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    redisReply *reply = NULL;
    lc_redis_value value = {0};
    lc_buffer name;
    lc_buffer_init(&name, 0);
    int rc = find_name(store, part, key, until_ms, &name, err);
    if (!rc && !name.size)
        rc = fail_absent(err);
    if (!rc)
        rc = read_one(store, part, lc_redis_bytes(&name), until_ms, &reply, &value, err);
    if (!rc && (is_expired(&value.entry, now_ms) || is_other(key, &value.entry)))
        rc = fail_absent(err);
    if (!rc)
        fn(user, &value.entry);
    lc_redis_value_done(&value);
    lc_redis_free_replies(&reply, 1);
    lc_buffer_done(&name);
    return rc;
}

/* ---- Writing ------------------------------------------------------------------------------------ */

static int put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
               llmcache_error *err)
{
    redis_store *store = self;
    int64_t until_ms = lc_mono_ms() + deadline_ms, wall_ms = lc_wall_ms();
    redisReply *replies[PUT_COMMANDS];
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    if (parts & LLMCACHE_PART_PROMPT)
        lc_redis_put_prompt(entry, wall_ms, &batch);
    if (parts & LLMCACHE_PART_EMBED && entry->vector)
        lc_redis_put_record(entry, wall_ms, &batch);
    else
        parts &= ~LLMCACHE_PART_EMBED;
    int rc = lc_redis_pool_exchange(store->pool, &batch, until_ms, replies, err);
    if (!rc) {
        rc = lc_redis_check_put(replies, batch.count, store->uri.name, err);
        lc_redis_free_replies(replies, batch.count);
    }
    lc_redis_batch_done(&batch);
    if (!rc && parts & LLMCACHE_PART_PROMPT)
        atomic_fetch_add(&store->entries, 1);
    if (!rc && parts & LLMCACHE_PART_EMBED)
        atomic_fetch_add(&store->records, 1);
    return rc;
}

/* ---- Removing ----------------------------------------------------------------------------------- */

static void count_down(atomic_uint_least64_t *count)
{
    uint64_t now = atomic_load(count);
    while (now > 0 && !atomic_compare_exchange_weak(count, &now, now - 1))
        ;
}

/* One UNLINK for each part wanted of each key; where no name was found, of a name that no entry has. */
static int add_removals(redis_store *store, int parts, const llmcache_key *keys, size_t count,
                        int64_t until_ms, lc_redis_batch *batch, llmcache_error *err)
{
    int rc = 0;
    lc_buffer name;
    lc_buffer_init(&name, 0);
    for (size_t i = 0; i < count; i++)
        for (int part = LLMCACHE_PART_PROMPT; part <= LLMCACHE_PART_EMBED && !rc; part++) {
            if (!(parts & part))
                continue;
            lc_buffer_clear(&name);
            rc = find_name(store, part, &keys[i], until_ms, &name, err);
            if (!name.size)
                lc_buffer_text(&name, LC_REDIS_PROMPT_PREFIX);
            LC_REDIS_ADD(batch, lc_redis_text("UNLINK"), lc_redis_bytes(&name));
        }
    lc_buffer_done(&name);
    return rc;
}

/* Replies come in the order of add_removals. */
static int count_removals(redis_store *store, int parts, redisReply **replies, size_t count,
                          uint64_t *removed, llmcache_error *err)
{
    for (size_t i = 0, at = 0; i < count; i++) {
        int any = 0;
        for (int part = LLMCACHE_PART_PROMPT; part <= LLMCACHE_PART_EMBED; part++) {
            if (!(parts & part))
                continue;
            const redisReply *reply = replies[at++];
            int rc = lc_redis_check(reply, store->uri.name, err);
            if (rc)
                return rc;
            if (reply->integer > 0) {
                any = 1;
                count_down(count_of(store, part));
            }
        }
        *removed += (uint64_t)any;
    }
    return 0;
}

static int remove_some(redis_store *store, int parts, const llmcache_key *keys, size_t count,
                       int64_t until_ms, uint64_t *removed, llmcache_error *err)
{
    redisReply *replies[2 * REMOVE_AT_ONCE];
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    int rc = add_removals(store, parts, keys, count, until_ms, &batch, err);
    if (!rc && batch.count)
        rc = lc_redis_pool_exchange(store->pool, &batch, until_ms, replies, err);
    if (!rc && batch.count) {
        rc = count_removals(store, parts, replies, count, removed, err);
        lc_redis_free_replies(replies, batch.count);
    }
    lc_redis_batch_done(&batch);
    return rc;
}

static int remove_entries(void *self, int parts, const llmcache_key *keys, size_t count,
                          int64_t deadline_ms, uint64_t *removed, llmcache_error *err)
{
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    uint64_t gone = 0;
    int rc = 0;
    for (size_t at = 0; at < count && !rc; at += REMOVE_AT_ONCE) {
        size_t some = count - at < REMOVE_AT_ONCE ? count - at : REMOVE_AT_ONCE;
        rc = remove_some(self, parts, keys + at, some, until_ms, &gone, err);
    }
    if (removed && !rc)
        *removed = gone;
    return rc;
}

/* ---- All of them -------------------------------------------------------------------------------- */

typedef struct walk {
    redis_store *store;
    int part;
    int64_t now_ms;
    llmcache_entry_fn fn;
    void *user;
    uint64_t seen, damaged;
    int stopped;
} walk;

/* Shows one value; 1 when the caller has seen enough. */
static int show(walk *w, lc_redis_word name, const redisReply *reply, llmcache_error *err)
{
    lc_redis_value value = {0};
    int rc = lc_redis_value_read(w->part, name, reply, w->store->uri.name, &value, err);
    if (rc == LLMCACHE_CORRUPT) {
        set_aside(w->store, name, lc_mono_ms() + LC_REDIS_STEP_MS);
        w->damaged++;
        return 0;
    }
    if (rc)
        return rc == LLMCACHE_NOT_FOUND ? 0 : rc;
    if (!is_expired(&value.entry, w->now_ms)) {
        w->seen++;
        w->stopped = w->fn(w->user, &value.entry) != 0;
    }
    lc_redis_value_done(&value);
    return w->stopped;
}

static int show_some(walk *w, const lc_redis_word *names, size_t count, llmcache_error *err)
{
    redisReply *replies[READ_AT_ONCE];
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    for (size_t i = 0; i < count; i++)
        lc_redis_get(w->part, names[i], &batch);
    int rc = lc_redis_pool_exchange(w->store->pool, &batch, lc_mono_ms() + LC_REDIS_STEP_MS,
                                    replies, err);
    lc_redis_batch_done(&batch);
    if (rc)
        return rc;
    for (size_t i = 0; i < count && !rc; i++)
        rc = show(w, names[i], replies[i], err);
    lc_redis_free_replies(replies, count);
    return rc;
}

static int show_page(void *user, const lc_redis_word *names, size_t count, llmcache_error *err)
{
    int rc = 0;
    for (size_t at = 0; at < count && !rc; at += READ_AT_ONCE)
        rc = show_some(user, names + at, count - at < READ_AT_ONCE ? count - at : READ_AT_ONCE, err);
    return rc;
}

static int each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                void *user, uint64_t *damaged, llmcache_error *err)
{
    walk w = {.store = self, .part = part, .now_ms = now_ms, .fn = fn, .user = user};
    lc_buffer pattern;
    lc_buffer_init(&pattern, 0);
    int rc = lc_redis_key_pattern(part, space, "", &pattern)
                 ? lc_fail_memory(err)
                 : lc_redis_scan(w.store->pool, pattern.data, 0, show_page, &w, err);
    lc_buffer_done(&pattern);
    if (rc)
        return rc;
    if (!space && !w.stopped)
        atomic_store(count_of(w.store, part), w.seen);
    if (damaged)
        *damaged = w.damaged;
    return 0;
}

/* ---- State -------------------------------------------------------------------------------------- */

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    redis_store *store = self;
    return lc_redis_pool_ping(store->pool, lc_mono_ms() + deadline_ms, err);
}

static void stats(void *self, llmcache_store_stats *stats)
{
    redis_store *store = self;
    lc_redis_pool_state state;
    lc_redis_pool_look(store->pool, &state);
    *stats = (llmcache_store_stats){.entries = atomic_load(&store->entries),
                                    .records = atomic_load(&store->records),
                                    .connected = state.ever_worked && !state.lost};
    uint64_t damaged = atomic_load(&store->damaged);
    if (state.lost)
        snprintf(stats->detail, sizeof stats->detail, "%.120s", state.reason);
    else if (damaged)
        snprintf(stats->detail, sizeof stats->detail, "%.80s; damaged set aside: %" PRIu64,
                 store->uri.name, damaged);
    else
        snprintf(stats->detail, sizeof stats->detail, "%.120s", store->uri.name);
}

static int watch(void *self, const llmcache_watch *listener, llmcache_error *err)
{
    redis_store *store = self;
    return lc_redis_watch_new(&store->uri, lc_redis_pool_cancel_fd(store->pool), listener,
                              &store->watch, err);
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void close_store(void *self)
{
    redis_store *store = self;
    if (store->pool)
        lc_redis_pool_cancel(store->pool);
    lc_redis_watch_free(store->watch);
    lc_redis_pool_free(store->pool);
    lc_redis_uri_done(&store->uri);
    lc_free(store->ca_file);
    lc_free(store);
}

static int start(redis_store *store, const char *uri, const lc_store_options *options,
                 llmcache_error *err)
{
    int rc = lc_redis_uri_read(uri, &store->uri, err);
    if (rc)
        return rc;
    if (options->ca_file && *options->ca_file) {
        store->ca_file = lc_strdup(options->ca_file);
        if (!store->ca_file)
            return lc_fail_memory(err);
        store->uri.target.ca_file = store->ca_file;
    }
    int64_t probe_ms = options->connect_ms > PROBE_MS ? options->connect_ms : PROBE_MS;
    return lc_redis_pool_new(&store->uri, probe_ms, &store->pool, err);
}

int lc_store_open_redis(const char *uri, const lc_store_options *options, lc_store *store,
                        llmcache_error *err)
{
    redis_store *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    int rc = start(self, uri, options, err);
    if (rc) {
        close_store(self);
        return rc;
    }
    *store = (lc_store){.self = self,
                        .ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "redis", .get = get,
                                .put = put, .remove = remove_entries, .each = each, .ping = ping,
                                .stats = stats, .watch = watch, .close = close_store}};
    return 0;
}

/*
 * The stores redis:// and redis+cluster://: one key for each part of an entry (redis_keys.h), each whole by itself
 * (redis_value.h), over a pool with a switch (redis_pool.h), or one for each node of a cluster (redis_cluster.h). Every
 * operation is one round trip, in a cluster one to each node concerned. Nothing is kept here but a few counters,
 * which are what is known without a scan.
 */
#include "store/store.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/redis_inside.h"
#include "store/redis_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PROBE_MS = 1000 };

/* ---- Reading ------------------------------------------------------------------------------------ */

static int fail_absent(llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_NOT_FOUND, "no such entry");
}

/* A record's name holds only the head of the fingerprint: the rest is checked here. */
static int is_other(const llmcache_key *key, const llmcache_entry *entry)
{
    return !key->head_only &&
           memcmp(key->fingerprint, entry->fingerprint, sizeof key->fingerprint) != 0;
}

static int read_from_primary(lc_redis_store *store, int part, lc_redis_word name, const lc_redis_batch *batch,
                             int64_t until_ms, redisReply **reply, lc_redis_value *value, llmcache_error *err)
{
    int rc = lc_redis_route_exchange(&store->route, batch, until_ms, reply, err);
    if (!rc)
        rc = lc_redis_value_read(part, name, *reply, store->name, value, err);
    if (rc == LLMCACHE_CORRUPT)
        lc_redis_set_aside(store, name, until_ms);
    return rc;
}

/* What a replica gives counts if it is an answer; the last word on anything else is the primary's. */
static int read_one(lc_redis_store *store, int part, lc_redis_word name, int64_t until_ms,
                    redisReply **reply, lc_redis_value *value, llmcache_error *err)
{
    lc_redis_batch batch;
    int done = 0, rc = 0;
    lc_redis_batch_init(&batch);
    lc_redis_get(part, name, &batch);
    if (lc_redis_replicas_read(store->route.replicas, name, &batch, until_ms, reply)) {
        done = lc_redis_value_read(part, name, *reply, store->name, value, err) == 0;
        if (!done)
            lc_redis_free_replies(reply, 1);
    }
    if (!done)
        rc = read_from_primary(store, part, name, &batch, until_ms, reply, value, err);
    lc_redis_batch_done(&batch);
    return rc;
}

static int get(void *self, int part, const llmcache_key *key, int64_t now_ms, int64_t deadline_ms,
               llmcache_entry_fn fn, void *user, llmcache_error *err)
{
    lc_redis_store *store = self;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    redisReply *reply = NULL;
    lc_redis_value value = {0};
    lc_buffer name;
    lc_buffer_init(&name, 0);
    int rc = lc_redis_find_name(store, part, key, until_ms, &name, err);
    if (!rc && !name.size)
        rc = fail_absent(err);
    if (!rc)
        rc = read_one(store, part, lc_redis_bytes(&name), until_ms, &reply, &value, err);
    if (!rc && (lc_redis_is_expired(&value.entry, now_ms) || is_other(key, &value.entry)))
        rc = fail_absent(err);
    if (!rc)
        fn(user, &value.entry);
    lc_redis_value_done(&value);
    lc_redis_free_replies(&reply, 1);
    lc_buffer_done(&name);
    return rc;
}

/* ---- State -------------------------------------------------------------------------------------- */

static int ping(void *self, int64_t deadline_ms, llmcache_error *err)
{
    lc_redis_store *store = self;
    return lc_redis_route_ping(&store->route, lc_mono_ms() + deadline_ms, err);
}

static void stats(void *self, llmcache_store_stats *stats)
{
    lc_redis_store *store = self;
    lc_conn_pool_state state;
    lc_redis_route_look(&store->route, &state);
    *stats = (llmcache_store_stats){.entries = atomic_load(&store->entries),
                                    .records = atomic_load(&store->records),
                                    .observations = atomic_load(&store->observations),
                                    .connected = state.ever_worked && !state.lost};
    uint64_t damaged = atomic_load(&store->damaged);
    if (state.lost)
        snprintf(stats->detail, sizeof stats->detail, "%.120s", state.reason);
    else if (damaged)
        snprintf(stats->detail, sizeof stats->detail, "%.80s; damaged set aside: %" PRIu64,
                 store->name, damaged);
    else
        snprintf(stats->detail, sizeof stats->detail, "%.120s", store->name);
}

static int watch(void *self, const llmcache_watch *listener, llmcache_error *err)
{
    lc_redis_store *store = self;
    int rc = store->route.cluster
                 ? lc_redis_ears_new(&store->route, store->echoes, listener, &store->ears, err)
                 : lc_redis_watch_new(NULL, &store->route, lc_redis_pool_cancel_fd(store->route.pool),
                                      store->echoes, listener, &store->watch, err);
    if (!rc) {
        store->listener = *listener;
        atomic_store(&store->listening, 1);
    }
    return rc;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void close_store(void *self)
{
    lc_redis_store *store = self;
    lc_redis_route_cancel(&store->route);
    lc_redis_watch_free(store->watch);
    lc_redis_ears_free(store->ears);
    lc_redis_route_free(&store->route);
    lc_redis_echoes_free(store->echoes);
    lc_redis_uri_done(&store->uri);
    lc_redis_seeds_done(&store->seeds);
    lc_free(store->ca_file);
    lc_free(store);
}

static int read_uri(lc_redis_store *store, const char *uri, llmcache_error *err)
{
    int is_cluster = lc_redis_is_cluster(uri);
    int rc = is_cluster ? lc_redis_seeds_read(uri, &store->seeds, err)
                        : lc_redis_uri_read(uri, &store->uri, err);
    store->name = is_cluster ? store->seeds.name : store->uri.name;
    return rc;
}

static int start(lc_redis_store *store, const char *uri, const lc_store_options *options,
                 llmcache_error *err)
{
    int rc = read_uri(store, uri, err);
    if (rc)
        return rc;
    if (options->ca_file && *options->ca_file) {
        store->ca_file = lc_strdup(options->ca_file);
        if (!store->ca_file)
            return lc_fail_memory(err);
        lc_redis_uri_trust(&store->uri, store->ca_file);
        for (size_t i = 0; i < store->seeds.count; i++)
            store->seeds.uris[i].target.ca_file = store->ca_file;
    }
    store->echoes = lc_redis_echoes_new();
    if (!store->echoes)
        return lc_fail_memory(err);
    int64_t probe_ms = options->connect_ms > PROBE_MS ? options->connect_ms : PROBE_MS;
    if (store->seeds.count) {
        rc = lc_redis_cluster_new(&store->seeds, probe_ms, &store->route.cluster, err);
        if (!rc && store->seeds.read_replicas)
            rc = lc_redis_replicas_new(store->route.cluster, probe_ms, &store->route.replicas, err);
        return rc;
    }
    return lc_redis_pool_new(&store->uri, probe_ms, &store->route.pool, err);
}

int lc_store_open_redis(const char *uri, const lc_store_options *options, lc_store *store,
                        llmcache_error *err)
{
    lc_redis_store *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    int rc = start(self, uri, options, err);
    if (rc) {
        close_store(self);
        return rc;
    }
    *store = (lc_store){.self = self,
                        .ops = {.version = LLMCACHE_BACKEND_VERSION, .name = "redis", .get = get,
                                .put = lc_redis_put, .remove = lc_redis_remove,
                                .each = lc_redis_each, .each_vector = lc_redis_each_vector, .ping = ping,
                                .stats = stats, .watch = watch, .close = close_store,
                                .lease = lc_redis_lease, .release = lc_redis_release}};
    return 0;
}

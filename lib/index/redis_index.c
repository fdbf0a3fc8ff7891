/*
 * The index in a Redis: its life, and who does the work: the vector sets, or the flat index where there are none.
 *
 * A server that is away when the cache opens does not keep it waiting: the mode stays unknown, the pool's switch lets
 * every operation fail at once, and the first that finds the server back asks what it can do.
 */
#include "index/redis_vectors.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <stdio.h>
#include <string.h>

enum { PROBE_MS = 1000, PATIENCE = 3 };

/* ---- What the server can do ---------------------------------------------------------------------------- */

static int is_unknown_command(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && (strncmp(reply->str, "ERR unknown command", 19) == 0 ||
                                                strncmp(reply->str, "ERR Unknown Redis command", 25) == 0);
}

int lc_redis_index_check(lc_redis_index *index, const redisReply *reply, llmcache_error *err)
{
    if (is_unknown_command(reply))
        atomic_store(&index->mode, LC_VECTORS_UNKNOWN);
    return lc_redis_check(reply, index->uri.name, err);
}

static void keep_problem(lc_redis_index *index, const char *problem)
{
    pthread_mutex_lock(&index->lock);
    snprintf(index->problem, sizeof index->problem, "%s", problem);
    pthread_mutex_unlock(&index->lock);
}

static int read_probe(lc_redis_index *index, const redisReply *reply, lc_vectors_mode *mode, llmcache_error *err)
{
    llmcache_error here;
    int code = is_unknown_command(reply) ? 0 : lc_redis_check(reply, index->uri.name, &here);
    keep_problem(index, code ? here.message : "");
    if (code)
        return lc_fail(err, code, "%s", here.message);
    *mode = is_unknown_command(reply) ? LC_VECTORS_FLAT : LC_VECTORS_SETS;
    return 0;
}

int lc_redis_index_probe(lc_redis_index *index, int64_t until_ms, lc_vectors_mode *mode, llmcache_error *err)
{
    lc_redis_batch batch;
    redisReply *reply = NULL;
    lc_redis_batch_init(&batch);
    LC_REDIS_ADD(&batch, lc_redis_text("VCARD"), lc_redis_text(index->head));
    int code = lc_redis_pool_exchange(index->pool, &batch, until_ms, &reply, err);
    lc_redis_batch_done(&batch);
    if (code)
        return code;
    code = read_probe(index, reply, mode, err);
    lc_redis_free_replies(&reply, 1);
    if (!code)
        atomic_store(&index->mode, (int)*mode);
    return code;
}

int lc_redis_index_mode(lc_redis_index *index, int64_t until_ms, lc_vectors_mode *mode, llmcache_error *err)
{
    *mode = (lc_vectors_mode)atomic_load(&index->mode);
    return *mode == LC_VECTORS_UNKNOWN ? lc_redis_index_probe(index, until_ms, mode, err) : 0;
}

/* ---- The operations -------------------------------------------------------------------------------------- */

static int add(void *self, const lc_record *record, int64_t deadline_ms, llmcache_error *err)
{
    lc_redis_index *index = self;
    lc_vectors_mode mode;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    int code = lc_redis_index_mode(index, until_ms, &mode, err);
    if (code)
        return code;
    return mode == LC_VECTORS_FLAT ? lc_flat_ops.add(index->flat, record, deadline_ms, err)
                                   : lc_vector_set_add(index, record, until_ms, err);
}

static int remove_id(void *self, const char *space, const char *id, int64_t deadline_ms, int *removed,
                     llmcache_error *err)
{
    lc_redis_index *index = self;
    lc_vectors_mode mode;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    int code = lc_redis_index_mode(index, until_ms, &mode, err);
    if (code)
        return code;
    return mode == LC_VECTORS_FLAT ? lc_flat_ops.remove(index->flat, space, id, deadline_ms, removed, err)
                                   : lc_vector_set_remove(index, space, id, until_ms, removed, err);
}

static int clear(void *self, int64_t deadline_ms, llmcache_error *err)
{
    lc_redis_index *index = self;
    lc_vectors_mode mode;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    int code = lc_redis_index_mode(index, until_ms, &mode, err);
    if (code)
        return code;
    return mode == LC_VECTORS_FLAT ? lc_flat_ops.clear(index->flat, deadline_ms, err)
                                   : lc_vector_set_clear(index, until_ms, err);
}

static uint64_t sweep(void *self, int64_t now_ms)
{
    lc_redis_index *index = self;
    switch ((lc_vectors_mode)atomic_load(&index->mode)) {
    case LC_VECTORS_FLAT:
        return lc_flat_ops.sweep(index->flat, now_ms);
    case LC_VECTORS_SETS:
        return lc_vector_set_sweep(index, now_ms);
    default:
        return 0;
    }
}

static int search(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                  llmcache_error *err)
{
    lc_redis_index *index = self;
    lc_vectors_mode mode;
    int code = lc_redis_index_mode(index, lc_mono_ms() + query->deadline_ms, &mode, err);
    if (code)
        return code;
    return mode == LC_VECTORS_FLAT ? lc_flat_ops.search(index->flat, query, out, k, count, err)
                                   : lc_vector_set_search(index, query, out, k, count, err);
}

/* Vector sets may have come since: then nothing is kept here any more. */
static int fill_state(void *self, int64_t deadline_ms, lc_index_fill *state, llmcache_error *err)
{
    lc_redis_index *index = self;
    lc_vectors_mode before = (lc_vectors_mode)atomic_load(&index->mode), mode = before;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    int code = before == LC_VECTORS_SETS ? 0 : lc_redis_index_probe(index, until_ms, &mode, err);
    if (mode == LC_VECTORS_FLAT) {
        *state = LC_FILL_OWN;
        return 0;
    }
    if (code)
        return code;
    if (before == LC_VECTORS_FLAT)
        lc_flat_ops.clear(index->flat, deadline_ms, err);
    return lc_vector_set_fill_state(index, until_ms, state, err);
}

static int set_filled(void *self, int64_t deadline_ms, llmcache_error *err)
{
    lc_redis_index *index = self;
    lc_vectors_mode mode;
    int64_t until_ms = lc_mono_ms() + deadline_ms;
    int code = lc_redis_index_mode(index, until_ms, &mode, err);
    return code || mode == LC_VECTORS_FLAT ? code : lc_vector_set_mark(index, until_ms, err);
}

static void stats(void *self, lc_index_stats *out)
{
    lc_redis_index *index = self;
    lc_conn_pool_state pool;
    if (atomic_load(&index->mode) == LC_VECTORS_FLAT) {
        lc_flat_ops.stats(index->flat, out);
        out->fell_back = 1;
        snprintf(out->detail, sizeof out->detail,
                 "%.120s has no vector sets (a Redis 8 has): every server keeps and searches all vectors itself",
                 index->uri.name);
        return;
    }
    lc_redis_pool_look(index->pool, &pool);
    *out = (lc_index_stats){.records = atomic_load(&index->records),
                            .partitions = atomic_load(&index->partitions), .shared = 1,
                            .lost = pool.lost || !pool.ever_worked};
    snprintf(out->detail, sizeof out->detail, "%s", out->lost ? pool.reason : index->uri.name);
    pthread_mutex_lock(&index->lock);
    if (!out->lost && *index->problem) {
        out->lost = 1;
        snprintf(out->detail, sizeof out->detail, "%s", index->problem);
    }
    pthread_mutex_unlock(&index->lock);
}

/* ---- Opening and closing ----------------------------------------------------------------------------------- */

static void close_index(void *self)
{
    lc_redis_index *index = self;
    lc_redis_pool_free(index->pool);
    lc_flat_free(index->flat);
    lc_redis_uri_done(&index->uri);
    pthread_mutex_destroy(&index->lock);
    lc_free(index->ca_file);
    lc_free(index->head);
    lc_free(index->space);
    lc_free(index);
}

static int starts(const char *text, const char *head)
{
    return text && strncmp(text, head, strlen(head)) == 0;
}

/* Of the Redis that is meant; the messages never show it, as it may hold a password. */
static int find_uri(const char *rest, const char *store, const char **uri, llmcache_error *err)
{
    const char *meant = *rest ? rest : store;
    if (starts(meant, "redis+cluster:") || starts(meant, "rediss+cluster:"))
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "setting index: redis: keeps vectors in one Redis, not in a cluster; name one as "
                       "redis:redis://host, or use flat:");
    if (!starts(meant, "redis://") && !starts(meant, "rediss://") && !starts(meant, "unix:") &&
        !(meant && lc_redis_is_sentinel(meant)))
        return lc_fail(err, LLMCACHE_SETTING,
                       *rest ? "setting index: behind redis: there may be redis://..., rediss://..., unix:/path or "
                               "redis+sentinel://..."
                             : "setting index: redis: means the store's Redis, but the store is none; name one as "
                               "redis:redis://host");
    *uri = meant;
    return 0;
}

static int name_keys(lc_redis_index *index, const char *space)
{
    unsigned char digest[LC_SHA256_SIZE];
    char digits[33];
    lc_buffer head;
    lc_buffer_init(&head, 0);
    lc_sha256_once(space, strlen(space), digest);
    lc_hex(digest, 16, digits);
    lc_buffer_format(&head, "vector_cache:%s", digits);
    index->head = lc_buffer_take(&head, NULL);
    lc_buffer_done(&head);
    index->space = lc_strdup(space);
    lc_redis_index_word(index, index->claim);
    return index->head && index->space ? 0 : LLMCACHE_MEMORY;
}

/* What is wrong with it is said of the setting it stands in. */
static int read_uri(lc_redis_index *index, const char *uri, llmcache_error *err)
{
    llmcache_error here;
    int code = lc_redis_uri_read(uri, &index->uri, &here);
    const char *what = here.message + (code && starts(here.message, "store: ") ? strlen("store: ") : 0);
    return code ? lc_fail(err, code, "setting index: %s", what) : 0;
}

static int start(lc_redis_index *index, const char *uri, const lc_index_options *options, llmcache_error *err)
{
    int code = read_uri(index, uri, err);
    if (code)
        return code;
    if (options->ca_file && *options->ca_file) {
        index->ca_file = lc_strdup(options->ca_file);
        if (!index->ca_file)
            return lc_fail_memory(err);
        lc_redis_uri_trust(&index->uri, index->ca_file);
    }
    if (name_keys(index, options->vector_space ? options->vector_space : ""))
        return lc_fail_memory(err);
    code = lc_flat_new(&index->flat, err);
    if (code)
        return code;
    code = lc_redis_pool_new(&index->uri, options->connect_ms > PROBE_MS ? options->connect_ms : PROBE_MS,
                             &index->pool, err);
    if (!code)
        lc_redis_pool_bear(index->pool, PATIENCE);
    return code;
}

int lc_redis_index_open(const char *rest, const lc_index_options *options, lc_index *out, llmcache_error *err)
{
    static const lc_index_ops ops = {.name = "redis", .add = add, .remove = remove_id, .clear = clear,
                                     .sweep = sweep, .search = search, .stats = stats, .close = close_index,
                                     .fill_state = fill_state, .set_filled = set_filled};
    const char *uri = NULL;
    lc_buffer whole; /* redis://... is the setting's own scheme, too */
    lc_buffer_init(&whole, 0);
    if (starts(rest, "//")) {
        lc_buffer_format(&whole, "redis:%s", rest);
        rest = whole.data;
    }
    lc_redis_index *index = rest ? lc_zalloc(sizeof *index) : NULL;
    int code = index ? find_uri(rest, options->store, &uri, err) : lc_fail_memory(err);
    if (index)
        pthread_mutex_init(&index->lock, NULL);
    if (!code)
        code = start(index, uri, options, err);
    lc_buffer_done(&whole);
    if (!code)
        *out = (lc_index){ops, index};
    else if (index)
        close_index(index);
    return code;
}

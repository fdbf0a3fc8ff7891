/* Which store a URI means. */
#include "store/store.h"

#include "base/error.h"
#include "store/redis_seeds.h"

#include <string.h>

#ifndef LC_HAS_POSTGRESQL
static int lc_store_open_postgres(const char *uri, const lc_store_options *options, lc_store *store,
                                  llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_SETTING, "store: this llmcache was built without PostgreSQL (libpq)");
}
#endif

void lc_store_close(lc_store *store)
{
    if (store->ops.close)
        store->ops.close(store->self);
    memset(store, 0, sizeof *store);
}

int lc_store_each_vector(const lc_store *store, int64_t now_ms, llmcache_entry_fn fn, void *user,
                         uint64_t *damaged, llmcache_error *err)
{
    if (store->ops.each_vector)
        return store->ops.each_vector(store->self, now_ms, fn, user, damaged, err);
    return store->ops.each(store->self, LLMCACHE_PART_EMBED, NULL, now_ms, fn, user, damaged, err);
}

int lc_store_open(const char *uri, const lc_store_options *options, lc_store *store,
                  llmcache_error *err)
{
    if (strcmp(uri, "memory:") == 0)
        return lc_store_open_memory(options, store, err);
    if (strncmp(uri, "sqlite:", 7) == 0)
        return lc_store_open_sqlite(uri + 7, options, store, err);
    if (strncmp(uri, "redis:", 6) == 0 || strncmp(uri, "rediss:", 7) == 0 ||
        lc_redis_is_cluster(uri) || lc_redis_is_sentinel(uri) || strncmp(uri, "unix:", 5) == 0)
        return lc_store_open_redis(uri, options, store, err);
    if (strncmp(uri, "postgresql:", 11) == 0 || strncmp(uri, "postgres:", 9) == 0)
        return lc_store_open_postgres(uri, options, store, err);
    /* Never the URI itself: it may hold a password. */
    return lc_fail(err, LLMCACHE_SETTING,
                   "store: \"%.*s\" is not a kind of store; there are sqlite:, memory:, redis://, "
                   "rediss://, redis+cluster://, rediss+cluster://, redis+sentinel://, rediss+sentinel://, unix: "
                   "and postgresql://",
                   (int)strcspn(uri, ":/@ "), uri);
}

void lc_watch_current(const llmcache_watch *watch, int64_t since_ms)
{
    if (watch->current)
        watch->current(watch->user, since_ms);
}

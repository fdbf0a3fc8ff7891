#include "fake_shared_index.h"

#include "base/error.h"
#include "support.h"

#include <string.h>

static int check(fake_shared_index *server, llmcache_error *err)
{
    return atomic_load(&server->away) ? lc_fail(err, LLMCACHE_STORE, "the fake index is away") : 0;
}

static int refuses(fake_shared_index *server)
{
    int left = atomic_load(&server->refusing);
    if (left > 0)
        atomic_fetch_sub(&server->refusing, 1);
    return left != 0;
}

static int add(void *self, const lc_record *record, int64_t deadline_ms, llmcache_error *err)
{
    fake_shared_index *server = self;
    int code = check(server, err);
    if (!code && refuses(server))
        code = lc_fail(err, LLMCACHE_TIMEOUT, "the fake index refuses");
    atomic_fetch_add(&server->adds, 1);
    return code ? code : lc_flat_ops.add(server->flat, record, deadline_ms, err);
}

static int remove_id(void *self, const char *space, const char *id, int64_t deadline_ms, int *removed,
                     llmcache_error *err)
{
    fake_shared_index *server = self;
    int code = check(server, err);
    return code ? code : lc_flat_ops.remove(server->flat, space, id, deadline_ms, removed, err);
}

static int clear(void *self, int64_t deadline_ms, llmcache_error *err)
{
    int code = check(self, err);
    if (!code)
        fake_shared_empty(self);
    return code;
}

static uint64_t sweep(void *self, int64_t now_ms)
{
    fake_shared_index *server = self;
    return lc_flat_ops.sweep(server->flat, now_ms);
}

static int search(void *self, const lc_query *query, lc_neighbour *out, size_t k, size_t *count,
                  llmcache_error *err)
{
    fake_shared_index *server = self;
    int code = check(server, err);
    return code ? code : lc_flat_ops.search(server->flat, query, out, k, count, err);
}

static void stats(void *self, lc_index_stats *out)
{
    fake_shared_index *server = self;
    lc_flat_ops.stats(server->flat, out);
    out->lost = atomic_load(&server->away);
    out->fell_back = atomic_load(&server->own);
    out->shared = !out->fell_back;
    strcpy(out->detail, out->lost ? "the fake index is away" : out->fell_back ? "the fake index is old" : "fake");
}

static int fill_state(void *self, int64_t deadline_ms, lc_index_fill *state, llmcache_error *err)
{
    fake_shared_index *server = self;
    int code = check(server, err);
    if (code)
        return code;
    atomic_store(&server->wanted, atomic_load(&server->generation));
    *state = atomic_load(&server->own)      ? LC_FILL_OWN
             : atomic_load(&server->filled) ? LC_FILL_DONE
                                            : LC_FILL_WANTED;
    return 0;
}

static int set_filled(void *self, int64_t deadline_ms, llmcache_error *err)
{
    fake_shared_index *server = self;
    int code = check(server, err);
    if (!code && !atomic_load(&server->own) && atomic_load(&server->wanted) == atomic_load(&server->generation)) {
        atomic_store(&server->filled, 1);
        atomic_fetch_add(&server->marks, 1);
    }
    return code;
}

void fake_shared_start(fake_shared_index *server)
{
    llmcache_error err;
    memset(server, 0, sizeof *server);
    if (lc_flat_new(&server->flat, &err))
        test_give_up("no flat index: %s", err.message);
}

void fake_shared_empty(fake_shared_index *server)
{
    llmcache_error err;
    atomic_fetch_add(&server->generation, 1);
    atomic_store(&server->filled, 0);
    lc_flat_ops.clear(server->flat, 1000, &err);
}

void fake_shared_done(fake_shared_index *server)
{
    lc_flat_free(server->flat);
}

static void close_nothing(void *self)
{
}

lc_index fake_shared_open(fake_shared_index *server)
{
    static const lc_index_ops ops = {.name = "fake", .add = add, .remove = remove_id, .clear = clear,
                                     .sweep = sweep, .search = search, .stats = stats, .close = close_nothing,
                                     .fill_state = fill_state, .set_filled = set_filled};
    return (lc_index){ops, server};
}

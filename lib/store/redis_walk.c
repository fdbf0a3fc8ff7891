/* Walking over all entries, finding a key by its head, and setting damaged values aside. */
#include "store/redis_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/redis_keys.h"
#include "store/redis_scan.h"
#include "store/redis_value.h"
#include "store/store.h"

enum {
    READ_AT_ONCE = 16,     /* values asked for in one batch */
    VECTORS_AT_ONCE = 128  /* the same without answers */
};
#define DAMAGED_LIFE_MS "604800000" /* a week to look at them */

/* ---- Damaged values ----------------------------------------------------------------------------- */

void lc_redis_set_aside(lc_redis_store *store, lc_redis_word name, int64_t until_ms)
{
    lc_redis_batch batch;
    lc_buffer aside;
    redisReply *replies[4];
    llmcache_error err;
    lc_redis_replicas_note(store->route.replicas, &name);
    lc_redis_batch_init(&batch);
    lc_buffer_init(&aside, 0);
    lc_buffer_text(&aside, LC_REDIS_DAMAGED_PREFIX);
    /* In a cluster both names must be in one slot, which a hash tag does. */
    lc_buffer_text(&aside, store->route.cluster ? "{" : "");
    lc_buffer_add(&aside, name.bytes, name.size);
    lc_buffer_text(&aside, store->route.cluster ? "}" : "");
    LC_REDIS_ADD(&batch, lc_redis_text("MULTI"));
    LC_REDIS_ADD(&batch, lc_redis_text("RENAME"), name, lc_redis_bytes(&aside));
    LC_REDIS_ADD(&batch, lc_redis_text("PEXPIRE"), lc_redis_bytes(&aside),
                 lc_redis_text(DAMAGED_LIFE_MS));
    LC_REDIS_ADD(&batch, lc_redis_text("EXEC"));
    if (!aside.broken && !lc_redis_route_exchange(&store->route, &batch, until_ms, replies, &err))
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
static int find_prompt(lc_redis_store *store, const llmcache_key *key, int64_t until_ms,
                       lc_buffer *name, llmcache_error *err)
{
    char id[LLMCACHE_ID_SIZE];
    lc_buffer pattern;
    search s = {.name = name};
    lc_entry_id(key->fingerprint, id);
    lc_buffer_init(&pattern, 0);
    int rc = lc_redis_key_pattern(LLMCACHE_PART_PROMPT, key->space, id, &pattern)
                 ? lc_fail_memory(err)
                 : lc_redis_scan(&store->route, pattern.data, until_ms, take_first, &s, err);
    lc_buffer_done(&pattern);
    return rc;
}

int lc_redis_find_name(lc_redis_store *store, int part, const llmcache_key *key, int64_t until_ms,
                     lc_buffer *name, llmcache_error *err)
{
    if (part == LLMCACHE_PART_PROMPT && key->head_only)
        return find_prompt(store, key, until_ms, name, err);
    return lc_redis_key_name(part, key, name) ? lc_fail_memory(err) : 0;
}

/* ---- All of them -------------------------------------------------------------------------------- */

typedef struct walk {
    lc_redis_store *store;
    int part;
    int vectors_only; /* of records: without their answers */
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
    int rc = w->vectors_only ? lc_redis_vector_read(name, reply, w->store->name, &value, err)
                             : lc_redis_value_read(w->part, name, reply, w->store->name, &value, err);
    if (rc == LLMCACHE_CORRUPT) {
        lc_redis_set_aside(w->store, name, lc_mono_ms() + LC_REDIS_STEP_MS);
        w->damaged++;
        return 0;
    }
    if (rc)
        return rc == LLMCACHE_NOT_FOUND ? 0 : rc;
    if (!lc_redis_is_expired(&value.entry, w->now_ms)) {
        w->seen++;
        w->stopped = w->fn(w->user, &value.entry) != 0;
    }
    lc_redis_value_done(&value);
    return w->stopped;
}

static int show_some(walk *w, const lc_redis_word *names, size_t count, llmcache_error *err)
{
    redisReply *replies[VECTORS_AT_ONCE];
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    for (size_t i = 0; i < count; i++)
        if (w->vectors_only)
            lc_redis_get_vector(names[i], &batch);
        else
            lc_redis_get(w->part, names[i], &batch);
    int rc = lc_redis_route_exchange(&w->store->route, &batch, lc_mono_ms() + LC_REDIS_STEP_MS,
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
    size_t most = ((walk *)user)->vectors_only ? VECTORS_AT_ONCE : READ_AT_ONCE;
    int rc = 0;
    for (size_t at = 0; at < count && !rc; at += most)
        rc = show_some(user, names + at, count - at < most ? count - at : most, err);
    return rc;
}

static int go_over(walk *w, const char *space, uint64_t *damaged, llmcache_error *err)
{
    lc_buffer pattern;
    lc_buffer_init(&pattern, 0);
    int rc = lc_redis_key_pattern(w->part, space, "", &pattern)
                 ? lc_fail_memory(err)
                 : lc_redis_scan(&w->store->route, pattern.data, 0, show_page, w, err);
    lc_buffer_done(&pattern);
    if (rc)
        return rc;
    if (!space && !w->stopped)
        atomic_store(lc_redis_count_of(w->store, w->part), w->seen);
    if (damaged)
        *damaged = w->damaged;
    return 0;
}

int lc_redis_each(void *self, int part, const char *space, int64_t now_ms, llmcache_entry_fn fn,
                  void *user, uint64_t *damaged, llmcache_error *err)
{
    walk w = {.store = self, .part = part, .now_ms = now_ms, .fn = fn, .user = user};
    return go_over(&w, space, damaged, err);
}

int lc_redis_each_vector(void *self, int64_t now_ms, llmcache_entry_fn fn, void *user,
                         uint64_t *damaged, llmcache_error *err)
{
    walk w = {.store = self, .part = LLMCACHE_PART_EMBED, .vectors_only = 1, .now_ms = now_ms, .fn = fn,
              .user = user};
    return go_over(&w, NULL, damaged, err);
}

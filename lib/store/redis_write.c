/* Putting and removing: one batch, one round trip, and a word to the echoes around it. */
#include "store/redis_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/redis_keys.h"
#include "store/redis_value.h"
#include "store/store.h"

#include <string.h>

static const int parts_there_are[] = {LLMCACHE_PART_PROMPT, LLMCACHE_PART_EMBED,
                                      LLMCACHE_PART_OBSERVATION};

enum {
    PARTS = sizeof parts_there_are / sizeof parts_there_are[0],
    REMOVE_AT_ONCE = 256, /* keys */
    PUT_COMMANDS = 10
};

/* ---- Writing ------------------------------------------------------------------------------------ */

/* One part of a put under way. */
typedef struct writing {
    int part; /* 0: nothing is written */
    lc_buffer name;
    lc_redis_print print;
} writing;

typedef void (*echo_fn)(lc_redis_echoes *echoes, lc_redis_word name, lc_redis_print print);

static void tell_of(lc_redis_store *store, const lc_buffer *name, lc_redis_print print, echo_fn tell)
{
    lc_redis_word word = lc_redis_bytes(name);
    tell(store->echoes, word, print);
    lc_redis_replicas_note(store->route.replicas, &word);
}

static void tell_echoes(lc_redis_store *store, const writing *w, echo_fn tell)
{
    for (int i = 0; i < PARTS; i++)
        if (w[i].part)
            tell_of(store, &w[i].name, w[i].print, tell);
}

/* A write of ours failed: what stands under the key now is anybody's guess. */
static void tell_watch(lc_redis_store *store, int parts, const char *space,
                       const unsigned char *fingerprint)
{
    char id[LLMCACHE_ID_SIZE];
    lc_entry_id(fingerprint, id);
    if (atomic_load(&store->listening))
        store->listener.changed(store->listener.user, parts, space, id);
}

static int check_writes(lc_redis_store *store, const writing *w, redisReply **replies, size_t count,
                        llmcache_error *err)
{
    size_t at = 0;
    for (int i = 0; i < PARTS; i++) {
        if (!w[i].part)
            continue;
        int fresh = (w[i].part == LLMCACHE_PART_EMBED ? lc_redis_check_record
                                                      : lc_redis_check_string)(
            replies, count, &at, store->name, err);
        if (fresh < 0)
            return fresh;
        atomic_fetch_add(lc_redis_count_of(store, w[i].part), (uint64_t)fresh);
    }
    return 0;
}

static int write_parts(lc_redis_store *store, const writing *w, const lc_redis_batch *batch,
                       int64_t until_ms, llmcache_error *err)
{
    redisReply *replies[PUT_COMMANDS];
    if (!batch->bytes.broken)
        tell_echoes(store, w, lc_redis_echoes_sent);
    int rc = lc_redis_route_exchange(&store->route, batch, until_ms, replies, err);
    if (!rc) {
        rc = check_writes(store, w, replies, batch->count, err);
        lc_redis_free_replies(replies, batch->count);
    }
    if (!batch->bytes.broken)
        tell_echoes(store, w, rc ? lc_redis_echoes_forget : lc_redis_echoes_done);
    return rc;
}

int lc_redis_put(void *self, int parts, const llmcache_entry *entry, int64_t deadline_ms,
                 llmcache_error *err)
{
    lc_redis_store *store = self;
    int64_t until_ms = lc_mono_ms() + deadline_ms, wall_ms = lc_wall_ms();
    writing w[PARTS] = {0};
    lc_redis_batch batch;
    if ((parts & LLMCACHE_PART_EMBED) && (!entry->vector || !entry->dimension))
        return lc_fail(err, LLMCACHE_INVALID, "a record needs a vector");
    lc_redis_batch_init(&batch);
    for (int i = 0; i < PARTS; i++) {
        lc_buffer_init(&w[i].name, 0);
        w[i].part = parts & parts_there_are[i];
        if (w[i].part == LLMCACHE_PART_EMBED)
            lc_redis_put_record(entry, wall_ms, &batch, &w[i].name, &w[i].print);
        else if (w[i].part)
            lc_redis_put_string(w[i].part, entry, wall_ms, &batch, &w[i].name, &w[i].print);
    }
    int rc = write_parts(store, w, &batch, until_ms, err);
    if (rc)
        tell_watch(store, parts, entry->space, entry->fingerprint);
    for (int i = 0; i < PARTS; i++)
        lc_buffer_done(&w[i].name);
    lc_redis_batch_done(&batch);
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
static int add_removals(lc_redis_store *store, int parts, const llmcache_key *keys, size_t count,
                        int64_t until_ms, lc_redis_batch *batch, llmcache_error *err)
{
    int rc = 0;
    lc_buffer name;
    lc_buffer_init(&name, 0);
    for (size_t i = 0; i < count; i++)
        for (int p = 0; p < PARTS && !rc; p++) {
            int part = parts & parts_there_are[p];
            if (!part)
                continue;
            lc_buffer_clear(&name);
            rc = lc_redis_find_name(store, part, &keys[i], until_ms, &name, err);
            if (!name.size)
                lc_buffer_text(&name, LC_REDIS_PROMPT_PREFIX);
            LC_REDIS_ADD(batch, lc_redis_text("UNLINK"), lc_redis_bytes(&name));
        }
    lc_buffer_done(&name);
    return rc;
}

/* Keys known by their heads only are left out: their removal will be told as if by others. */
static void tell_removals(lc_redis_store *store, int parts, const llmcache_key *keys, size_t count,
                          echo_fn tell)
{
    lc_buffer name;
    lc_redis_print nothing = lc_redis_print_of("", 0);
    lc_buffer_init(&name, 0);
    for (size_t i = 0; i < count; i++)
        for (int p = 0; p < PARTS; p++) {
            int part = parts & parts_there_are[p];
            lc_buffer_clear(&name);
            if (part && !keys[i].head_only && !lc_redis_key_name(part, &keys[i], &name))
                tell_of(store, &name, nothing, tell);
        }
    lc_buffer_done(&name);
}

/* Replies come in the order of add_removals. */
static int count_removals(lc_redis_store *store, int parts, redisReply **replies, size_t count,
                          uint64_t *removed, llmcache_error *err)
{
    for (size_t i = 0, at = 0; i < count; i++) {
        int any = 0;
        for (int p = 0; p < PARTS; p++) {
            int part = parts & parts_there_are[p];
            if (!part)
                continue;
            const redisReply *reply = replies[at++];
            int rc = lc_redis_check(reply, store->name, err);
            if (rc)
                return rc;
            if (reply->integer > 0) {
                any = 1;
                count_down(lc_redis_count_of(store, part));
            }
        }
        *removed += (uint64_t)any;
    }
    return 0;
}

static int remove_some(lc_redis_store *store, int parts, const llmcache_key *keys, size_t count,
                       int64_t until_ms, uint64_t *removed, llmcache_error *err)
{
    redisReply *replies[PARTS * REMOVE_AT_ONCE];
    lc_redis_batch batch;
    lc_redis_batch_init(&batch);
    int rc = add_removals(store, parts, keys, count, until_ms, &batch, err);
    tell_removals(store, parts, keys, count, lc_redis_echoes_sent);
    if (!rc && batch.count)
        rc = lc_redis_route_exchange(&store->route, &batch, until_ms, replies, err);
    if (!rc && batch.count) {
        rc = count_removals(store, parts, replies, count, removed, err);
        lc_redis_free_replies(replies, batch.count);
    }
    tell_removals(store, parts, keys, count, rc ? lc_redis_echoes_forget : lc_redis_echoes_done);
    for (size_t i = 0; i < count && rc; i++)
        tell_watch(store, parts, keys[i].space, keys[i].fingerprint);
    lc_redis_batch_done(&batch);
    return rc;
}

int lc_redis_remove(void *self, int parts, const llmcache_key *keys, size_t count,
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

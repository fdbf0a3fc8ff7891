/*
 * What was learned, kept beside the observations: one JSON object in an entry of its own, and the same for export and import.
 *
 * Every server keeps its own from time to time, and the last one stays: all of them heard the same observations, so it
 * matters little whose it is. What a person does (freeze, thaw, reset, import) raises `epoch`, and a higher epoch is taken
 * over by all who see it.
 */
#include "ask/learning_inside.h"
#include "ask/observations_inside.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <inttypes.h>
#include <string.h>

#define SPACE   "-learned-"
#define VERSION 1
#define SAVE_MS 60000

static void key_of(const llmcache *cache, unsigned char fingerprint[LLMCACHE_FINGERPRINT_SIZE])
{
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_text(&hash, "what was learned");
    lc_sha256_text(&hash, cache->vector_space);
    lc_sha256_end(&hash, fingerprint);
}

int lc_learning_is_kept(const llmcache *cache, const char *space)
{
    return cache->learning && strcmp(space, SPACE) == 0;
}

/* ---- Writing --------------------------------------------------------------------------------------- */

static void write_hex(const lc_buffer *bytes, lc_buffer *out)
{
    char piece[2 * 64 + 1];
    for (size_t at = 0; at < bytes->size; at += 64) {
        size_t some = bytes->size - at < 64 ? bytes->size - at : 64;
        lc_hex((const unsigned char *)bytes->data + at, some, piece);
        lc_buffer_text(out, piece);
    }
}

/* The whole of it. *changes: as of when. */
static int write_state(llmcache *cache, lc_buffer *out, uint64_t *changes)
{
    lc_learning *learning = cache->learning;
    int64_t now_ms = lc_now_ms(cache);
    lc_buffer state;
    lc_buffer_init(&state, 0);
    pthread_mutex_lock(&learning->lock);
    int code = lc_learner_save(learning->learner, &state);
    uint64_t epoch = learning->epoch;
    *changes = learning->changes;
    pthread_mutex_unlock(&learning->lock);
    lc_buffer_format(out, "{\"version\":%d,\"embedder\":", VERSION);
    lc_buffer_json_text(out, cache->vector_space);
    lc_buffer_format(out, ",\"epoch\":%" PRIu64 ",\"until_ms\":%" PRId64 ",\"learner\":\"", epoch,
                     now_ms);
    if (!code)
        write_hex(&state, out);
    lc_buffer_text(out, "\"}");
    lc_buffer_done(&state);
    return code || out->broken ? LLMCACHE_MEMORY : 0;
}

static int put(llmcache *cache, const lc_buffer *body, llmcache_error *err)
{
    llmcache_entry entry = {.struct_size = sizeof entry,
                            .space = SPACE,
                            .protocol = "",
                            .model = "",
                            .question = "",
                            .tags = LC_LEARNED_TAG,
                            .embedder = "",
                            .shape = "",
                            .body = body->data,
                            .body_size = body->size,
                            .created_ms = lc_now_ms(cache)};
    key_of(cache, entry.fingerprint);
    lc_entry_id(entry.fingerprint, entry.id);
    lc_entry *made = lc_entry_new(&entry);
    if (!made)
        return lc_fail_memory(err);
    int code = lc_observation_put(cache, made, err);
    lc_entry_unref(made);
    return code;
}

/* Whether there is something new to keep, and it is time. */
static int is_due(lc_learning *learning, int now)
{
    int64_t mono_ms = lc_mono_ms();
    pthread_mutex_lock(&learning->lock);
    int due = learning->is_loaded && learning->changes != learning->saved_changes &&
              (now || mono_ms >= learning->save_ms);
    if (due)
        learning->save_ms = mono_ms + SAVE_MS;
    pthread_mutex_unlock(&learning->lock);
    return due;
}

static int write_and_put(llmcache *cache, llmcache_error *err)
{
    lc_learning *learning = cache->learning;
    lc_buffer body;
    uint64_t changes;
    lc_buffer_init(&body, 0);
    int code = write_state(cache, &body, &changes);
    code = code ? lc_fail_memory(err) : put(cache, &body, err);
    lc_buffer_done(&body);
    if (code)
        return code;
    pthread_mutex_lock(&learning->lock);
    learning->saved_changes = changes;
    pthread_mutex_unlock(&learning->lock);
    return 0;
}

int lc_learning_save(llmcache *cache, int now, llmcache_error *err)
{
    if (!cache->learning || !is_due(cache->learning, now))
        return 0;
    /* Somebody may have frozen or reset it meanwhile. */
    int taken = lc_learning_refresh(cache);
    if (taken)
        return taken < 0 ? lc_fail(err, taken, "what is kept of the learner cannot be read") : 0;
    return write_and_put(cache, err);
}

/* ---- Reading --------------------------------------------------------------------------------------- */

typedef struct kept {
    uint64_t epoch;
    int64_t until_ms;
    unsigned char *state;
    size_t size;
} kept;

/* 0, LLMCACHE_CORRUPT, LLMCACHE_MEMORY. */
static int read_object(const llmcache *cache, const lc_json *root, kept *k)
{
    int64_t version = 0, epoch = 0;
    size_t size = 0;
    const char *embedder = lc_json_text(lc_json_get(root, "embedder"), NULL);
    const char *hex = lc_json_text(lc_json_get(root, "learner"), &size);
    if (!lc_json_integer(lc_json_get(root, "version"), &version) || version != VERSION ||
        !lc_json_integer(lc_json_get(root, "epoch"), &epoch) ||
        !lc_json_integer(lc_json_get(root, "until_ms"), &k->until_ms) || !hex || !size || size % 2 ||
        !embedder || strcmp(embedder, cache->vector_space) != 0)
        return LLMCACHE_CORRUPT;
    k->epoch = (uint64_t)epoch;
    k->size = size / 2;
    k->state = lc_alloc(k->size);
    if (!k->state)
        return LLMCACHE_MEMORY;
    return lc_unhex(hex, k->state, k->size) ? LLMCACHE_CORRUPT : 0;
}

static int read_state(const llmcache *cache, const char *body, size_t size, kept *k)
{
    llmcache_error err;
    lc_json *root;
    *k = (kept){0};
    int code = lc_json_parse(body, size, &root, &err);
    if (code)
        return code == LLMCACHE_MEMORY ? code : LLMCACHE_CORRUPT;
    code = read_object(cache, root, k);
    lc_json_free(root);
    if (code) {
        lc_free(k->state);
        k->state = NULL;
    }
    return code;
}

/* Lock held. What was heard before counts again only if it is newer than the state. */
static int take_over(lc_learning *learning, const kept *k, llmcache_error *err)
{
    int code = lc_learner_load(learning->learner, k->state, k->size, err);
    if (code)
        return code;
    learning->epoch = k->epoch;
    learning->until_ms = k->until_ms;
    learning->saved_changes = learning->changes;
    memset(learning->seen, 0, (size_t)LC_SEEN_SETS * LC_SEEN_WAYS * sizeof *learning->seen);
    return 0;
}

typedef struct reading {
    llmcache *cache;
    int code, taken;
} reading;

static int read_entry(void *user, const llmcache_entry *entry)
{
    reading *r = user;
    lc_learning *learning = r->cache->learning;
    llmcache_error err;
    kept k;
    r->code = read_state(r->cache, entry->body, entry->body_size, &k);
    if (r->code)
        return 0;
    pthread_mutex_lock(&learning->lock);
    if (!learning->is_loaded || k.epoch > learning->epoch) {
        r->code = take_over(learning, &k, &err);
        r->taken = !r->code;
    }
    pthread_mutex_unlock(&learning->lock);
    lc_free(k.state);
    return 0;
}

int lc_learning_refresh(llmcache *cache)
{
    lc_learning *learning = cache->learning;
    llmcache_error err;
    llmcache_key key = {.space = SPACE};
    reading r = {.cache = cache};
    if (!learning)
        return 0;
    key_of(cache, key.fingerprint);
    const lc_store *store = lc_observation_store(cache);
    int code = store->ops.get(store->self, LLMCACHE_PART_OBSERVATION, &key, lc_now_ms(cache),
                              cache->settings.store_write_timeout_ms, read_entry, &r, &err);
    /* What cannot be understood will not be by trying again: it is learned anew. */
    if (code == LLMCACHE_NOT_FOUND || code == LLMCACHE_UNSUPPORTED || code == LLMCACHE_INVALID ||
        r.code == LLMCACHE_CORRUPT || r.code == LLMCACHE_UNSUPPORTED || r.code == LLMCACHE_TOO_LARGE)
        code = r.code = 0;
    if (code || r.code)
        return code ? code : r.code;
    pthread_mutex_lock(&learning->lock);
    learning->is_loaded = 1;
    pthread_mutex_unlock(&learning->lock);
    if (r.taken)
        lc_memory_cache_forget_semantic(cache->memory);
    return r.taken;
}

void lc_learning_settle(llmcache *cache)
{
    if (cache->learning)
        lc_background_wait_index(cache, cache->settings.embed_timeout_ms);
}

void lc_learning_loading(llmcache *cache, int on)
{
    if (!cache->learning)
        return;
    pthread_mutex_lock(&cache->learning->lock);
    cache->learning->loading = on;
    pthread_mutex_unlock(&cache->learning->lock);
}

/* ---- What people do -------------------------------------------------------------------------------- */

static int missing(llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_UNSUPPORTED,
                   "nothing is learned here: set policy to verified, or shadow-share above 0");
}

int lc_learning_export(llmcache *cache, char **state, llmcache_error *err)
{
    lc_buffer out;
    uint64_t changes;
    if (!cache->learning)
        return missing(err);
    lc_learning_settle(cache);
    lc_buffer_init(&out, 0);
    int code = write_state(cache, &out, &changes);
    char *taken = code ? NULL : lc_buffer_take(&out, NULL);
    lc_buffer_done(&out);
    if (!taken)
        return lc_fail_memory(err);
    *state = taken;
    return 0;
}

/* Lock held. What was observed here before has no part in what comes from elsewhere. */
static int import_state(llmcache *cache, kept *k, llmcache_error *err)
{
    k->epoch = cache->learning->epoch;
    k->until_ms = lc_now_ms(cache);
    return take_over(cache->learning, k, err);
}

/* Lock held. */
static int act(llmcache *cache, const char *action, kept *k, llmcache_error *err)
{
    lc_learning *learning = cache->learning;
    if (strcmp(action, "freeze") == 0 || strcmp(action, "thaw") == 0) {
        lc_learner_freeze(learning->learner, *action == 'f');
        return 0;
    }
    if (strcmp(action, "import") == 0)
        return import_state(cache, k, err);
    lc_learner_reset(learning->learner, NULL);
    learning->until_ms = lc_now_ms(cache);
    return 0;
}

int lc_learning_set(llmcache *cache, const char *action, const char *state, llmcache_error *err)
{
    static const char *const actions[] = {"freeze", "thaw", "reset", "import"};
    lc_learning *learning = cache->learning;
    kept k = {0};
    size_t at = 0;
    while (at < sizeof actions / sizeof *actions && strcmp(action, actions[at]) != 0)
        at++;
    if (at == sizeof actions / sizeof *actions)
        return lc_fail(err, LLMCACHE_INVALID, "\"%.40s\" is not one of freeze, thaw, reset, import", action);
    if (!learning)
        return missing(err);
    int importing = strcmp(action, "import") == 0;
    int code = importing ? read_state(cache, state ? state : "", state ? strlen(state) : 0, &k) : 0;
    if (code)
        return lc_fail(err, code == LLMCACHE_MEMORY ? code : LLMCACHE_INVALID,
                       "what is to be imported is not what this embedder's cache exported");
    code = lc_learning_refresh(cache);
    pthread_mutex_lock(&learning->lock);
    if (code >= 0 || learning->is_loaded)
        code = act(cache, action, &k, err);
    else
        code = lc_fail(err, code, "the store cannot be read");
    if (!code) {
        learning->epoch++;
        learning->changes++;
    }
    pthread_mutex_unlock(&learning->lock);
    lc_free(k.state);
    if (code)
        return code == LLMCACHE_CORRUPT ? lc_fail(err, LLMCACHE_INVALID, "the state to be imported is damaged")
                                        : code;
    lc_memory_cache_forget_semantic(cache->memory);
    return write_and_put(cache, err);
}

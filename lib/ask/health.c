/*
 * Health from what is already known, and the doctor, who looks for himself. Health must answer while the
 * store hangs, so it asks nobody.
 */
#include "ask/metrics.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "embed/local_embedder.h"

#include <string.h>

#define DOCTOR_MS 3000

static void part(lc_buffer *out, const char *name, int ok, const char *kind, const char *detail)
{
    lc_buffer_format(out, "\"%s\":{\"ok\":%s,\"kind\":", name, ok ? "true" : "false");
    lc_buffer_json_text(out, kind);
    lc_buffer_text(out, ",\"detail\":");
    lc_buffer_json_text(out, detail);
}

static int tell_store(llmcache *cache, lc_buffer *out)
{
    llmcache_store_stats stats = {0};
    cache->store.ops.stats(cache->store.self, &stats);
    part(out, "store", stats.connected, cache->store.ops.name, stats.detail);
    lc_buffer_format(out, ",\"entries\":%llu,\"records\":%llu,\"bytes\":%llu},",
                     (unsigned long long)stats.entries, (unsigned long long)stats.records,
                     (unsigned long long)stats.bytes);
    return stats.connected != 0;
}

static int tell_embedder(llmcache *cache, lc_buffer *out)
{
    const llmcache_embedder_ops *ops = &cache->embedder.ops;
    if (!ops->embed) {
        part(out, "embedder", 1, "none", "questions are not matched by meaning");
        lc_buffer_text(out, "},");
        return 1;
    }
    int paused = atomic_load(&cache->embed_pause_until_ms) > lc_mono_ms();
    const char *problem = strcmp(ops->name, "local") == 0 ? lc_local_problem(cache->embedder.self) : "";
    int ok = !paused && !*problem;
    part(out, "embedder", ok, ops->name,
         *problem ? problem : paused ? "failed lately; questions are matched exactly only" : "");
    lc_buffer_text(out, ",\"space\":");
    lc_buffer_json_text(out, ops->space(cache->embedder.self));
    lc_buffer_format(out, ",\"dimension\":%zu},", ops->dimension(cache->embedder.self));
    return ok;
}

static int tell_index(llmcache *cache, lc_buffer *out)
{
    lc_index_stats stats;
    cache->index.ops.stats(cache->index.self, &stats);
    pthread_mutex_lock(&cache->background.lock);
    int ready = cache->background.index_ready || !cache->embedder.ops.embed;
    unsigned long long damaged = cache->background.damaged;
    unsigned long long expected = ready ? stats.records : cache->background.expected;
    pthread_mutex_unlock(&cache->background.lock);
    /* Questions wait for a load, shortly; and one that is lost cannot be loaded either. */
    part(out, "index", !stats.lost, cache->index.ops.name, ready || stats.lost ? stats.detail : "loading");
    lc_buffer_format(out, ",\"records\":%llu,\"expected\":%llu,\"damaged\":%llu,\"reembedding\":%zu",
                     (unsigned long long)stats.records, expected, damaged,
                     atomic_load(&cache->background.reembedding));
    lc_buffer_format(out, ",\"shared\":%s,\"fell_back\":%s},", stats.shared ? "true" : "false",
                     stats.fell_back ? "true" : "false");
    return !stats.lost;
}

static int has_key(const llmcache *cache)
{
    const lc_settings *settings = &cache->settings;
    const char *key = cache->ask_protocol == LC_PROTOCOL_MESSAGES ? settings->anthropic_api_key
                                                                  : settings->openai_api_key;
    return *key != '\0';
}

static void tell_provider(llmcache *cache, lc_buffer *out)
{
    int messages = cache->ask_protocol == LC_PROTOCOL_MESSAGES;
    const lc_provider *provider = messages ? &cache->anthropic : &cache->openai;
    int demo = strcmp(provider->ops.name, "demo") == 0;
    part(out, "provider", 1, provider->ops.name,
         demo             ? "answers are made up by the demo provider"
         : has_key(cache) ? ""
                          : "no key of its own: callers bring theirs");
    lc_buffer_text(out, ",\"base\":");
    lc_buffer_json_text(out, provider->ops.base(provider->self));
    lc_buffer_byte(out, '}');
}

int lc_health_read(llmcache *cache, llmcache_status *status, char **json, llmcache_error *err)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    lc_buffer_byte(&out, '{');
    int ok = tell_store(cache, &out);
    ok &= tell_embedder(cache, &out);
    ok &= tell_index(cache, &out);
    tell_provider(cache, &out);
    lc_buffer_byte(&out, '}');
    char *text = lc_buffer_take(&out, NULL);
    lc_buffer_done(&out);
    if (!text)
        return lc_fail_memory(err);
    *status = ok ? LLMCACHE_STATUS_OK : LLMCACHE_STATUS_DEGRADED;
    if (json)
        *json = text;
    else
        lc_free(text);
    return 0;
}

/* ---- The doctor ------------------------------------------------------------------------------ */

static void finding(lc_buffer *out, const char *name, int ok, const char *detail, const char *mend)
{
    lc_buffer_text(out, out->size > 1 ? ",{\"part\":" : "{\"part\":");
    lc_buffer_json_text(out, name);
    lc_buffer_format(out, ",\"ok\":%s,\"detail\":", ok ? "true" : "false");
    lc_buffer_json_text(out, detail);
    lc_buffer_text(out, ",\"mend\":");
    lc_buffer_json_text(out, ok ? "" : mend);
    lc_buffer_byte(out, '}');
}

static void examine_store(llmcache *cache, lc_buffer *out)
{
    llmcache_error err;
    llmcache_store_stats stats = {0};
    int code = cache->store.ops.ping(cache->store.self, DOCTOR_MS, &err);
    cache->store.ops.stats(cache->store.self, &stats);
    finding(out, "store", !code, code ? err.message : stats.detail,
            "start the store or correct the setting `store`; sqlite: and memory: need nothing beside");
}

static void examine_embedder(llmcache *cache, lc_buffer *out)
{
    llmcache_error err;
    float *vector = NULL;
    size_t dimension;
    if (!cache->embedder.ops.embed) {
        finding(out, "embedder", 1, "none: questions are matched exactly only", "");
        return;
    }
    int code = lc_embed_text(cache, "", "什麼是快取？", &vector, &dimension, &err);
    finding(out, "embedder", !code, code ? err.message : cache->embedder.ops.space(cache->embedder.self),
            strcmp(cache->embedder.ops.name, "local") == 0
                ? "fetch the model with `llmcache-cli model pull`, or choose `--embedder none`"
                : "check embed-base-url, embed-api-key and the model's name");
    lc_free(vector);
}

/* An index of one's own cannot be ill. */
static void examine_index(llmcache *cache, lc_buffer *out)
{
    lc_index_stats stats;
    lc_index_fill fill;
    if (!cache->index.ops.fill_state)
        return;
    int code = lc_vectors_fill_state(cache, &fill);
    cache->index.ops.stats(cache->index.self, &stats);
    finding(out, "index", !code && !stats.fell_back, stats.detail,
            "correct the setting `index` or what it needs of its server; flat: needs nothing");
}

static void examine_provider(llmcache *cache, lc_buffer *out)
{
    llmcache_error err;
    const lc_provider *provider =
        cache->ask_protocol == LC_PROTOCOL_MESSAGES ? &cache->anthropic : &cache->openai;
    int code = provider->ops.ping(provider->self, DOCTOR_MS, &err);
    finding(out, "provider", !code, code ? err.message : provider->ops.base(provider->self),
            "set OPENAI_API_KEY or ANTHROPIC_API_KEY and check the base URL, or try `--provider demo:`");
}

int lc_doctor(llmcache *cache, char **json, llmcache_error *err)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    lc_buffer_byte(&out, '[');
    examine_store(cache, &out);
    examine_embedder(cache, &out);
    examine_index(cache, &out);
    examine_provider(cache, &out);
    lc_buffer_byte(&out, ']');
    char *text = lc_buffer_take(&out, NULL);
    lc_buffer_done(&out);
    if (!text)
        return lc_fail_memory(err);
    *json = text;
    return 0;
}

/*
 * Opening and closing. Parts are made in the order in which they need each other and freed in the reverse;
 * a half-made cache is closed by the same function.
 */
#include "ask/open.h"

#include "ask/grey.h"
#include "ask/score_weights.h"

#include "ask/learning.h"
#include "ask/lease.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "decide/normalise.h"

#include <string.h>

#define THREADS_MAX 4096

static int starts(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

static int open_store(llmcache *cache, const lc_brought *brought, llmcache_error *err)
{
    lc_store_options options = {.max_bytes = cache->settings.store_bytes,
                                .connect_ms = cache->settings.store_timeout_ms,
                                .ca_file = cache->settings.tls_ca_file};
    if (brought->has_store) {
        cache->store = brought->store;
        return 0;
    }
    return lc_store_open(cache->settings.store, &options, &cache->store, err);
}

static int open_embedder(llmcache *cache, const lc_brought *brought, llmcache_error *err)
{
    const lc_settings *settings = &cache->settings;
    lc_embedder_options options = {
        .http = cache->http,
        .base_url = *settings->embed_base_url ? settings->embed_base_url : settings->openai_base_url,
        .api_key = *settings->embed_api_key ? settings->embed_api_key : settings->openai_api_key,
        .models_folder = settings->models_folder};
    if (brought->has_embedder) {
        cache->embedder = brought->embedder;
        return 0;
    }
    return lc_embedder_open(settings->embedder, &options, &cache->embedder, err);
}

static int open_index(llmcache *cache, const lc_brought *brought, llmcache_error *err)
{
    const llmcache_embedder_ops *embedder = &cache->embedder.ops;
    size_t dimension = embedder->embed ? embedder->dimension(cache->embedder.self) : 0;
    lc_index_options options = {.store = brought->has_store ? NULL : cache->settings.store,
                                .vector_space = cache->vector_space,
                                .connect_ms = cache->settings.store_timeout_ms,
                                .ca_file = cache->settings.tls_ca_file,
                                .dimension = dimension};
    if (brought->has_index) {
        cache->index = brought->index;
        return 0;
    }
    return lc_index_open(cache->settings.index, &options, &cache->index, err);
}

static int name_space(llmcache *cache, llmcache_error *err)
{
    lc_buffer name;
    lc_buffer_init(&name, 0);
    const lc_embedder *embedder = &cache->embedder;
    if (embedder->ops.embed) {
        lc_buffer_text(&name, embedder->ops.space(embedder->self));
        if (lc_reads_plainly(cache))
            lc_buffer_text(&name, ":" LC_NORMALISE_VERSION);
    }
    cache->vector_space = lc_buffer_take(&name, NULL);
    lc_buffer_done(&name);
    return cache->vector_space ? 0 : lc_fail_memory(err);
}

/* Fitted to the encoder that is here, or refused; where no score is made nobody asks. */
static int open_weights(llmcache *cache, llmcache_error *err)
{
    return lc_score_weights_read(cache->settings.score_weights,
                                 lc_uses_score(cache) ? cache->vector_space : NULL, &cache->score_weights,
                                 err);
}

static int open_services(llmcache *cache, llmcache_error *err)
{
    const lc_settings *settings = &cache->settings;
    int demo = starts(settings->provider, "demo:");
    int code = demo ? lc_provider_open_demo(settings->demo_latency_ms, &cache->openai, err)
                    : lc_provider_open_openai(cache->http, settings->openai_base_url,
                                              settings->openai_api_key, &cache->openai, err);
    if (code)
        return code;
    return demo ? lc_provider_open_demo(settings->demo_latency_ms, &cache->anthropic, err)
                : lc_provider_open_anthropic(cache->http, settings->anthropic_base_url,
                                             settings->anthropic_api_key,
                                             settings->anthropic_version, &cache->anthropic, err);
}

static int choose_protocol(llmcache *cache, llmcache_error *err)
{
    const lc_settings *settings = &cache->settings;
    const char *provider = settings->provider;
    cache->ask_protocol = LC_PROTOCOL_CHAT;
    if (!strcmp(provider, "openai:") || !strcmp(provider, "openai") || starts(provider, "demo:"))
        return 0;
    if (!strcmp(provider, "anthropic:") || !strcmp(provider, "anthropic")) {
        cache->ask_protocol = LC_PROTOCOL_MESSAGES;
        return 0;
    }
    if (*provider)
        return lc_fail(err, LLMCACHE_SETTING,
                       "setting provider: \"%.60s\" is not one of openai:, anthropic:, demo:", provider);
    if (!*settings->openai_api_key && *settings->anthropic_api_key)
        cache->ask_protocol = LC_PROTOCOL_MESSAGES;
    return 0;
}

static int open_providers(llmcache *cache, const lc_brought *brought, llmcache_error *err)
{
    int code = choose_protocol(cache, err);
    if (!code)
        code = open_services(cache, err);
    if (code || !brought->has_provider)
        return code;
    lc_provider *seat =
        brought->protocol == LC_PROTOCOL_MESSAGES ? &cache->anthropic : &cache->openai;
    lc_provider_close(seat);
    *seat = brought->provider;
    cache->ask_protocol = brought->protocol;
    return 0;
}

static int check(llmcache *cache, llmcache_error *err)
{
    const lc_settings *settings = &cache->settings;
    if (strcmp(settings->policy, "default") && strcmp(settings->policy, "verified") &&
        strcmp(settings->policy, "exact"))
        return lc_fail(err, LLMCACHE_SETTING,
                       "setting policy: \"%.60s\" is not one of default, verified, exact", settings->policy);
    if (strcmp(settings->max_error_among, "hits") && strcmp(settings->max_error_among, "requests"))
        return lc_fail(err, LLMCACHE_SETTING, "setting max-error-among: \"%.60s\" is not one of hits, requests",
                       settings->max_error_among);
    if (strlen(settings->space) > 63)
        return lc_fail(err, LLMCACHE_SETTING, "setting namespace: longer than 63 bytes");
    const char *credential = settings->credential;
    if (strcmp(credential, "either") && strcmp(credential, "caller") && strcmp(credential, "server"))
        return lc_fail(err, LLMCACHE_SETTING,
                       "setting credential: \"%.60s\" is not one of either, caller, server", credential);
    cache->needs_credential = strcmp(credential, "caller") == 0;
    cache->keeps_credential = strcmp(credential, "server") == 0 || *settings->api_keys;
    return lc_key_fields_read(settings->key_fields, &cache->key_fields, err);
}

static int open_parts(llmcache *cache, const lc_brought *brought, llmcache_error *err)
{
    const lc_settings *settings = &cache->settings;
    int code = check(cache, err);
    if (!code)
        code = lc_callers_new(settings->api_keys, &cache->callers, err);
    if (!code)
        code = lc_prices_new(settings->prices, &cache->prices, err);
    if (!code)
        code = lc_http_new(64, settings->tls_ca_file, &cache->http, err);
    if (!code)
        code = open_providers(cache, brought, err);
    if (!code)
        code = open_embedder(cache, brought, err);
    if (!code)
        code = name_space(cache, err);
    if (!code)
        code = open_weights(cache, err);
    if (!code)
        code = open_store(cache, brought, err);
    if (!code)
        code = lc_memory_cache_new((size_t)settings->memory_bytes, &cache->memory, err);
    if (!code)
        code = open_index(cache, brought, err);
    if (!code)
        code = lc_grey_open(cache, err);
    if (!code)
        code = lc_flights_new(&cache->flights, err);
    if (!code)
        code = lc_leases_new(cache, err);
    if (!code)
        code = lc_workers_new(THREADS_MAX, &cache->workers, err);
    if (!code)
        code = lc_observations_new(cache, err);
    if (!code)
        code = lc_learning_new(cache, err);
    if (!code)
        code = lc_background_start(cache, err);
    return code;
}

static int watch(llmcache *cache, llmcache_error *err)
{
    llmcache_watch table = lc_watch_table;
    llmcache_error room;
    table.user = cache;
    return cache->store.ops.watch ? cache->store.ops.watch(cache->store.self, &table, lc_error_or(err, &room)) : 0;
}

/* What the program brought stays the program's when the cache did not open. */
static void give_back(llmcache *cache, const lc_brought *brought)
{
    if (brought->has_store && cache->store.self == brought->store.self)
        cache->store.ops.close = NULL;
    if (brought->has_embedder && cache->embedder.self == brought->embedder.self)
        cache->embedder.ops.close = NULL;
    if (brought->has_index && cache->index.self == brought->index.self)
        cache->index.ops.close = NULL;
    lc_provider *seat =
        brought->protocol == LC_PROTOCOL_MESSAGES ? &cache->anthropic : &cache->openai;
    if (brought->has_provider && seat->self == brought->provider.self)
        seat->ops.close = NULL;
}

int lc_cache_open(const lc_settings *settings, const lc_brought *brought, llmcache **out,
                  llmcache_error *err)
{
    llmcache *cache = lc_zalloc(sizeof *cache);
    if (!cache)
        return lc_fail_memory(err);
    cache->clock = brought->clock;
    cache->clock_user = brought->clock_user;
    cache->opened_ms = lc_mono_ms();
    int code = lc_settings_copy(&cache->settings, settings, err);
    if (!code)
        code = open_parts(cache, brought, err);
    if (!code)
        code = watch(cache, err);
    if (code) {
        give_back(cache, brought);
        lc_cache_close(cache);
        return code;
    }
    *out = cache;
    return 0;
}

/* Calls under way end first, then the store's reports, then the thread that takes them in. */
void lc_cache_close(llmcache *cache)
{
    if (!cache)
        return;
    lc_workers_free(cache->workers);
    lc_leases_halt(cache->leases);
    lc_background_halt(cache);
    if (cache->observations)
        lc_observations_flush(cache, NULL);
    lc_learning_save(cache, 1, NULL);
    lc_store_close(&cache->store);
    lc_background_stop(cache);
    lc_observations_free(cache->observations);
    lc_learning_free(cache->learning);
    lc_leases_free(cache->leases);
    lc_flights_free(cache->flights);
    lc_referee_free(cache->referee);
    lc_index_close(&cache->index);
    lc_memory_cache_free(cache->memory);
    lc_embedder_close(&cache->embedder);
    lc_provider_close(&cache->openai);
    lc_provider_close(&cache->anthropic);
    lc_http_free(cache->http);
    lc_prices_free(cache->prices);
    lc_callers_free(cache->callers);
    lc_free(cache->vector_space);
    lc_free(cache->score_weights);
    lc_settings_done(&cache->settings);
    lc_free(cache);
}

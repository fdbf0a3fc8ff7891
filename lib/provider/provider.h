/*
 * Providers: who answers what is not cached. All are llmcache_provider_ops (backend.h).
 * openai: and anthropic: send the caller's request to the configured base and pass the reply on;
 * demo: makes its own, offline, and says so.
 */
#ifndef LC_PROVIDER_PROVIDER_H
#define LC_PROVIDER_PROVIDER_H

#include <llmcache/backend.h>

typedef struct lc_provider {
    llmcache_provider_ops ops;
    void *self;
} lc_provider;

struct lc_http;

/*
 * base_url: for OpenAI with its /v1 ("https://api.openai.com/v1"; targets start with /v1, which is not
 * doubled). api_key "" for none: the caller's own credential is needed then. The http client is borrowed.
 */
int lc_provider_open_openai(struct lc_http *http, const char *base_url, const char *api_key,
                            lc_provider *provider, llmcache_error *err);
int lc_provider_open_anthropic(struct lc_http *http, const char *base_url, const char *api_key,
                               const char *version, lc_provider *provider, llmcache_error *err);
/* latency_ms: how long it pretends to think; a streamed answer comes in several pieces over that time. */
int lc_provider_open_demo(int64_t latency_ms, lc_provider *provider, llmcache_error *err);
void lc_provider_close(lc_provider *provider); /* accepts a zeroed one */

#endif

/*
 * anthropic: the messages interface. Every request names the version of the interface it was written
 * for; the configured one stands in where the caller named none.
 */
#include "provider/upstream.h"

int lc_provider_open_anthropic(struct lc_http *http, const char *base_url, const char *api_key,
                               const char *version, lc_provider *provider, llmcache_error *err)
{
    static const char *const credential[] = {"x-api-key", "authorization", NULL};
    static const lc_upstream_kind kind = {.name = "anthropic",
                                          .base_setting = "anthropic-base-url",
                                          .key_setting = "anthropic-api-key",
                                          .home = "api.anthropic.com",
                                          .key_header = "x-api-key",
                                          .key_prefix = "",
                                          .credential = credential,
                                          .style = LC_BASE_WITHOUT_VERSION};
    const llmcache_header extra = {"anthropic-version", version};
    return lc_upstream_open(&kind, http, base_url, api_key, extra, provider, err);
}

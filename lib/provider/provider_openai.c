/*
 * openai: any service that speaks OpenAI's interface. Its base is what OpenAI's own clients take: the
 * address with its version path, /v1 for most; where the base has no path, the target keeps its own
 * /v1. Only OpenAI itself is known to need a key: a server on one's own machine may not.
 */
#include "provider/upstream.h"

int lc_provider_open_openai(struct lc_http *http, const char *base_url, const char *api_key,
                            lc_provider *provider, llmcache_error *err)
{
    static const char *const credential[] = {"authorization", "api-key", NULL};
    static const lc_upstream_kind kind = {.name = "openai",
                                          .base_setting = "openai-base-url",
                                          .key_setting = "openai-api-key",
                                          .home = "api.openai.com",
                                          .key_header = "Authorization",
                                          .key_prefix = "Bearer ",
                                          .credential = credential,
                                          .style = LC_BASE_WITH_VERSION};
    const llmcache_header none = {NULL, NULL};
    return lc_upstream_open(&kind, http, base_url, api_key, none, provider, err);
}

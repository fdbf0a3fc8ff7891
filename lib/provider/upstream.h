/*
 * What the providers over HTTP share: a base URL, a credential, and one call that passes a request
 * on. The two services differ in how they are told who asks, and in whether their base ends in /v1.
 */
#ifndef LC_PROVIDER_UPSTREAM_H
#define LC_PROVIDER_UPSTREAM_H

#include "net/base_url.h"
#include "provider/provider.h"

/* A service's manners. Static. */
typedef struct lc_upstream_kind {
    const char *name;              /* "openai" */
    const char *base_setting;      /* "openai-base-url" */
    const char *key_setting;       /* "openai-api-key" */
    const char *home;              /* host that answers nobody without a credential */
    const char *key_header;        /* where the server's own key goes */
    const char *key_prefix;        /* before the key in that header */
    const char *const *credential; /* headers by which a caller brings one; ends with NULL */
    lc_base_style style;
} lc_upstream_kind;

/* `extra` is sent when the caller has no header of that name; name NULL for none. All is copied. */
int lc_upstream_open(const lc_upstream_kind *kind, struct lc_http *http, const char *base_url,
                     const char *api_key, llmcache_header extra, lc_provider *provider,
                     llmcache_error *err);

#endif

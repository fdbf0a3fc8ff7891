/*
 * The base addresses of services, as people configure them: checked once, then joined with the target of
 * each call. Pure.
 */
#ifndef LC_NET_BASE_URL_H
#define LC_NET_BASE_URL_H

#include <llmcache/llmcache.h>

/* LLMCACHE_SETTING, naming the setting, unless it is http or https with a host, and ends with its path. */
int lc_base_url_check(const char *setting, const char *url, llmcache_error *err);

/* The base without slashes at its end. NULL: no memory. Free with lc_free, as all below. */
char *lc_base_url_trim(const char *url);

/* The same without user and password, for keys and for people. */
char *lc_base_url_name(const char *url);

/* Host and port of a name. */
char *lc_base_url_host(const char *name);

/* Whose version path counts. */
typedef enum lc_base_style {
    LC_BASE_WITH_VERSION,   /* as OpenAI's clients: a path in the base replaces the target's /v1 */
    LC_BASE_WITHOUT_VERSION /* as Anthropic's: the target's /v1 stays unless the base ends in one */
} lc_base_style;

/* base + target with one version path. The target starts with "/v1" and "/". */
char *lc_base_url_join(lc_base_style style, const char *base, const char *target);

#endif

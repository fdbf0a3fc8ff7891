/* Making and unmaking the cache object. */
#ifndef LC_ASK_OPEN_H
#define LC_ASK_OPEN_H

#include "ask/cache.h"

/* Settings are copied. What was brought is taken over on success only. */
int lc_cache_open(const lc_settings *settings, const lc_brought *brought, llmcache **cache,
                  llmcache_error *err);
void lc_cache_close(llmcache *cache);

#endif

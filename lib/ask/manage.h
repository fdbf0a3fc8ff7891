/* Listing, removing, adding and rebuilding: what people and programs do to kept answers. */
#ifndef LC_ASK_MANAGE_H
#define LC_ASK_MANAGE_H

#include "ask/cache.h"

/* No filter means everything; older programs hand in a shorter one. */
llmcache_filter lc_whole_filter(const llmcache_filter *filter);

int lc_manage_each(llmcache *cache, const llmcache_filter *filter, llmcache_entry_fn fn, void *user,
                   llmcache_error *err);
int lc_manage_get(llmcache *cache, const char *id, llmcache_entry_fn fn, void *user,
                  llmcache_error *err);
int lc_manage_purge(llmcache *cache, const llmcache_filter *filter, uint64_t *removed,
                    llmcache_error *err);
int lc_manage_rebuild(llmcache *cache, llmcache_rebuild_report *report, llmcache_error *err);

#endif

/* Who asks: the operator's list of keys, and what a caller's credential says. */
#ifndef LC_ASK_CALLER_H
#define LC_ASK_CALLER_H

#include <llmcache/llmcache.h>

typedef struct lc_callers lc_callers;

/* "key, name=key, ..."; *callers is NULL for an empty list. LLMCACHE_SETTING never shows a key. */
int lc_callers_new(const char *list, lc_callers **callers, llmcache_error *err);
void lc_callers_free(lc_callers *callers);

/* Which credential header this is, from 1; 0 for none. */
int lc_header_is_credential(const char *name);

#endif

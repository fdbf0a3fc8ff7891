/* A person's word about an answer that was served. */
#ifndef LC_ASK_FEEDBACK_H
#define LC_ASK_FEEDBACK_H

#include "ask/cache.h"

#include <llmcache/observe.h>

/* As llmcache_feedback_about; question and report may be NULL. */
int lc_feedback(llmcache *cache, const char *id, int good, const char *question,
                llmcache_feedback_report *report, llmcache_error *err);

#endif

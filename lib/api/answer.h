/* Making the public answer object from a text question that was answered. */
#ifndef LC_API_ANSWER_H
#define LC_API_ANSWER_H

#include "ask/text.h"

int lc_answer_make(lc_text_ask *ask, llmcache_answer **answer, llmcache_error *err);

#endif

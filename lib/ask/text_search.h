/* A text looked for in the questions and answers of many entries. */
#ifndef LC_ASK_TEXT_SEARCH_H
#define LC_ASK_TEXT_SEARCH_H

#include "base/buffer.h"

#include <llmcache/llmcache.h>

typedef struct lc_text_search {
    lc_buffer words, text;
} lc_text_search;

/* 0, or LLMCACHE_MEMORY. done also after that. */
int lc_text_search_init(lc_text_search *search, const char *words);
void lc_text_search_done(lc_text_search *search);

/* 1 when question or answer holds the words, 0 when not, LLMCACHE_MEMORY. */
int lc_text_search_matches(lc_text_search *search, const llmcache_entry *entry);

#endif

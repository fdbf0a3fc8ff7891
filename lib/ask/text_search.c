/* Looking for words in what was asked and answered, as a person means them. */
#include "ask/text_search.h"

#include "base/memory.h"
#include "decide/folding.h"
#include "protocol/protocol.h"

#include <string.h>

/* Compared in NFKC and, for ASCII, in lower case. */
static int fold(const char *text, lc_buffer *out)
{
    lc_buffer_clear(out);
    if (lc_fold_text(text, strlen(text), out) || lc_buffer_add(out, "", 0))
        return LLMCACHE_MEMORY;
    for (size_t i = 0; i < out->size; i++)
        if (out->data[i] >= 'A' && out->data[i] <= 'Z')
            out->data[i] |= 0x20;
    return 0;
}

int lc_text_search_init(lc_text_search *search, const char *words)
{
    lc_buffer_init(&search->words, 0);
    lc_buffer_init(&search->text, 0);
    return fold(words, &search->words);
}

void lc_text_search_done(lc_text_search *search)
{
    lc_buffer_done(&search->words);
    lc_buffer_done(&search->text);
}

static int holds(lc_text_search *search, const char *text)
{
    if (!search->words.size)
        return 1;
    if (fold(text, &search->text))
        return LLMCACHE_MEMORY;
    return search->text.data && strstr(search->text.data, search->words.data) != NULL;
}

int lc_text_search_matches(lc_text_search *search, const llmcache_entry *entry)
{
    lc_answer_facts facts;
    int found = holds(search, entry->question);
    if (found)
        return found;
    if (lc_answer_read(lc_protocol_by_name(entry->protocol), entry->body, entry->body_size, &facts, NULL))
        return LLMCACHE_MEMORY;
    found = facts.text ? holds(search, facts.text) : 0;
    lc_answer_facts_done(&facts);
    return found;
}

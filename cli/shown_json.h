/*
 * What the store holds, as JSON: shared by llmcache-cli and llmcache-server, so that both
 * show an entry in the same way.
 */
#ifndef SHOWN_JSON_H
#define SHOWN_JSON_H

#include <jansson.h>
#include <llmcache/llmcache.h>

/* Text as a JSON string whatever its bytes: what is not UTF-8 becomes U+FFFD. NULL text
 * gives "". */
json_t *shown_string(const char *text);
json_t *shown_bytes(const char *text, size_t size);

/*
 * What a person would read in the entry's body: the text of its first choice. New
 * reference, NULL only for want of memory; an empty string when the body holds no text.
 */
json_t *shown_answer(const llmcache_entry *entry);

/* The entry as an object. With `whole`: the answer's text, the body and the vector's
 * dimension too. */
json_t *shown_entry(const llmcache_entry *entry, int64_t now_ms, int whole);

/* What a list of many needs: id, namespace, protocol, model, tags, age_ms, the first 200 bytes of the question. */
json_t *shown_head(const llmcache_entry *entry, int64_t now_ms);

#endif

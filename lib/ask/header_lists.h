/* Header lists and which of their members travel. */
#ifndef LC_ASK_HEADER_LISTS_H
#define LC_ASK_HEADER_LISTS_H

#include <llmcache/llmcache.h>

/*
 * Those of the request's headers that the service gets, borrowed, into room for all of them; how many. With
 * keep_credential the caller's credential stays here.
 */
size_t lc_headers_up(const llmcache_request *request, int keep_credential, llmcache_header *headers);

/* The same, and those of a reply that come down, as copies. LLMCACHE_MEMORY. */
int lc_headers_copy_up(const llmcache_request *request, int keep_credential,
                       llmcache_header **headers, size_t *count);
int lc_headers_down(const llmcache_header *headers, size_t count, llmcache_header **kept,
                    size_t *kept_count);
void lc_headers_free(llmcache_header *headers, size_t count);

/* Does the reply come as server-sent events? */
int lc_is_event_stream(const llmcache_header *headers, size_t count);

#endif

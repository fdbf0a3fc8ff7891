/* Header lists and which of their members travel. */
#ifndef LC_ASK_HEADER_LISTS_H
#define LC_ASK_HEADER_LISTS_H

#include <llmcache/llmcache.h>

/* Does the service get this header of the caller's? */
int lc_header_goes_up(const char *name);

/* Those of the request that go up, borrowed, into room for all of them; how many. */
size_t lc_headers_up(const llmcache_request *request, llmcache_header *headers);

/* The same, and those of a reply that come down, as copies. LLMCACHE_MEMORY. */
int lc_headers_copy_up(const llmcache_request *request, llmcache_header **headers, size_t *count);
int lc_headers_down(const llmcache_header *headers, size_t count, llmcache_header **kept,
                    size_t *kept_count);
void lc_headers_free(llmcache_header *headers, size_t count);

#endif

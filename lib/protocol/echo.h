/* What an answer of the Responses interface says again of its request: user, metadata and the like. */
#ifndef LC_PROTOCOL_ECHO_H
#define LC_PROTOCOL_ECHO_H

#include "base/buffer.h"
#include "base/sha256.h"
#include "protocol/json_tree.h"

#include <llmcache/llmcache.h>

/* Digest of the request's fields that its answer says again. 0, LLMCACHE_MEMORY or LLMCACHE_INVALID. */
int lc_echo_digest(const lc_tree *request, unsigned char digest[LC_SHA256_SIZE]);

/*
 * Writes the answer with those fields as this request has them; *changed is 0, and nothing written, where
 * it has them already. Only members that the answer has are replaced.
 */
int lc_echo_write(const char *request, size_t request_size, const char *answer, size_t answer_size,
                  lc_buffer *body, int *changed, llmcache_error *err);

#endif

/* Reading what an OpenAI-compatible /v1/embeddings answers. Pure. */
#ifndef LC_EMBED_EMBED_REPLY_H
#define LC_EMBED_EMBED_REPLY_H

#include <llmcache/llmcache.h>

/*
 * Reads the vectors of `count` texts, in base64 or as numbers, in any order, and makes each of unit length.
 * *dimension 0: take the reply's and set it, otherwise it must be that. *vectors is for lc_free.
 * LLMCACHE_EMBEDDER for anything else than one good vector for each text.
 */
int lc_embed_reply_read(const char *body, size_t size, size_t count, size_t *dimension,
                        float **vectors, llmcache_error *err);

/* Does an error body say that a text was too long for the model? */
int lc_embed_reply_says_too_long(const char *body, size_t size);

#endif

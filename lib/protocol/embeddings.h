/*
 * Embeddings: a request asks for many inputs at once, and each is kept by itself, so that a batch asks
 * upstream only for what is missing. What is kept for an input is a whole answer with one
 * vector, in the form in which the service gave it; float and base64 are made from one another when
 * another form is asked for, so encoding_format is in no key.
 *
 *     lc_embeddings_read   the request           -> a key for each input
 *     lc_embeddings_ask    the inputs not found  -> the body to send upstream
 *     lc_embeddings_split  what came back        -> an answer to keep for each of them
 *     lc_embeddings_join   one answer an input   -> the reply, in order and in the form asked for
 */
#ifndef LC_PROTOCOL_EMBEDDINGS_H
#define LC_PROTOCOL_EMBEDDINGS_H

#include "base/buffer.h"

#include <llmcache/llmcache.h>

typedef struct lc_embeddings lc_embeddings;

/*
 * `body` as lc_question_read leaves it (question.forward where that is set); it is copied. `input` is a
 * string, an array of strings, an array of tokens, or an array of such arrays; anything else, and
 * no input at all, is LLMCACHE_INVALID: pass it through.
 */
int lc_embeddings_read(const char *body, size_t size, unsigned key_fields,
                       lc_embeddings **batch, llmcache_error *err);
void lc_embeddings_free(lc_embeddings *batch);

/* At least 1. */
size_t lc_embeddings_count(const lc_embeddings *batch);
/* 32 bytes: SHA-256 over all that shapes this input's vector. Equal inputs have equal ones. */
const unsigned char *lc_embeddings_shape(const lc_embeddings *batch, size_t position);
/* The input's text, NULL when it is tokens; not NUL-terminated. */
const char *lc_embeddings_text(const lc_embeddings *batch, size_t position, size_t *size);

/* The request for `count` of the inputs, by their positions: the caller's bytes but for `input`. */
int lc_embeddings_ask(const lc_embeddings *batch, const size_t *positions, size_t count,
                      lc_buffer *body, llmcache_error *err);

/* Return 0 to go on; what else it returns is what lc_embeddings_split returns. */
typedef int (*lc_embeddings_fn)(void *user, size_t position, const char *body, size_t size);

/*
 * Takes the answer to that request apart and calls `fn` with an answer to keep for each input. Its
 * usage is the input's share by length; the shares add up to the whole. LLMCACHE_INVALID before any
 * call when the answer does not have exactly one vector for each input.
 */
int lc_embeddings_split(const lc_embeddings *batch, const size_t *positions, size_t count,
                        const char *answer, size_t size, lc_embeddings_fn fn, void *user,
                        llmcache_error *err);

/* One kept answer. */
typedef struct lc_embedding {
    const char *body;
    size_t size;
} lc_embedding;

/*
 * The reply from one answer for each input, in the order of the inputs. Usage is summed. LLMCACHE_INVALID
 * when one of them is damaged; *position (may be NULL) says which.
 */
int lc_embeddings_join(const lc_embeddings *batch, const lc_embedding *answers, lc_buffer *body,
                       size_t *position, llmcache_error *err);

#endif

/*
 * A transformer encoder of the BERT family, run in process: token ids in, one vector out.
 * The model is an opened GGUF file with llama.cpp's names (architecture `bert`);
 * tokenising is not done here.
 *
 * The graph (Devlin et al. 2018, arXiv 1810.04805): word + position + token type rows,
 * layer norm; then per layer self-attention and a feed-forward net with exact GELU, each
 * added to its input and normed after; then the mean over all tokens or the first token's
 * state, scaled to unit length. Matrix products are int8 (kernels.h) or float, the rest
 * is float. The word table stays in the mapped file, rows are converted as they are
 * needed; matrices are converted once, at load.
 *
 * An encoder never changes after it is made: any number of threads may run it at once,
 * each with a scratch of its own. A run takes no lock and, once its scratch has seen a
 * text as long, allocates nothing. A text's result is the same bit for bit whatever is
 * run beside it or before it.
 *
 * Errors: LLMCACHE_CORRUPT names the key or tensor that is missing, misshaped or not
 * finite; LLMCACHE_UNSUPPORTED a model of another kind; LLMCACHE_INVALID ids or lengths
 * that the model does not have; LLMCACHE_EMBEDDER a result that is not a number.
 */
#ifndef LC_EMBED_ENCODER_H
#define LC_EMBED_ENCODER_H

#include "embed/gguf.h"
#include "embed/matrix.h"

#include <llmcache/llmcache.h>

typedef struct lc_encoder lc_encoder;
typedef struct lc_scratch lc_scratch;

typedef struct lc_encoder_options {
    const char *kernels;    /* a variant by name; NULL or "": the best this CPU has */
    lc_precision precision; /* 0: LC_INT8 */
    unsigned threads;       /* that convert the matrices; 0: two, if there are two CPUs */
} lc_encoder_options;

/* `gguf` must outlive the encoder. `options` may be NULL. */
int lc_encoder_new(const lc_gguf *gguf, const lc_encoder_options *options,
                   lc_encoder **encoder, llmcache_error *err);
void lc_encoder_free(lc_encoder *encoder);

typedef struct lc_encoder_facts {
    const char *kernels; /* name of the variant */
    lc_precision precision;
    size_t dimension;  /* floats of a vector and of a token's state */
    size_t max_tokens; /* of one text, specials included */
    size_t words;      /* ids are below this */
    size_t layers;
    int ranks; /* 1: a cross-encoder, made for lc_encoder_score */
} lc_encoder_facts;

void lc_encoder_facts_of(const lc_encoder *encoder, lc_encoder_facts *facts);

/* Room for the numbers of one run at a time; may serve any encoder, one after another. */
int lc_scratch_new(lc_scratch **scratch, llmcache_error *err);
void lc_scratch_free(lc_scratch *scratch);

/* One text, specials included. For lc_encoder_score `second` is where its second part
 * begins (token type 1 where the model has one), otherwise 0. */
typedef struct lc_tokens {
    const uint32_t *ids;
    size_t count;
    size_t second;
} lc_tokens;

/*
 * Encodes `count` texts. vectors: count rows of `dimension`, each of unit length. states:
 * NULL, or room for the last layer's state of every token of every text, one after
 * another.
 */
int lc_encoder_run(const lc_encoder *encoder, lc_scratch *scratch, const lc_tokens *texts,
                   size_t count, float *vectors, float *states, llmcache_error *err);

/* The classification head's first number for each pair: higher is more alike. Models that
 * rank only. */
int lc_encoder_score(const lc_encoder *encoder, lc_scratch *scratch,
                     const lc_tokens *pairs, size_t count, float *scores,
                     llmcache_error *err);

#endif

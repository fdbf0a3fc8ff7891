/* What a model file says of itself, for people and for choosing. */
#ifndef LC_EMBED_MODEL_FACTS_H
#define LC_EMBED_MODEL_FACTS_H

#include "embed/gguf.h"

typedef struct lc_model_facts {
    uint32_t dimension, max_tokens, layers, words;
    const char *tokenizer; /* "wordpiece", "unigram" */
    const char *pooling;   /* "mean", "cls", "last", "rank", "none" */
    const char *precision; /* of the first layer's matrices: "Q8_0" */
} lc_model_facts;

int lc_model_facts_of(const char *path, lc_model_facts *facts, llmcache_error *err);

#endif

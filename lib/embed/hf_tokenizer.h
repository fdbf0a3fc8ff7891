/*
 * A Hugging Face tokenizer between being read (import_tokenizer.c) and being written as
 * GGUF's keys (hf_tokenizer.c).
 */
#ifndef LC_EMBED_HF_TOKENIZER_H
#define LC_EMBED_HF_TOKENIZER_H

#include "embed/gguf_write.h"
#include "embed/tokenizer_inside.h"

/* One token on its way; `text` is borrowed from the JSON document or vocab.txt. */
typedef struct lc_hf_piece {
    lc_span text; /* size 0: no token has this id */
    float score;
    uint8_t type;
} lc_hf_piece;

typedef struct lc_hf_special {
    int there;
    uint32_t id;
} lc_hf_special;

/* All that is gathered before anything is written; failures go to `err`. */
typedef struct lc_hf_tokenizer {
    lc_tokenizer_kind kind;
    lc_hf_piece *pieces;
    uint32_t rows;
    lc_hf_special first, last, unknown, pad, mask;
    int lower, strip;               /* WordPiece */
    int mark_first, collapse, trim; /* unigram */
    lc_span charsmap;               /* base64 */
    llmcache_error *err;
} lc_hf_tokenizer;

/* Puts all tokenizer.* keys. */
int lc_hf_tokenizer_put(const lc_hf_tokenizer *g, lc_gguf_writer *writer);

#endif

/*
 * The words of a tokenizer: texts (left in the model file), scores, types, and a hash
 * table from text to id over those that text may turn into. Never changes once made.
 */
#ifndef LC_EMBED_VOCAB_H
#define LC_EMBED_VOCAB_H

#include "embed/gguf.h"

#define LC_VOCAB_NONE  UINT32_MAX
#define LC_VOCAB_REACH 65536

/* llmcache reads llama.cpp's kinds of tokens (tokenizer.ggml.token_type). */
typedef enum lc_token_type {
    LC_TOKEN_NORMAL = 1,
    LC_TOKEN_UNKNOWN,
    LC_TOKEN_CONTROL,
    LC_TOKEN_USER_DEFINED,
    LC_TOKEN_UNUSED,
    LC_TOKEN_BYTE
} lc_token_type;

typedef struct lc_vocab {
    uint32_t count;
    const char *texts; /* in the file: u64 size and bytes, `offsets` apart */
    uint32_t *offsets;
    float *scores;  /* NULL when the file has none */
    uint8_t *types; /* lc_token_type */
    uint32_t *slots;
    uint32_t slot_mask;
    uint32_t longest;       /* bytes of the longest text in the table */
    uint32_t longest_chars; /* the same in code points */
    uint8_t *reach; /* by hash of a text's first two code points: code points of the
                       longest that has it */
} lc_vocab;

/*
 * Reads tokenizer.ggml.tokens, .scores and .token_type. The vocabulary points into
 * `gguf`, which must outlive it. `done` accepts a zeroed one.
 */
int lc_vocab_init(lc_vocab *vocab, const lc_gguf *gguf, llmcache_error *err);
void lc_vocab_done(lc_vocab *vocab);

/* The text of id < count. */
lc_span lc_vocab_text(const lc_vocab *vocab, uint32_t id);

/* Hash of a text, built up piece by piece, so that all beginnings of a text cost one
 * pass. */
#define LC_VOCAB_HASH 0xcbf29ce484222325u

static inline uint64_t lc_vocab_hash(uint64_t hash, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

/* The id of a text whose hash is known; LC_VOCAB_NONE if text cannot turn into such a
 * token. */
uint32_t lc_vocab_find(const lc_vocab *vocab, uint64_t hash, const char *text,
                       size_t size);

/* Code points of the longest text in the table that starts with the two that have this
 * hash. */
static inline uint32_t lc_vocab_reach(const lc_vocab *vocab, uint64_t hash_of_two)
{
    return vocab->reach[(hash_of_two >> 24) % LC_VOCAB_REACH];
}

/* Bytes of the UTF-8 sequence that `lead` begins, cut to what is left (> 0). */
static inline size_t lc_vocab_step(const char *at, size_t left)
{
    unsigned char lead = (unsigned char)*at;
    size_t size = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return size < left ? size : left;
}

#endif

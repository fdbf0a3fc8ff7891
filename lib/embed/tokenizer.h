/*
 * Text to token ids, exactly as the reference tokenizers of the BERT and XLM-R families
 * do it, from the tokenizer inside a GGUF file: WordPiece (tokenizer.ggml.model "bert")
 * or unigram ("t5").
 *
 * Text never becomes a special token, whatever it spells. A tokenizer never changes once
 * made: any number of threads may encode, each with a scratch of its own; encoding
 * allocates nothing.
 */
#ifndef LC_EMBED_TOKENIZER_H
#define LC_EMBED_TOKENIZER_H

#include "embed/gguf.h"

typedef struct lc_tokenizer lc_tokenizer;

/* Points into `gguf`, which must outlive it. Errors name the key. */
int lc_tokenizer_new(const lc_gguf *gguf, lc_tokenizer **tokenizer, llmcache_error *err);
void lc_tokenizer_free(lc_tokenizer *tokenizer);

/* What one encode works in: for up to `max_ids` ids. Used by one thread at a time. */
typedef struct lc_token_scratch lc_token_scratch;

int lc_token_scratch_new(const lc_tokenizer *tokenizer, size_t max_ids,
                         lc_token_scratch **scratch, llmcache_error *err);
void lc_token_scratch_free(lc_token_scratch *scratch);

/* What became of a text. */
typedef struct lc_token_info {
    uint32_t unknown; /* tokens that stand for something the vocabulary has not */
    int cut;          /* the text did not fit; its end is not in the ids */
} lc_token_info;

/*
 * Writes the ids of one text between the model's special tokens, at most `max_ids` (at
 * least 4, at most the scratch's) with them. Bytes that are not UTF-8 count as U+FFFD.
 * `info` may be NULL.
 */
void lc_tokenizer_encode(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                         const char *text, size_t size, uint32_t *ids, size_t max_ids,
                         size_t *count, lc_token_info *info);

/*
 * The same for a pair, as cross-encoders take it; the longer of the two is cut first.
 * *first receives how many ids belong to the first text (token type 0 in BERT); the
 * others have type 1 where lc_tokenizer_pair_types says so.
 */
void lc_tokenizer_encode_pair(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                              lc_span left, lc_span right, uint32_t *ids, size_t max_ids,
                              size_t *count, size_t *first, lc_token_info *info);
int lc_tokenizer_pair_types(const lc_tokenizer *tokenizer); /* 1: BERT, 0: XLM-R */

uint32_t lc_tokenizer_count(const lc_tokenizer *tokenizer);

/* The text of id < count as the vocabulary has it: U+2581 marks the beginning of a word.
 */
lc_span lc_tokenizer_piece(const lc_tokenizer *tokenizer, uint32_t id);

/* 1 for ids that stand for no text: specials, unused ones, the unknown token. */
int lc_tokenizer_is_special(const lc_tokenizer *tokenizer, uint32_t id);

/* 1 if the text of the id has a letter, a digit or a Han character; 0 for punctuation and
 * specials. */
int lc_tokenizer_is_word(const lc_tokenizer *tokenizer, uint32_t id);

/* 1 if this code point has a token of its own (in WordPiece: as a word). */
int lc_tokenizer_knows(const lc_tokenizer *tokenizer, uint32_t cp);

#endif

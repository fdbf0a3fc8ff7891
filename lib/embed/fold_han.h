/*
 * Traditional Chinese characters to simplified ones, for the encoder's eye only:
 * multilingual models saw far more simplified text, and the same question in both scripts
 * should come out alike. Single characters, so that it neither needs nor guesses at
 * context. Pure.
 */
#ifndef LC_EMBED_FOLD_HAN_H
#define LC_EMBED_FOLD_HAN_H

#include "base/han.h"
#include "embed/tokenizer.h"

/* Part of an embedding space's name: changes when the same text may fold differently. */
#define LC_FOLD_HAN_VERSION "t2s1"

/* Bytes that `size` bytes of text fold into at most. */
#define LC_FOLD_HAN_ROOM(size) ((size) + (size) / 3 + 1)

/*
 * Writes the text with its traditional characters folded, returns the bytes written. With
 * a tokenizer a character is folded only into one that the tokenizer knows: folding must
 * never make a known character unknown. `tokenizer` may be NULL. `out` has room for
 * LC_FOLD_HAN_ROOM(size) bytes and does not overlap the text.
 */
size_t lc_fold_han(const lc_tokenizer *tokenizer, const char *text, size_t size,
                   char *out);

#endif

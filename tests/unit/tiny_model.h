/*
 * A small BERT with random weights as a GGUF file, of any shape and tensor type, with a
 * tokenizer; and what such a model must answer, computed in double precision the slow and
 * obvious way.
 */
#ifndef TEST_TINY_MODEL_H
#define TEST_TINY_MODEL_H

#include "embed/gguf.h"

typedef struct tiny_options {
    uint32_t layers, hidden, heads, inner, positions, types;
    lc_tensor_type weights; /* of matrices and the word table; the rest is F32 */
    uint32_t pooling;       /* bert.pooling_type: 1 mean, 2 first token, 4 rank */
    int has_pooler;         /* of models that rank: cls besides cls.output */
    uint32_t first_position;
    uint32_t seed;
    /* Damage: */
    const char *without;    /* a tensor or key that is left out */
    const char *misshaped;  /* a tensor that is one row too long */
    const char *not_finite; /* a tensor (of type F32) with one NaN */
    const char *extra;      /* a tensor that no BERT has */
    const char *key;        /* a key of the table in tiny_model.c that gets ... */
    const char *text;       /* ... this text, or else ... */
    double number;          /* ... this number, of the type the key has */
} tiny_options;

/* 2 layers of 64 numbers in 4 heads, 128 inside, 40 positions, 2 types, F32, mean. */
tiny_options tiny_defaults(void);

/* The tokenizer is WordPiece: [PAD] [UNK] [CLS] [SEP], words "a" to "z", pieces "##a" to
 * "##z", and the characters of tiny_han as words; the other ids are unused. */
#define TINY_WORDS 96
extern const char *const tiny_han[]; /* simplified; ends with NULL */

/* Writes the file into the test's folder; its path lives until the test ends. */
const char *tiny_model(const tiny_options *options);

/* The model's answer: last states (count x hidden) and the vector of unit length; for a
 * model that ranks the head's first number is vector[0]. `second` as in lc_tokens. */
void tiny_answer(const lc_gguf *gguf, const uint32_t *ids, size_t count, size_t second,
                 double *states, double *vector);

#endif

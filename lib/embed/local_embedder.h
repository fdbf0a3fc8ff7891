/*
 * local: the embedder inside the library (lc_embedder_open_local in embed.h), and what it
 * knows beyond a vector: the states of a text's tokens, for whoever decides whether two
 * texts mean the same.
 *
 * `self` below is an embedder's self whose ops.name is "local".
 */
#ifndef LC_EMBED_LOCAL_EMBEDDER_H
#define LC_EMBED_LOCAL_EMBEDDER_H

#include "embed/embed.h"
#include "embed/gguf.h"

/* Pieces of a text whose states are given: its first. */
#define LC_STATES_MAX 64

/* Special tokens are left out. Start with all zero; one may be used for many texts, one
 * after another. */
typedef struct lc_token_states {
    size_t count; /* pieces */
    size_t dimension;
    int unknown; /* the text has what the model knows no token for */
    int cut;     /* the model saw only the text's beginning */
    uint32_t ids[LC_STATES_MAX];
    unsigned char
        is_word[LC_STATES_MAX]; /* the piece has a letter, a digit or a Han character */
    float *states;              /* count x dimension, last layer, each of unit length */
} lc_token_states;

void lc_token_states_done(lc_token_states *states);

/*
 * The states of a text. One that was embedded lately (by itself, not among others) costs
 * a copy, another a run of the encoder. Texts that are not fit for a vector have states
 * too: see `unknown` and `cut`.
 */
int lc_local_states(void *self, const char *text, lc_token_states *states,
                    llmcache_error *err);

/*
 * The same, and a text's vector, for one of many callers. What was embedded lately is known again to the caller
 * with this name only: else the time a text takes would tell one what another has asked. The names above,
 * and the embedder's own table, are for the caller "".
 */
int lc_local_states_for(void *self, const char *whose, const char *text,
                        lc_token_states *states, llmcache_error *err);
int lc_local_embed_for(void *self, const char *whose, const char *text, float *vector,
                       llmcache_error *err);

/* Is this embedder one of ours, whatever its name? */
int lc_is_local_embedder(const lc_embedder *embedder);

/* How often the encoder has run for a text by itself. */
size_t lc_local_runs(void *self);

/* A piece as the vocabulary has it (U+2581 marks the beginning of a word); lives as long
 * as self. */
lc_span lc_local_piece(void *self, uint32_t id);

/* Why this embedder cannot embed at all (there is no model), "" when it can. Lives as
 * long as self. */
const char *lc_local_problem(void *self);

#endif

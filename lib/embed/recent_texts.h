/*
 * What was embedded lately: a question's vector is asked for when it is looked up and
 * again when its answer is kept, and its token states when a candidate is judged. A few
 * dozen texts by the SHA-256 of whose they are and their bytes, each in the one place its
 * hash names.
 *
 * Nobody waits: a place that another thread is busy with counts as not there.
 */
#ifndef LC_EMBED_RECENT_TEXTS_H
#define LC_EMBED_RECENT_TEXTS_H

#include "embed/local_embedder.h"

typedef struct lc_recent lc_recent;

int lc_recent_new(size_t dimension, lc_recent **recent, llmcache_error *err);
void lc_recent_free(lc_recent *recent);

/* Copies what is known of the text: its vector, its states (which have room for
 * LC_STATES_MAX rows). Either may be NULL. 1 if the text was there. */
int lc_recent_find(lc_recent *recent, const unsigned char key[32], float *vector,
                   lc_token_states *states);

void lc_recent_put(lc_recent *recent, const unsigned char key[32], const float *vector,
                   const lc_token_states *states);

#endif

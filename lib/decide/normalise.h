/*
 * What the encoder reads in place of a question: the same question without what says
 * nothing about it. Only the embedding sees this; the rules, the exact key and the kept
 * text have the question as asked.
 */
#ifndef LC_DECIDE_NORMALISE_H
#define LC_DECIDE_NORMALISE_H

#include "base/buffer.h"

#include <stddef.h>

/* Part of an embedding space's name: changes when the same question may come out
 * differently. */
#define LC_NORMALISE_VERSION "n1"

/*
 * Appends the question: full-width and compatibility forms folded (NFKC), white space
 * folded, greetings and politeness at its ends left out ("請問", "can you tell me",
 * "thanks"). Never empty unless the question is blank. 0, or out->broken.
 */
int lc_normalise_question(const char *text, size_t size, lc_buffer *out);

#endif

/*
 * Pages of other sites in a browser (the setting cors-origins, off by default): /ask and
 * /v1/ only, never /cache/. After the Fetch standard, without cookies: a page has to hold
 * the key it asks with.
 */
#ifndef CORS_H
#define CORS_H

#include "exchange.h"

/* Has the cache the say on this path, instead of the model's service? */
int cors_governs(const exchange *x);

/* Answers a browser's question whether it may ask. 1 when it was one, 0 otherwise. */
int cors_preflight(exchange *x);

/* The lines that let a page read this reply; none where they do not belong. */
void cors_add(const exchange *x, byte_buffer *out);

#endif

/* The similarity of two vectors exactly as a search of the index gives it. */
#ifndef LC_INDEX_SIMILARITY_H
#define LC_INDEX_SIMILARITY_H

#include <llmcache/llmcache.h>

/* Both of unit length: of what is asked and of a record. 0 or LLMCACHE_MEMORY. */
int lc_similarity(const float *asked, const float *kept, size_t dimension, double *similarity);

#endif

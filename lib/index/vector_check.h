/* What every index asks of a vector before it takes it. */
#ifndef LC_INDEX_VECTOR_CHECK_H
#define LC_INDEX_VECTOR_CHECK_H

#include <llmcache/llmcache.h>

#define LC_MAX_DIMENSION 65536u

/* May it stand among vectors of dimension `ours` (0: there are none yet)? 0 or LLMCACHE_INVALID. */
int lc_vector_check(const float *vector, size_t dimension, size_t ours, llmcache_error *err);

#endif

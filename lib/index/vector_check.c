#include "index/vector_check.h"

#include "base/error.h"
#include "index/codes.h"

#include <math.h>

int lc_vector_check(const float *vector, size_t dimension, size_t ours, llmcache_error *err)
{
    if (!dimension || dimension > LC_MAX_DIMENSION || (ours && ours != dimension))
        return lc_fail(err, LLMCACHE_INVALID, "index: a vector of dimension %zu among those of %zu",
                       dimension, ours);
    if (!(fabsf(lc_vector_length(vector, dimension) - 1) < 5e-4f)) /* NaN, too */
        return lc_fail(err, LLMCACHE_INVALID, "index: a vector is not of unit length");
    return 0;
}

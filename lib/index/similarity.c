/* The same kernel over the same padded rows as flat_index.c, so that not even rounding differs. */
#include "index/similarity.h"

#include "base/memory.h"
#include "index/dot.h"

#include <string.h>

int lc_similarity(const float *a, const float *b, size_t dimension, double *similarity)
{
    size_t stride = lc_dot_stride(dimension);
    float *rows = lc_alloc_aligned(64, 2 * stride * sizeof *rows);
    float product;
    if (!rows)
        return LLMCACHE_MEMORY;
    memset(rows, 0, 2 * stride * sizeof *rows);
    memcpy(rows, a, dimension * sizeof *rows);
    memcpy(rows + stride, b, dimension * sizeof *rows);
    lc_dot_best().rows(rows, rows + stride, stride, 1, &product);
    lc_free(rows);
    *similarity = product > 1 ? 1 : (double)product; /* by rounding */
    return 0;
}

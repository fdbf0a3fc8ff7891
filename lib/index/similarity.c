/* The same codes and the same product as in flat_search.c, so that not even rounding differs. */
#include "index/similarity.h"

#include "base/memory.h"
#include "index/codes.h"

int lc_similarity(const float *asked, const float *kept, size_t dimension, double *similarity)
{
    size_t stride = lc_codes_stride(dimension);
    lc_coded_query query;
    float step, error;
    lc_codes row = {.high = lc_alloc_array(2, stride), .step = &step, .error = &error};
    int code = row.high ? lc_query_code(asked, dimension, &query) : LLMCACHE_MEMORY;
    if (!code) {
        row.low = (int8_t *)row.high + stride;
        lc_codes_write(kept, dimension, &row);
        *similarity = lc_codes_product(lc_scan_best(), &query, &row);
        lc_query_done(&query);
    }
    lc_free(row.high);
    return code;
}

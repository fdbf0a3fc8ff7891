/* The scan without any instruction set in particular. */
#include "index/scan.h"

#define LC_TARGET
#include "index/scan_body.h"

static void sums(const int8_t *query, const uint8_t *rows, size_t stride, size_t count, int32_t *out)
{
    for (size_t r = 0; r < count; r++) {
        const uint8_t *row = rows + r * stride;
        int32_t sum = 0;
        for (size_t i = 0; i < stride; i++)
            sum += query[i] * (row[i] - 128);
        out[r] = sum;
    }
}

const lc_scan lc_scan_plain = {"plain", sums, above, exact_lanes};

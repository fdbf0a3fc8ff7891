/* Binary search in a sorted table of 3,553 pairs. */
#include "base/han.h"

#include <stddef.h>

static const struct {
    uint16_t from;
    uint32_t to;
} pairs[] = {
#include "base/data/fold_han.inc"
};

#define PAIRS (sizeof pairs / sizeof *pairs)

uint32_t lc_fold_han_cp(uint32_t cp)
{
    size_t low = 0, high = PAIRS;
    if (cp < pairs[0].from || cp > pairs[PAIRS - 1].from)
        return cp;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (pairs[middle].from < cp)
            low = middle + 1;
        else
            high = middle;
    }
    return low < PAIRS && pairs[low].from == cp ? pairs[low].to : cp;
}

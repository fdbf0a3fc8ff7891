/* Binary search in a sorted table of 3,553 pairs; everything that is no Han character is
 * copied. */
#include "embed/fold_han.h"

#include "base/utf8.h"

#include <string.h>

static const struct {
    uint16_t from;
    uint32_t to;
} pairs[] = {
#include "embed/data/fold_han.inc"
};

#define PAIRS (sizeof pairs / sizeof *pairs)

uint32_t lc_fold_han_cp(uint32_t cp)
{
    size_t low = 0, high = PAIRS;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (pairs[middle].from < cp)
            low = middle + 1;
        else
            high = middle;
    }
    return low < PAIRS && pairs[low].from == cp ? pairs[low].to : cp;
}

size_t lc_fold_han(const lc_tokenizer *tokenizer, const char *text, size_t size,
                   char *out)
{
    size_t written = 0;
    for (size_t at = 0, length; at < size; at += length) {
        uint32_t cp = lc_utf8_decode(text + at, size - at, &length), folded = cp;
        if (cp >= pairs[0].from && cp <= pairs[PAIRS - 1].from)
            folded = lc_fold_han_cp(cp);
        if (folded != cp && (!tokenizer || lc_tokenizer_knows(tokenizer, folded))) {
            written += lc_utf8_encode(folded, out + written);
        } else {
            memcpy(out + written, text + at, length);
            written += length;
        }
    }
    return written;
}

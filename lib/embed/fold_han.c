/* Character by character; everything that is no Han character is copied. */
#include "embed/fold_han.h"

#include "base/utf8.h"

#include <string.h>

size_t lc_fold_han(const lc_tokenizer *tokenizer, const char *text, size_t size,
                   char *out)
{
    size_t written = 0;
    for (size_t at = 0, length; at < size; at += length) {
        uint32_t cp = lc_utf8_decode(text + at, size - at, &length);
        uint32_t folded = lc_fold_han_cp(cp);
        if (folded != cp && (!tokenizer || lc_tokenizer_knows(tokenizer, folded))) {
            written += lc_utf8_encode(folded, out + written);
        } else {
            memcpy(out + written, text + at, length);
            written += length;
        }
    }
    return written;
}

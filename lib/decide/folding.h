/*
 * Text as it is compared: Unicode NFKC, characters that do not show left out, white space
 * folded to single spaces and trimmed, case kept. What is not UTF-8 counts as U+FFFD.
 */
#ifndef LC_DECIDE_FOLDING_H
#define LC_DECIDE_FOLDING_H

#include "base/buffer.h"

#include <stddef.h>
#include <stdint.h>

/* As code points; free with lc_free. NULL for want of memory. */
int32_t *lc_fold_points(const char *text, size_t size, size_t *count);

/* Appends it as UTF-8. 0, or out->broken. */
int lc_fold_text(const char *text, size_t size, lc_buffer *out);

#endif

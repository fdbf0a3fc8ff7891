/* What writing and comparing shapes share. */
#ifndef LC_PROTOCOL_SHAPE_INSIDE_H
#define LC_PROTOCOL_SHAPE_INSIDE_H

#include <stddef.h>

enum { LC_SHAPE_DIGITS = 8 }; /* of a digest, six bits each */

/* The step behind the one in front of `at` characters (0: the first): 16 apart, then an eighth of the way. */
static inline size_t lc_shape_step(size_t at)
{
    return at + (at < 128 ? 16 : at / 8);
}

#endif

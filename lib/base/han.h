/*
 * Traditional Chinese characters and their simplified forms, one character each, from
 * OpenCC (data/LICENSE.opencc). Where a character has several forms the most frequent one
 * counts.
 */
#ifndef LC_BASE_HAN_H
#define LC_BASE_HAN_H

#include <stdint.h>

/* The simplified form of a code point, or the code point itself. */
uint32_t lc_fold_han_cp(uint32_t cp);

#endif

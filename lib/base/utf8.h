/* UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
#ifndef LC_BASE_UTF8_H
#define LC_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the valid sequence at `text` (1 to 4), 0 when there is none. */
size_t lc_utf8_length(const char *text, size_t size);

/* The code point at `text`; *length its bytes. Invalid input gives U+FFFD and length 1. */
uint32_t lc_utf8_decode(const char *text, size_t size, size_t *length);

/* Writes up to 4 bytes, returns how many. `cp` must be a scalar value. */
size_t lc_utf8_encode(uint32_t cp, char out[4]);

int lc_utf8_valid(const char *text, size_t size);

#endif

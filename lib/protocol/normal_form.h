/* Unicode normalisation form C, so that one word typed on two systems is one key. */
#ifndef LC_PROTOCOL_NORMAL_FORM_H
#define LC_PROTOCOL_NORMAL_FORM_H

#include <stddef.h>

/*
 * NFC of valid UTF-8. *normal is `text` itself when that is normal already (nearly
 * always), otherwise new memory for lc_free. LLMCACHE_MEMORY.
 */
int lc_normal_form(const char *text, size_t size, const char **normal,
                   size_t *normal_size);

/* Takes white space off the ends: ASCII's, U+00A0, U+3000. */
void lc_trim(const char **text, size_t *size);
void lc_trim_left(const char **text, size_t *size);
void lc_trim_right(const char **text, size_t *size);

#endif

/*
 * A growing byte buffer that carries its cap: it never holds more than `max` bytes. After a failed
 * append the buffer is `broken` and every later append fails too, so that a row of appends needs one
 * check at its end. `data` is NUL-terminated whenever it is not NULL.
 */
#ifndef LC_BASE_BUFFER_H
#define LC_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

typedef struct lc_buffer {
    char *data; /* NULL while empty */
    size_t size;
    size_t room;
    size_t max;
    int broken; /* 0, LLMCACHE_MEMORY or LLMCACHE_TOO_LARGE */
} lc_buffer;

void lc_buffer_init(lc_buffer *buffer, size_t max); /* max 0: no cap */
void lc_buffer_done(lc_buffer *buffer);
void lc_buffer_clear(lc_buffer *buffer); /* empties, keeps the memory, mends `broken` */

/* All return buffer->broken. */
int lc_buffer_add(lc_buffer *buffer, const void *bytes, size_t size);
int lc_buffer_text(lc_buffer *buffer, const char *text);
int lc_buffer_byte(lc_buffer *buffer, char byte);
int lc_buffer_format(lc_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int lc_buffer_reserve(lc_buffer *buffer, size_t more); /* room for `more` bytes beyond size */

/* Appends text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
int lc_buffer_json(lc_buffer *buffer, const char *text, size_t size);
int lc_buffer_json_text(lc_buffer *buffer, const char *text); /* NULL gives null */

/* Hands the memory over (never NULL unless broken; "" when empty) and empties the buffer. */
char *lc_buffer_take(lc_buffer *buffer, size_t *size);

#endif

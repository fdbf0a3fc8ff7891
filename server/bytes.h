/*
 * Bytes that grow, with a cap. After a failed append nothing more is added and `broken`
 * says why, so that a row of appends needs one check at its end.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum bytes_state { BYTES_FINE = 0, BYTES_NO_MEMORY, BYTES_TOO_MANY } bytes_state;

typedef struct byte_buffer {
    char *data; /* NULL while empty; not NUL-terminated unless bytes_end was called */
    size_t size;
    size_t room;
    size_t max; /* 0: no cap */
    bytes_state broken;
} byte_buffer;

void bytes_free(byte_buffer *bytes);

/* Room for `more` bytes beyond size. 0, or -1 (broken). */
int bytes_reserve(byte_buffer *bytes, size_t more);

void bytes_grow_and_add(byte_buffer *bytes, const void *data, size_t size);

/* The usual case, where there is room already, is worth a few instructions only. */
static inline void bytes_add(byte_buffer *bytes, const void *data, size_t size)
{
    if (size > bytes->room - bytes->size || bytes->max || bytes->broken) {
        bytes_grow_and_add(bytes, data, size);
        return;
    }
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static inline void bytes_text(byte_buffer *bytes, const char *text)
{
    bytes_add(bytes, text, strlen(text));
}

void bytes_format(byte_buffer *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void bytes_number(byte_buffer *bytes, uint64_t number); /* in decimal */

/* A JSON string with its quotes. What is not UTF-8 becomes U+FFFD. */
void bytes_json(byte_buffer *bytes, const char *text);

/* Adds a NUL behind the bytes, not counted in size. 0, or -1 (broken). */
int bytes_end(byte_buffer *bytes);

#endif

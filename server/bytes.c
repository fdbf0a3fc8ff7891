#include "bytes.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_free(byte_buffer *bytes)
{
    free(bytes->data);
    *bytes = (byte_buffer){.max = bytes->max};
}

int bytes_reserve(byte_buffer *bytes, size_t more)
{
    size_t room = bytes->room ? bytes->room : 256;
    if (bytes->broken)
        return -1;
    if (more > SIZE_MAX / 4 - bytes->size ||
        (bytes->max && more > bytes->max - bytes->size)) {
        bytes->broken = BYTES_TOO_MANY;
        return -1;
    }
    while (room < bytes->size + more)
        room *= 2;
    if (room == bytes->room)
        return 0;
    char *data = realloc(bytes->data, room);
    if (!data) {
        bytes->broken = BYTES_NO_MEMORY;
        return -1;
    }
    bytes->data = data;
    bytes->room = room;
    return 0;
}

void bytes_grow_and_add(byte_buffer *bytes, const void *data, size_t size)
{
    if (size == 0 || bytes_reserve(bytes, size))
        return;
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void bytes_number(byte_buffer *bytes, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    bytes_add(bytes, digits + at, sizeof digits - at);
}

void bytes_format(byte_buffer *bytes, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size >= 0 && bytes_reserve(bytes, (size_t)size + 1) == 0) {
        vsnprintf(bytes->data + bytes->size, (size_t)size + 1, format, again);
        bytes->size += (size_t)size;
    }
    va_end(again);
}

/* Bytes of the UTF-8 sequence at `s` (RFC 3629), 0 when there is none. */
static size_t sequence(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((s[0] & 0xf0) == 0xe0) {
        unsigned char low = s[0] == 0xe0 ? 0xa0 : 0x80, high = s[0] == 0xed ? 0x9f : 0xbf;
        return s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        unsigned char low = s[0] == 0xf0 ? 0x90 : 0x80, high = s[0] == 0xf4 ? 0x8f : 0xbf;
        return s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 &&
                       (s[3] & 0xc0) == 0x80
                   ? 4
                   : 0;
    }
    return 0;
}

static int is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void escape(byte_buffer *bytes, unsigned char c)
{
    switch (c) {
    case '"':
        bytes_text(bytes, "\\\"");
        break;
    case '\\':
        bytes_text(bytes, "\\\\");
        break;
    case '\n':
        bytes_text(bytes, "\\n");
        break;
    case '\r':
        bytes_text(bytes, "\\r");
        break;
    case '\t':
        bytes_text(bytes, "\\t");
        break;
    default:
        bytes_format(bytes, "\\u%04x", c);
    }
}

void bytes_json(byte_buffer *bytes, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    bytes_text(bytes, "\"");
    while (*at) {
        size_t run = 0, size;
        while (is_plain(at[run]) || (at[run] >= 0x80 && sequence(at + run)))
            run += is_plain(at[run]) ? 1 : sequence(at + run);
        bytes_add(bytes, at, run);
        at += run;
        if (!*at)
            break;
        size = sequence(at);
        if (size)
            escape(bytes, *at);
        else
            bytes_text(bytes, "\\ufffd");
        at++;
    }
    bytes_text(bytes, "\"");
}

int bytes_end(byte_buffer *bytes)
{
    size_t max = bytes->max;
    bytes->max = 0; /* the NUL is not content */
    int failed = bytes_reserve(bytes, 1);
    bytes->max = max;
    if (!failed)
        bytes->data[bytes->size] = '\0';
    return failed;
}

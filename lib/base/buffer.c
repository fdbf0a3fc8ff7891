/* Growing buffers: doubling growth, a cap, and one sticky error. */
#include "base/buffer.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <llmcache/llmcache.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void lc_buffer_init(lc_buffer *buffer, size_t max)
{
    *buffer = (lc_buffer){.max = max ? max : SIZE_MAX / 2};
}

void lc_buffer_done(lc_buffer *buffer)
{
    lc_free(buffer->data);
    *buffer = (lc_buffer){.max = buffer->max};
}

void lc_buffer_clear(lc_buffer *buffer)
{
    buffer->size = 0;
    buffer->broken = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

int lc_buffer_reserve(lc_buffer *buffer, size_t more)
{
    if (buffer->broken)
        return buffer->broken;
    if (more > buffer->max - buffer->size)
        return buffer->broken = LLMCACHE_TOO_LARGE;
    size_t need = buffer->size + more + 1;
    if (need <= buffer->room)
        return 0;
    size_t room = buffer->room < 64 ? 64 : buffer->room;
    while (room < need)
        room *= 2;
    if (room > buffer->max + 1 && need <= buffer->max + 1)
        room = buffer->max + 1;
    char *data = lc_realloc(buffer->data, room);
    if (!data)
        return buffer->broken = LLMCACHE_MEMORY;
    buffer->data = data;
    buffer->room = room;
    return 0;
}

int lc_buffer_add(lc_buffer *buffer, const void *bytes, size_t size)
{
    if (lc_buffer_reserve(buffer, size))
        return buffer->broken;
    if (size)
        memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return 0;
}

int lc_buffer_text(lc_buffer *buffer, const char *text)
{
    return lc_buffer_add(buffer, text, strlen(text));
}

int lc_buffer_byte(lc_buffer *buffer, char byte)
{
    return lc_buffer_add(buffer, &byte, 1);
}

int lc_buffer_format(lc_buffer *buffer, const char *format, ...)
{
    char small[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (size < 0)
        return buffer->broken = LLMCACHE_INVALID;
    if ((size_t)size < sizeof small)
        return lc_buffer_add(buffer, small, (size_t)size);
    if (lc_buffer_reserve(buffer, (size_t)size))
        return buffer->broken;
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)size;
    return 0;
}

static int needs_escape(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\' || byte >= 0x80 || byte == 0x7f;
}

static int escape_ascii(lc_buffer *buffer, unsigned char byte)
{
    switch (byte) {
    case '"':
        return lc_buffer_text(buffer, "\\\"");
    case '\\':
        return lc_buffer_text(buffer, "\\\\");
    case '\n':
        return lc_buffer_text(buffer, "\\n");
    case '\r':
        return lc_buffer_text(buffer, "\\r");
    case '\t':
        return lc_buffer_text(buffer, "\\t");
    case 0x7f:
        return lc_buffer_byte(buffer, 0x7f);
    default:
        return lc_buffer_format(buffer, "\\u%04x", byte);
    }
}

int lc_buffer_json(lc_buffer *buffer, const char *text, size_t size)
{
    lc_buffer_byte(buffer, '"');
    for (size_t at = 0; at < size;) {
        size_t plain = at;
        while (plain < size && !needs_escape((unsigned char)text[plain]))
            plain++;
        if (plain > at) {
            lc_buffer_add(buffer, text + at, plain - at);
            at = plain;
            continue;
        }
        if ((unsigned char)text[at] < 0x80) {
            escape_ascii(buffer, (unsigned char)text[at++]);
            continue;
        }
        size_t length = lc_utf8_length(text + at, size - at);
        if (length)
            lc_buffer_add(buffer, text + at, length);
        else
            lc_buffer_text(buffer, "\xef\xbf\xbd");
        at += length ? length : 1;
    }
    return lc_buffer_byte(buffer, '"');
}

int lc_buffer_json_text(lc_buffer *buffer, const char *text)
{
    return text ? lc_buffer_json(buffer, text, strlen(text)) : lc_buffer_text(buffer, "null");
}

char *lc_buffer_take(lc_buffer *buffer, size_t *size)
{
    if (lc_buffer_reserve(buffer, 0))
        return NULL;
    buffer->data[buffer->size] = '\0';
    char *data = buffer->data;
    if (size)
        *size = buffer->size;
    *buffer = (lc_buffer){.max = buffer->max};
    return data;
}

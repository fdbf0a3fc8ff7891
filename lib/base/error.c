/* Error codes, names and texts, all from the one table in the public header. */
#include "base/error.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line of valid UTF-8: control characters become spaces, bytes that are none question marks; a
 * sequence that the message's end cut goes. */
static void tidy(char *message)
{
    size_t size = strlen(message), at = 0;
    while (at < size) {
        unsigned char byte = (unsigned char)message[at];
        size_t length = lc_utf8_length(message + at, size - at);
        if (byte < 0x20 || byte == 0x7f)
            message[at] = ' ';
        if (!length && size == LLMCACHE_MESSAGE_SIZE - 1 && size - at < 4 && byte >= 0xc2)
            message[size = at] = '\0';
        else if (!length)
            message[at] = '?';
        at += length ? length : 1;
    }
}

int lc_fail(llmcache_error *err, int code, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
        tidy(err->message);
        err->code = code;
        err->upstream_status = 0;
        err->retry_after_ms = -1;
    }
    return code;
}

int lc_fail_memory(llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_MEMORY, "out of memory");
}

const char *lc_code_text(int code)
{
    switch (code) {
#define TEXT(name, value, text)                                                               \
    case value:                                                                               \
        return text;
        LLMCACHE_ERROR_MAP(TEXT)
#undef TEXT
    default:
        return "unknown error";
    }
}

const char *llmcache_code_name(int code)
{
    switch (code) {
#define NAME(name, value, text)                                                               \
    case value:                                                                               \
        return "LLMCACHE_" #name;
        LLMCACHE_ERROR_MAP(NAME)
#undef NAME
    default:
        return "LLMCACHE_UNKNOWN";
    }
}

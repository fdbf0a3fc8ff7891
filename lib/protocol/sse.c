/* The reader collects a line, then a field of the event; each byte is copied at most
 * twice. */
#include "protocol/sse.h"

#include <string.h>

void lc_sse_init(lc_sse *sse, size_t max_bytes)
{
    *sse = (lc_sse){0};
    lc_buffer_init(&sse->line, max_bytes);
    lc_buffer_init(&sse->name, max_bytes);
    lc_buffer_init(&sse->data, max_bytes);
}

void lc_sse_done(lc_sse *sse)
{
    lc_buffer_done(&sse->line);
    lc_buffer_done(&sse->name);
    lc_buffer_done(&sse->data);
}

/* The blank line: hands the event over, if it has data. */
static int end_event(lc_sse *sse, lc_sse_fn fn, void *user)
{
    int status = 0;
    if (sse->data.size) {
        sse->data.data[--sse->data.size] = '\0'; /* the last line's new line */
        status = fn(user, sse->name.size ? sse->name.data : "", sse->data.data,
                    sse->data.size);
    }
    lc_buffer_clear(&sse->name);
    lc_buffer_clear(&sse->data);
    return status;
}

static int is_field(const char *line, size_t size, const char *field)
{
    return size == strlen(field) && memcmp(line, field, size) == 0;
}

static int end_line(lc_sse *sse, lc_sse_fn fn, void *user)
{
    const char *line = sse->line.size ? sse->line.data : "";
    size_t size = sse->line.size;
    if (!sse->begun && size >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        size -= 3;
    }
    sse->begun = 1;
    if (!size)
        return end_event(sse, fn, user);
    const char *colon = memchr(line, ':', size);
    size_t field = colon ? (size_t)(colon - line) : size;
    const char *value = colon ? colon + 1 : line + size;
    size_t length = (size_t)(line + size - value);
    if (length && *value == ' ') {
        value++;
        length--;
    }
    if (is_field(line, field, "data")) {
        lc_buffer_add(&sse->data, value, length);
        return lc_buffer_byte(&sse->data, '\n');
    }
    if (is_field(line, field, "event")) {
        lc_buffer_clear(&sse->name);
        return lc_buffer_add(&sse->name, value, length);
    }
    return 0;
}

/* Length of what stands before the next CR or LF. */
static size_t to_line_end(const char *bytes, size_t size)
{
    const char *feed = memchr(bytes, '\n', size);
    size_t length = feed ? (size_t)(feed - bytes) : size;
    const char *ret = memchr(bytes, '\r', length);
    return ret ? (size_t)(ret - bytes) : length;
}

int lc_sse_feed(lc_sse *sse, const char *bytes, size_t size, lc_sse_fn fn, void *user)
{
    for (size_t at = 0; at < size; at++) {
        if (sse->after_return && bytes[at] == '\n') {
            sse->after_return = 0;
            continue;
        }
        sse->after_return = 0;
        size_t length = to_line_end(bytes + at, size - at);
        if (length && lc_buffer_add(&sse->line, bytes + at, length))
            return sse->line.broken;
        at += length;
        if (at == size)
            break;
        sse->after_return = bytes[at] == '\r';
        int status = end_line(sse, fn, user);
        lc_buffer_clear(&sse->line);
        if (status)
            return status;
    }
    return 0;
}

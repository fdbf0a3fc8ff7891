/* Growing bytes, and what replies are made of: pieces, events, whole bodies, errors. */
#include "mock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mock_add(mock_bytes *bytes, const void *data, size_t size)
{
    if (bytes->size + size + 1 > bytes->room) {
        bytes->room =
            (bytes->size + size + 1) * 2 < 512 ? 512 : (bytes->size + size + 1) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        if (!bytes->data) {
            fputs("mock-model: out of memory\n", stderr);
            exit(1);
        }
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    bytes->data[bytes->size] = '\0';
}

void mock_print(mock_bytes *bytes, const char *format, ...)
{
    char small[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (size >= 0 && (size_t)size < sizeof small) {
        mock_add(bytes, small, (size_t)size);
        return;
    }
    char *large = NULL;
    va_start(arguments, format);
    size = vasprintf(&large, format, arguments);
    va_end(arguments);
    if (size >= 0)
        mock_add(bytes, large, (size_t)size);
    free(large);
}

void mock_bytes_done(mock_bytes *bytes)
{
    free(bytes->data);
    *bytes = (mock_bytes){0};
}

/* ---- Pieces and events
 * ----------------------------------------------------------------------- */

void mock_piece(mock_reply *reply)
{
    if (reply->pieces == reply->room) {
        reply->room = reply->room ? reply->room * 2 : 32;
        reply->ends = realloc(reply->ends, reply->room * sizeof *reply->ends);
        if (!reply->ends)
            exit(1);
    }
    reply->ends[reply->pieces++] = reply->body.size;
}

static int add_json(const char *data, size_t size, void *user)
{
    mock_add(user, data, size);
    return 0;
}

/* One "data:" line, or one for each line of the data. */
static void add_data(mock_reply *reply, const char *data, size_t size, const char *end)
{
    const char *start = mock_rule_true(reply->call, "no_space") ? "data:" : "data: ";
    for (;;) {
        const char *line_end = memchr(data, '\n', size);
        size_t line = line_end ? (size_t)(line_end - data) : size;
        mock_add(&reply->body, start, strlen(start));
        mock_add(&reply->body, data, line);
        mock_add(&reply->body, end, strlen(end));
        if (!line_end)
            return;
        data += line + 1;
        size -= line + 1;
    }
}

void mock_event_text(mock_reply *reply, const char *name, const char *data, size_t size)
{
    const mock_call *call = reply->call;
    const char *end = mock_rule_true(call, "crlf") ? "\r\n"
                      : mock_rule_true(call, "cr") ? "\r"
                                                   : "\n";
    reply->stream = 1;
    if (reply->events++ == 0 && mock_rule_true(call, "bom"))
        mock_print(&reply->body, "\xef\xbb\xbf");
    if (mock_rule_true(call, "comments"))
        mock_print(&reply->body, ": keep-alive%s%s:%s", end, end, end);
    if (mock_rule_true(call, "ids"))
        mock_print(&reply->body, "id: %d%sretry: 1000%s", reply->events, end, end);
    if (name && !mock_rule_true(call, "no_event_names"))
        mock_print(&reply->body, "event: %s%s", name, end);
    add_data(reply, data, size, end);
    mock_add(&reply->body, end, strlen(end));
    mock_piece(reply);
}

void mock_event(mock_reply *reply, const char *name, json_t *take)
{
    mock_bytes text = {0};
    size_t flags =
        mock_rule_true(reply->call, "multiline") ? JSON_INDENT(1) : JSON_COMPACT;
    json_dump_callback(take, add_json, &text, flags);
    json_decref(take);
    mock_event_text(reply, name, text.data, text.size);
    mock_bytes_done(&text);
}

void mock_whole(mock_reply *reply, int status, json_t *take)
{
    reply->status = status;
    reply->type = "application/json";
    reply->stream = 0;
    reply->body.size = 0;
    reply->pieces = 0;
    size_t flags =
        JSON_ENCODE_ANY |
        (mock_rule_true(reply->call, "pretty") ? JSON_INDENT(2) : JSON_COMPACT);
    json_dump_callback(take, add_json, &reply->body, flags);
    json_decref(take);
}

/* ---- Errors
 * ---------------------------------------------------------------------------------- */

void mock_refuse(mock_reply *reply, int status, const char *type, const char *param,
                 const char *code, const char *message)
{
    if (mock_is_anthropic(reply->call))
        mock_whole(reply, status,
                   json_pack("{s:s, s:{s:s, s:s}, s:s}", "type", "error", "error", "type",
                             type, "message", message, "request_id", "req_mock"));
    else
        mock_whole(reply, status,
                   json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message,
                             "type", type, "param", param, "code", code));
}

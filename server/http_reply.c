/*
 * Replies. Head and body leave in one write: two would cost a delayed acknowledgement (40
 * ms) with Nagle's algorithm, and two system calls without.
 */
#include "cors.h"
#include "exchange.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ONE_WRITE = 256 * 1024 }; /* larger bodies are not copied behind their head */

const char *reply_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {{200, "OK"},
                {204, "No Content"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {408, "Request Timeout"},
                {413, "Content Too Large"},
                {415, "Unsupported Media Type"},
                {417, "Expectation Failed"},
                {422, "Unprocessable Content"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {502, "Bad Gateway"},
                {503, "Service Unavailable"},
                {504, "Gateway Timeout"},
                {505, "HTTP Version Not Supported"},
                {507, "Insufficient Storage"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return status < 300 ? "OK" : status < 400 ? "Redirect" : "Error";
}

/* ---- Writing -------------------------------------------------------------------- */

int reply_write(exchange *x, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        size_t piece = size < 16 * 1024 * 1024 ? size : 16 * 1024 * 1024;
        int written = mg_write(x->conn, at, piece);
        if (written > 0)
            x->sent += (uint64_t)written;
        if (written < (int)piece) {
            x->close = 1;
            return -1;
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

/* Written once a second and thread, not once a reply. */
static void add_date(byte_buffer *out)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static _Thread_local time_t made;
    static _Thread_local char line[48];
    time_t now = time(NULL);
    if (now != made) {
        struct tm t;
        gmtime_r(&now, &t);
        snprintf(line, sizeof line, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
                 days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900,
                 t.tm_hour, t.tm_min, t.tm_sec);
        made = now;
    }
    bytes_text(out, line);
}

void reply_length(byte_buffer *out, uint64_t size)
{
    bytes_text(out, "Content-Length: ");
    bytes_number(out, size);
    bytes_text(out, "\r\n");
}

void reply_note(char *out, size_t size, const char *value)
{
    size_t length = strlen(value);
    if (length >= size)
        length = size - 1;
    memcpy(out, value, length);
    out[length] = '\0';
}

void reply_head(exchange *x, byte_buffer *out, int status)
{
    x->status = status;
    x->close |= gate_draining(x->server->gate);
    bytes_text(out, "HTTP/1.1 ");
    bytes_number(out, (uint64_t)status);
    bytes_text(out, " ");
    bytes_text(out, reply_reason(status));
    bytes_text(out, "\r\n");
    add_date(out);
    if (x->close)
        bytes_text(out, "Connection: close\r\n");
    else if (x->http10)
        bytes_text(out, "Connection: keep-alive\r\n");
    cors_add(x, out);
}

void reply_send(exchange *x, int status, const char *type, const char *headers,
                const void *body, size_t size)
{
    byte_buffer out = {0};
    int apart = size > ONE_WRITE;
    request_skip_body(x);
    bytes_reserve(&out, 512 + (apart ? 0 : size));
    reply_head(x, &out, status);
    if (type) {
        bytes_text(&out, "Content-Type: ");
        bytes_text(&out, type);
        bytes_text(&out, "\r\n");
    }
    if (status != 204)
        reply_length(&out, size);
    bytes_text(&out, headers ? headers : "");
    bytes_text(&out, "\r\n");
    if (!x->head_only && !apart)
        bytes_add(&out, body, size);
    if (out.broken) {
        x->close = 1; /* no memory: the client sees the connection end */
    } else if (reply_write(x, out.data, out.size) == 0 && apart && !x->head_only) {
        reply_write(x, body, size);
    }
    bytes_free(&out);
    if (x->body_state == BODY_UNREAD)
        gate_linger(x->slot);
}

void reply_json(exchange *x, int status, const byte_buffer *json)
{
    if (json->broken)
        reply_error(x, 500, NULL, "out_of_memory", NULL, "out of memory");
    else
        reply_send(x, status, "application/json", NULL, json->data, json->size);
}

/* ---- Errors --------------------------------------------------------------------- */

static const char *openai_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

static const char *anthropic_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 503:
        return "overloaded_error";
    default:
        return status < 500 ? "invalid_request_error" : "api_error";
    }
}

static void add_or_null(byte_buffer *out, const char *text)
{
    if (text)
        bytes_json(out, text);
    else
        bytes_text(out, "null");
}

void reply_error(exchange *x, int status, const char *headers, const char *code,
                 const char *param, const char *message)
{
    byte_buffer json = {0};
    if (x->shape == SHAPE_ANTHROPIC) {
        bytes_format(&json, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
                     anthropic_type(status));
        bytes_json(&json, message);
        bytes_text(&json, "}}");
    } else {
        bytes_text(&json, "{\"error\":{\"message\":");
        bytes_json(&json, message);
        bytes_format(&json, ",\"type\":\"%s\",\"param\":", openai_type(status));
        add_or_null(&json, param);
        bytes_text(&json, ",\"code\":");
        add_or_null(&json, code);
        bytes_text(&json, "}");
        /* The form in which web frameworks name the field of a refused body. */
        if (status == 422) {
            bytes_text(&json, ",\"detail\":[{\"loc\":[\"body\"");
            if (param) {
                bytes_text(&json, ",");
                bytes_json(&json, param);
            }
            bytes_text(&json, "],\"msg\":");
            bytes_json(&json, message);
            bytes_text(&json, ",\"type\":");
            add_or_null(&json, code);
            bytes_text(&json, "}]");
        }
        bytes_text(&json, "}");
    }
    if (json.broken)
        reply_send(x, 500, "application/json", NULL, "{}", 2);
    else
        reply_send(x, status, "application/json", headers, json.data, json.size);
    bytes_free(&json);
}

/* The status of a failed question, when the model's service gave none. */
static int status_of(int code)
{
    switch (code) {
    case LLMCACHE_DENIED:
        return 401;
    case LLMCACHE_INVALID:
        return 422;
    case LLMCACHE_TOO_LARGE:
        return 413;
    case LLMCACHE_NOT_FOUND:
        return 404;
    case LLMCACHE_UPSTREAM:
    case LLMCACHE_NETWORK:
        return 502;
    case LLMCACHE_TIMEOUT:
        return 504;
    case LLMCACHE_NO_PROVIDER:
    case LLMCACHE_BUSY:
    case LLMCACHE_STORE:
        return 503;
    case LLMCACHE_UNSUPPORTED:
        return 400;
    default:
        return 500;
    }
}

void reply_failure(exchange *x, const llmcache_error *err)
{
    char headers[64] = "", code[32];
    int status =
        err->upstream_status >= 400 ? err->upstream_status : status_of(err->code);
    if (err->retry_after_ms >= 0)
        snprintf(headers, sizeof headers, "Retry-After: %lld\r\n",
                 (long long)((err->retry_after_ms + 999) / 1000));
    else if (err->code == LLMCACHE_BUSY)
        snprintf(headers, sizeof headers, "Retry-After: 1\r\n");
    snprintf(code, sizeof code, "%s",
             llmcache_code_name(err->code) + strlen("LLMCACHE_"));
    for (char *at = code; *at; at++)
        *at |= *at == '_' ? 0 : 0x20;
    reply_error(x, status, headers, code,
                err->code == LLMCACHE_INVALID ? "question" : NULL, err->message);
}

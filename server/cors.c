/* Cross-origin requests (the Fetch standard's CORS protocol): who is named in cors-origins may read replies. */
#include "cors.h"

#include <string.h>
#include <strings.h>

static const char token_list[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ, ";

int cors_governs(const exchange *x)
{
    return *x->server->config.cors_origins && x->path &&
           (strncmp(x->path, "/v1/", 4) == 0 || strcmp(x->path, "/ask") == 0);
}

/* One of the list's items: as it is, or with the slash that people copy along. */
static int is_item(const char *item, size_t size, const char *origin, size_t origin_size)
{
    if (size == 1 && *item == '*')
        return 1;
    size -= size && item[size - 1] == '/';
    return size == origin_size && strncasecmp(item, origin, size) == 0;
}

static int listed(const char *list, const char *origin)
{
    size_t origin_size = request_value_size(origin);
    while (*list) {
        list += strspn(list, ", \t");
        size_t size = strcspn(list, ", \t");
        if (size && origin_size && is_item(list, size, origin, origin_size))
            return 1;
        list += size;
    }
    return 0;
}

static int allowed(const exchange *x)
{
    const char *origin = x->fields.value[FIELD_ORIGIN];
    return origin && cors_governs(x) && listed(x->server->config.cors_origins, origin);
}

void cors_add(const exchange *x, byte_buffer *out)
{
    const char *origin = x->fields.value[FIELD_ORIGIN];
    if (!cors_governs(x))
        return;
    bytes_text(out, "Vary: Origin\r\n");
    if (!allowed(x))
        return;
    bytes_text(out, "Access-Control-Allow-Origin: ");
    bytes_add(out, origin, request_value_size(origin));
    bytes_text(out, "\r\nAccess-Control-Expose-Headers: Age, Cache-Status, Date, "
                    "Retry-After, Request-Id, X-Request-Id, X-Should-Retry, "
                    "X-Cache-Status, X-LLMCache-Id, X-LLMCache-Source, "
                    "X-LLMCache-Similarity\r\n");
}

/* The headers that the page wants to send, said back: SDKs have many of their own. */
static void add_wanted(const exchange *x, byte_buffer *out)
{
    const char *wanted = x->fields.value[FIELD_ACCESS_CONTROL_REQUEST_HEADERS];
    size_t size = wanted ? request_value_size(wanted) : 0;
    if (!size || strspn(wanted, token_list) < size)
        return;
    bytes_text(out, "Access-Control-Allow-Headers: ");
    bytes_add(out, wanted, size);
    bytes_text(out, "\r\n");
}

int cors_preflight(exchange *x)
{
    byte_buffer headers = {0};
    if (strcmp(x->method, "OPTIONS") != 0 || !cors_governs(x) ||
        !x->fields.value[FIELD_ORIGIN] ||
        !x->fields.value[FIELD_ACCESS_CONTROL_REQUEST_METHOD])
        return 0;
    if (allowed(x)) {
        bytes_text(&headers, "Access-Control-Allow-Methods: ");
        bytes_text(&headers, strcmp(x->path, "/ask") == 0
                                 ? "POST"
                                 : "GET, HEAD, POST, PUT, PATCH, DELETE");
        bytes_text(&headers, "\r\nAccess-Control-Max-Age: 600\r\n");
        add_wanted(x, &headers);
    }
    if (bytes_end(&headers))
        reply_error(x, 503, NULL, "out_of_memory", NULL, "out of memory");
    else
        reply_send(x, 204, NULL, headers.data, NULL, 0);
    bytes_free(&headers);
    return 1;
}

/* The protocols by name and by path. */
#include "protocol/protocol.h"

#include "base/error.h"

#include <string.h>
#include <strings.h>

static const struct row {
    lc_protocol protocol;
    const char *name;
    const char *path; /* below /v1 */
} rows[] = {
    {LC_PROTOCOL_CHAT, "chat", "/chat/completions"},
    {LC_PROTOCOL_COMPLETIONS, "completions", "/completions"},
    {LC_PROTOCOL_RESPONSES, "responses", "/responses"},
    {LC_PROTOCOL_EMBEDDINGS, "embeddings", "/embeddings"},
    {LC_PROTOCOL_MESSAGES, "messages", "/messages"},
};

enum { ROWS = sizeof rows / sizeof *rows };

const char *lc_protocol_name(lc_protocol protocol)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].protocol == protocol)
            return rows[i].name;
    return "none";
}

lc_protocol lc_protocol_by_name(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].protocol;
    return LC_PROTOCOL_NONE;
}

/* Behind an optional "/v1"; *size without the query. */
static const char *path_of(const char *target, size_t *size)
{
    if (strncmp(target, "/v1/", 4) == 0)
        target += 3;
    *size = strcspn(target, "?#");
    return target;
}

lc_protocol lc_protocol_of(const char *method, const char *target)
{
    size_t size;
    const char *path = path_of(target, &size);
    if (strcmp(method, "POST") != 0)
        return LC_PROTOCOL_NONE;
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(rows[i].path) == size && memcmp(rows[i].path, path, size) == 0)
            return rows[i].protocol;
    return LC_PROTOCOL_NONE;
}

/* Is the path `root` or below it? */
static int is_below(const char *path, size_t size, const char *root)
{
    size_t length = strlen(root);
    return size >= length && memcmp(path, root, length) == 0 &&
           (size == length || path[length] == '/');
}

int lc_protocol_is_anthropic(const char *target, const llmcache_header *headers,
                             size_t count)
{
    size_t size;
    const char *path = path_of(target, &size);
    if (is_below(path, size, "/messages") || is_below(path, size, "/complete"))
        return 1;
    for (size_t i = 0; i < ROWS; i++)
        if (is_below(path, size, rows[i].path))
            return 0;
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(headers[i].name, "anthropic-version") == 0)
            return 1;
    return 0;
}

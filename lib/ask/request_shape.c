/*
 * The shape of a request (protocol/shape.h) with what the keys hold beside the body: the service it would be
 * put to, the target and the headers that change an answer. Made when an answer is kept and when somebody
 * asks for an explanation, so that hits pay nothing for it.
 */
#include "ask/cache.h"

#include "protocol/shape.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

int lc_request_shape(const llmcache *cache, lc_protocol protocol, int anthropic,
                     const llmcache_request *request, lc_buffer *shape)
{
    char path[64];
    size_t which = 0;
    const char *base = lc_provider_base(cache, anthropic);
    lc_shape_add("base", base, strchr(base, '@') == NULL, shape);
    lc_shape_add("target", request->target, strchr(request->target, '?') == NULL, shape);
    for (const char *name; (name = lc_shaping_header(which)); which++) {
        for (size_t i = 0; i < request->header_count; i++)
            if (strcasecmp(request->headers[i].name, name) == 0) {
                snprintf(path, sizeof path, "header.%s", name);
                lc_shape_add(path, request->headers[i].value, strstr(name, "openai-") == NULL, shape);
            }
    }
    lc_shape_write(protocol, request->body, request->body_size, cache->key_fields, shape, NULL);
    return shape->broken;
}

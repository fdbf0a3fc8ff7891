/* A streamed call: the events of a chat completion as they arrive, from the model or from the cache. */
#include <llmcache/llmcache.h>
#include <stdio.h>
#include <string.h>

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count, int64_t size)
{
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s: %s\n", headers[i].name, headers[i].value);
    *(int *)user = status;
    return 0;
}

static int on_bytes(void *user, const void *bytes, size_t size)
{
    return fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : 1;
}

int main(void)
{
    const char *body = "{\"model\": \"gpt-4o-mini\", \"stream\": true, \"messages\":"
                       " [{\"role\": \"user\", \"content\": \"什麼是快取？\"}]}";
    llmcache_request request = {.struct_size = sizeof request, .method = "POST",
                                .target = "/v1/chat/completions",
                                .body = body, .body_size = strlen(body)};
    int status = 0;
    llmcache_sink sink = {&status, on_begin, on_bytes};
    llmcache_error err;
    llmcache *cache;
    int failed = llmcache_open(NULL, &cache, &err);
    if (!failed) {
        failed = llmcache_call(cache, &request, &sink, &err);
        llmcache_close(cache);
    }
    if (failed)
        fprintf(stderr, "%s\n", err.message);
    return failed || status != 200;
}

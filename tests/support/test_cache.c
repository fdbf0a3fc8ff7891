/* Caches and calls for tests over the public interface. */
#include "test_cache.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int64_t test_clock_ms = 1800000000000;

static int64_t read_clock(void *user)
{
    return __atomic_load_n(&test_clock_ms, __ATOMIC_RELAXED);
}

static void must(int code, const llmcache_error *err)
{
    if (code)
        test_give_up("%s: %s", llmcache_code_name(code), err->message);
}

static void set(llmcache_options *options, const char *name, const char *value)
{
    llmcache_error err;
    must(llmcache_options_set(options, name, value, &err), &err);
}

llmcache_options *test_cache_options(const test_mock *mock, const char *const settings[])
{
    llmcache_options *options;
    llmcache_error err;
    must(llmcache_options_new_bare(&options, &err), &err);
    set(options, "store", "memory:");
    set(options, "embedder", mock ? "openai:text-embedding-3-small" : "none");
    if (mock) {
        set(options, "openai-base-url", mock->openai);
        set(options, "anthropic-base-url", mock->anthropic);
        set(options, "openai-api-key", "sk-test-openai");
        set(options, "anthropic-api-key", "sk-test-anthropic");
    }
    /* What is there is found, on a busy machine too; tests of what hangs say how long to wait for it. */
    set(options, "store-timeout-ms", "20000");
    set(options, "store-write-timeout-ms", "20000");
    set(options, "embed-timeout-ms", "20000");
    for (size_t i = 0; settings && settings[i]; i += 2)
        set(options, settings[i], settings[i + 1]);
    must(llmcache_options_clock(options, read_clock, NULL, &err), &err);
    return options;
}

llmcache *test_cache_open(const test_mock *mock, const char *const settings[])
{
    llmcache_options *options = test_cache_options(mock, settings);
    llmcache *cache;
    llmcache_error err;
    must(llmcache_open(options, &cache, &err), &err);
    llmcache_options_free(options);
    return cache;
}

llmcache_answer *test_ask(llmcache *cache, const char *question, const llmcache_ask_options *options)
{
    llmcache_answer *answer;
    llmcache_error err;
    must(llmcache_ask(cache, question, options, &answer, &err), &err);
    return answer;
}

const char *test_ask_source(llmcache *cache, const char *question)
{
    llmcache_answer *answer = test_ask(cache, question, NULL);
    const char *source = llmcache_answer_source_name(answer);
    llmcache_answer_free(answer);
    return source;
}

llmcache_counters test_counters(llmcache *cache)
{
    llmcache_counters counters;
    if (llmcache_stats(cache, &counters, sizeof counters))
        test_give_up("no counters");
    return counters;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

typedef struct catcher {
    test_reply reply;
    char *headers, *body;
    size_t headers_size, size;
} catcher;

static void append(char **text, size_t *size, const void *bytes, size_t more)
{
    *text = realloc(*text, *size + more + 1);
    if (!*text)
        abort();
    memcpy(*text + *size, bytes, more);
    *size += more;
    (*text)[*size] = '\0';
}

static int on_begin(void *user, int status, const llmcache_header *headers, size_t count,
                    int64_t body_size)
{
    catcher *c = user;
    c->reply.begins++;
    c->reply.status = status;
    c->reply.body_size = body_size;
    for (size_t i = 0; i < count; i++) {
        append(&c->headers, &c->headers_size, headers[i].name, strlen(headers[i].name));
        append(&c->headers, &c->headers_size, ": ", 2);
        append(&c->headers, &c->headers_size, headers[i].value, strlen(headers[i].value));
        append(&c->headers, &c->headers_size, "\n", 1);
    }
    return 0;
}

static int on_write(void *user, const void *bytes, size_t size)
{
    catcher *c = user;
    c->reply.writes++;
    append(&c->body, &c->size, bytes, size);
    return 0;
}

test_reply test_call(llmcache *cache, const char *target, const char *const headers[], const char *body)
{
    catcher c = {0};
    llmcache_header list[32];
    size_t count = 0;
    for (; headers && headers[2 * count]; count++)
        list[count] = (llmcache_header){headers[2 * count], headers[2 * count + 1]};
    llmcache_request request = {.struct_size = sizeof request,
                                .method = "POST",
                                .target = target,
                                .headers = list,
                                .header_count = count,
                                .body = body,
                                .body_size = strlen(body)};
    llmcache_sink sink = {&c, on_begin, on_write};
    c.reply.code = llmcache_call(cache, &request, &sink, NULL);
    c.reply.headers = test_keep(c.headers ? c.headers : "", c.headers_size);
    c.reply.body = test_keep(c.body ? c.body : "", c.size);
    c.reply.size = c.size;
    free(c.headers);
    free(c.body);
    return c.reply;
}

const char *test_reply_header(const test_reply *reply, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = reply->headers; *line; line += strcspn(line, "\n") + 1)
        if (strncasecmp(line, name, size) == 0 && line[size] == ':') {
            const char *value = line + size + 2;
            return test_keep(value, strcspn(value, "\n"));
        }
    return NULL;
}

/* A cache for one test: options as name/value pairs over a bare environment, a clock the test moves. */
#ifndef TEST_CACHE_H
#define TEST_CACHE_H

#include "mock_client.h"

#include <llmcache/backend.h>

/* The clock of caches opened by test_cache_open; starts at some fixed time. */
extern int64_t test_clock_ms;

/*
 * Opens a cache whose models are the mock (NULL: none): openai: embeddings, both providers, memory: store, unless
 * `settings` ("name", "value", ..., NULL) says otherwise. The test ends when it cannot be opened.
 */
llmcache *test_cache_open(const test_mock *mock, const char *const settings[]);
#define test_cache(mock, ...) test_cache_open(mock, (const char *const[]){__VA_ARGS__, NULL})

/* Options alone, for tests that change them further. */
llmcache_options *test_cache_options(const test_mock *mock, const char *const settings[]);

/* Asks and expects an answer; free it. */
llmcache_answer *test_ask(llmcache *cache, const char *question, const llmcache_ask_options *options);

/* Asks, expects an answer, gives its source ("exact", ...) and forgets it. */
const char *test_ask_source(llmcache *cache, const char *question);

llmcache_counters test_counters(llmcache *cache);

/* One protocol request through llmcache_call, with the reply put together. Strings live until the test ends. */
typedef struct test_reply {
    int code; /* of llmcache_call */
    int status;
    int begins;         /* how often begin was called */
    int64_t body_size;  /* as begin said */
    const char *headers; /* "Name: value\n" lines */
    const char *body;
    size_t size;
    int writes;
} test_reply;

/* `headers`: "Name", "value", ..., NULL; may be NULL. */
test_reply test_call(llmcache *cache, const char *target, const char *const headers[],
                     const char *body);

/* The value of a header of the reply, without case; NULL if absent. */
const char *test_reply_header(const test_reply *reply, const char *name);

#endif

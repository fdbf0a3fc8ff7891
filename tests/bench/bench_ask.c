/*
 * The pipeline against its bounds, in one process: an exact hit against hashing the request's bytes, a miss
 * against the mock model called directly, a hit in Redis against a bare GET, and what is written a second.
 */
#include "base/sha256.h"
#include "bench.h"
#include "net/http.h"
#include "redis_server.h"
#include "test_cache.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT "/v1/chat/completions"
#define STORED 4000

typedef struct bench {
    llmcache *cache;
    lc_http *http;
    const test_mock *mock;
    redisContext *redis;
    char *body;
    size_t next;
    char **keys;
    size_t key_count;
} bench;

static int take_begin(void *user, int status, const llmcache_header *headers, size_t count,
                      int64_t body_size)
{
    if (status != 200)
        test_give_up("status %d", status);
    return 0;
}

static int take_bytes(void *user, const void *bytes, size_t size)
{
    return 0;
}

static const llmcache_sink sink = {NULL, take_begin, take_bytes};

/* A request of about 1 KB. */
static char *body_of(size_t number)
{
    char filler[900];
    memset(filler, 'a', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    char *body = malloc(1200);
    snprintf(body, 1200,
             "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"%s\"},"
             "{\"role\":\"user\",\"content\":\"question %zu\"}]}",
             filler, number);
    return body;
}

static void call(bench *b, const char *body)
{
    llmcache_request request = {.struct_size = sizeof request,
                                .method = "POST",
                                .target = CHAT,
                                .body = body,
                                .body_size = strlen(body)};
    llmcache_error err;
    if (llmcache_call(b->cache, &request, &sink, &err))
        test_give_up("%s", err.message);
}

static void hit(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++)
        call(b, b->body);
}

static void hash(void *user, size_t count)
{
    const bench *b = user;
    unsigned char digest[32];
    for (size_t i = 0; i < count; i++) {
        lc_sha256_once(b->body, strlen(b->body), digest);
        b->body[0] ^= (char)(digest[0] & 0); /* the digest is used */
    }
}

static void miss(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        char *body = body_of(b->next++);
        call(b, body);
        free(body);
    }
}

static void direct(void *user, size_t count)
{
    bench *b = user;
    const llmcache_header headers[] = {{"Authorization", "Bearer sk-test"},
                                       {"Content-Type", "application/json"}};
    const char *url = test_format("%s" CHAT, b->mock->url);
    for (size_t i = 0; i < count; i++) {
        char *body = body_of(b->next++);
        lc_http_request request = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .header_count = 2,
                                   .body = body,
                                   .body_size = strlen(body)};
        llmcache_error err;
        if (lc_http_perform(b->http, &request, &sink, &err))
            test_give_up("%s", err.message);
        free(body);
    }
}

static void stored_hit(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        char *body = body_of(1000000 + b->next++ % STORED);
        call(b, body);
        free(body);
    }
}

static void bare_get(void *user, size_t count)
{
    bench *b = user;
    for (size_t i = 0; i < count; i++) {
        redisReply *reply = redisCommand(b->redis, "GET %s", b->keys[b->next++ % b->key_count]);
        if (!reply || reply->type != REDIS_REPLY_STRING)
            test_give_up("no value");
        freeReplyObject(reply);
    }
}

static void in_memory(bench_report *report, bench *b)
{
    b->cache = test_cache(b->mock, "embedder", "none");
    b->body = body_of(0);
    call(b, b->body);
    bench_compare(report, "exact hit, 1 KB request, memory", "SHA-256 of the request", hit, hash, b, 20000, 11, 0);
    bench_compare(report, "miss, memory: store, no embedding", "the mock model called directly", miss, direct,
                  b, 500, 11, 0);
    llmcache_close(b->cache);
    b->cache = test_cache(b->mock, "embedder", "none", "store",
                          test_format("sqlite:%s/cache.db", test_folder()));
    bench_compare(report, "miss, sqlite: store, no embedding", "the mock model called directly", miss, direct,
                  b, 500, 11, 0);
    llmcache_close(b->cache);
    free(b->body);
}

static void list_keys(bench *b)
{
    redisReply *reply = redisCommand(b->redis, "KEYS prompt_cache:*");
    b->key_count = reply->elements;
    b->keys = malloc(b->key_count * sizeof *b->keys);
    for (size_t i = 0; i < b->key_count; i++)
        b->keys[i] = strdup(reply->element[i]->str);
    freeReplyObject(reply);
}

static redisContext *bare(const test_redis *redis, int by_socket)
{
    redisContext *link = by_socket ? redisConnectUnix(redis->socket) : redisConnect("127.0.0.1", redis->port);
    if (!link || link->err)
        test_give_up("no link to Redis");
    return link;
}

static void in_redis(bench_report *report, bench *b)
{
    test_redis redis;
    test_redis_start(&redis, NULL);
    for (int by_socket = 0; by_socket < 2; by_socket++) {
        /* Memory too small to hold what is asked for: every hit goes to Redis. */
        b->cache = test_cache(b->mock, "embedder", "none", "memory-bytes", "64KiB", "store",
                              by_socket ? redis.unix_uri : redis.uri);
        for (b->next = 0; b->next < STORED;)
            stored_hit(b, 100);
        b->redis = bare(&redis, by_socket);
        list_keys(b);
        bench_compare(report, by_socket ? "exact hit from Redis, Unix socket" : "exact hit from Redis, TCP",
                      "bare GET of the same values", stored_hit, bare_get, b, 1000, 11, 1.2);
        llmcache_close(b->cache);
        redisFree(b->redis);
    }
}

static double resident_mb(void)
{
    long pages = 0, all;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * 4096 / 1e6;
}

static void writing(bench_report *report, const char *name, const char *store)
{
    llmcache *cache = test_cache(NULL, "embedder", "none", "provider", "demo:", "store", store,
                                 "memory-bytes", "64MiB", "store-bytes", "1GiB");
    const int count = 20000;
    char answer[1024], question[64];
    memset(answer, 'x', sizeof answer - 1);
    answer[sizeof answer - 1] = '\0';
    malloc_trim(0);
    double before_mb = resident_mb(), start = test_now_us();
    for (int i = 0; i < count; i++) {
        snprintf(question, sizeof question, "question %d", i);
        if (llmcache_put(cache, question, answer, NULL, NULL))
            test_give_up("not kept");
    }
    double seconds = (test_now_us() - start) / 1e6;
    bench_note(report, test_format("entries of 1 KB written, %s", name), count / seconds, "a second");
    if (strcmp(store, "memory:") == 0)
        bench_note(report, "memory an entry of 1 KB, store and memory cache",
                   (resident_mb() - before_mb) * 1e6 / count, "bytes");
    llmcache_close(cache);
}

int main(void)
{
    bench b = {0};
    test_mock mock;
    llmcache_error err;
    mock_start(&mock);
    b.mock = &mock;
    if (lc_http_new(8, "", &b.http, &err))
        test_give_up("%s", err.message);
    bench_report *report = bench_new("The pipeline, one thread");
    in_memory(report, &b);
    if (test_redis_installed())
        in_redis(report, &b);
    else
        puts("skipped: redis-server is not installed");
    writing(report, "memory:", "memory:");
    writing(report, "sqlite:", test_format("sqlite:%s/cache.db", test_folder()));
    lc_http_free(b.http);
    return bench_done(report);
}

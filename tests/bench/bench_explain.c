/*
 * What explaining costs those who do not ask for it, and those who do: a request's shape against reading the
 * request (both happen once, when an answer is kept); how many bytes it is; an explanation of a miss and the traffic lint
 * over many kept entries, against a walk over them.
 */
#include "base/memory.h"
#include "bench.h"
#include "protocol/shape.h"
#include "test_cache.h"

#include <stdio.h>
#include <string.h>

enum { ENTRIES = 20000 };

/* ---- Shapes ------------------------------------------------------------------------------------ */

typedef struct work {
    const char *body;
    size_t size;
} work;

static void read_question(void *user, size_t count)
{
    const work *w = user;
    for (size_t i = 0; i < count; i++) {
        lc_question question;
        if (lc_question_read(LC_PROTOCOL_CHAT, w->body, w->size, 0, &question, NULL))
            test_give_up("not read");
        lc_question_done(&question);
    }
}

static void write_shape(void *user, size_t count)
{
    const work *w = user;
    for (size_t i = 0; i < count; i++) {
        lc_buffer shape;
        lc_buffer_init(&shape, 0);
        if (lc_shape_write(LC_PROTOCOL_CHAT, w->body, w->size, 0, &shape, NULL))
            test_give_up("no shape");
        lc_buffer_done(&shape);
    }
}

/* A request with a system prompt of about `system` bytes, `tools` tools, and `turns` turns before the question. */
static work request(size_t system, int tools, int turns)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    lc_buffer_text(&body, "{\"model\":\"gpt-4o-mini\",\"temperature\":0.2,\"tools\":[");
    for (int i = 0; i < tools; i++)
        lc_buffer_format(&body, "%s{\"type\":\"function\",\"function\":{\"name\":\"tool_%d\",\"description\":"
                         "\"Looks something up and says what it has found\",\"parameters\":{\"type\":\"object\","
                         "\"properties\":{\"what\":{\"type\":\"string\"}}}}}", i ? "," : "", i);
    lc_buffer_text(&body, "],\"messages\":[{\"role\":\"system\",\"content\":\"");
    size_t end = body.size + system;
    while (body.size < end)
        lc_buffer_text(&body, "You answer for the bank, kindly and in whole sentences; it is 2026-11-25. ");
    lc_buffer_text(&body, "\"}");
    for (int i = 0; i < turns; i++)
        lc_buffer_format(&body, ",{\"role\":\"%s\",\"content\":\"turn %d of a talk about 快取 and other things\"}",
                         i % 2 ? "assistant" : "user", i);
    lc_buffer_text(&body, ",{\"role\":\"user\",\"content\":\"什麼是快取？\"}]}");
    work w = {test_keep(body.data, body.size), body.size};
    lc_buffer_done(&body);
    return w;
}

static void shapes(bench_report *report)
{
    static const struct {
        const char *name;
        size_t system;
        int tools, turns;
    } rows[] = {{"short chat", 60, 0, 0},
                {"2 KB system prompt, 5 tools", 2000, 5, 0},
                {"30 turns", 200, 0, 30},
                {"64 KB system prompt", 64 << 10, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        work w = request(rows[i].system, rows[i].tools, rows[i].turns);
        lc_buffer shape;
        lc_buffer_init(&shape, 0);
        lc_shape_write(LC_PROTOCOL_CHAT, w.body, w.size, 0, &shape, NULL);
        bench_compare(report, test_format("shape of %s (%zu bytes)", rows[i].name, w.size), "reading it",
                      write_shape, read_question, &w, rows[i].system > 10000 ? 200 : 2000, 9, 0);
        bench_note(report, test_format("  its size: %s", rows[i].name), (double)shape.size, "bytes");
        lc_buffer_done(&shape);
    }
}

/* ---- Over a store -------------------------------------------------------------------------------- */

static llmcache *filled(const char *store)
{
    llmcache *cache = test_cache(NULL, "store", store, "provider", "demo:", "embedder", "none");
    llmcache_error err;
    for (int i = 0; i < ENTRIES; i++) {
        llmcache_ask_options options = {
            .struct_size = sizeof options,
            .system = i % 2 ? "You answer for the bank." : test_format("It is 17:%02d now.", i / 2 % 60)};
        const char *question = i % 4 ? test_format("question number %c%d", 'a' + i % 26, i) : "what is a cache?";
        test_clock_ms += 10;
        if (llmcache_put(cache, question, "an answer of some length, as answers have it", &options, &err))
            test_give_up("%s", err.message);
    }
    return cache;
}

static int look(void *user, const llmcache_entry *entry)
{
    *(uint64_t *)user += entry->body_size;
    return 0;
}

static void walk(void *user, size_t count)
{
    llmcache_filter filter = {.struct_size = sizeof filter, .records = 1};
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        llmcache_each(user, &filter, look, &bytes, NULL);
}

static void explain(void *user, size_t count)
{
    llmcache_ask_options options = {.struct_size = sizeof options, .system = "It is 18:59 now."};
    for (size_t i = 0; i < count; i++) {
        char *json;
        if (llmcache_explain(user, "what is a cache?", &options, &json, NULL))
            test_give_up("not explained");
        llmcache_free(json);
    }
}

static void lint(void *user, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *json;
        if (llmcache_lint(user, NULL, &json, NULL))
            test_give_up("not linted");
        llmcache_free(json);
    }
}

static void over_a_store(bench_report *report)
{
    const char *store = test_format("sqlite:%s/cache.db", test_folder());
    llmcache *cache = filled(store);
    bench_compare(report, test_format("explain a miss over %d entries", ENTRIES), "walking over them", explain,
                  walk, cache, 1, 5, 0);
    bench_compare(report, test_format("lint %d entries", ENTRIES), "walking over them", lint, walk, cache, 1, 5, 0);
    llmcache_close(cache);
}

int main(void)
{
    bench_report *report = bench_new("explaining");
    shapes(report);
    over_a_store(report);
    return bench_done(report);
}

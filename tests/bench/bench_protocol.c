/*
 * The protocol room against what it cannot do without: a request against parsing it with
 * jansson and hashing its bytes; a stream against walking through its bytes. And sizes at
 * which anything quadratic would show.
 */
#include "base/sha256.h"
#include "bench.h"
#include "protocol/protocol.h"
#include "support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct work {
    lc_protocol protocol;
    const char *body;
    size_t size;
} work;

/* ---- Requests ------------------------------------------------------------------------
 */

static void read_question(void *user, size_t count)
{
    const work *w = user;
    for (size_t i = 0; i < count; i++) {
        lc_question question;
        if (lc_question_read(w->protocol, w->body, w->size, 0, &question, NULL))
            test_give_up("not read");
        lc_question_done(&question);
    }
}

static void parse_and_hash(void *user, size_t count)
{
    const work *w = user;
    for (size_t i = 0; i < count; i++) {
        unsigned char digest[32];
        json_t *json = json_loadb(w->body, w->size, JSON_REJECT_DUPLICATES, NULL);
        if (!json)
            test_give_up("not parsed");
        json_decref(json);
        lc_sha256_once(w->body, w->size, digest);
    }
}

/* A request whose text is `unit` again and again, about `size` bytes of it. */
static work request(const char *unit, size_t size)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    lc_buffer_text(&body, "{\"model\":\"gpt-4.1-mini\",\"temperature\":0.2,\"messages\":["
                          "{\"role\":\"system\","
                          "\"content\":\"You are a helpful assistant. Be "
                          "brief.\"},{\"role\":\"user\",\"content\":\"");
    while (body.size < size)
        lc_buffer_text(&body, unit);
    lc_buffer_text(&body, "\"}],\"stream\":true,\"user\":\"u-1\"}");
    return (work){LC_PROTOCOL_CHAT, test_keep(body.data, body.size), body.size};
}

static work wrapped(const char *before, const char *unit, const char *last, size_t size)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    lc_buffer_text(&body, before);
    for (int i = 0; body.size < size; i++)
        lc_buffer_format(&body, unit, i);
    lc_buffer_text(&body, last);
    return (work){LC_PROTOCOL_CHAT, test_keep(body.data, body.size), body.size};
}

static void requests(bench_report *report)
{
    const size_t mb10 = 10 << 20;
    work ascii = request("What does a cache do when two threads ask at once? ", 1000);
    work chinese = request("什麼是快取？請解釋一下，謝謝。", 1000);
    work accents = request(
        "Wie geht\\u2019s? A\\u0308pfel und Bira\\u0308nen, cafe\xcc\x81. ", 1000);
    work large = request("What does a cache do when two threads ask at once? \\n", mb10);
    work members = wrapped("{", "\"name_%d\":1,", "\"last\":1}", mb10);
    work numbers = wrapped("{\"a\":[", "%d,", "0]}", mb10);
    work messages =
        wrapped("{\"messages\":[", "{\"role\":\"user\",\"content\":\"message %d\"},",
                "{\"role\":\"user\",\"content\":\"last\"}]}", mb10);
    const char *bound = "jansson and SHA-256";
    bench_compare(report, "request of 1 KB, English", bound, read_question,
                  parse_and_hash, &ascii, 2000, 11, 1);
    bench_compare(report, "request of 1 KB, Chinese", bound, read_question,
                  parse_and_hash, &chinese, 2000, 11, 1);
    bench_compare(report, "request of 1 KB, not in NFC", bound, read_question,
                  parse_and_hash, &accents, 2000, 11, 0);
    bench_compare(report, "10 MB, one text", bound, read_question, parse_and_hash, &large,
                  1, 3, 1);
    bench_compare(report, "10 MB, many members", bound, read_question, parse_and_hash,
                  &members, 1, 3, 1);
    bench_compare(report, "10 MB, many numbers", bound, read_question, parse_and_hash,
                  &numbers, 1, 3, 1);
    bench_compare(report, "10 MB, many messages", bound, read_question, parse_and_hash,
                  &messages, 1, 3, 1);
}

/* ---- Streams -------------------------------------------------------------------------
 */

static void assemble(void *user, size_t count)
{
    const work *w = user;
    for (size_t i = 0; i < count; i++) {
        lc_assembler *assembler = lc_assembler_new(w->protocol, 0);
        lc_buffer body;
        lc_buffer_init(&body, 0);
        for (size_t at = 0; at < w->size; at += 1400)
            lc_assembler_feed(assembler, w->body + at,
                              w->size - at < 1400 ? w->size - at : 1400);
        if (lc_assembler_finish(assembler, &body, NULL))
            test_give_up("not finished");
        lc_buffer_done(&body);
        lc_assembler_free(assembler);
    }
}

static void parse_events(void *user, size_t count)
{
    const work *w = user;
    for (size_t i = 0; i < count; i++)
        for (const char *at = w->body, *end; (at = strstr(at, "data: {")); at = end) {
            end = strchr(at, '\n');
            json_decref(json_loadb(at + 6, (size_t)(end - at) - 6, 0, NULL));
        }
}

static void replay(void *user, size_t count)
{
    const work *w = user;
    for (size_t i = 0; i < count; i++) {
        lc_buffer events;
        lc_buffer_init(&events, 0);
        if (lc_replay(w->protocol, w->body, w->size, 0, &events, NULL))
            test_give_up("not replayed");
        lc_buffer_done(&events);
    }
}

static work stream(size_t chunks, const char *logprobs)
{
    lc_buffer body;
    lc_buffer_init(&body, 0);
    for (size_t i = 0; i <= chunks; i++)
        lc_buffer_format(&body,
                         "data: "
                         "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\","
                         "\"created\":1763900000,"
                         "\"model\":\"gpt-4.1-mini\",\"choices\":[{\"index\":0,\"delta\":"
                         "{\"content\":\"%s\"},"
                         "\"logprobs\":%s,\"finish_reason\":%s}]}\n\n",
                         i % 3 ? " word" : "詞", logprobs,
                         i < chunks ? "null" : "\"stop\"");
    lc_buffer_text(&body, "data: [DONE]\n\n");
    return (work){LC_PROTOCOL_CHAT, test_keep(body.data, body.size), body.size};
}

static void streams(bench_report *report)
{
    const char *logprobs = "{\"content\":[{\"token\":\"word\",\"logprob\":-0.25,"
                           "\"bytes\":[119,111],\"top_logprobs\":[]}]}";
    work small = stream(200, "null"), large = stream(50000, "null"),
         probable = stream(50000, logprobs);
    lc_buffer answer;
    lc_buffer_init(&answer, 0);
    lc_answer_write(LC_PROTOCOL_CHAT, "m", small.body, "id", 0, 1, 2, &answer, NULL);
    work whole = {LC_PROTOCOL_CHAT, answer.data, answer.size};
    bench_compare(report, "stream of 200 chunks put together", "jansson", assemble,
                  parse_events, &small, 20, 11, 1.2);
    bench_compare(report, "stream of 50000 chunks", "jansson", assemble, parse_events,
                  &large, 1, 3, 1.2);
    bench_compare(report, "stream of 50000 with logprobs", "jansson", assemble,
                  parse_events, &probable, 1, 3, 1.5);
    bench_compare(report, "answer of 40 KB replayed", NULL, replay, NULL, &whole, 100, 11,
                  0);
    lc_buffer_done(&answer);
}

int main(void)
{
    bench_report *report = bench_new("The protocol room, one thread");
    requests(report);
    streams(report);
    return bench_done(report);
}

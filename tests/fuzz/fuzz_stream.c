/*
 * Streams. However a stream is cut, the same comes out of it; what comes out is JSON, can
 * be judged, and once more the same after it was replayed.
 */
#include "fuzz.h"
#include "protocol/protocol.h"

#include <jansson.h>
#include <string.h>

const char *const fuzz_corpora[] = {"tests/unit/streams", NULL};

static const lc_protocol protocols[] = {LC_PROTOCOL_CHAT, LC_PROTOCOL_MESSAGES,
                                        LC_PROTOCOL_RESPONSES, LC_PROTOCOL_COMPLETIONS};

/* Feeds the stream in pieces of `step` bytes; the body stays empty unless 0 is given
 * back. */
static int assemble(lc_protocol protocol, const char *stream, size_t size, size_t step,
                    lc_buffer *body)
{
    lc_assembler *assembler = lc_assembler_new(protocol, 1 << 20);
    int status = 0;
    FUZZ_CHECK(assembler);
    for (size_t at = 0; at < size && !status; at += step)
        status = lc_assembler_feed(assembler, stream + at,
                                   step < size - at ? step : size - at);
    FUZZ_CHECK(status == 0 || status == LLMCACHE_TOO_LARGE);
    int finished = lc_assembler_finish(assembler, body, NULL);
    FUZZ_CHECK(!status || finished == status);
    FUZZ_CHECK(finished || lc_assembler_ended(assembler));
    lc_assembler_free(assembler);
    return finished;
}

static void check_replay(lc_protocol protocol, const lc_buffer *body)
{
    lc_answer_facts facts, again;
    lc_buffer events, second;
    FUZZ_CHECK(lc_answer_read(protocol, body->data, body->size, &facts, NULL) == 0);
    lc_buffer_init(&events, 0);
    lc_buffer_init(&second, 0);
    int status =
        lc_replay(protocol, body->data, body->size, facts.has_usage, &events, NULL);
    FUZZ_CHECK(status == 0 || status == LLMCACHE_INVALID ||
               status == LLMCACHE_UNSUPPORTED);
    if (!status && facts.keep &&
        assemble(protocol, events.data, events.size, events.size, &second) == 0) {
        FUZZ_CHECK(lc_answer_read(protocol, second.data, second.size, &again, NULL) == 0);
        FUZZ_CHECK(strcmp(again.text, facts.text) == 0);
        FUZZ_CHECK(again.input_tokens == facts.input_tokens &&
                   again.output_tokens == facts.output_tokens);
        lc_answer_facts_done(&again);
    }
    lc_answer_facts_done(&facts);
    lc_buffer_done(&events);
    lc_buffer_done(&second);
}

static void check(lc_protocol protocol, const char *stream, size_t size)
{
    lc_buffer whole, pieces;
    lc_buffer_init(&whole, 0);
    lc_buffer_init(&pieces, 0);
    int status = assemble(protocol, stream, size, size ? size : 1, &whole);
    int again = assemble(protocol, stream, size, size % 7 + 1, &pieces);
    FUZZ_CHECK(status == again && whole.size == pieces.size);
    FUZZ_CHECK(!whole.size || memcmp(whole.data, pieces.data, whole.size) == 0);
    if (!status) {
        json_error_t error;
        json_t *json = json_loadb(whole.data, whole.size, JSON_ALLOW_NUL, &error);
        FUZZ_CHECK(json || json_error_code(&error) == json_error_numeric_overflow);
        json_decref(json);
        check_replay(protocol, &whole);
    }
    lc_buffer_done(&whole);
    lc_buffer_done(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        check(protocols[i], (const char *)data, size);
    return 0;
}

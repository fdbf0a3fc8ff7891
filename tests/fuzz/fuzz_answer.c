/* Whole answers: judged and replayed. A replay is a stream that ends by itself or is
 * refused. */
#include "fuzz.h"
#include "protocol/protocol.h"

#include <string.h>

const char *const fuzz_corpora[] = {"tests/unit/streams", NULL};

static const lc_protocol protocols[] = {LC_PROTOCOL_CHAT, LC_PROTOCOL_MESSAGES,
                                        LC_PROTOCOL_RESPONSES, LC_PROTOCOL_COMPLETIONS,
                                        LC_PROTOCOL_EMBEDDINGS};

static void check(lc_protocol protocol, const char *body, size_t size)
{
    lc_answer_facts facts;
    lc_buffer events;
    llmcache_error err = {0};
    FUZZ_CHECK(lc_answer_read(protocol, body, size, &facts, NULL) == 0);
    FUZZ_CHECK(facts.text && facts.model && facts.keep == !facts.why_not);
    lc_buffer_init(&events, 0);
    int status = lc_replay_pieces(protocol, body, size, 1, size % 5, &events, &err);
    FUZZ_CHECK(status == 0 || (err.code == status && err.message[0]));
    FUZZ_CHECK(status == 0 || status == LLMCACHE_INVALID ||
               status == LLMCACHE_UNSUPPORTED);
    if (!status) {
        lc_assembler *assembler = lc_assembler_new(protocol, 0);
        FUZZ_CHECK(lc_assembler_feed(assembler, events.data, events.size) == 0);
        lc_buffer_clear(&events);
        status = lc_assembler_finish(assembler, &events, NULL);
        FUZZ_CHECK(status == 0 || status == LLMCACHE_INVALID);
        lc_assembler_free(assembler);
    }
    lc_buffer_done(&events);
    lc_answer_facts_done(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        check(protocols[i], (const char *)data, size);
    return 0;
}

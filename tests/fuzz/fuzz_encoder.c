/*
 * Models: whatever keys and tensors a well-formed file has, making an encoder says what is wrong, or the encoder
 * gives a vector of unit length (a score) or says that it cannot.
 */
#include "embed/encoder.h"
#include "fuzz.h"

#include <math.h>
#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/encoder", NULL};

enum { TOKENS = 5, MOST_NUMBERS = 4096 };

static void use_encoder(const lc_encoder *encoder)
{
    static const uint32_t ids[TOKENS] = {2, 4, 31, 6, 3};
    static float numbers[MOST_NUMBERS];
    lc_tokens text = {ids, TOKENS, 2};
    lc_scratch *scratch;
    lc_encoder_facts facts;
    llmcache_error err = {0};
    lc_encoder_facts_of(encoder, &facts);
    if (facts.dimension > MOST_NUMBERS || lc_scratch_new(&scratch, NULL))
        return;
    if (facts.ranks && lc_encoder_score(encoder, scratch, &text, 1, numbers, &err) == 0)
        FUZZ_CHECK(isfinite(numbers[0]));
    if (!facts.ranks && lc_encoder_run(encoder, scratch, &text, 1, numbers, NULL, &err) == 0) {
        double length = 0;
        for (size_t i = 0; i < facts.dimension; i++)
            length += (double)numbers[i] * numbers[i];
        FUZZ_CHECK(fabs(length - 1) < 1e-3);
    }
    lc_scratch_free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lc_encoder_options options = {.threads = 1};
    lc_encoder *encoder;
    lc_gguf *gguf;
    llmcache_error err = {0};
    void *copy = aligned_alloc(64, (size + 64) / 64 * 64);
    memcpy(copy, data, size);
    if (lc_gguf_open_memory(copy, size, &gguf, &err) == 0) {
        options.precision = size % 2 ? LC_FLOAT : LC_INT8;
        if (lc_encoder_new(gguf, &options, &encoder, &err) == 0) {
            use_encoder(encoder);
            lc_encoder_free(encoder);
        } else {
            FUZZ_CHECK(err.message[0]);
        }
        lc_gguf_close(gguf);
    }
    free(copy);
    return 0;
}

/*
 * Importers: what they take must come out as a GGUF file that opens, with a tokenizer
 * that works. The first byte says which part of a model the rest is; the other parts are
 * good ones.
 */
#include "embed/import.h"
#include "embed/tokenizer.h"
#include "fuzz.h"
#include "tiny_files.h"

#include <string.h>
#include <sys/mman.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/import", NULL};

enum { MAX_IDS = 32 };

static void use(lc_gguf_writer *writer)
{
    static const char text[] = "what \xe5\xbf\xab <s>";
    lc_span file = tiny_written(writer);
    lc_token_scratch *scratch;
    lc_tokenizer *tokenizer;
    lc_gguf *gguf;
    uint32_t ids[MAX_IDS];
    size_t count;
    llmcache_error err;
    if (lc_gguf_open_memory(file.data, file.size, &gguf, &err)) {
        fprintf(stderr, "%s\n", err.message);
        FUZZ_CHECK(!"what was imported opens");
    }
    int code = lc_tokenizer_new(gguf, &tokenizer, &err);
    FUZZ_CHECK(code == 0 || code == LLMCACHE_CORRUPT); /* scores may be infinite as f32 */
    if (code == 0 && lc_token_scratch_new(tokenizer, MAX_IDS, &scratch, NULL) == 0) {
        lc_tokenizer_encode(tokenizer, scratch, text, sizeof text - 1, ids, MAX_IDS,
                            &count, NULL);
        for (size_t i = 0; i < count; i++)
            FUZZ_CHECK(ids[i] < TINY_ROWS || lc_tokenizer_count(tokenizer) > TINY_ROWS);
        lc_token_scratch_free(scratch);
    }
    if (code == 0)
        lc_tokenizer_free(tokenizer);
    lc_gguf_close(gguf);
    munmap((void *)(uintptr_t)file.data, file.size);
}

/* The good parts, made once. */
static lc_hf_files good[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lc_gguf_writer writer;
    llmcache_error err = {0};
    if (size == 0)
        return 0;
    if (good[0].weights.size == 0) {
        good[0] = tiny_repository(TINY_WORDPIECE);
        good[1] = tiny_repository(TINY_UNIGRAM);
    }
    lc_hf_files files = good[data[0] & 1];
    const lc_span rest = {(const char *)data + 1, size - 1};
    int part = data[0] >> 1 & 7;
    if (part == 1)
        files.weights = rest;
    else if (part == 2)
        files.config = rest;
    else if (part == 3)
        files.tokenizer = rest;
    else if (part == 4) {
        files.tokenizer = (lc_span){0};
        files.vocabulary = rest;
    } else if (part == 5)
        files.pooling = rest;
    else if (part == 6)
        files.sentence = rest;
    lc_gguf_writer_init(&writer);
    int code = part == 0 ? lc_import_e5s1(rest, &writer, &err)
                         : lc_import_safetensors(&files, "fuzzed", "", LC_TENSOR_Q8_0,
                                                 &writer, &err);
    FUZZ_CHECK(code == 0 || err.message[0]);
    if (code == 0)
        use(&writer);
    lc_gguf_writer_done(&writer);
    return 0;
}

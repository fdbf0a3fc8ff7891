/*
 * Model files: whatever the bytes are, opening says what is wrong or everything in them
 * can be used: keys, tensors, and a tokenizer that gives ids it knows.
 */
#include "embed/tokenizer.h"
#include "fuzz.h"

#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/gguf", NULL};

enum { MAX_IDS = 64 };

static const char text[] =
    "a what\xef\xbc\x9f unaffable \xe2\x96\x81 caf\xc3\xa9 \xe5\xbf\xab\xe5\x8f\x96 "
    "<s> [SEP] e\xcc\x81\xcc\x82 \xff\xf0\x9f\x98\x80";

static void use_tensors(const lc_gguf *gguf)
{
    for (size_t i = 0; i < lc_gguf_tensor_count(gguf); i++) {
        const lc_gguf_tensor *tensor = lc_gguf_tensor_at(gguf, i);
        float row[4096];
        FUZZ_CHECK(lc_gguf_tensor_of(gguf, tensor->name) == tensor);
        FUZZ_CHECK(tensor->bytes > 0);
        if (tensor->dims[0] <= sizeof row / sizeof *row)
            lc_tensor_to_float(tensor->type, tensor->data, tensor->dims[0], row);
    }
}

static void use_tokenizer(const lc_tokenizer *tokenizer)
{
    lc_token_scratch *scratch;
    lc_token_info info;
    uint32_t ids[MAX_IDS];
    size_t count, first;
    if (lc_token_scratch_new(tokenizer, MAX_IDS, &scratch, NULL))
        return;
    lc_tokenizer_encode(tokenizer, scratch, text, sizeof text - 1, ids, MAX_IDS, &count,
                        &info);
    FUZZ_CHECK(count <= MAX_IDS);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(ids[i] < lc_tokenizer_count(tokenizer));
        lc_tokenizer_is_word(tokenizer, ids[i]);
    }
    const lc_span pair = {text, sizeof text - 1};
    lc_tokenizer_encode_pair(tokenizer, scratch, pair, pair, ids, MAX_IDS, &count, &first,
                             &info);
    FUZZ_CHECK(count <= MAX_IDS && first <= count);
    lc_token_scratch_free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lc_tokenizer *tokenizer;
    lc_gguf *gguf;
    llmcache_error err = {0};
    void *copy = aligned_alloc(64, (size + 64) / 64 * 64);
    memcpy(copy, data, size);
    if (lc_gguf_open_memory(copy, size, &gguf, &err)) {
        FUZZ_CHECK(err.message[0]);
        free(copy);
        return 0;
    }
    use_tensors(gguf);
    if (lc_tokenizer_new(gguf, &tokenizer, &err) == 0) {
        use_tokenizer(tokenizer);
        lc_tokenizer_free(tokenizer);
    } else {
        FUZZ_CHECK(err.message[0]);
    }
    lc_gguf_close(gguf);
    free(copy);
    return 0;
}

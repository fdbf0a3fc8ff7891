/* Opens the file, reads a few keys, closes it again. */
#include "embed/model_facts.h"

#include "base/error.h"

#include <string.h>

static int read_facts(const lc_gguf *gguf, lc_model_facts *facts, llmcache_error *err)
{
    static const char *const poolings[] = {"none", "mean", "cls", "last", "rank"};
    uint32_t pooling = 0;
    lc_gguf_array tokens;
    lc_span tokenizer;
    int rc = lc_gguf_u32(gguf, "bert.embedding_length", LC_GGUF_NEEDED, &facts->dimension,
                         err);
    if (rc == 0)
        rc = lc_gguf_u32(gguf, "bert.context_length", LC_GGUF_NEEDED, &facts->max_tokens,
                         err);
    if (rc == 0)
        rc = lc_gguf_u32(gguf, "bert.block_count", LC_GGUF_NEEDED, &facts->layers, err);
    if (rc == 0)
        rc = lc_gguf_u32(gguf, "bert.pooling_type", LC_GGUF_MAYBE, &pooling, err);
    if (rc == 0)
        rc = lc_gguf_texts(gguf, "tokenizer.ggml.tokens", LC_GGUF_NEEDED, &tokens, err);
    if (rc == 0)
        rc = lc_gguf_text(gguf, "tokenizer.ggml.model", LC_GGUF_NEEDED, &tokenizer, err);
    if (rc)
        return rc;
    const lc_gguf_tensor *matrix = lc_gguf_tensor_of(gguf, "blk.0.ffn_up.weight");
    facts->words = (uint32_t)tokens.count;
    facts->tokenizer = lc_span_is(tokenizer, "bert") ? "wordpiece"
                       : lc_span_is(tokenizer, "t5") ? "unigram"
                                                     : "";
    facts->pooling =
        pooling < sizeof poolings / sizeof *poolings ? poolings[pooling] : "";
    facts->precision = matrix ? lc_tensor_layout_of(matrix->type)->name : "";
    return 0;
}

int lc_model_facts_of(const char *path, lc_model_facts *facts, llmcache_error *err)
{
    lc_gguf *gguf;
    lc_model_facts found = {0};
    int rc = lc_gguf_open(path, &gguf, err);
    if (rc)
        return rc;
    rc = read_facts(gguf, &found, err);
    lc_gguf_close(gguf);
    if (rc == 0)
        *facts = found;
    return rc;
}

/* Checking a whole model file: what the encoder would stumble over, found before it is
 * used. */
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "embed/model_import.h"
#include "embed/tokenizer.h"

#include <string.h>

static int verify_tensor(const lc_gguf_tensor *tensor, float *row, llmcache_error *err)
{
    size_t bytes = lc_tensor_row_bytes(tensor->type, tensor->dims[0]);
    for (size_t at = 0; at < tensor->bytes; at += bytes) {
        float sum = 0;
        lc_tensor_to_float(tensor->type, (const char *)tensor->data + at, tensor->dims[0],
                           row);
        for (uint64_t i = 0; i < tensor->dims[0]; i++)
            sum += row[i] - row[i]; /* 0, or not a number */
        if (sum != 0)
            return lc_fail(err, LLMCACHE_CORRUPT,
                           "tensor %s holds something that is no number", tensor->name);
    }
    return 0;
}

static int verify_tensors(const lc_gguf *gguf, const lc_ticker *ticker,
                          llmcache_error *err)
{
    size_t count = lc_gguf_tensor_count(gguf), longest = 1;
    for (size_t i = 0; i < count; i++)
        if (lc_gguf_tensor_at(gguf, i)->dims[0] > longest)
            longest = lc_gguf_tensor_at(gguf, i)->dims[0];
    float *row = lc_alloc_array(longest, sizeof *row);
    int rc = row ? 0 : lc_fail_memory(err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = verify_tensor(lc_gguf_tensor_at(gguf, i), row, err);
        if (rc == 0)
            rc = lc_tick(ticker, "checking", i + 1, count, err);
    }
    lc_free(row);
    return rc;
}

static int verify_architecture(const lc_gguf *gguf, llmcache_error *err)
{
    lc_span name;
    int rc = lc_gguf_text(gguf, "general.architecture", LC_GGUF_NEEDED, &name, err);
    if (rc == 0 && !lc_span_is(name, "bert"))
        rc = lc_fail(err, LLMCACHE_UNSUPPORTED,
                     "GGUF: general.architecture is %.*s; only bert is supported",
                     (int)(name.size < 60 ? name.size : 60), name.data);
    return rc;
}

int lc_model_verify_content(const char *path, const lc_ticker *ticker,
                            char weights[LC_HASH_TEXT], llmcache_error *err)
{
    unsigned char digest[LC_SHA256_SIZE];
    lc_tokenizer *tokenizer = NULL;
    lc_gguf *gguf;
    int rc = lc_gguf_open(path, &gguf, err);
    if (rc)
        return rc;
    rc = verify_architecture(gguf, err);
    if (rc == 0)
        rc = lc_tokenizer_new(gguf, &tokenizer, err);
    if (rc == 0)
        rc = verify_tensors(gguf, ticker, err);
    if (rc == 0) {
        lc_gguf_weights_hash(gguf, digest);
        lc_hex(digest, sizeof digest, weights);
    }
    lc_tokenizer_free(tokenizer);
    lc_gguf_close(gguf);
    return rc;
}

int lc_model_verify(const char *path, const lc_model_file *file, const lc_ticker *ticker,
                    llmcache_error *err)
{
    char found[LC_HASH_TEXT];
    int rc = 0;
    if (file->sha256[0]) {
        rc = lc_file_hash(path, "checking", ticker, found, err);
        if (rc == 0 && strcmp(found, file->sha256))
            rc = lc_fail(err, LLMCACHE_CORRUPT,
                         "%s is not the file that was placed there", path);
    }
    if (rc == 0)
        rc = lc_model_verify_content(path, ticker, found, err);
    if (rc == 0 && file->weights[0] && strcmp(found, file->weights))
        rc =
            lc_fail(err, LLMCACHE_CORRUPT, "%s holds other weights than it should", path);
    return rc;
}

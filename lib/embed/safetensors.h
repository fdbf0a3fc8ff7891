/*
 * Reading safetensors: a u64 length, a JSON object that names each tensor's type, shape
 * and bytes, then the data. https://github.com/huggingface/safetensors
 */
#ifndef LC_EMBED_SAFETENSORS_H
#define LC_EMBED_SAFETENSORS_H

#include "base/json.h"
#include "embed/gguf.h"

typedef struct lc_safetensors {
    lc_json *header;
    lc_span data;
} lc_safetensors;

/* A view into `file`, which must outlive it. `done` accepts a zeroed one. */
int lc_safetensors_open(lc_span file, lc_safetensors *tensors, llmcache_error *err);
void lc_safetensors_done(lc_safetensors *tensors);

int lc_safetensors_has(const lc_safetensors *tensors, const char *name);

typedef struct lc_safetensor {
    lc_tensor_type type; /* F32, F16 or BF16 */
    uint32_t n_dims;     /* 1 or 2 */
    uint64_t rows;       /* 1 for a vector */
    uint64_t length;     /* of a row */
    const char *data;    /* unaligned */
} lc_safetensor;

/* LLMCACHE_CORRUPT if there is none of that name. */
int lc_safetensors_get(const lc_safetensors *tensors, const char *name,
                       lc_safetensor *tensor, llmcache_error *err);

#endif

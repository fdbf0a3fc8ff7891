/* What gguf.c (opening) and gguf_get.c (looking up) share: the tables of an opened file.
 */
#ifndef LC_EMBED_GGUF_INSIDE_H
#define LC_EMBED_GGUF_INSIDE_H

#include "embed/gguf.h"

typedef struct gguf_key {
    lc_span name;
    lc_gguf_kind kind;
    const char *value; /* of a scalar; the bytes of a text */
    size_t size;       /* of a text */
    lc_gguf_array array;
} gguf_key;

/* Both tables are sorted by name. */
struct lc_gguf {
    lc_span file;
    int mapped; /* `file` is ours to unmap */
    gguf_key *keys;
    size_t key_count;
    lc_gguf_tensor *tensors;
    size_t tensor_count;
};

/* Bytes of a scalar of this kind; 0 for what has no fixed size. */
size_t lc_gguf_scalar_size(uint32_t kind);

/* For qsort and bsearch. */
int lc_gguf_compare_keys(const void *a, const void *b);
int lc_gguf_compare_tensors(const void *a, const void *b);

#endif

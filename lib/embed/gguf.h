/*
 * Reading GGUF, the model file format that C runtimes share (versions 2 and 3,
 * little-endian): https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * The file is mapped, not read: tensors stay on disk until they are touched, and all
 * pointers handed out live until lc_gguf_close. Everything is checked when it is opened,
 * so that no later use can leave the file; an opened file never changes and may be used
 * by any number of threads.
 *
 * Errors name the key or tensor: LLMCACHE_IO (cannot be read), LLMCACHE_CORRUPT
 * (damaged), LLMCACHE_UNSUPPORTED (well formed but not ours: another format, version,
 * byte order or tensor type).
 */
#ifndef LC_EMBED_GGUF_H
#define LC_EMBED_GGUF_H

#include "embed/tensor_type.h"

#include <llmcache/llmcache.h>

typedef struct lc_gguf lc_gguf;

int lc_gguf_open(const char *path, lc_gguf **gguf, llmcache_error *err);

/* The same over bytes of the caller's, which must outlive it and start at a multiple
 * of 64. */
int lc_gguf_open_memory(const void *bytes, size_t size, lc_gguf **gguf,
                        llmcache_error *err);

void lc_gguf_close(lc_gguf *gguf);

/* ---- Keys ------------------------------------------------------------------------ */

/*
 * What a getter does about an absent key: LC_GGUF_NEEDED fails with LLMCACHE_CORRUPT,
 * LC_GGUF_MAYBE returns 0 and leaves *value alone. A key of another type fails either
 * way; integers of any width are taken where they fit.
 */
typedef enum lc_gguf_need { LC_GGUF_MAYBE, LC_GGUF_NEEDED } lc_gguf_need;

int lc_gguf_u32(const lc_gguf *gguf, const char *key, lc_gguf_need need, uint32_t *value,
                llmcache_error *err);
int lc_gguf_f32(const lc_gguf *gguf, const char *key, lc_gguf_need need, float *value,
                llmcache_error *err);
int lc_gguf_bool(const lc_gguf *gguf, const char *key, lc_gguf_need need, int *value,
                 llmcache_error *err);

/* A span of bytes inside the file, not NUL-terminated. */
typedef struct lc_span {
    const char *data;
    size_t size;
} lc_span;

int lc_gguf_text(const lc_gguf *gguf, const char *key, lc_gguf_need need, lc_span *value,
                 llmcache_error *err);
int lc_span_is(lc_span span, const char *text); /* 1 if equal */

/* Types of values, as GGUF numbers them. */
typedef enum lc_gguf_kind {
    LC_GGUF_U8,
    LC_GGUF_I8,
    LC_GGUF_U16,
    LC_GGUF_I16,
    LC_GGUF_U32,
    LC_GGUF_I32,
    LC_GGUF_F32,
    LC_GGUF_BOOL,
    LC_GGUF_TEXT,
    LC_GGUF_ARRAY,
    LC_GGUF_U64,
    LC_GGUF_I64,
    LC_GGUF_F64
} lc_gguf_kind;

/* An array; zero (count 0) when LC_GGUF_MAYBE found none. `data` is unaligned. */
typedef struct lc_gguf_array {
    lc_gguf_kind kind; /* of the elements */
    uint64_t count;
    const char *data;
    size_t bytes;
} lc_gguf_array;

/* Any kind of elements but arrays. */
int lc_gguf_array_of(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                     lc_gguf_array *array, llmcache_error *err);

/* The same for numbers (integers, f32, f64), integers, texts. */
int lc_gguf_floats(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                   lc_gguf_array *array, llmcache_error *err);
int lc_gguf_integers(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                     lc_gguf_array *array, llmcache_error *err);
int lc_gguf_texts(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                  lc_gguf_array *array, llmcache_error *err);

/* Element i < count of an array that lc_gguf_floats / _integers gave. */
double lc_gguf_float_at(const lc_gguf_array *array, uint64_t i);
int64_t lc_gguf_integer_at(const lc_gguf_array *array, uint64_t i);

/* Takes the first text off an array that lc_gguf_texts gave; 0 when none is left. */
int lc_gguf_next_text(lc_gguf_array *array, lc_span *text);

/* ---- Tensors --------------------------------------------------------------------- */

#define LC_GGUF_NAME_SIZE 64

typedef struct lc_gguf_tensor {
    char name[LC_GGUF_NAME_SIZE];
    lc_tensor_type type;
    uint32_t n_dims;  /* 1 to 4 */
    uint64_t dims[4]; /* dims[0] is the length of a row, whose elements are neighbours;
                         unused ones are 1 */
    const void *data; /* aligned as the file says, at least to 8 */
    size_t bytes;     /* all of them lie inside the file */
} lc_gguf_tensor;

/* By name; NULL if there is none. */
const lc_gguf_tensor *lc_gguf_tensor_of(const lc_gguf *gguf, const char *name);

size_t lc_gguf_tensor_count(const lc_gguf *gguf);
const lc_gguf_tensor *lc_gguf_tensor_at(const lc_gguf *gguf,
                                        size_t i); /* in order of names */

/* Bytes of the whole file, and where they are mapped. */
lc_span lc_gguf_bytes(const lc_gguf *gguf);

/*
 * SHA-256 over every tensor (name, type, shape, bytes) in order of their names: the
 * identity of the weights, the same however the file around them is laid out. Reads the
 * whole file.
 */
void lc_gguf_weights_hash(const lc_gguf *gguf, unsigned char digest[32]);

#endif

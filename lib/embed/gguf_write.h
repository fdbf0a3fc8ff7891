/*
 * Writing GGUF files (version 3). Keys are put first to last into memory; tensors are
 * noted with where their numbers are and converted row by row while the file is written,
 * so that a model is never held twice. The same input gives the same bytes.
 *
 * One error check at the end is enough: after a failure the puts do nothing and
 * lc_gguf_write says why.
 */
#ifndef LC_EMBED_GGUF_WRITE_H
#define LC_EMBED_GGUF_WRITE_H

#include "base/buffer.h"
#include "embed/gguf.h"

/* A tensor to be written as type `to` from rows of type `from`. Everything is borrowed.
 */
typedef struct lc_gguf_source {
    const char *name;
    lc_tensor_type from;
    lc_tensor_type to; /* `from`, or F32, F16, Q8_0 */
    uint32_t n_dims;
    uint64_t dims[4]; /* dims[0] is the length of a row */
    const void *data; /* must live until lc_gguf_write; may be unaligned */
} lc_gguf_source;

typedef struct lc_gguf_writer {
    lc_buffer keys;
    uint64_t key_count;
    lc_gguf_tensor *tensors; /* as they will be in the file */
    lc_tensor_type *from;    /* of each tensor's `data` */
    size_t tensor_count;
    size_t tensor_room;
    int broken; /* 0, or the code of what went wrong */
} lc_gguf_writer;

void lc_gguf_writer_init(lc_gguf_writer *writer);
void lc_gguf_writer_done(lc_gguf_writer *writer);

void lc_gguf_put_u32(lc_gguf_writer *writer, const char *key, uint32_t value);
void lc_gguf_put_f32(lc_gguf_writer *writer, const char *key, float value);
void lc_gguf_put_bool(lc_gguf_writer *writer, const char *key, int value);
void lc_gguf_put_text(lc_gguf_writer *writer, const char *key, const char *text);

/* Begins an array; exactly `count` elements of that kind must be added before the next
 * put. */
void lc_gguf_put_array(lc_gguf_writer *writer, const char *key, lc_gguf_kind kind,
                       uint64_t count);
void lc_gguf_add_text(lc_gguf_writer *writer, lc_span text);
void lc_gguf_add_f32(lc_gguf_writer *writer, float value);
void lc_gguf_add_i32(lc_gguf_writer *writer, int32_t value);
void lc_gguf_add_bytes(lc_gguf_writer *writer, const void *bytes,
                       size_t size); /* u8, i8 */

void lc_gguf_put_tensor(lc_gguf_writer *writer, const lc_gguf_source *source);

/* Writes the whole file to a descriptor, from its present position. */
int lc_gguf_write(lc_gguf_writer *writer, int file, llmcache_error *err);

#endif

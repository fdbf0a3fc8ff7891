/* The GGUF writer: keys gathered in one buffer, tensors streamed through another. */
#include "embed/gguf_write.h"

#include "base/error.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ALIGNMENT 32
#define CHUNK     (1u << 20) /* bytes gathered before they are written */

void lc_gguf_writer_init(lc_gguf_writer *writer)
{
    *writer = (lc_gguf_writer){0};
    lc_buffer_init(&writer->keys, 0);
}

void lc_gguf_writer_done(lc_gguf_writer *writer)
{
    lc_buffer_done(&writer->keys);
    lc_free(writer->tensors);
    lc_free(writer->from);
    lc_gguf_writer_init(writer);
}

static void add_number(lc_buffer *to, uint64_t value, size_t bytes)
{
    lc_buffer_add(to, &value, bytes);
}

static void add_text(lc_buffer *to, const char *text, size_t size)
{
    add_number(to, size, 8);
    lc_buffer_add(to, text, size);
}

static void begin_key(lc_gguf_writer *writer, const char *key, lc_gguf_kind kind)
{
    add_text(&writer->keys, key, strlen(key));
    add_number(&writer->keys, kind, 4);
    writer->key_count++;
}

void lc_gguf_put_u32(lc_gguf_writer *writer, const char *key, uint32_t value)
{
    begin_key(writer, key, LC_GGUF_U32);
    add_number(&writer->keys, value, 4);
}

void lc_gguf_put_f32(lc_gguf_writer *writer, const char *key, float value)
{
    begin_key(writer, key, LC_GGUF_F32);
    lc_gguf_add_f32(writer, value);
}

void lc_gguf_put_bool(lc_gguf_writer *writer, const char *key, int value)
{
    begin_key(writer, key, LC_GGUF_BOOL);
    add_number(&writer->keys, value != 0, 1);
}

void lc_gguf_put_text(lc_gguf_writer *writer, const char *key, const char *text)
{
    begin_key(writer, key, LC_GGUF_TEXT);
    add_text(&writer->keys, text, strlen(text));
}

void lc_gguf_put_array(lc_gguf_writer *writer, const char *key, lc_gguf_kind kind,
                       uint64_t count)
{
    begin_key(writer, key, LC_GGUF_ARRAY);
    add_number(&writer->keys, kind, 4);
    add_number(&writer->keys, count, 8);
}

void lc_gguf_add_text(lc_gguf_writer *writer, lc_span text)
{
    add_text(&writer->keys, text.data, text.size);
}

void lc_gguf_add_f32(lc_gguf_writer *writer, float value)
{
    lc_buffer_add(&writer->keys, &value, sizeof value);
}

void lc_gguf_add_i32(lc_gguf_writer *writer, int32_t value)
{
    lc_buffer_add(&writer->keys, &value, sizeof value);
}

void lc_gguf_add_bytes(lc_gguf_writer *writer, const void *bytes, size_t size)
{
    lc_buffer_add(&writer->keys, bytes, size);
}

/* ---- Tensors --------------------------------------------------------------------- */

static int make_room(lc_gguf_writer *writer)
{
    if (writer->tensor_count < writer->tensor_room)
        return 0;
    size_t room = writer->tensor_room ? 2 * writer->tensor_room : 64;
    lc_gguf_tensor *tensors = lc_realloc_array(writer->tensors, room, sizeof *tensors);
    if (!tensors)
        return LLMCACHE_MEMORY;
    writer->tensors = tensors;
    lc_tensor_type *from = lc_realloc_array(writer->from, room, sizeof *from);
    if (!from)
        return LLMCACHE_MEMORY;
    writer->from = from;
    writer->tensor_room = room;
    return 0;
}

static uint64_t rows_of(const lc_gguf_tensor *tensor)
{
    return tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

void lc_gguf_put_tensor(lc_gguf_writer *writer, const lc_gguf_source *source)
{
    size_t name_size = strlen(source->name);
    assert(name_size < LC_GGUF_NAME_SIZE && source->n_dims >= 1 && source->n_dims <= 4);
    if (writer->broken || (writer->broken = make_room(writer)))
        return;
    lc_gguf_tensor *tensor = &writer->tensors[writer->tensor_count];
    *tensor = (lc_gguf_tensor){
        .type = source->to, .n_dims = source->n_dims, .data = source->data};
    memcpy(tensor->name, source->name, name_size);
    for (uint32_t d = 0; d < 4; d++)
        tensor->dims[d] = d < source->n_dims ? source->dims[d] : 1;
    tensor->bytes = lc_tensor_row_bytes(source->to, tensor->dims[0]) * rows_of(tensor);
    writer->from[writer->tensor_count++] = source->from;
}

static uint64_t aligned(uint64_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void add_description(lc_buffer *to, const lc_gguf_tensor *tensor, uint64_t offset)
{
    add_text(to, tensor->name, strlen(tensor->name));
    add_number(to, tensor->n_dims, 4);
    for (uint32_t d = 0; d < tensor->n_dims; d++)
        add_number(to, tensor->dims[d], 8);
    add_number(to, tensor->type, 4);
    add_number(to, offset, 8);
}

/* ---- The file -------------------------------------------------------------------- */

/* Bytes on their way to the file. */
typedef struct outlet {
    int file;
    lc_buffer pending;
    uint64_t written; /* since the last alignment to 32, with all before it */
} outlet;

static int flush(outlet *out, llmcache_error *err)
{
    size_t done = 0;
    if (out->pending.broken)
        return lc_fail_memory(err);
    while (done < out->pending.size) {
        ssize_t size =
            write(out->file, out->pending.data + done, out->pending.size - done);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return lc_fail(err, LLMCACHE_IO, "cannot write the model file: %s",
                           strerror(size < 0 ? errno : ENOSPC));
        done += (size_t)size;
    }
    out->written += done;
    lc_buffer_clear(&out->pending);
    return 0;
}

static int pad(outlet *out)
{
    static const char zeros[ALIGNMENT];
    uint64_t size = out->written + out->pending.size;
    return lc_buffer_add(&out->pending, zeros, aligned(size) - size);
}

static int copy_rows(outlet *out, const lc_gguf_tensor *tensor, llmcache_error *err)
{
    int rc = 0;
    for (size_t at = 0, size; rc == 0 && at < tensor->bytes; at += size) {
        size = tensor->bytes - at < CHUNK ? tensor->bytes - at : CHUNK;
        lc_buffer_add(&out->pending, (const char *)tensor->data + at, size);
        rc = flush(out, err);
    }
    return rc;
}

static int convert_rows(outlet *out, const lc_gguf_tensor *tensor, lc_tensor_type from,
                        llmcache_error *err)
{
    size_t count = tensor->dims[0], in_bytes = lc_tensor_row_bytes(from, count);
    size_t out_bytes = lc_tensor_row_bytes(tensor->type, count);
    float *floats = lc_alloc_array(count, sizeof *floats);
    char *packed = lc_alloc(out_bytes);
    int rc = floats && packed ? 0 : lc_fail_memory(err);
    for (uint64_t row = 0; rc == 0 && row < rows_of(tensor); row++) {
        lc_tensor_to_float(from, (const char *)tensor->data + row * in_bytes, count,
                           floats);
        lc_tensor_from_float(tensor->type, floats, count, packed);
        lc_buffer_add(&out->pending, packed, out_bytes);
        if (out->pending.size >= CHUNK || out->pending.broken)
            rc = flush(out, err);
    }
    lc_free(floats);
    lc_free(packed);
    return rc;
}

static int write_all(lc_gguf_writer *writer, outlet *out, llmcache_error *err)
{
    uint64_t offset = 0;
    lc_buffer_text(&out->pending, "GGUF");
    add_number(&out->pending, 3, 4);
    add_number(&out->pending, writer->tensor_count, 8);
    add_number(&out->pending, writer->key_count, 8);
    lc_buffer_add(&out->pending, writer->keys.data, writer->keys.size);
    for (size_t i = 0; i < writer->tensor_count; i++) {
        add_description(&out->pending, &writer->tensors[i], offset);
        offset += aligned(writer->tensors[i].bytes);
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < writer->tensor_count; i++) {
        pad(out);
        rc = writer->from[i] == writer->tensors[i].type
                 ? copy_rows(out, &writer->tensors[i], err)
                 : convert_rows(out, &writer->tensors[i], writer->from[i], err);
    }
    if (rc == 0)
        pad(out);
    return rc ? rc : flush(out, err);
}

int lc_gguf_write(lc_gguf_writer *writer, int file, llmcache_error *err)
{
    if (writer->broken || writer->keys.broken)
        return lc_fail_memory(err);
    outlet out = {.file = file};
    lc_buffer_init(&out.pending, 0);
    int rc = write_all(writer, &out, err);
    lc_buffer_done(&out.pending);
    return rc;
}

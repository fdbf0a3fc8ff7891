/*
 * The GGUF reader. A file is magic, version, counts; then keys with typed values; then
 * the tensors' descriptions; then, from the next multiple of `general.alignment`, their
 * data.
 *
 * Opening walks all of it once through a cursor that cannot leave the file, and keeps two
 * tables sorted by name (keys, tensors) that point into the mapping. Counts are believed
 * only as far as the bytes left could hold them, so that a damaged count cannot make the
 * reader allocate much.
 */
#include "embed/gguf_inside.h"

#include "base/error.h"
#include "base/memory.h"
#include "embed/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian and are used where they lie"
#endif

#define NAME_MAX_SIZE 255
#define LEAST_KEY \
    13 /* bytes of a key with an empty name: length, kind, one byte of value */
#define LEAST_TENSOR 32 /* length, dimension count, one dimension, type, offset */

static int take_text(lc_cursor *from, lc_span *text)
{
    uint64_t size;
    if (lc_take_u64(from, &size) || !(text->data = lc_take(from, size)))
        return LLMCACHE_CORRUPT;
    text->size = size;
    return 0;
}

/* Names are printable ASCII, so that they can stand in messages as they are. */
static int take_name(lc_cursor *from, size_t max, lc_span *name)
{
    if (take_text(from, name) || name->size == 0 || name->size > max)
        return LLMCACHE_CORRUPT;
    for (size_t i = 0; i < name->size; i++)
        if (name->data[i] <= 0x20 || name->data[i] >= 0x7f)
            return LLMCACHE_CORRUPT;
    return 0;
}

/* ---- Keys ------------------------------------------------------------------------ */

static int take_array(lc_cursor *from, lc_gguf_array *array)
{
    uint32_t kind;
    if (lc_take_u32(from, &kind) || lc_take_u64(from, &array->count))
        return LLMCACHE_CORRUPT;
    size_t size = lc_gguf_scalar_size(kind);
    if (size == 0 && kind != LC_GGUF_TEXT)
        return kind == LC_GGUF_ARRAY ? LLMCACHE_UNSUPPORTED : LLMCACHE_CORRUPT;
    array->kind = (lc_gguf_kind)kind;
    array->data = from->at;
    if (size) {
        if (array->count > from->left / size)
            return LLMCACHE_CORRUPT;
        array->bytes = array->count * size;
        return lc_take(from, array->bytes) ? 0 : LLMCACHE_CORRUPT;
    }
    lc_span text;
    for (uint64_t i = 0; i < array->count; i++)
        if (take_text(from, &text))
            return LLMCACHE_CORRUPT;
    array->bytes = (size_t)(from->at - array->data);
    return 0;
}

static int take_value(lc_cursor *from, gguf_key *key)
{
    uint32_t kind;
    if (lc_take_u32(from, &kind) || kind > LC_GGUF_F64)
        return LLMCACHE_CORRUPT;
    key->kind = (lc_gguf_kind)kind;
    if (kind == LC_GGUF_ARRAY)
        return take_array(from, &key->array);
    if (kind == LC_GGUF_TEXT) {
        lc_span text;
        int rc = take_text(from, &text);
        if (rc == 0) {
            key->value = text.data;
            key->size = text.size;
        }
        return rc;
    }
    key->value = lc_take(from, lc_gguf_scalar_size(kind));
    return key->value ? 0 : LLMCACHE_CORRUPT;
}

static int read_keys(lc_gguf *gguf, lc_cursor *from, uint64_t count, llmcache_error *err)
{
    if (count > from->left / LEAST_KEY)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "GGUF: more keys announced than the file can hold");
    gguf->keys = lc_zalloc_array(count, sizeof *gguf->keys);
    if (!gguf->keys)
        return lc_fail_memory(err);
    for (uint64_t i = 0; i < count; i++) {
        gguf_key *key = &gguf->keys[i];
        if (take_name(from, NAME_MAX_SIZE, &key->name))
            return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: the name of key %llu is damaged",
                           (unsigned long long)i);
        int rc = take_value(from, key);
        if (rc == LLMCACHE_UNSUPPORTED)
            return lc_fail(err, rc, "GGUF: key %.*s is an array of arrays",
                           (int)key->name.size, key->name.data);
        if (rc)
            return lc_fail(err, rc, "GGUF: the value of key %.*s is damaged",
                           (int)key->name.size, key->name.data);
    }
    gguf->key_count = count;
    qsort(gguf->keys, count, sizeof *gguf->keys, lc_gguf_compare_keys);
    for (uint64_t i = 1; i < count; i++)
        if (lc_gguf_compare_keys(&gguf->keys[i - 1], &gguf->keys[i]) == 0)
            return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: key %.*s is there twice",
                           (int)gguf->keys[i].name.size, gguf->keys[i].name.data);
    return 0;
}

/* ---- Tensors --------------------------------------------------------------------- */

/* Works out the bytes of the tensor, refusing shapes that overflow or cut a block. */
static int measure(lc_gguf_tensor *tensor)
{
    const lc_tensor_layout *layout = lc_tensor_layout_of(tensor->type);
    size_t count = 1;
    if (tensor->dims[0] % layout->count)
        return LLMCACHE_CORRUPT;
    for (int d = 0; d < 4; d++)
        if (tensor->dims[d] == 0 ||
            __builtin_mul_overflow(count, tensor->dims[d], &count))
            return LLMCACHE_CORRUPT;
    if (__builtin_mul_overflow(count / layout->count, (size_t)layout->bytes,
                               &tensor->bytes))
        return LLMCACHE_CORRUPT;
    return 0;
}

/* Leaves the offset in tensor->data's place until the start of the data is known. */
static int read_tensor(lc_cursor *from, lc_gguf_tensor *tensor, uint64_t *offset,
                       llmcache_error *err)
{
    lc_span name;
    uint32_t type;
    if (take_name(from, LC_GGUF_NAME_SIZE - 1, &name))
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: the name of a tensor is damaged");
    memcpy(tensor->name, name.data, name.size);
    int rc = lc_take_u32(from, &tensor->n_dims);
    if (rc == 0 && (tensor->n_dims == 0 || tensor->n_dims > 4))
        rc = LLMCACHE_CORRUPT;
    for (uint32_t d = 0; rc == 0 && d < 4; d++) {
        tensor->dims[d] = 1;
        if (d < tensor->n_dims)
            rc = lc_take_u64(from, &tensor->dims[d]);
    }
    if (rc || lc_take_u32(from, &type) || lc_take_u64(from, offset))
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "GGUF: the description of tensor %s is damaged", tensor->name);
    if (!lc_tensor_layout_of(type))
        return lc_fail(
            err, LLMCACHE_UNSUPPORTED,
            "GGUF: tensor %s is of type %u; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0 and "
            "Q5_1 are supported",
            tensor->name, (unsigned)type);
    tensor->type = (lc_tensor_type)type;
    if (measure(tensor))
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "GGUF: the shape of tensor %s is impossible", tensor->name);
    return 0;
}

/* Replaces offsets by pointers. */
static int place_tensors(lc_gguf *gguf, lc_cursor *from, const uint64_t *offsets,
                         llmcache_error *err)
{
    uint32_t alignment = 32;
    int rc = lc_gguf_u32(gguf, "general.alignment", LC_GGUF_MAYBE, &alignment, err);
    if (rc)
        return rc;
    if (alignment < 8 || alignment > 1u << 20 || (alignment & (alignment - 1)))
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: general.alignment is %u",
                       (unsigned)alignment);
    size_t used = gguf->file.size - from->left;
    size_t gap = (alignment - used % alignment) % alignment;
    size_t size = gap < from->left ? from->left - gap : 0;
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        lc_gguf_tensor *tensor = &gguf->tensors[i];
        if (offsets[i] % alignment || offsets[i] > size ||
            tensor->bytes > size - offsets[i])
            return lc_fail(err, LLMCACHE_CORRUPT,
                           "GGUF: tensor %s is not inside the file", tensor->name);
        tensor->data = gguf->file.data + used + gap + offsets[i];
    }
    qsort(gguf->tensors, gguf->tensor_count, sizeof *gguf->tensors,
          lc_gguf_compare_tensors);
    for (size_t i = 1; i < gguf->tensor_count; i++)
        if (strcmp(gguf->tensors[i - 1].name, gguf->tensors[i].name) == 0)
            return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: tensor %s is there twice",
                           gguf->tensors[i].name);
    return 0;
}

static int read_tensors(lc_gguf *gguf, lc_cursor *from, uint64_t count,
                        llmcache_error *err)
{
    if (count > from->left / LEAST_TENSOR)
        return lc_fail(err, LLMCACHE_CORRUPT,
                       "GGUF: more tensors announced than the file can hold");
    uint64_t *offsets = lc_alloc_array(count, sizeof *offsets);
    gguf->tensors = lc_zalloc_array(count, sizeof *gguf->tensors);
    int rc = offsets && gguf->tensors ? 0 : lc_fail_memory(err);
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = read_tensor(from, &gguf->tensors[i], &offsets[i], err);
    if (rc == 0) {
        gguf->tensor_count = count;
        rc = place_tensors(gguf, from, offsets, err);
    }
    lc_free(offsets);
    return rc;
}

/* ---- Opening --------------------------------------------------------------------- */

static int read_header(lc_cursor *from, uint64_t *tensors, uint64_t *keys,
                       llmcache_error *err)
{
    uint32_t version;
    const char *magic = lc_take(from, 4);
    if (!magic || memcmp(magic, "GGUF", 4))
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "not a GGUF file");
    if (lc_take_u32(from, &version))
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: the file ends in its header");
    if ((version & 0xffff) == 0)
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "GGUF: a big-endian file");
    if (version != 2 && version != 3)
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "GGUF: version %u; 2 and 3 are supported", (unsigned)version);
    if (lc_take_u64(from, tensors) || lc_take_u64(from, keys))
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: the file ends in its header");
    return 0;
}

static int read_file(lc_gguf *gguf, llmcache_error *err)
{
    lc_cursor from = {gguf->file.data, gguf->file.size};
    uint64_t tensors = 0, keys = 0;
    int rc = read_header(&from, &tensors, &keys, err);
    if (rc == 0)
        rc = read_keys(gguf, &from, keys, err);
    if (rc == 0)
        rc = read_tensors(gguf, &from, tensors, err);
    return rc;
}

static int open_span(lc_span file, int mapped, lc_gguf **out, llmcache_error *err)
{
    lc_gguf *gguf = lc_zalloc(sizeof *gguf);
    if (!gguf) {
        if (mapped)
            munmap((void *)(uintptr_t)file.data, file.size);
        return lc_fail_memory(err);
    }
    gguf->file = file;
    gguf->mapped = mapped;
    int rc = read_file(gguf, err);
    if (rc)
        lc_gguf_close(gguf);
    else
        *out = gguf;
    return rc;
}

int lc_gguf_open_memory(const void *bytes, size_t size, lc_gguf **gguf,
                        llmcache_error *err)
{
    return open_span((lc_span){bytes, size}, 0, gguf, err);
}

int lc_gguf_open(const char *path, lc_gguf **gguf, llmcache_error *err)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return lc_fail(err, errno == ENOENT ? LLMCACHE_NOT_FOUND : LLMCACHE_IO,
                       "cannot open %s: %s", path, strerror(errno));
    if (fstat(file, &about) || !S_ISREG(about.st_mode) || about.st_size <= 0) {
        close(file);
        return lc_fail(err, LLMCACHE_UNSUPPORTED, "%s is not a file with content", path);
    }
    size_t size = (size_t)about.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    int why = errno;
    close(file);
    if (bytes == MAP_FAILED)
        return lc_fail(err, LLMCACHE_IO, "cannot map %s: %s", path, strerror(why));
    return open_span((lc_span){bytes, size}, 1, gguf, err);
}

void lc_gguf_close(lc_gguf *gguf)
{
    if (!gguf)
        return;
    if (gguf->mapped)
        munmap((void *)(uintptr_t)gguf->file.data, gguf->file.size);
    lc_free(gguf->keys);
    lc_free(gguf->tensors);
    lc_free(gguf);
}

lc_span lc_gguf_bytes(const lc_gguf *gguf)
{
    return gguf->file;
}

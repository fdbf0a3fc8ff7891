/* Looking things up in an opened GGUF file: binary search in its two sorted tables. */
#include "embed/gguf_inside.h"

#include "base/error.h"
#include "base/sha256.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t lc_gguf_scalar_size(uint32_t kind)
{
    static const unsigned char sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return kind < sizeof sizes ? sizes[kind] : 0;
}

static const char *kind_name(lc_gguf_kind kind)
{
    static const char *const names[] = {"u8",  "i8",  "u16",  "i16",  "u32",
                                        "i32", "f32", "bool", "text", "array",
                                        "u64", "i64", "f64"};
    return names[kind];
}

static int compare_spans(lc_span a, lc_span b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int lc_gguf_compare_keys(const void *a, const void *b)
{
    return compare_spans(((const gguf_key *)a)->name, ((const gguf_key *)b)->name);
}

int lc_gguf_compare_tensors(const void *a, const void *b)
{
    return strcmp(((const lc_gguf_tensor *)a)->name, ((const lc_gguf_tensor *)b)->name);
}

int lc_span_is(lc_span span, const char *text)
{
    return span.size == strlen(text) && memcmp(span.data, text, span.size) == 0;
}

/* *found is NULL when the key is absent and may be. */
static int find_key(const lc_gguf *gguf, const char *name, lc_gguf_need need,
                    const gguf_key **found, llmcache_error *err)
{
    gguf_key wanted = {.name = {name, strlen(name)}};
    *found = gguf->key_count ? bsearch(&wanted, gguf->keys, gguf->key_count,
                                       sizeof *gguf->keys, lc_gguf_compare_keys)
                             : NULL;
    if (!*found && need == LC_GGUF_NEEDED)
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: key %s is missing", name);
    return 0;
}

static int wrong_kind(const char *name, lc_gguf_kind kind, const char *wanted,
                      llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: key %s is %s where %s is expected", name,
                   kind_name(kind), wanted);
}

/* Any integer kind, u64 above the range of int64 excepted (they fit nothing we ask for).
 */
static int64_t integer_of(lc_gguf_kind kind, const char *at)
{
    int64_t wide = 0;
    int32_t word = 0;
    int16_t half = 0;
    switch (kind) {
    case LC_GGUF_I8:
        return (int8_t)*at;
    case LC_GGUF_I16:
        memcpy(&half, at, sizeof half);
        return half;
    case LC_GGUF_I32:
        memcpy(&word, at, sizeof word);
        return word;
    default:
        memcpy(&wide, at, lc_gguf_scalar_size(kind));
        return kind == LC_GGUF_U64 && wide < 0 ? INT64_MAX : wide;
    }
}

static int is_integer(lc_gguf_kind kind)
{
    return kind <= LC_GGUF_I32 || kind == LC_GGUF_U64 || kind == LC_GGUF_I64;
}

static double float_of(lc_gguf_kind kind, const char *at)
{
    float single;
    double wide;
    if (kind == LC_GGUF_F32) {
        memcpy(&single, at, sizeof single);
        return (double)single;
    }
    if (kind == LC_GGUF_F64) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    return (double)integer_of(kind, at);
}

int lc_gguf_u32(const lc_gguf *gguf, const char *key, lc_gguf_need need, uint32_t *value,
                llmcache_error *err)
{
    const gguf_key *found;
    int rc = find_key(gguf, key, need, &found, err);
    if (rc || !found)
        return rc;
    if (!is_integer(found->kind))
        return wrong_kind(key, found->kind, "an integer", err);
    int64_t wide = integer_of(found->kind, found->value);
    if (wide < 0 || wide > UINT32_MAX)
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: the value of key %s is out of range",
                       key);
    *value = (uint32_t)wide;
    return 0;
}

int lc_gguf_f32(const lc_gguf *gguf, const char *key, lc_gguf_need need, float *value,
                llmcache_error *err)
{
    const gguf_key *found;
    int rc = find_key(gguf, key, need, &found, err);
    if (rc || !found)
        return rc;
    if (found->kind != LC_GGUF_F32 && found->kind != LC_GGUF_F64)
        return wrong_kind(key, found->kind, "f32", err);
    float narrow = (float)float_of(found->kind, found->value);
    if (!isfinite(narrow))
        return lc_fail(err, LLMCACHE_CORRUPT, "GGUF: the value of key %s is not finite",
                       key);
    *value = narrow;
    return 0;
}

int lc_gguf_bool(const lc_gguf *gguf, const char *key, lc_gguf_need need, int *value,
                 llmcache_error *err)
{
    const gguf_key *found;
    int rc = find_key(gguf, key, need, &found, err);
    if (rc || !found)
        return rc;
    if (found->kind != LC_GGUF_BOOL)
        return wrong_kind(key, found->kind, "bool", err);
    *value = *found->value != 0;
    return 0;
}

int lc_gguf_text(const lc_gguf *gguf, const char *key, lc_gguf_need need, lc_span *value,
                 llmcache_error *err)
{
    const gguf_key *found;
    int rc = find_key(gguf, key, need, &found, err);
    if (rc || !found)
        return rc;
    if (found->kind != LC_GGUF_TEXT)
        return wrong_kind(key, found->kind, "text", err);
    *value = (lc_span){found->value, found->size};
    return 0;
}

int lc_gguf_array_of(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                     lc_gguf_array *array, llmcache_error *err)
{
    const gguf_key *found;
    int rc = find_key(gguf, key, need, &found, err);
    if (rc)
        return rc;
    if (found && found->kind != LC_GGUF_ARRAY)
        return wrong_kind(key, found->kind, "an array", err);
    *array = found ? found->array : (lc_gguf_array){0};
    return 0;
}

int lc_gguf_floats(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                   lc_gguf_array *array, llmcache_error *err)
{
    lc_gguf_array got;
    int rc = lc_gguf_array_of(gguf, key, need, &got, err);
    if (rc)
        return rc;
    if (got.kind == LC_GGUF_TEXT || got.kind == LC_GGUF_BOOL)
        return wrong_kind(key, got.kind, "an array of numbers", err);
    *array = got;
    return 0;
}

int lc_gguf_integers(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                     lc_gguf_array *array, llmcache_error *err)
{
    lc_gguf_array got;
    int rc = lc_gguf_array_of(gguf, key, need, &got, err);
    if (rc)
        return rc;
    if (got.count && !is_integer(got.kind))
        return wrong_kind(key, got.kind, "an array of integers", err);
    *array = got;
    return 0;
}

int lc_gguf_texts(const lc_gguf *gguf, const char *key, lc_gguf_need need,
                  lc_gguf_array *array, llmcache_error *err)
{
    lc_gguf_array got;
    int rc = lc_gguf_array_of(gguf, key, need, &got, err);
    if (rc)
        return rc;
    if (got.count && got.kind != LC_GGUF_TEXT)
        return wrong_kind(key, got.kind, "an array of texts", err);
    *array = got;
    return 0;
}

double lc_gguf_float_at(const lc_gguf_array *array, uint64_t i)
{
    assert(i < array->count);
    return float_of(array->kind, array->data + i * lc_gguf_scalar_size(array->kind));
}

int64_t lc_gguf_integer_at(const lc_gguf_array *array, uint64_t i)
{
    assert(i < array->count);
    return integer_of(array->kind, array->data + i * lc_gguf_scalar_size(array->kind));
}

/* The lengths were checked when the file was opened. */
int lc_gguf_next_text(lc_gguf_array *array, lc_span *text)
{
    uint64_t size;
    if (array->count == 0)
        return 0;
    memcpy(&size, array->data, sizeof size);
    *text = (lc_span){array->data + sizeof size, size};
    array->count--;
    array->data += sizeof size + size;
    array->bytes -= sizeof size + size;
    return 1;
}

const lc_gguf_tensor *lc_gguf_tensor_of(const lc_gguf *gguf, const char *name)
{
    lc_gguf_tensor wanted = {{0}};
    size_t size = strlen(name);
    if (size >= sizeof wanted.name || gguf->tensor_count == 0)
        return NULL;
    memcpy(wanted.name, name, size);
    return bsearch(&wanted, gguf->tensors, gguf->tensor_count, sizeof wanted,
                   lc_gguf_compare_tensors);
}

size_t lc_gguf_tensor_count(const lc_gguf *gguf)
{
    return gguf->tensor_count;
}

const lc_gguf_tensor *lc_gguf_tensor_at(const lc_gguf *gguf, size_t i)
{
    assert(i < gguf->tensor_count);
    return &gguf->tensors[i];
}

void lc_gguf_weights_hash(const lc_gguf *gguf, unsigned char digest[32])
{
    lc_sha256 hash;
    lc_sha256_init(&hash);
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        const lc_gguf_tensor *tensor = &gguf->tensors[i];
        uint32_t type = tensor->type;
        lc_sha256_text(&hash, tensor->name);
        lc_sha256_field(&hash, &type, sizeof type);
        lc_sha256_field(&hash, tensor->dims, sizeof tensor->dims);
        lc_sha256_field(&hash, tensor->data, tensor->bytes);
    }
    lc_sha256_end(&hash, digest);
}

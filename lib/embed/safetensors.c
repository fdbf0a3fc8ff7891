/* The safetensors reader: the header is JSON, the rest is checked when a tensor is asked
 * for. */
#include "embed/safetensors.h"

#include "base/error.h"
#include "embed/cursor.h"

#define MAX_HEADER (100u << 20) /* as the format's own reader has it */

int lc_safetensors_open(lc_span file, lc_safetensors *tensors, llmcache_error *err)
{
    lc_cursor from = {file.data, file.size};
    llmcache_error why;
    uint64_t size;
    const char *header;
    if (lc_take_u64(&from, &size) || size > MAX_HEADER ||
        !(header = lc_take(&from, size)))
        return lc_fail(err, LLMCACHE_CORRUPT, "not a safetensors file, or one cut short");
    int rc = lc_json_parse(header, size, &tensors->header, &why);
    if (rc)
        return lc_fail(err, rc == LLMCACHE_MEMORY ? rc : LLMCACHE_CORRUPT,
                       "safetensors: the header is %s", why.message);
    tensors->data = (lc_span){from.at, from.left};
    return 0;
}

void lc_safetensors_done(lc_safetensors *tensors)
{
    lc_json_free(tensors->header);
    *tensors = (lc_safetensors){0};
}

int lc_safetensors_has(const lc_safetensors *tensors, const char *name)
{
    return lc_json_get(tensors->header, name) != NULL;
}

static int read_type(const char *name, lc_tensor_type *type)
{
    static const struct {
        const char *name;
        lc_tensor_type type;
    } types[] = {
        {"F32", LC_TENSOR_F32}, {"F16", LC_TENSOR_F16}, {"BF16", LC_TENSOR_BF16}};
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0) {
            *type = types[i].type;
            return 0;
        }
    return LLMCACHE_UNSUPPORTED;
}

/* One or two numbers, none of them 0. */
static int read_shape(const lc_json *shape, lc_safetensor *tensor)
{
    int64_t sizes[2] = {1, 1};
    size_t count = lc_json_count(shape);
    if (count < 1 || count > 2)
        return LLMCACHE_UNSUPPORTED;
    for (size_t i = 0; i < count; i++)
        if (!lc_json_integer(lc_json_at(shape, i), &sizes[i]) || sizes[i] < 1)
            return LLMCACHE_CORRUPT;
    tensor->n_dims = (uint32_t)count;
    tensor->rows = count == 2 ? (uint64_t)sizes[0] : 1;
    tensor->length = (uint64_t)sizes[count - 1];
    return 0;
}

static int read_place(const lc_json *offsets, lc_span data, lc_safetensor *tensor)
{
    int64_t start, end;
    uint64_t bytes;
    if (!lc_json_integer(lc_json_at(offsets, 0), &start) ||
        !lc_json_integer(lc_json_at(offsets, 1), &end) || start < 0 || end < start ||
        (uint64_t)end > data.size ||
        __builtin_mul_overflow(tensor->rows, tensor->length, &bytes) ||
        __builtin_mul_overflow(bytes, lc_tensor_layout_of(tensor->type)->bytes, &bytes) ||
        bytes != (uint64_t)(end - start))
        return LLMCACHE_CORRUPT;
    tensor->data = data.data + start;
    return 0;
}

int lc_safetensors_get(const lc_safetensors *tensors, const char *name,
                       lc_safetensor *tensor, llmcache_error *err)
{
    lc_safetensor found;
    const lc_json *entry = lc_json_get(tensors->header, name);
    if (!entry)
        return lc_fail(err, LLMCACHE_CORRUPT, "safetensors: tensor %s is missing", name);
    if (read_type(lc_json_text(lc_json_get(entry, "dtype"), NULL), &found.type))
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "safetensors: tensor %s is neither F32, F16 nor BF16", name);
    if (read_shape(lc_json_get(entry, "shape"), &found) ||
        read_place(lc_json_get(entry, "data_offsets"), tensors->data, &found))
        return lc_fail(err, LLMCACHE_CORRUPT, "safetensors: tensor %s is damaged", name);
    *tensor = found;
    return 0;
}

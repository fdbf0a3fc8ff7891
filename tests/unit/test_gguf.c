/* lib/embed/gguf: what is written is read back; what is damaged is refused by name. */
#include "embed/gguf_write.h"
#include "support.h"
#include "tiny_files.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* A file with one of everything. */
static lc_span sample(void)
{
    static const float matrix[64] = {1, -2, 3.5f, 0.25f};
    static const float vector[3] = {1, 2, 3};
    lc_gguf_writer writer;
    lc_gguf_writer_init(&writer);
    lc_gguf_put_text(&writer, "general.architecture", "bert");
    lc_gguf_put_u32(&writer, "a.count", 42);
    lc_gguf_put_f32(&writer, "a.number", 1.5f);
    lc_gguf_put_bool(&writer, "a.switch", 1);
    lc_gguf_put_array(&writer, "a.texts", LC_GGUF_TEXT, 3);
    lc_gguf_add_text(&writer, (lc_span){"one", 3});
    lc_gguf_add_text(&writer, (lc_span){"", 0});
    lc_gguf_add_text(&writer, (lc_span){"three", 5});
    lc_gguf_put_array(&writer, "a.floats", LC_GGUF_F32, 2);
    lc_gguf_add_f32(&writer, -1);
    lc_gguf_add_f32(&writer, 2);
    lc_gguf_put_array(&writer, "a.integers", LC_GGUF_I32, 2);
    lc_gguf_add_i32(&writer, -5);
    lc_gguf_add_i32(&writer, 6);
    lc_gguf_put_array(&writer, "a.bytes", LC_GGUF_U8, 4);
    lc_gguf_add_bytes(&writer, "\1\2\3\4", 4);
    lc_gguf_put_tensor(
        &writer,
        &(lc_gguf_source){"m.weight", LC_TENSOR_F32, LC_TENSOR_Q8_0, 2, {32, 2}, matrix});
    lc_gguf_put_tensor(
        &writer,
        &(lc_gguf_source){"m.bias", LC_TENSOR_F32, LC_TENSOR_F32, 1, {3}, vector});
    lc_span file = tiny_written(&writer);
    lc_gguf_writer_done(&writer);
    return file;
}

static lc_gguf *opened(lc_span file)
{
    lc_gguf *gguf;
    llmcache_error err;
    cr_assert_eq(lc_gguf_open_memory(file.data, file.size, &gguf, &err), 0, "%s",
                 err.message);
    return gguf;
}

Test(gguf, reads_back_what_was_written)
{
    lc_gguf *gguf = opened(sample());
    llmcache_error err;
    uint32_t count;
    float number;
    int flag;
    lc_span text;
    lc_gguf_array array;
    cr_assert_eq(lc_gguf_u32(gguf, "a.count", LC_GGUF_NEEDED, &count, &err), 0);
    cr_assert_eq(count, 42);
    cr_assert_eq(lc_gguf_f32(gguf, "a.number", LC_GGUF_NEEDED, &number, &err), 0);
    cr_assert_eq(number, 1.5f);
    cr_assert_eq(lc_gguf_bool(gguf, "a.switch", LC_GGUF_NEEDED, &flag, &err), 0);
    cr_assert_eq(flag, 1);
    cr_assert_eq(lc_gguf_text(gguf, "general.architecture", LC_GGUF_NEEDED, &text, &err),
                 0);
    cr_assert(lc_span_is(text, "bert"));
    cr_assert_eq(lc_gguf_texts(gguf, "a.texts", LC_GGUF_NEEDED, &array, &err), 0);
    cr_assert(lc_gguf_next_text(&array, &text) && lc_span_is(text, "one"));
    cr_assert(lc_gguf_next_text(&array, &text) && lc_span_is(text, ""));
    cr_assert(lc_gguf_next_text(&array, &text) && lc_span_is(text, "three"));
    cr_assert_not(lc_gguf_next_text(&array, &text));
    cr_assert_eq(lc_gguf_floats(gguf, "a.floats", LC_GGUF_NEEDED, &array, &err), 0);
    cr_assert_eq(lc_gguf_float_at(&array, 1), 2);
    cr_assert_eq(lc_gguf_integers(gguf, "a.integers", LC_GGUF_NEEDED, &array, &err), 0);
    cr_assert_eq(lc_gguf_integer_at(&array, 0), -5);
    cr_assert_eq(lc_gguf_array_of(gguf, "a.bytes", LC_GGUF_NEEDED, &array, &err), 0);
    cr_assert_eq(array.bytes, 4);
    cr_assert_arr_eq(array.data, "\1\2\3\4", 4);
    lc_gguf_close(gguf);
}

Test(gguf, tensors_have_shape_and_data)
{
    lc_gguf *gguf = opened(sample());
    float row[32];
    const lc_gguf_tensor *matrix = lc_gguf_tensor_of(gguf, "m.weight");
    const lc_gguf_tensor *vector = lc_gguf_tensor_of(gguf, "m.bias");
    cr_assert_eq(lc_gguf_tensor_count(gguf), 2);
    cr_assert_eq(lc_gguf_tensor_at(gguf, 0), vector, "in order of names");
    cr_assert_eq(matrix->type, LC_TENSOR_Q8_0);
    cr_assert(matrix->n_dims == 2 && matrix->dims[0] == 32 && matrix->dims[1] == 2);
    cr_assert(matrix->dims[2] == 1 && matrix->dims[3] == 1);
    cr_assert_eq(matrix->bytes, 68);
    cr_assert_eq((uintptr_t)matrix->data % 32, 0);
    lc_tensor_to_float(matrix->type, matrix->data, 32, row);
    cr_assert_float_eq(row[1], -2, 3.5 / 254);
    cr_assert_float_eq(row[2], 3.5, 1e-3);
    cr_assert_eq(memcmp(vector->data, (const float[]){1, 2, 3}, 12), 0);
    cr_assert_null(lc_gguf_tensor_of(gguf, "m.nothing"));
    cr_assert_null(lc_gguf_tensor_of(gguf, test_format("%0100d", 1)),
                   "longer than any name");
    lc_gguf_close(gguf);
}

Test(gguf, absent_and_mistyped_keys)
{
    lc_gguf *gguf = opened(sample());
    llmcache_error err;
    uint32_t count = 7;
    lc_span text;
    lc_gguf_array array = {.count = 9};
    cr_assert_eq(lc_gguf_u32(gguf, "no.such", LC_GGUF_MAYBE, &count, &err), 0);
    cr_assert_eq(count, 7, "left alone");
    cr_assert_eq(lc_gguf_texts(gguf, "no.such", LC_GGUF_MAYBE, &array, &err), 0);
    cr_assert_eq(array.count, 0);
    cr_assert_eq(lc_gguf_u32(gguf, "no.such", LC_GGUF_NEEDED, &count, &err),
                 LLMCACHE_CORRUPT);
    cr_assert(strstr(err.message, "no.such"), "%s", err.message);
    cr_assert_eq(lc_gguf_u32(gguf, "a.number", LC_GGUF_MAYBE, &count, &err),
                 LLMCACHE_CORRUPT);
    cr_assert(strstr(err.message, "a.number"), "%s", err.message);
    cr_assert_eq(lc_gguf_text(gguf, "a.texts", LC_GGUF_MAYBE, &text, &err),
                 LLMCACHE_CORRUPT);
    cr_assert_eq(lc_gguf_floats(gguf, "a.texts", LC_GGUF_MAYBE, &array, &err),
                 LLMCACHE_CORRUPT);
    cr_assert_eq(lc_gguf_texts(gguf, "a.bytes", LC_GGUF_MAYBE, &array, &err),
                 LLMCACHE_CORRUPT);
    lc_gguf_close(gguf);
}

/* ---- Damage ---------------------------------------------------------------------- */

/* Where `what` stands in the file. */
static char *find(lc_span file, const char *what)
{
    char *at = memmem(file.data, file.size, what, strlen(what));
    cr_assert_not_null(at, "%s", what);
    return at;
}

static void refuses(lc_span file, int code, const char *names)
{
    lc_gguf *gguf = NULL;
    llmcache_error err = {.message = "(opened)"};
    cr_assert_eq(lc_gguf_open_memory(file.data, file.size, &gguf, &err), code, "%s: %s",
                 names, err.message);
    cr_assert_null(gguf);
    cr_assert(strstr(err.message, names), "'%s' does not name %s", err.message, names);
}

/* Overwrites `size` bytes `offset` past the end of `what`. */
static lc_span patched(const char *what, size_t offset, const void *bytes, size_t size)
{
    lc_span file = sample();
    memcpy(find(file, what) + strlen(what) + offset, bytes, size);
    return file;
}

Test(gguf, names_what_is_damaged)
{
    const uint64_t huge = UINT64_MAX / 2, zero = 0;
    const uint32_t odd = 99, q4_k = 12;
    refuses(patched("GGUF", 0, &(uint32_t){1}, 4), LLMCACHE_UNSUPPORTED, "version 1");
    refuses(patched("GGUF", 0, &(uint32_t){0x03000000}, 4), LLMCACHE_UNSUPPORTED,
            "big-endian");
    refuses(patched("GGUF", 4, &huge, 8), LLMCACHE_CORRUPT, "tensors");
    refuses(patched("GGUF", 12, &huge, 8), LLMCACHE_CORRUPT, "keys");
    refuses(patched("a.count", 0, &odd, 4), LLMCACHE_CORRUPT, "a.count");
    refuses(patched("a.texts", 8, &huge, 8), LLMCACHE_CORRUPT, "a.texts");
    refuses(patched("a.texts", 16, &huge, 8), LLMCACHE_CORRUPT, "a.texts");
    refuses(patched("a.floats", 4, &(uint32_t){LC_GGUF_ARRAY}, 4), LLMCACHE_UNSUPPORTED,
            "a.floats");
    refuses(patched("a.floats", 8, &huge, 8), LLMCACHE_CORRUPT, "a.floats");
    refuses(patched("m.weight", 0, &odd, 4), LLMCACHE_CORRUPT, "m.weight");
    refuses(patched("m.weight", 4, &huge, 8), LLMCACHE_CORRUPT, "m.weight");
    refuses(patched("m.weight", 4, &zero, 8), LLMCACHE_CORRUPT, "m.weight");
    refuses(patched("m.weight", 4, &(uint64_t){33}, 8), LLMCACHE_CORRUPT, "m.weight");
    refuses(patched("m.weight", 20, &q4_k, 4), LLMCACHE_UNSUPPORTED, "m.weight");
    refuses(patched("m.weight", 24, &huge, 8), LLMCACHE_CORRUPT, "m.weight");
    refuses(patched("m.weight", 24, &(uint64_t){8}, 8), LLMCACHE_CORRUPT, "m.weight");
    refuses(patched("a.coun", 0, "\1", 1), LLMCACHE_CORRUPT, "key 1");
    lc_span twice = sample();
    memcpy(find(twice, "a.floats"), "a.texts!", 8);
    memcpy(find(twice, "a.number"), "a.texts!", 8);
    refuses(twice, LLMCACHE_CORRUPT, "a.texts!");
    refuses((lc_span){"GGML", 4}, LLMCACHE_UNSUPPORTED, "not a GGUF");
    refuses((lc_span){"GGUF", 4}, LLMCACHE_CORRUPT, "header");
}

Test(gguf, alignment_is_checked)
{
    lc_gguf_writer writer;
    lc_gguf_writer_init(&writer);
    lc_gguf_put_u32(&writer, "general.alignment", 12);
    refuses(tiny_written(&writer), LLMCACHE_CORRUPT, "general.alignment");
    lc_gguf_writer_done(&writer);
}

Test(gguf, every_cut_is_refused)
{
    lc_span file = sample();
    for (size_t size = 0; size < file.size - 32;
         size++) { /* the last bytes may be padding */
        lc_gguf *gguf = NULL;
        char *copy = test_keep(file.data, size);
        if (lc_gguf_open_memory(copy, size, &gguf, NULL) == 0)
            lc_gguf_close(gguf);
        cr_assert_null(gguf, "%zu bytes of %zu", size, file.size);
        test_release(copy);
    }
}

Test(gguf, no_flipped_byte_harms)
{
    lc_span file = sample();
    char *bytes = (char *)(uintptr_t)file.data;
    unsigned char digest[32];
    int refused = 0;
    for (size_t at = 0; at < file.size; at++) {
        lc_gguf *gguf;
        bytes[at] ^= 0x81;
        if (lc_gguf_open_memory(bytes, file.size, &gguf, NULL) == 0) {
            lc_gguf_weights_hash(gguf, digest); /* reads every tensor */
            lc_gguf_close(gguf);
        } else {
            refused++;
        }
        bytes[at] ^= 0x81;
    }
    cr_assert_gt(refused, 100);
}

Test(gguf, files_that_cannot_be_opened)
{
    lc_gguf *gguf;
    llmcache_error err;
    const char *path = test_format("%s/empty.gguf", test_folder());
    test_write_text(path, "");
    cr_assert_eq(lc_gguf_open("/no/such.gguf", &gguf, &err), LLMCACHE_NOT_FOUND);
    cr_assert(strstr(err.message, "/no/such.gguf"));
    cr_assert_eq(lc_gguf_open(path, &gguf, &err), LLMCACHE_UNSUPPORTED);
    cr_assert_eq(lc_gguf_open(test_folder(), &gguf, &err), LLMCACHE_UNSUPPORTED);
}

/* ---- Identity -------------------------------------------------------------------- */

Test(gguf, weights_hash_is_of_the_weights)
{
    unsigned char first[32], second[32];
    lc_span file = sample();
    lc_gguf *gguf = opened(file);
    lc_gguf_weights_hash(gguf, first);
    memcpy(find(file, "a.number") + 12, &(float){9}, 4);
    lc_gguf_weights_hash(gguf, second);
    cr_assert_arr_eq(first, second, 32, "keys do not count");
    ((char *)(uintptr_t)lc_gguf_tensor_of(gguf, "m.bias")->data)[5] ^= 1;
    lc_gguf_weights_hash(gguf, second);
    cr_assert(memcmp(first, second, 32), "every byte of a tensor counts");
    lc_gguf_close(gguf);
}

/* ---- Numbers --------------------------------------------------------------------- */

Test(tensor_type, halves)
{
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = lc_half_to_float((uint16_t)half);
        if (isnan(value))
            cr_assert((half & 0x7c00) == 0x7c00 && (half & 0x3ff));
        else
            cr_assert_eq(lc_float_to_half(value), half, "%04x", half);
    }
    cr_assert_eq(lc_float_to_half(65519), 0x7bff);
    cr_assert_eq(lc_float_to_half(65520), 0x7c00);
    cr_assert_eq(lc_float_to_half(-1e9f), 0xfc00);
    cr_assert_eq(lc_float_to_half(1 + 0x1p-11f), 0x3c00, "a tie goes to the even one");
    cr_assert_eq(lc_float_to_half(1 + 0x1.8p-10f), 0x3c02, "here it is above");
    cr_assert_eq(lc_float_to_half(0x1p-25f), 0);
    cr_assert_eq(lc_float_to_half(0x1.1p-25f), 1);
}

/* One block of each kind, written out by hand: element j of 32. */
Test(tensor_type, blocks)
{
    uint8_t block[24];
    float out[32];
    const uint16_t two = 0x4000, one = 0x3c00;
    memset(block, 0, sizeof block);
    memcpy(block, &two, 2);
    block[2] = 0x1f; /* element 0: 15, element 16: 1 */
    lc_tensor_to_float(LC_TENSOR_Q4_0, block, 32, out);
    cr_assert(out[0] == 14 && out[16] == -14 && out[1] == -16);
    memcpy(block + 2, &one, 2);
    block[4] = 0x1f;
    lc_tensor_to_float(LC_TENSOR_Q4_1, block, 32, out);
    cr_assert(out[0] == 31 && out[16] == 3 && out[1] == 1);
    memset(block + 2, 0, sizeof block - 2);
    block[2] = 1;    /* fifth bit of element 0 */
    block[4] = 1;    /* of element 16 */
    block[6] = 0x21; /* 17 and 18 */
    lc_tensor_to_float(LC_TENSOR_Q5_0, block, 32, out);
    cr_assert(out[0] == 2 && out[16] == 4 && out[1] == -32);
    memset(block + 2, 0, sizeof block - 2);
    memcpy(block + 2, &one, 2);
    block[4] = 1;
    block[8] = 0x21;
    lc_tensor_to_float(LC_TENSOR_Q5_1, block, 32, out);
    cr_assert(out[0] == 35 && out[16] == 5 && out[1] == 1);
}

Test(tensor_type, q8_0_is_near)
{
    float row[64], back[64];
    uint8_t packed[68];
    for (int i = 0; i < 64; i++)
        row[i] = sinf((float)i) * (i < 32 ? 3 : 0);
    lc_tensor_from_float(LC_TENSOR_Q8_0, row, 64, packed);
    lc_tensor_to_float(LC_TENSOR_Q8_0, packed, 64, back);
    for (int i = 0; i < 64; i++)
        cr_assert_float_eq(row[i], back[i], 3.0 / 254 * 1.01);
}

Test(tensor_type, what_is_no_number_stays_none)
{
    const float odd[] = {INFINITY, -INFINITY, NAN};
    for (int i = 0; i < 3; i++) {
        float row[32] = {1, 2, odd[i]}, back[32];
        uint8_t packed[34];
        lc_tensor_from_float(LC_TENSOR_Q8_0, row, 32, packed);
        lc_tensor_to_float(LC_TENSOR_Q8_0, packed, 32, back);
        cr_assert_not(isfinite(back[2]));
    }
    float tiny[32] = {1e-42f}, back[32];
    uint8_t packed[34];
    lc_tensor_from_float(LC_TENSOR_Q8_0, tiny, 32, packed);
    lc_tensor_to_float(LC_TENSOR_Q8_0, packed, 32, back);
    for (int j = 0; j < 32; j++)
        cr_assert(packed[2 + j] == 0 && back[j] == 0, "too small for a scale");
}

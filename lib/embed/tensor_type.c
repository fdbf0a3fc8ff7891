/*
 * Layouts and plain conversions of tensor data. Byte order is the file's, little-endian,
 * which is also that of every machine this library builds for (gguf.c refuses to compile
 * elsewhere).
 */
#include "embed/tensor_type.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define BLOCK 32

static const struct {
    uint32_t type;
    lc_tensor_layout layout;
} layouts[] = {
    {LC_TENSOR_F32, {"F32", 1, 4}},        {LC_TENSOR_F16, {"F16", 1, 2}},
    {LC_TENSOR_Q4_0, {"Q4_0", BLOCK, 18}}, {LC_TENSOR_Q4_1, {"Q4_1", BLOCK, 20}},
    {LC_TENSOR_Q5_0, {"Q5_0", BLOCK, 22}}, {LC_TENSOR_Q5_1, {"Q5_1", BLOCK, 24}},
    {LC_TENSOR_Q8_0, {"Q8_0", BLOCK, 34}}, {LC_TENSOR_BF16, {"BF16", 1, 2}},
};

const lc_tensor_layout *lc_tensor_layout_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].type == type)
            return &layouts[i].layout;
    return NULL;
}

size_t lc_tensor_row_bytes(lc_tensor_type type, size_t count)
{
    const lc_tensor_layout *layout = lc_tensor_layout_of(type);
    assert(layout && count % layout->count == 0);
    return count / layout->count * layout->bytes;
}

float lc_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1f;
    uint32_t fraction = half & 0x3ff, bits;
    float value;
    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = exponent == 0x1f ? sign | 0x7f800000 | fraction << 13
                            : sign | (exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t lc_float_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return sign | 0x7e00;
    if (bits >= 0x477ff000) /* rounds past the largest half */
        return sign | 0x7c00;
    if (bits <
        0x38800000) { /* below the smallest normal half: let the FPU round it in place */
        float small;
        memcpy(&small, &bits, sizeof small);
        return sign | (uint16_t)lrintf(small * 0x1p24f);
    }
    uint32_t odd = bits >> 13 & 1;
    return sign | (uint16_t)((bits + 0xfff + odd - 0x38000000) >> 13);
}

static float half_at(const uint8_t *at)
{
    return lc_half_to_float((uint16_t)(at[0] | at[1] << 8));
}

/* Nibbles j and j + 16 share byte j; the fifth bits, where there are some, are one 32-bit
 * word. */
static void unpack_nibbles(const uint8_t *nibbles, uint32_t fifth, float d, float m,
                           float *out)
{
    for (int j = 0; j < BLOCK / 2; j++) {
        uint32_t low = (nibbles[j] & 15u) | (fifth >> j & 1) << 4;
        uint32_t high = (nibbles[j] >> 4) | (fifth >> (j + 16) & 1) << 4;
        out[j] = (float)low * d + m;
        out[j + BLOCK / 2] = (float)high * d + m;
    }
}

static void unpack_block(lc_tensor_type type, const uint8_t *at, float *out)
{
    float d = half_at(at);
    uint32_t fifth = 0;
    switch (type) {
    case LC_TENSOR_Q4_0:
        unpack_nibbles(at + 2, 0, d, -8 * d, out);
        break;
    case LC_TENSOR_Q4_1:
        unpack_nibbles(at + 4, 0, d, half_at(at + 2), out);
        break;
    case LC_TENSOR_Q5_0:
        memcpy(&fifth, at + 2, sizeof fifth);
        unpack_nibbles(at + 6, fifth, d, -16 * d, out);
        break;
    case LC_TENSOR_Q5_1:
        memcpy(&fifth, at + 4, sizeof fifth);
        unpack_nibbles(at + 8, fifth, d, half_at(at + 2), out);
        break;
    default:
        for (int j = 0; j < BLOCK; j++)
            out[j] = (float)(int8_t)at[2 + j] * d;
    }
}

void lc_tensor_to_float(lc_tensor_type type, const void *row, size_t count, float *out)
{
    const uint8_t *at = row;
    if (type == LC_TENSOR_F32) {
        memcpy(out, row, count * sizeof *out);
    } else if (type == LC_TENSOR_F16) {
        for (size_t i = 0; i < count; i++)
            out[i] = half_at(at + 2 * i);
    } else if (type == LC_TENSOR_BF16) {
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = (uint32_t)at[2 * i] << 16 | (uint32_t)at[2 * i + 1] << 24;
            memcpy(out + i, &bits, sizeof bits);
        }
    } else {
        size_t bytes = lc_tensor_row_bytes(type, BLOCK);
        for (size_t i = 0; i < count; i += BLOCK, at += bytes)
            unpack_block(type, at, out + i);
    }
}

/* A block with something in it that is no number becomes one that is none as a whole: it
 * must be seen. */
static void pack_q8_0(const float *in, uint8_t *out)
{
    float most = 0, odd = 0;
    for (int j = 0; j < BLOCK; j++) {
        most = fmaxf(most, fabsf(in[j]));
        odd += in[j] - in[j];
    }
    float scale = most / 127;
    uint16_t half = lc_float_to_half(odd == 0 ? scale : NAN);
    float inverse =
        lc_half_to_float(half) > 0 ? 1 / scale : 0; /* below a half: all are 0 */
    memcpy(out, &half, sizeof half);
    for (int j = 0; j < BLOCK; j++)
        out[2 + j] = odd == 0 ? (uint8_t)(int8_t)roundf(in[j] * inverse) : 1;
}

void lc_tensor_from_float(lc_tensor_type type, const float *row, size_t count, void *out)
{
    uint8_t *at = out;
    assert(type == LC_TENSOR_F32 || type == LC_TENSOR_F16 || type == LC_TENSOR_Q8_0);
    if (type == LC_TENSOR_F32) {
        memcpy(out, row, count * sizeof *row);
    } else if (type == LC_TENSOR_F16) {
        for (size_t i = 0; i < count; i++) {
            uint16_t half = lc_float_to_half(row[i]);
            memcpy(at + 2 * i, &half, sizeof half);
        }
    } else {
        for (size_t i = 0; i < count; i += BLOCK, at += lc_tensor_row_bytes(type, BLOCK))
            pack_q8_0(row + i, at);
    }
}

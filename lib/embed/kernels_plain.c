/*
 * Kernels in plain C, for any CPU: what the others are compared with.
 */
#include "embed/kernels.h"

#include <math.h>
#include <string.h>

#define LC_TARGET
#define PRIMITIVE static inline
#define LANES     1
#define TILE_ROWS 4
#define TILE_VECS 4

typedef float vec;

PRIMITIVE vec v_load(const float *x)
{
    return *x;
}

PRIMITIVE void v_store(float *x, vec value)
{
    *x = value;
}

PRIMITIVE vec v_set(float value)
{
    return value;
}

PRIMITIVE vec v_add(vec a, vec b)
{
    return a + b;
}

PRIMITIVE vec v_sub(vec a, vec b)
{
    return a - b;
}

PRIMITIVE vec v_mul(vec a, vec b)
{
    return a * b;
}

PRIMITIVE vec v_fma(vec a, vec b, vec c)
{
    return a * b + c;
}

PRIMITIVE vec v_min(vec a, vec b)
{
    return a < b ? a : b;
}

PRIMITIVE vec v_max(vec a, vec b)
{
    return a > b ? a : b;
}

PRIMITIVE vec v_abs(vec a)
{
    return fabsf(a);
}

PRIMITIVE float v_sum(vec a)
{
    return a;
}

PRIMITIVE float v_most(vec a)
{
    return a;
}

PRIMITIVE vec v_from_ints(const int32_t *x)
{
    return (float)*x;
}

PRIMITIVE vec v_scale_power(vec p, vec rounded)
{
    uint32_t bits, power;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&power, &rounded, sizeof power);
    bits += power << 23;
    memcpy(&p, &bits, sizeof p);
    return p;
}

PRIMITIVE void v_store_codes(void *codes, size_t at, vec value)
{
    float rounded =
        (value > 0 ? value : 0) + 8388608.0f; /* 2^23: no room for a fraction */
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    ((uint8_t *)codes)[at] = (uint8_t)bits;
}

#include "embed/kernels_float.h"

#define PANEL 16

LC_TARGET static void multiply(const lc_packed *weights, const void *codes, size_t rows,
                               int32_t *sums)
{
    for (size_t output = 0; output < weights->outputs; output += PANEL) {
        for (size_t row = 0; row < rows; row++) {
            const uint8_t *from = (const uint8_t *)codes + row * weights->inputs;
            const int8_t *panel = weights->codes + output * weights->inputs;
            int32_t part[PANEL] = {0};
            for (size_t k = 0; k < weights->inputs; k++, panel += PANEL)
                for (size_t j = 0; j < PANEL; j++)
                    part[j] += from[k] * panel[j];
            memcpy(sums + row * weights->outputs + output, part, sizeof part);
        }
    }
}

const lc_kernels lc_kernels_plain = {
    .name = "plain",
    .panel = PANEL,
    .group = 1,
    .code_size = 1,
    .code_offset = 0,
    .multiply = multiply,
    FLOAT_KERNELS,
};

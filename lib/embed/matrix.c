/*
 * Packing of weights, and the product with a block of activation rows. Weights are
 * quantised symmetrically, one scale an output: 127 steps to its largest weight.
 */
#include "embed/matrix.h"

#include <math.h>
#include <string.h>

#define LINE  64
#define STRIP 512 /* weights converted at once; a multiple of every variant's group */

static size_t round_up(size_t size, size_t step)
{
    return (size + step - 1) / step * step;
}

lc_matrix_room lc_matrix_shape(lc_matrix *matrix, const lc_kernels *kernels,
                               lc_precision precision, size_t inputs, size_t outputs)
{
    lc_matrix_room room;
    memset(matrix, 0, sizeof *matrix);
    matrix->kernels = kernels;
    matrix->precision = precision;
    matrix->inputs = inputs;
    matrix->outputs = outputs;
    matrix->packed.inputs = round_up(inputs, LC_LANE_PAD);
    if (precision == LC_FLOAT) {
        matrix->packed.inputs = inputs;
        matrix->packed.outputs = round_up(outputs, kernels->float_panel);
        room.weights = round_up(inputs * matrix->packed.outputs * sizeof(float), LINE);
        room.numbers = round_up(matrix->packed.outputs * sizeof(float), LINE);
    } else {
        matrix->packed.outputs = round_up(outputs, kernels->panel);
        room.weights = round_up(matrix->packed.inputs * matrix->packed.outputs, LINE);
        room.numbers = 4 * round_up(matrix->packed.outputs * sizeof(float), LINE);
    }
    return room;
}

/* Padding must be zero; where there is none, setting the rows fills all. */
void lc_matrix_place(lc_matrix *matrix, void *weights, void *numbers)
{
    lc_packed *packed = &matrix->packed;
    char *at = numbers;
    size_t step = round_up(packed->outputs * sizeof(float), LINE);
    size_t size = matrix->precision == LC_FLOAT ? sizeof(float) : 1;
    if (packed->inputs != matrix->inputs || packed->outputs != matrix->outputs)
        memset(weights, 0, packed->inputs * packed->outputs * size);
    memset(numbers, 0, step * (matrix->precision == LC_FLOAT ? 1 : 4));
    packed->bias = (float *)at;
    if (matrix->precision == LC_FLOAT) {
        matrix->floats = weights;
        return;
    }
    packed->codes = weights;
    packed->scale = (float *)(at + step);
    packed->lift = (float *)(at + 2 * step);
    packed->code_sums = (int32_t *)(at + 3 * step);
}

static void set_float_row(lc_matrix *matrix, size_t output, const float *row)
{
    size_t panel = matrix->kernels->float_panel;
    float *to = matrix->floats + output / panel * panel * matrix->inputs + output % panel;
    for (size_t k = 0; k < matrix->inputs; k++)
        to[k * panel] = row[k];
}

/*
 * The loops below are shaped for the compiler to vectorise: 21 million weights go through
 * them at each start. The bits of floats without their sign are in the order of their
 * sizes; those of what is not finite are the largest.
 */
static float largest(const float *row, size_t count)
{
    int32_t most = 0, bits;
    float size;
    for (size_t k = 0; k < count; k++) {
        memcpy(&bits, &row[k], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    memcpy(&size, &most, sizeof size);
    return size;
}

/* Codes of up to STRIP weights, rounded to nearest; returns their sum. */
static int32_t make_codes(const float *row, size_t count, float steps, int8_t *codes)
{
    int32_t sum = 0;
    for (size_t k = 0; k < count; k++) {
        float rounded =
            row[k] * steps + 12582912.0f; /* 1.5 * 2^23: an integer in the low bits */
        int32_t bits;
        memcpy(&bits, &rounded, sizeof bits);
        codes[k] = (int8_t)(bits & 0xff);
    }
    for (size_t k = 0; k < count; k++)
        sum += codes[k];
    return sum;
}

/* Spreads one output's codes: `group` of them lie together, a panel's width apart. */
static void spread_codes(const int8_t *codes, size_t count, size_t group, size_t step,
                         int8_t *to)
{
    size_t k = 0;
    if (group == 4)
        for (; k + 4 <= count; k += 4)
            memcpy(to + k / 4 * step, codes + k, 4);
    for (; k < count; k++)
        to[k / group * step + k % group] = codes[k];
}

static int32_t set_codes(lc_matrix *matrix, size_t output, const float *row, float steps)
{
    size_t panel = matrix->kernels->panel, group = matrix->kernels->group;
    size_t step = panel * group;
    int8_t codes[STRIP], *to = matrix->packed.codes +
                               output / panel * panel * matrix->packed.inputs +
                               output % panel * group;
    int32_t sum = 0;
    for (size_t k = 0; k < matrix->inputs; k += STRIP) {
        size_t count = matrix->inputs - k < STRIP ? matrix->inputs - k : STRIP;
        sum += make_codes(row + k, count, steps, codes);
        spread_codes(codes, count, group, step, to + k / group * step);
    }
    return sum;
}

int lc_matrix_set_row(lc_matrix *matrix, size_t output, const float *row, float bias)
{
    float most = largest(row, matrix->inputs);
    if (!isfinite(most) || !isfinite(bias))
        return -1;
    matrix->packed.bias[output] = bias;
    if (matrix->precision == LC_FLOAT) {
        set_float_row(matrix, output, row);
        return 0;
    }
    float steps = most > 0 ? 127 / most : 0;
    if (!isfinite(steps)) /* a row of next to nothing */
        steps = 0;
    matrix->packed.scale[output] = steps > 0 ? most / 127 : 0;
    matrix->packed.code_sums[output] = set_codes(matrix, output, row, steps);
    matrix->packed.lift[output] =
        matrix->packed.scale[output] * (float)matrix->packed.code_sums[output];
    return 0;
}

size_t lc_matrix_code_bytes(const lc_matrix *matrix, size_t rows)
{
    return rows * matrix->packed.inputs * matrix->kernels->code_size;
}

size_t lc_matrix_stride(const lc_matrix *matrix)
{
    return matrix->packed.outputs;
}

static void apply_float(const lc_matrix *matrix, lc_rows x, size_t rows, float *y)
{
    size_t panel = matrix->kernels->float_panel, stride = matrix->packed.outputs;
    for (size_t output = 0; output < stride; output += panel) {
        lc_rows weights = {matrix->floats + output * matrix->inputs, panel};
        lc_rows to = {y + output, stride};
        matrix->kernels->multiply_float(x, weights, to, rows, matrix->inputs, panel);
    }
    for (size_t row = 0; row < rows; row++)
        matrix->kernels->add(y + row * stride, matrix->packed.bias, stride);
}

void lc_matrix_apply(const lc_matrix *matrix, lc_rows x, size_t rows, void *codes,
                     lc_code_range *ranges, float *y)
{
    const lc_kernels *kernels = matrix->kernels;
    const lc_packed *packed = &matrix->packed;
    if (matrix->precision == LC_FLOAT) {
        apply_float(matrix, x, rows, y);
        return;
    }
    for (size_t row = 0; row < rows; row++) {
        void *to = (char *)codes + row * packed->inputs * kernels->code_size;
        kernels->quantise(x.data + row * x.stride, matrix->inputs, packed->inputs, to,
                          &ranges[row]);
    }
    /* The sums become floats where they lie: both take four bytes. */
    int32_t *sums = (int32_t *)(void *)y;
    kernels->multiply(packed, codes, rows, sums);
    for (size_t row = 0; row < rows; row++)
        kernels->restore(packed, sums + row * packed->outputs, ranges[row],
                         y + row * packed->outputs);
}

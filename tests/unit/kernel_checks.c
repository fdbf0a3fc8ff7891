#include "kernel_checks.h"

#include "embed/matrix.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char said[256];

static const char *wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    return said;
}

/* ---- Material --------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state) /* xorshift, Marsaglia 2003 */
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* From -size to size. */
static float random_float(uint32_t *state, float size)
{
    return ((float)(next_random(state) >> 8) / 8388608.0f - 1) * size;
}

static float *random_floats(uint32_t *state, size_t count, float size)
{
    float *floats = malloc(count * sizeof *floats);
    for (size_t i = 0; i < count; i++)
        floats[i] = random_float(state, size);
    return floats;
}

static int same_bits(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

static int code_at(const lc_kernels *kernels, const void *codes, size_t i)
{
    if (kernels->code_size == 2)
        return ((const int16_t *)codes)[i];
    return kernels->code_offset ? ((const int8_t *)codes)[i] + (int)kernels->code_offset
                                : ((const uint8_t *)codes)[i];
}

static void put_code(const lc_kernels *kernels, void *codes, size_t i, int code)
{
    if (kernels->code_size == 2)
        ((int16_t *)codes)[i] = (int16_t)code;
    else
        ((uint8_t *)codes)[i] = (uint8_t)(code - (int)kernels->code_offset);
}

/* ---- Integers: equal in all variants ---------------------------------------------- */

static const char *compare_codes(const lc_kernels *kernels, const float *x, size_t count,
                                 const char *kind)
{
    size_t padded = (count + LC_LANE_PAD - 1) / LC_LANE_PAD * LC_LANE_PAD;
    const lc_kernels *plain = lc_kernels_named("plain");
    void *mine = malloc(padded * kernels->code_size),
         *theirs = malloc(padded * plain->code_size);
    lc_code_range range, expected;
    const char *bad = NULL;
    kernels->quantise(x, count, padded, mine, &range);
    plain->quantise(x, count, padded, theirs, &expected);
    if (!same_bits(&range, &expected, sizeof range))
        bad = wrong("%s, %zu: range %g %g, not %g %g", kind, count, range.scale,
                    range.low, expected.scale, expected.low);
    for (size_t i = 0; !bad && i < count; i++) {
        int code = code_at(kernels, mine, i);
        float back = (float)code * range.scale + range.low;
        if (code != code_at(plain, theirs, i))
            bad = wrong("%s, %zu: code %zu is %d, not %d", kind, count, i, code,
                        code_at(plain, theirs, i));
        else if (code < 0 || code > 255)
            bad = wrong("%s: code %d", kind, code);
        else if (!(fabsf(back - x[i]) <= range.scale * 0.501f + fabsf(x[i]) * 1e-6f))
            bad = wrong("%s, %zu: %g came back as %g", kind, count, x[i], back);
    }
    free(mine);
    free(theirs);
    return bad;
}

static const char *check_codes(const lc_kernels *kernels)
{
    static const size_t counts[] = {1, 2, 7, 15, 16, 17, 31, 64, 100, 312, 384, 1536};
    uint32_t seed = 1;
    const char *bad = NULL;
    for (size_t c = 0; !bad && c < sizeof counts / sizeof *counts; c++) {
        size_t count = counts[c];
        for (int turn = 0; !bad && turn < 50; turn++) {
            float *x = random_floats(&seed, count, turn < 25 ? 3 : ldexpf(1, turn - 40));
            bad = compare_codes(kernels, x, count, "random");
            for (size_t i = 0; i < count; i++) /* exact halves between codes */
                x[i] = (float)(next_random(&seed) % 511) / 2;
            x[0] = 255;
            x[count - 1] = 0;
            if (!bad)
                bad = compare_codes(kernels, x, count, "halves");
            for (size_t i = 0; i < count; i++)
                x[i] = 0.1f;
            if (!bad)
                bad = compare_codes(kernels, x, count, "constant");
            free(x);
        }
    }
    return bad;
}

/* A packed matrix of random weights, and the weights. */
typedef struct packing {
    lc_matrix matrix;
    float *weights, *bias;
    void *memory, *numbers;
} packing;

static void *aligned(size_t size)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 64, size ? size : 64))
        abort();
    memset(memory, 0x5a, size);
    return memory;
}

/* extreme: weights of the largest size only, so that codes are -127 and 127. */
static void make_sample(packing *sample, const lc_kernels *kernels,
                        lc_precision precision, size_t inputs, size_t outputs,
                        int extreme, uint32_t *seed)
{
    lc_matrix_room room =
        lc_matrix_shape(&sample->matrix, kernels, precision, inputs, outputs);
    sample->memory = aligned(room.weights);
    sample->numbers = aligned(room.numbers);
    sample->weights = random_floats(seed, inputs * outputs, 0.5f);
    sample->bias = random_floats(seed, outputs, 1);
    lc_matrix_place(&sample->matrix, sample->memory, sample->numbers);
    for (size_t i = 0; extreme && i < inputs * outputs; i++)
        sample->weights[i] = next_random(seed) % 4 ? 0.25f : -0.25f;
    for (size_t o = 0; o < outputs; o++)
        if (lc_matrix_set_row(&sample->matrix, o, sample->weights + o * inputs,
                              sample->bias[o]))
            abort();
}

static void free_sample(packing *sample)
{
    free(sample->memory);
    free(sample->numbers);
    free(sample->weights);
    free(sample->bias);
}

/* The codes of one output's weights. */
static void weight_codes(const packing *sample, size_t output, int *codes)
{
    const float *row = sample->weights + output * sample->matrix.inputs;
    float most = 0;
    for (size_t k = 0; k < sample->matrix.inputs; k++)
        most = fmaxf(most, fabsf(row[k]));
    for (size_t k = 0; k < sample->matrix.inputs; k++)
        codes[k] = most > 0 ? (int)lrintf(row[k] * (127 / most)) : 0;
}

static const char *compare_sums(const packing *sample, size_t rows, int all,
                                uint32_t *seed)
{
    const lc_kernels *kernels = sample->matrix.kernels;
    const lc_packed *packed = &sample->matrix.packed;
    void *codes = aligned(rows * packed->inputs * kernels->code_size);
    int32_t *sums = aligned(rows * packed->outputs * sizeof *sums);
    const char *bad = NULL;
    for (size_t i = 0; i < rows * packed->inputs; i++)
        put_code(kernels, codes, i, all >= 0 ? all : (int)(next_random(seed) % 256));
    kernels->multiply(packed, codes, rows, sums);
    for (size_t o = 0; !bad && o < sample->matrix.outputs; o++) {
        int weights[2048];
        weight_codes(sample, o, weights);
        for (size_t row = 0; !bad && row < rows; row++) {
            int64_t sum = 0;
            for (size_t k = 0; k < sample->matrix.inputs; k++)
                sum += (int64_t)weights[k] *
                       code_at(kernels, codes, row * packed->inputs + k);
            if (sum != sums[row * packed->outputs + o])
                bad = wrong("%zu x %zu, %zu rows: sum (%zu, %zu) is %d, not %lld",
                            sample->matrix.inputs, sample->matrix.outputs, rows, row, o,
                            (int)sums[row * packed->outputs + o], (long long)sum);
        }
    }
    free(codes);
    free(sums);
    return bad;
}

static const char *check_sums(const lc_kernels *kernels)
{
    static const size_t shapes[][2] = {{1, 1},   {5, 3},    {16, 16},  {30, 50},
                                       {48, 49}, {312, 20}, {384, 97}, {1536, 17}};
    uint32_t seed = 2;
    const char *bad = NULL;
    for (size_t s = 0; !bad && s < sizeof shapes / sizeof *shapes; s++)
        for (int extreme = 0; !bad && extreme < 2; extreme++) {
            packing sample;
            make_sample(&sample, kernels, LC_INT8, shapes[s][0], shapes[s][1], extreme,
                        &seed);
            for (size_t rows = 1; !bad && rows <= 19; rows++)
                bad = compare_sums(&sample, rows, extreme ? 255 : -1, &seed);
            free_sample(&sample);
        }
    return bad;
}

/* ---- Floats: near enough, and each row by itself ---------------------------------- */

static const char *compare_products(const packing *sample, size_t rows, uint32_t *seed)
{
    const lc_matrix *matrix = &sample->matrix;
    size_t stride = lc_matrix_stride(matrix), inputs = matrix->inputs, apart = inputs + 3;
    float *x = random_floats(seed, rows * apart, 2);
    float *y = aligned(rows * stride * sizeof *y),
          *alone = aligned(stride * sizeof *alone);
    void *codes = aligned(lc_matrix_code_bytes(matrix, rows));
    lc_code_range *ranges = malloc(rows * sizeof *ranges);
    const char *bad = NULL;
    lc_matrix_apply(matrix, (lc_rows){x, apart}, rows, codes, ranges, y);
    for (size_t row = 0; !bad && row < rows; row++) {
        /* A step of a code is 4/255 wide; errors of many inputs add up like their root.
         */
        double bound =
            matrix->precision == LC_FLOAT ? 1e-4 : 0.02 * sqrt((double)inputs) + 0.02;
        for (size_t o = 0; !bad && o < matrix->outputs; o++) {
            double sum = sample->bias[o];
            for (size_t k = 0; k < inputs; k++)
                sum += (double)x[row * apart + k] * sample->weights[o * inputs + k];
            if (!(fabs(sum - y[row * stride + o]) <= bound))
                bad = wrong("%zu x %zu, row %zu: %g, not %g", inputs, matrix->outputs,
                            row, y[row * stride + o], sum);
        }
        lc_matrix_apply(matrix, (lc_rows){x + row * apart, apart}, 1, codes, ranges,
                        alone);
        if (!bad && !same_bits(alone, y + row * stride, matrix->outputs * sizeof *y))
            bad = wrong("%zu x %zu: row %zu of %zu is another when alone", inputs,
                        matrix->outputs, row, rows);
    }
    free(x);
    free(y);
    free(alone);
    free(codes);
    free(ranges);
    return bad;
}

static const char *check_products(const lc_kernels *kernels)
{
    static const size_t shapes[][2] = {{1, 1}, {30, 50}, {384, 49}, {1536, 20}};
    uint32_t seed = 3;
    const char *bad = NULL;
    for (size_t s = 0; !bad && s < sizeof shapes / sizeof *shapes; s++)
        for (int precision = LC_INT8; !bad && precision <= LC_FLOAT; precision++) {
            packing sample;
            make_sample(&sample, kernels, (lc_precision)precision, shapes[s][0],
                        shapes[s][1], 0, &seed);
            for (size_t rows = 1; !bad && rows <= 17; rows++)
                bad = compare_products(&sample, rows, &seed);
            free_sample(&sample);
        }
    return bad;
}

/* The bound that kernels.h states, over every magnitude a float has. */
static const char *check_gelu(const lc_kernels *kernels)
{
    double worst = 0;
    for (uint32_t bits = 0; bits < 0x7f800000; bits += 99991)
        for (int sign = 0; sign < 2; sign++) {
            float x, y;
            uint32_t with_sign = bits | (uint32_t)sign << 31;
            memcpy(&x, &with_sign, sizeof x);
            y = x;
            kernels->gelu(&y, 1);
            double exact = 0.5 * (double)x * erfc(-(double)x * M_SQRT1_2);
            double bound = fabsf(x) <= 6 ? 4e-6 : 4e-7 * fabsf(x);
            if (!(fabs(exact - y) <= bound))
                return wrong("gelu(%g) is %g, not %g", x, y, exact);
            if (fabsf(x) <= 6)
                worst = fmax(worst, fabs(exact - y));
        }
    return worst > 0 ? NULL : "gelu was never inexact: the check looks at nothing";
}

/* Whole vectors and parts of one give the same. */
static const char *check_gelu_lengths(const lc_kernels *kernels)
{
    float x[67], y[67];
    uint32_t seed = 4;
    for (size_t count = 1; count <= 67; count++) {
        for (size_t i = 0; i < 67; i++)
            y[i] = x[i] = random_float(&seed, 6);
        kernels->gelu(y, count);
        for (size_t i = 0; i < 67; i++) {
            float alone = x[i];
            if (i < count)
                kernels->gelu(&alone, 1);
            if (!same_bits(&alone, &y[i], sizeof alone))
                return wrong("%zu: number %zu is %g, not %g", count, i, y[i], alone);
        }
    }
    return NULL;
}

static const char *check_softmax(const lc_kernels *kernels)
{
    static const float sizes[] = {0.001f, 1, 10, 80, 1000};
    uint32_t seed = 5;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t count = 1; count <= 70; count++) {
            float x[80], y[80];
            double sum = 0, most = -DBL_MAX, total = 0;
            for (size_t i = 0; i < count; i++) {
                y[i] = x[i] = random_float(&seed, sizes[s]);
                most = fmax(most, x[i]);
            }
            for (size_t i = 0; i < count; i++)
                sum += exp(x[i] - most);
            kernels->softmax(y, count);
            for (size_t i = 0; i < count; i++) {
                double exact = exp(x[i] - most) / sum;
                if (!(fabs(exact - y[i]) <=
                      (1e-6 + 2e-7 * (most - x[i])) * exact + 1e-30))
                    return wrong("%zu numbers: %zu is %g, not %g", count, i, y[i], exact);
                total += y[i];
            }
            if (fabs(total - 1) > 1e-5)
                return wrong("%zu numbers: the sum is %g", count, total);
        }
    return NULL;
}

static const char *check_norm(const lc_kernels *kernels)
{
    uint32_t seed = 6;
    for (size_t count = 1; count <= 400; count += count < 70 ? 1 : 55) {
        float *x = random_floats(&seed, count, 2), *y = random_floats(&seed, count, 2);
        float *gain = random_floats(&seed, count, 2),
              *bias = random_floats(&seed, count, 1);
        double mean = 0, square = 0, worst = 0;
        float *z = malloc(count * sizeof *z);
        memcpy(z, x, count * sizeof *z);
        for (size_t i = 0; i < count; i++)
            mean += (double)x[i] + y[i];
        mean /= (double)count;
        for (size_t i = 0; i < count; i++)
            square += pow((double)x[i] + y[i] - mean, 2);
        kernels->add_norm(z, y, count, gain, bias, 1e-6f);
        for (size_t i = 0; i < count; i++) {
            double exact = ((double)x[i] + y[i] - mean) /
                               sqrt(square / (double)count + 1e-6) * gain[i] +
                           bias[i];
            worst = fmax(worst, fabs(exact - z[i]));
        }
        free(x);
        free(y);
        free(z);
        free(gain);
        free(bias);
        if (!(worst < 2e-5))
            return wrong("%zu numbers: off by %g", count, worst);
    }
    return NULL;
}

static const char *check_sums_of_floats(const lc_kernels *kernels)
{
    uint32_t seed = 7;
    for (size_t count = 0; count <= 200; count++) {
        float *x = random_floats(&seed, count + 1, 1),
              *y = random_floats(&seed, count + 1, 1);
        double exact = 0;
        for (size_t i = 0; i < count; i++)
            exact += (double)x[i] * y[i];
        float sum = kernels->dot(x, y, count);
        float first = count ? x[count - 1] + y[count - 1] : 0, beyond = x[count];
        kernels->add(x, y, count);
        int added = (!count || x[count - 1] == first) && x[count] == beyond;
        free(x);
        free(y);
        if (!(fabs(exact - sum) < 1e-4))
            return wrong("dot product of %zu: %g, not %g", count, sum, exact);
        if (!added)
            return wrong("addition of %zu", count);
    }
    return NULL;
}

static const char *check_float_product(const lc_kernels *kernels)
{
    uint32_t seed = 8;
    const char *bad = NULL;
    for (size_t rows = 1; !bad && rows <= 20; rows++)
        for (size_t columns = 16; !bad && columns <= 80; columns += 16)
            for (size_t inner = 0; !bad && inner <= 33; inner += 11) {
                lc_rows a = {random_floats(&seed, rows * 40 + 1, 1), 40};
                lc_rows b = {random_floats(&seed, inner * 90 + 1, 1), 90};
                lc_rows c = {random_floats(&seed, rows * 85, 1), 85};
                kernels->multiply_float(a, b, c, rows, inner, columns);
                for (size_t i = 0; i < rows * columns; i++) {
                    size_t row = i / columns, column = i % columns;
                    double exact = 0;
                    for (size_t k = 0; k < inner; k++)
                        exact += (double)a.data[row * 40 + k] * b.data[k * 90 + column];
                    if (!(fabs(exact - c.data[row * 85 + column]) < 1e-5))
                        bad = wrong("%zu x %zu x %zu: (%zu, %zu) is %g, not %g", rows,
                                    inner, columns, row, column,
                                    c.data[row * 85 + column], exact);
                }
                free(a.data);
                free(b.data);
                free(c.data);
            }
    return bad;
}

static const char *check_transpose(const lc_kernels *kernels)
{
    float from[25 * 30], to[30 * 30];
    uint32_t seed = 10;
    for (size_t i = 0; i < 25 * 30; i++)
        from[i] = random_float(&seed, 1);
    for (size_t rows = 1; rows <= 25; rows++)
        for (size_t columns = 1; columns <= 25; columns++) {
            memset(to, 0, sizeof to);
            kernels->transpose((lc_rows){from, 30}, (lc_rows){to, 30}, rows, columns);
            for (size_t i = 0; i < 30 * 30; i++) {
                size_t row = i % 30, column = i / 30;
                int inside = row < rows && column < columns;
                if (to[i] != (inside ? from[row * 30 + column] : 0))
                    return wrong("%zu x %zu: (%zu, %zu)", rows, columns, row, column);
            }
        }
    return NULL;
}

/* What is not finite must not get into a matrix, or out of the arrays. */
static const char *check_refusals(const lc_kernels *kernels)
{
    uint32_t seed = 9;
    packing sample;
    float row[20] = {1, 2}, codes[64],
          values[32] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX};
    lc_code_range range;
    int refused;
    make_sample(&sample, kernels, LC_INT8, 20, 3, 0, &seed);
    row[19] = NAN;
    refused = lc_matrix_set_row(&sample.matrix, 1, row, 0) < 0;
    row[19] = -INFINITY;
    refused += lc_matrix_set_row(&sample.matrix, 1, row, 0) < 0;
    row[19] = FLT_MAX;
    refused += lc_matrix_set_row(&sample.matrix, 1, row, INFINITY) < 0;
    refused += lc_matrix_set_row(&sample.matrix, 1, row, 0) == 0;
    row[0] = row[1] = row[19] = 0;
    refused += lc_matrix_set_row(&sample.matrix, 2, row, 5) == 0;
    free_sample(&sample);
    kernels->quantise(values, 32, 32, codes, &range);
    kernels->gelu(values, 32);
    kernels->softmax(values, 32);
    return refused == 5 ? NULL : "a row was accepted or refused wrongly";
}

const kernel_check kernel_checks[] = {
    {"activation codes equal those of the plain variant", check_codes},
    {"sums of codes are exact", check_sums},
    {"products are near, and rows independent", check_products},
    {"float products", check_float_product},
    {"gelu keeps its bound", check_gelu},
    {"gelu at any length", check_gelu_lengths},
    {"softmax", check_softmax},
    {"layer norm", check_norm},
    {"transpose", check_transpose},
    {"dot and add", check_sums_of_floats},
    {"what is not finite", check_refusals},
    {NULL, NULL},
};

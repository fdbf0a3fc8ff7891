/* Vectors to codes and back: see codes.h. */
#include "index/codes.h"

#include "base/memory.h"

#include <llmcache/llmcache.h>
#include <math.h>
#include <string.h>

#define MOST    32639 /* 127 * 256 + 127: the high byte of no code is -128, which AVX2 needs */
#define ROUNDER 12582912.0f /* 1.5 * 2^23: added and taken off, it leaves the nearest integer */
/* Roundings of the bounds themselves, far above what they can be. */
#define ERROR_SPARE 1.0001f
#define SLACK       2e-5f

/* Eight running values side by side, which compilers turn into vector registers. */
#define LANES 8u

static float largest(const float *vector, size_t dimension)
{
    float most[LANES] = {0}, all = 0;
    size_t i = 0;
    for (; i + LANES <= dimension; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            most[k] = fabsf(vector[i + k]) > most[k] ? fabsf(vector[i + k]) : most[k];
    for (; i < dimension; i++)
        most[0] = fabsf(vector[i]) > most[0] ? fabsf(vector[i]) : most[0];
    for (size_t k = 0; k < LANES; k++)
        all = most[k] > all ? most[k] : all;
    return all;
}

static void split(const float *vector, size_t dimension, float scale, uint8_t *high, int8_t *low)
{
    for (size_t i = 0; i < dimension; i++) {
        int32_t value = (int32_t)((vector[i] * scale + ROUNDER) - ROUNDER);
        int32_t head = (value + 128) >> 8;
        high[i] = (uint8_t)(head + 128);
        low[i] = (int8_t)(value - head * 256);
    }
}

static float total(const float lanes[LANES])
{
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

/* The length of x - step * codes; codes are `high` with its offset taken off. */
static float distance(const float *vector, size_t dimension, const uint8_t *high, float step)
{
    float sum[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= dimension; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            float off = vector[i + k] - step * (float)(high[i + k] - 128);
            sum[k] += off * off;
        }
    for (; i < dimension; i++) {
        float off = vector[i] - step * (float)(high[i] - 128);
        sum[0] += off * off;
    }
    return sqrtf(total(sum)) * ERROR_SPARE;
}

float lc_vector_length(const float *vector, size_t dimension)
{
    float sum[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= dimension; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sum[k] += vector[i + k] * vector[i + k];
    for (; i < dimension; i++)
        sum[0] += vector[i] * vector[i];
    return sqrtf(total(sum));
}

void lc_codes_write(const float *vector, size_t dimension, const lc_codes *to)
{
    float most = largest(vector, dimension), unit = most / MOST;
    size_t stride = lc_codes_stride(dimension);
    split(vector, dimension, MOST / most, to->high, to->low);
    memset(to->high + dimension, 128, stride - dimension);
    memset(to->low + dimension, 0, stride - dimension);
    *to->step = 256 * unit;
    *to->error = distance(vector, dimension, to->high, 256 * unit);
}

void lc_codes_read(const lc_codes *from, size_t dimension, float *vector)
{
    float unit = *from->step / 256;
    for (size_t i = 0; i < dimension; i++)
        vector[i] = unit * (float)((from->high[i] - 128) * 256 + from->low[i]);
}

/* Returns its error. */
static float code_query(lc_coded_query *query, size_t dimension, float most)
{
    uint8_t *codes = (uint8_t *)query->codes;
    float scale = 127 / most;
    for (size_t i = 0; i < dimension; i++)
        codes[i] = (uint8_t)((int32_t)((query->vector[i] * scale + ROUNDER) - ROUNDER) + 128);
    float error = distance(query->vector, dimension, codes, most / 127);
    for (size_t i = 0; i < dimension; i++)
        codes[i] ^= 128;
    return error;
}

int lc_query_code(const float *vector, size_t dimension, lc_coded_query *query)
{
    size_t stride = lc_codes_stride(dimension), bytes = stride * (sizeof *query->vector + 1);
    query->vector = lc_alloc_aligned(64, bytes);
    if (!query->vector)
        return LLMCACHE_MEMORY;
    memset(query->vector, 0, bytes);
    memcpy(query->vector, vector, dimension * sizeof *vector);
    query->codes = (int8_t *)(query->vector + stride);
    query->stride = stride;
    float most = largest(vector, dimension), error = code_query(query, dimension, most);
    /* |x^| <= |x| + error, |x| being 1 but for the tolerance of what is taken for unit length. */
    query->test = (lc_scan_test){.factor = most / 127,
                                 .weight = lc_vector_length(vector, dimension) * ERROR_SPARE + error,
                                 .slack = error * 1.001f + SLACK};
    return 0;
}

void lc_query_done(lc_coded_query *query)
{
    lc_free(query->vector);
}

double lc_codes_product(const lc_scan *scan, const lc_coded_query *query, const lc_codes *row)
{
    float product = scan->exact(query->vector, row->high, row->low, query->stride) * (*row->step / 256);
    return product > 1 ? 1 : (double)product; /* by rounding */
}

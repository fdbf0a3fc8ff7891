/* Each form against arithmetic written down as the header says it. */
#include "scan_checks.h"

#include <math.h>
#include <string.h>

#define STRIDE_MOST (4 * LC_SCAN_PAD)
#define ROWS        23

static uint32_t next_number(uint32_t *state)
{
    return *state = *state * 1664525u + 1013904223u;
}

/* Codes at random, and all at either end: where a narrower sum would overflow. */
static void make_codes(int kind, uint32_t seed, uint8_t *rows, int8_t *query, size_t rows_size, size_t stride)
{
    for (size_t i = 0; i < rows_size; i++)
        rows[i] = kind == 0 ? (uint8_t)(1 + (next_number(&seed) >> 8) % 255) : kind == 1 ? 255 : 1;
    for (size_t i = 0; i < stride; i++)
        query[i] = kind == 0 ? (int8_t)((int)((next_number(&seed) >> 8) % 255) - 127) : (int8_t)(i % 3 ? 127 : -127);
}

static const char *check_sums(const lc_scan *form)
{
    /* One byte off: rows are not aligned. */
    static uint8_t memory[1 + ROWS * STRIDE_MOST];
    static int8_t query[STRIDE_MOST] __attribute__((aligned(64)));
    for (size_t stride = LC_SCAN_PAD; stride <= STRIDE_MOST; stride += LC_SCAN_PAD)
        for (int kind = 0; kind < 3; kind++)
            for (size_t count = 0; count <= ROWS; count++) {
                int32_t out[ROWS + 1];
                out[count] = 4242;
                make_codes(kind, (uint32_t)(stride + count), memory + 1, query, ROWS * stride, stride);
                form->sums(query, memory + 1, stride, count, out);
                for (size_t r = 0; r < count; r++) {
                    int32_t sum = 0;
                    for (size_t i = 0; i < stride; i++)
                        sum += query[i] * (memory[1 + r * stride + i] - 128);
                    if (out[r] != sum)
                        return "a sum is wrong";
                }
                if (out[count] != 4242)
                    return "a sum was written past the last row";
            }
    return NULL;
}

static const char *check_above(const lc_scan *form)
{
    int32_t sums[200];
    float steps[200], errors[200];
    uint16_t found[201];
    uint32_t seed = 5;
    for (size_t i = 0; i < 200; i++) {
        sums[i] = (int32_t)(next_number(&seed) >> 12) - 524288;
        steps[i] = 1e-6f * (float)(1 + (next_number(&seed) >> 16) % 100);
        errors[i] = 1e-4f * (float)((next_number(&seed) >> 16) % 100);
    }
    for (size_t count = 0; count <= 200; count += 7)
        for (float floor = -60; floor < 60; floor += 7) {
            lc_scan_test test = {.factor = 0.7f, .weight = 1.3f, .slack = 0.25f, .floor = floor};
            size_t hits = form->above(&test, sums, steps, errors, count, found), at = 0;
            for (size_t i = 0; i < count; i++) {
                double bound = (double)sums[i] * (double)steps[i] * 0.7 + (double)errors[i] * 1.3 + 0.25;
                int is_in = at < hits && found[at] == i;
                at += (size_t)is_in;
                if (fabs(bound - (double)floor) > 1e-4 && is_in != (bound >= (double)floor))
                    return "a row is judged wrongly";
            }
            if (at != hits)
                return "what was found is not in order";
        }
    return NULL;
}

static const char *check_exact(const lc_scan *form)
{
    static uint8_t high[STRIDE_MOST + 1];
    static int8_t low[STRIDE_MOST + 1];
    static float query[STRIDE_MOST] __attribute__((aligned(64)));
    uint32_t seed = 9;
    for (size_t stride = LC_SCAN_PAD; stride <= STRIDE_MOST; stride += LC_SCAN_PAD)
        for (int round = 0; round < 20; round++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < stride; i++) {
                high[i + 1] = (uint8_t)(next_number(&seed) >> 24);
                low[i + 1] = (int8_t)(next_number(&seed) >> 24);
                query[i] = (float)(next_number(&seed) >> 8) * 0x1p-23f - 1;
                double term = (double)query[i] * ((high[i + 1] - 128) * 256 + low[i + 1]);
                sum += term;
                size += fabs(term);
            }
            if (fabs((double)form->exact(query, high + 1, low + 1, stride) - sum) > 1e-6 * size)
                return "a product is wrong";
        }
    return NULL;
}

const scan_check scan_checks[] = {
    {"sums", check_sums}, {"above", check_above}, {"exact", check_exact}, {NULL, NULL}};

/*
 * What the forms of the scan have in common, in plain C: a form includes this after it has defined
 * LC_TARGET, the attribute under which the compiler may use the form's registers.
 */
#ifndef LC_INDEX_SCAN_BODY_H
#define LC_INDEX_SCAN_BODY_H

#include "index/scan.h"

#define LC_SCAN_STEP 32u

/* Most rows fail the test: they are looked at by the dozen first, without a branch for each. */
LC_TARGET static size_t above(const lc_scan_test *test, const int32_t *sums, const float *steps,
                              const float *errors, size_t count, uint16_t *found)
{
    const float factor = test->factor, weight = test->weight, floor = test->floor - test->slack;
    size_t hits = 0, at = 0;
    for (; at + LC_SCAN_STEP <= count; at += LC_SCAN_STEP) {
        int any = 0;
        for (size_t i = at; i < at + LC_SCAN_STEP; i++)
            any |= (float)sums[i] * steps[i] * factor + errors[i] * weight >= floor;
        for (size_t i = at; any && i < at + LC_SCAN_STEP; i++)
            if ((float)sums[i] * steps[i] * factor + errors[i] * weight >= floor)
                found[hits++] = (uint16_t)i;
    }
    for (; at < count; at++)
        if ((float)sums[at] * steps[at] * factor + errors[at] * weight >= floor)
            found[hits++] = (uint16_t)at;
    return hits;
}

/* Eight sums side by side, which every compiler turns into what vector registers there are. */
LC_TARGET static inline float exact_lanes(const float *query, const uint8_t *high, const int8_t *low,
                                          size_t stride)
{
    float sum[8] = {0};
    for (size_t i = 0; i < stride; i += 8)
        for (size_t k = 0; k < 8; k++)
            sum[k] += query[i + k] * (float)((high[i + k] - 128) * 256 + low[i + k]);
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

#endif

/* The scan for AArch64 with the dot product instructions (ARMv8.2): sdot adds four products a lane. */
#include "index/scan.h"

#if LC_SCAN_NEON
#include <arm_neon.h>

#define LC_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#include "index/scan_body.h"

static inline __attribute__((always_inline)) LC_TARGET int8x16_t codes(const uint8_t *row)
{
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(row), vdupq_n_u8(128)));
}

LC_TARGET static void sums(const int8_t *query, const uint8_t *rows, size_t stride, size_t count,
                           int32_t *out)
{
    for (size_t r = 0; r < count; r++) {
        const uint8_t *row = rows + r * stride;
        int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        for (size_t i = 0; i < stride; i += 64)
            for (size_t k = 0; k < 4; k++)
                sum[k] = vdotq_s32(sum[k], codes(row + i + 16 * k), vld1q_s8(query + i + 16 * k));
        out[r] = vaddvq_s32(vaddq_s32(vaddq_s32(sum[0], sum[1]), vaddq_s32(sum[2], sum[3])));
    }
}

const lc_scan lc_scan_neon = {"neon", sums, above, exact_lanes};
#endif

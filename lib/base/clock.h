/* Time. This is the only file that asks the system; everything else takes `now_ms` as an argument. */
#ifndef LC_BASE_CLOCK_H
#define LC_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

int64_t lc_wall_ms(void); /* since 1970 UTC, for expiry */
int64_t lc_mono_ms(void); /* monotonic, for durations and deadlines */
int64_t lc_mono_us(void);
int64_t lc_mono_ns(void);

/* For pthread_cond_clockwait-style waits on CLOCK_MONOTONIC: the instant `ms` from now. */
struct timespec lc_mono_after(int64_t ms);

/* Sleeps; returns early only on no signal at all. */
void lc_sleep_ms(int64_t ms);

#endif

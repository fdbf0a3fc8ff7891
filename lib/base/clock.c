/* The system's clocks. */
#include "base/clock.h"

#include <errno.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t lc_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

int64_t lc_mono_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t lc_mono_us(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t lc_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

struct timespec lc_mono_after(int64_t ms)
{
    int64_t at = read_ns(CLOCK_MONOTONIC) + ms * 1000000;
    return (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
}

void lc_sleep_ms(int64_t ms)
{
    struct timespec left = lc_mono_after(ms);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &left, NULL) == EINTR)
        ;
}

/* Picks the form of the scan: by the CPU's own word, not by ifunc, which no test could override. */
#include "index/scan.h"

#if LC_SCAN_NEON && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#elif LC_SCAN_NEON
static int has_dot_product(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & (1UL << 20)) != 0; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__)
    return 1;
#else
    return 0;
#endif
}
#endif

static int always(void)
{
    return 1;
}

static const struct {
    const lc_scan *form;
    int (*runs_here)(void);
} forms[] = {
#if defined(__x86_64__)
    {&lc_scan_avx512, has_avx512},
    {&lc_scan_avx2, has_avx2},
#elif LC_SCAN_NEON
    {&lc_scan_neon, has_dot_product},
#endif
    {&lc_scan_plain, always},
};

const lc_scan *lc_scan_at(size_t position)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].runs_here() && position-- == 0)
            return forms[i].form;
    return NULL;
}

const lc_scan *lc_scan_best(void)
{
    return lc_scan_at(0);
}
